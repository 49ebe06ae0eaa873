#!/usr/bin/env bash
# A file goes into a depot and comes back, by hand: nothing but netcat and sha256sum.
#
#   examples/netcat.sh HOST PORT [FILE]
#
# needs a running server (depot-server --port 5000, then: examples/netcat.sh 127.0.0.1 5000), nc as in
# Debian's netcat-openbsd, and sha256sum. Lines with > are sent, lines with < are received.
set -eu

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: $0 HOST PORT [FILE]" >&2
    exit 2
fi
host=$1 port=$2 file=${3:-$0}
name=$(basename "$file")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Sends one header, and the file after it if there is one; the answer goes to $work/answer.
# With -N, nc closes its sending side at the end of its input: the server answers what it was asked,
# and closes. A connection for each request is not needed, but easy to follow.
ask() {
    echo "> $1"
    { printf '%s\n' "$1"; if [ $# -gt 1 ]; then cat "$2"; fi; } | nc -N "$host" "$port" >"$work/answer"
    if [ $# -gt 1 ]; then echo "> ($(wc -c <"$2") bytes)"; fi
    header=$(head -n 1 "$work/answer")
    echo "< $header"
    case $header in
        'resultado:1'*) ;;
        *) echo "$0: the server refused" >&2; exit 1 ;;
    esac
}

# The value of a field of the last answer.
field() { printf '%s\n' "$header" | tr '|' '\n' | sed -n "s/^$1://p"; }

echo '# Connect for the first time: the server gives us an id. Whoever knows it can read our files.'
ask 'id_cliente:'
id=$(field id_cliente)

echo "# Deposit $file, with its size and its SHA-256; once this is answered it is on the disk."
size=$(wc -c <"$file")
hash=$(sha256sum <"$file" | cut -d ' ' -f 1)
ask "id_cliente:$id|qtd_replicas:0|tamanho_arquivo:$size|hash_arquivo:$hash|nome_arquivo:$name" "$file"

echo '# What does the server know of it?'
ask "comando:consultar|id_cliente:$id|nome_arquivo:$name"

echo '# Recover it: one line, and behind it the bytes.'
ask "id_cliente:$id|nome_arquivo:$name"
tail -n +2 "$work/answer" >"$work/recovered"
echo "< ($(wc -c <"$work/recovered") bytes)"

echo '# Compare it, byte by byte and by hash.'
cmp "$file" "$work/recovered"
echo "deposited  $hash"
echo "recovered  $(sha256sum <"$work/recovered" | cut -d ' ' -f 1)"

echo '# Remove it.'
ask "comando:remover|id_cliente:$id|nome_arquivo:$name"
