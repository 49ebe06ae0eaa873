## Beginnings of messages
error = error
warning = warning
interrupted = interrupted; what was transferred is kept, the same command goes on from there

## The command line and its help
about-top = The client of a depot: deposits files, says how many other servers are to hold a copy, recovers them.
usage-top = depot-client --host HOST --port PORT [--id UUID] [--json] [COMMAND]
about-prompt = The commands of the prompt; the same can stand at the end of the command line.
usage-prompt = COMMAND
help-template = {"{about}"}

    Usage: {"{usage}"}

    {"{all-args}{after-help}"}
help-template-commands = {"{about}"}

    Usage: {"{usage}"}

    {"{all-args}{after-help}"}
heading-commands = Commands
heading-arguments = Arguments
heading-options = Options
heading-exit = Exit codes:
value-HOST = HOST
value-PORT = PORT
value-UUID = UUID
value-PATH = PATH
value-NAME = NAME
value-N = N
value-COMMAND = COMMAND
arg-help = Show this help
arg-version = Show the version
arg-json = Results as lines of JSON
arg-top-host = The server's name or address; asked for on a terminal
arg-top-port = The server's port; asked for on a terminal
arg-top-id = Your id, if it is not the one kept for this server. Others on this machine can see it here: better DEPOT_ID or DEPOT_ID_FILE
examples-top =
    Without COMMAND it takes commands from the prompt, or from a pipe, one a line.

    Examples:
      depot-client --host 127.0.0.1 --port 7070 deposit letter.txt
      depot-client --host 127.0.0.1 --port 7070 list --json
      depot-client --host 127.0.0.1 --port 7070

    Variables:
      DEPOT_ID, DEPOT_ID_FILE  your id, or a file whose last line it is
      DEPOT_HOME               where ids and the history are kept [~/.local/share/depot]
      LC_ALL, LC_MESSAGES, LANG  pt: the client speaks Portuguese
examples-prompt = help COMMAND explains a command and shows examples.

about-deposit = Deposits files, and folders with all that is below them.
usage-deposit = deposit PATH... [--replicas N] [--name NAME]
arg-deposit-paths = Files and folders. A file is deposited under its own name, a folder as FOLDER/...; symbolic links in a folder are left out
arg-deposit-replicas = On how many other servers; without it as many as the file has, a new one 1, or 0 where the server is alone
arg-deposit-name = The name to deposit under; with a / at its end, the folder for all
examples-deposit =
    Examples:
      deposit letter.txt
      deposit letter.txt --name letters/first.txt --replicas 2
      deposit photos music --name backup/

    What was cut goes on from there when it is deposited again.

about-recover = Recovers files.
usage-recover = recover NAME... [--to PATH] [--force]
arg-recover-names = Names of files; one that ends in / is all below it
arg-recover-to = Where to: a file, or a folder, in which the / of names become folders; - is stdout [here]
arg-recover-force = Replace files that are there
examples-recover =
    Examples:
      recover letters/first.txt
      recover letters/first.txt --to letter.txt
      recover letters/ photos/ --to restored

    What was cut goes on from there when it is recovered again.

about-list = Lists your files: size, replicas there are / wanted, time of the deposit, name.
usage-list = list
examples-list =
    Examples:
      list
      list --json

about-stat = Tells all about a file.
usage-stat = stat NAME
arg-stat-name = The file's name
examples-stat =
    Examples:
      stat letters/first.txt

about-replicas = Changes how many replicas of a file are wanted; they follow in the background.
usage-replicas = replicas NAME N
arg-replicas-name = The file's name
arg-replicas-replicas = On how many other servers, 0 to 255
examples-replicas =
    Examples:
      replicas letters/first.txt 2

about-remove = Removes a file from the depot.
usage-remove = remove NAME
arg-remove-name = The file's name
examples-remove =
    Examples:
      remove letters/first.txt

about-servers = Shows the servers of the depot.
usage-servers = servers
examples-servers =
    Examples:
      servers

about-id = Shows your id. Whoever knows it has your files.
usage-id = id
examples-id =
    Examples:
      id

about-help = Explains the commands, or one of them.
usage-help = help [COMMAND]
arg-help-command = The command
examples-help =
    Examples:
      help deposit

about-quit = Leaves.
usage-quit = quit
examples-quit =
    Examples:
      quit

## What is wrong with a command line
wrong-unknown-argument = "{ $word }" is not expected here.
wrong-unknown-command = "{ $word }" is no command.
wrong-missing = { $word } is missing.
wrong-no-value = { $word } needs a value.
wrong-value = "{ $value }" is not possible for { $word }.
wrong-twice = { $word } cannot be given twice, or not together with what else is given.
wrong-utf8 = A word is not UTF-8.
wrong-other = This is not understood.
wrong-hint = Is { $word } meant?
see-help = depot-client --help explains all.
server-missing = which server is missing: give --host HOST and --port PORT
host-invalid = "{ $host }" is no host: a name or an IP address is wanted
quote-open = a quote is not closed
name-invalid = "{ $name }" is no name: 1 to 1024 bytes without control characters, in which no part between / is empty, "." or ".."
stdout-one-file = one file can go to stdout (--to -), not several

## Exit codes
exit-0 = done
exit-1 = a fault that has no code of its own
exit-2 = wrong command line
exit-3 = no such file
exit-4 = refused as it is: too many replicas, too large, ...
exit-5 = nothing has changed: try later, or another server
exit-6 = it may have happened: do it again, which is harmless
exit-7 = no server can be reached
exit-8 = a file or folder of this machine
exit-9 = wrong bytes, or no depot server
exit-130 = interrupted

## Questions
ask-role =
    Take part as
      1  server  (s)   keeps files for others
      2  client  (c)   deposits and recovers files
    Which?
role-invalid = Please answer 1 or 2, s or c, server or client.
role-missing = how to take part is missing: depot server --port PORT, or depot client --host HOST --port PORT [--id UUID] [COMMAND]
role-usage =
    depot                       asks for everything
    depot server [OPTION...]    as depot-server, see depot server --help
    depot client [OPTION...] [COMMAND]    as depot-client, see depot client --help
ask-host = Host [127.0.0.1]:
host-wrong = A host name or an IP address is wanted.
ask-port = Port [7070]:
ask-port-server = Port to listen on [7070]:
port-invalid = A port is a number from 1 to 65535.
ask-id = Your id [empty: a new one]:
ask-id-kept = Your id [empty: the one kept for this server; new: a new one]:
id-wrong = An id has 36 characters, like 123e4567-e89b-42d3-a456-426614174000.
menu =
    1  deposit          (d)
    2  recover          (r)
    3  list             (l)
    4  change replicas  (a)
    5  quit             (s)
    A number, a letter or a word chooses; help shows all commands, menu shows this again.
ask-path = File or folder:
ask-replicas = Replicas on other servers [empty: as it was, a new file 1 where there is another server]:
ask-replicas-new = Replicas on other servers:
replicas-invalid = A number from 0 to 255 is wanted.
ask-name = Name:
ask-to = To which file or folder [empty: here]:
welcome = { $server } is connected. help shows the commands, Tab completes, quit or Ctrl-D leaves.
how-to-leave = quit or Ctrl-D leaves.

## Ids
id-new =
    Your new id is { $id }
    Keep it: whoever knows it has your files, and without it they are lost to you.
    On this machine it is kept in { $path }
id-new-quiet = A new id was issued; it is kept in { $path }. The command id shows it: without it your files are lost to you.
id-new-not-kept =
    Your new id is { $id }
    Keep it, it could not be kept here: whoever knows it has your files, and without it they are lost to you.
id-in-arguments = an id on the command line can be seen by others on this machine and stays in the shell's history; DEPOT_ID_FILE or DEPOT_ID hides it
id-invalid = what { $origin } gives is no id: 36 characters like 123e4567-e89b-42d3-a456-426614174000
id-file-invalid = { $path } holds no id in its last line
id-file-fault = the id cannot be kept or read: { $path }: { $cause }
id-file-open = others on this machine may read { $path }: chmod 600 hides it

## Local files
nothing-to-deposit = There is no file in there: nothing to deposit.
source-no-file = { $path } is neither a file nor a folder: it cannot be deposited
source-left-out = { $path } is a symbolic link or no file: left out
source-no-name = { $path } has no name of its own: give one with --name
source-not-utf8 = the name of { $path } is not UTF-8, which the depot's names are: give it another, or deposit it alone with --name NAME
source-bad-name = { $path } cannot be deposited as "{ $name }": a name has 1 to 1024 bytes without control characters; --name gives another
source-twice = { $path } would be deposited as "{ $name }", as { $first } is
source-changed = { $path } changed while it was sent: nothing was stored
local-fault = { $path }: { $cause }
target-exists = { $path } is there already: --force replaces it
target-name = this system cannot have a file of that name beneath the target: --to FILE gives it another
target-no-folder = { $path } is no folder, or a symbolic link: nothing is written through it
part-taken = { $path } is in the way: the file is put together under that name; move it away
part-busy = { $path }: this file is being recovered already, by another command
part-no-room = { $path }: there is no room on the disk for the bytes to come
output-fault = the results cannot be written: { $cause }
internal-fault = this cannot go on: { $cause }

## Results
deposited = deposited { $name } ({ $size }, replicas: { $copies } of { $replicas })
deposited-resumed = deposited { $name } ({ $size }, { $from } of them earlier, replicas: { $copies } of { $replicas })
recovered = recovered { $name } to { $path } ({ $size })
recovered-resumed = recovered { $name } to { $path } ({ $size }, { $from } of them earlier)
local-read = { $name }: the server reaches no majority, a newer version may be elsewhere
local-list = the server reaches no majority: newer files may be missing here, and removed ones be shown
nothing-below = there is no file below { $name }
list-heading = {"      SIZE   COPIES  DEPOSITED             NAME"}
list-empty = No files.
stat =
    name       { $name }
    size       { $size } ({ $bytes } bytes)
    hash       { $hash }
    replicas   { $copies } of { $replicas }
    deposited  { $deposited }
replicas-set = { $name }: { $replicas } replicas are wanted, { $copies } are there
removed = removed { $name }
server-active = active
server-inactive = not reached

## What a server or the network says
retrying = { $name }: { $cause }; trying again
refused = { $meaning } [{ $code }: { $message }]
refusal-cabecalho_invalido = the server does not understand the request
refusal-campo_invalido = the server finds a field of the request wrong
refusal-nome_invalido = the server does not take that name
refusal-arquivo_inexistente = there is no such file
refusal-copia_indisponivel = no server with a good copy can be reached now; nothing is lost, try later
refusal-replicas_indisponiveis = there are not so many other servers
refusal-deslocamento_invalido = what is kept of the transfer has changed; try again
refusal-hash_divergente = the server received other bytes than were sent; nothing was stored
refusal-limite_excedido = too large, over a quota, or too many connections
refusal-sem_espaco = the server has no room; nothing was stored
refusal-copias_insuficientes = too few servers could make a copy; what was sent is kept, try later
refusal-sem_quorum = no majority of the servers can be reached, nothing has changed; recovering still works
refusal-resultado_desconhecido = it was not confirmed in time and may still take effect; do it again
refusal-servidor_indisponivel = this server takes no changes now; another may
refusal-mensagem_incompleta = the connection ended in the middle of a message
refusal-tempo_esgotado = the server waited too long
refusal-encerrando = the server is shutting down; try later, or another
refusal-interno = a fault of the server; it may have happened
hash-mismatch = the bytes that came do not have the announced hash and were thrown away
replaced = the file was replaced while it was recovered: recover it again
no-depot = { $server } does not speak as a depot server: { $what }
unreachable = no server can be reached: { $tried }
cut = the connection to { $server } was cut: { $cause }; the same command goes on from there
unanswered = { $server } did not answer, so it may have happened: { $cause }; do it again, which is harmless
