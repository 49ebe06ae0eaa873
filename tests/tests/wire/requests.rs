//! Every request and the exact form of its answer.

use depot_tests::content::{EMPTY_HASH, made_up_id, random_bytes, sha256};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Recovered, Server, Setup, answer};

#[test]
fn a_first_connection_gets_a_random_id_each_time() {
    let server = Server::start();
    let mut client = server.connect();
    let (first, second) = (client.new_id(), client.new_id());
    assert_ne!(first, second);
    for id in [first, second] {
        let parts = id.split('-').map(str::len).collect::<Vec<_>>();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|c| c == '-' || c.is_ascii_hexdigit()), "{id}");
        assert_eq!(&id[14..15], "4", "a v4 UUID: {id}");
        assert!("89abAB".contains(&id[19..20]), "the UUID variant: {id}");
    }
}

#[test]
fn a_reconnection_repeats_the_id_and_tells_nothing_about_files() {
    let server = Server::start();
    let (mut client, never_issued) = (server.connect(), made_up_id());
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"bytes");
    let known = client.ask(format!("id_cliente:{id}"));
    let unknown = client.ask(format!("id_cliente:{never_issued}"));
    assert_eq!(known.replace(&id, "ID"), unknown.replace(&never_issued, "ID"));
    assert_eq!(known, format!("resultado:1|id_cliente:{id}"));
}

#[test]
fn a_deposit_is_answered_with_the_number_wanted_the_copies_and_the_hash() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let answer = client.deposit(&id, "pasta/notas.txt", b"hello");
    let hash = sha256(b"hello");
    assert_eq!(answer, format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{hash}"));
}

#[test]
fn a_recover_brings_size_and_hash_and_then_the_bytes() {
    let server = Server::start();
    let mut client = server.connect();
    let (id, bytes) = (client.new_id(), random_bytes(1, 200_000));
    client.deposit(&id, "dados.bin", &bytes);
    let header = client.ask(headers::recover(&id, "dados.bin"));
    let hash = sha256(&bytes);
    assert_eq!(header, format!("resultado:1|tamanho_arquivo:200000|hash_arquivo:{hash}"));
    assert_eq!(client.exact(200_000), bytes);
    client.stays_open();
}

#[test]
fn a_recover_from_an_offset_has_the_whole_files_header_and_the_bytes_from_there() {
    let server = Server::start();
    let mut client = server.connect();
    let (id, bytes) = (client.new_id(), random_bytes(2, 200_000));
    client.deposit(&id, "dados.bin", &bytes);
    let hash = sha256(&bytes);
    for offset in [0, 1, 65_535, 65_536, 65_537, 131_072, 199_999, 200_000] {
        let header = client.ask(headers::recover_from(&id, offset, "dados.bin"));
        assert_eq!(header, format!("resultado:1|tamanho_arquivo:200000|hash_arquivo:{hash}"));
        assert_eq!(client.exact(200_000 - offset), &bytes[offset..], "from {offset}");
    }
    client.stays_open();
}

#[test]
fn a_recover_from_past_the_end_is_deslocamento_invalido_and_stays_open() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"hello");
    let line = client.ask(headers::recover_from(&id, 6, "a.txt"));
    answer::refused(&line, "deslocamento_invalido");
    client.stays_open();
}

#[test]
fn an_empty_file_is_a_file() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let answer = client.deposit(&id, "vazio", b"");
    assert_eq!(answer, format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{EMPTY_HASH}"));
    let header = client.ask(headers::recover(&id, "vazio"));
    assert_eq!(header, format!("resultado:1|tamanho_arquivo:0|hash_arquivo:{EMPTY_HASH}"));
    assert_eq!(client.try_recover(&id, "vazio"), Recovered::Whole(Vec::new()));
}

#[test]
fn a_stat_tells_all_about_a_file() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"hello");
    let line = client.ask(headers::stat(&id, "a.txt"));
    let hash = sha256(b"hello");
    let start = format!(
        "resultado:1|qtd_replicas:0|copias:0|tamanho_arquivo:5|hash_arquivo:{hash}|depositado:"
    );
    let time = line.strip_prefix(&start).unwrap_or_else(|| panic!("{line:?}"));
    assert_is_a_utc_time(time);
}

/// Like `2026-11-23T02:10:00Z`.
fn assert_is_a_utc_time(text: &str) {
    let shape = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
    assert_eq!(shape, "0000-00-00T00:00:00Z", "{text}");
}

#[test]
fn a_change_of_replicas_is_answered_with_the_number_wanted_and_the_copies() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"hello");
    let line = client.ask(headers::set_replicas(&id, 0, "a.txt"));
    assert_eq!(line, "resultado:1|qtd_replicas:0|copias:0");
    let line = client.ask(headers::set_replicas(&id, 1, "a.txt"));
    answer::refused(&line, "replicas_indisponiveis");
    let line = client.ask(headers::set_replicas(&id, 0, "b.txt"));
    answer::refused(&line, "arquivo_inexistente");
    client.stays_open();
}

#[test]
fn a_removed_file_is_gone() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"hello");
    assert_eq!(client.ask(headers::remove(&id, "a.txt")), "resultado:1");
    for header in [
        headers::remove(&id, "a.txt"),
        headers::stat(&id, "a.txt"),
        headers::recover(&id, "a.txt"),
        headers::recover_from(&id, 0, "a.txt"),
        headers::set_replicas(&id, 0, "a.txt"),
    ] {
        answer::refused(&client.ask(header), "arquivo_inexistente");
    }
    assert_eq!(client.names(&id), [""; 0]);
    client.stays_open();
}

#[test]
fn the_state_of_a_depot_of_one_is_one_line() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    assert_eq!(client.ask(headers::state(&id)), "resultado:1|versao:1|itens:1");
    let address = server.address();
    assert_eq!(client.line(), format!("servidor:one|endereco:{address}|ativo:1"));
    client.stays_open();
}

#[test]
fn the_end_is_answered_and_then_the_server_closes() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.ask(headers::END), "resultado:1");
    client.ended();
}

#[test]
fn an_id_without_files_is_a_client_without_files_whether_it_was_issued_or_not() {
    let server = Server::start();
    let mut client = server.connect();
    let (issued, made_up) = (client.new_id(), made_up_id());
    let requests: [fn(&str) -> String; 5] = [
        |id| headers::recover(id, "a.txt"),
        |id| headers::stat(id, "a.txt"),
        |id| headers::list(id, 10, ""),
        |id| headers::remove(id, "a.txt"),
        |id| Deposit::of(id, "a.txt", b"hello").prepare(),
    ];
    for request in requests {
        assert_eq!(client.ask(request(&issued)), client.ask(request(&made_up)));
    }
    assert_eq!(client.ask(headers::list(&made_up, 10, "")), "resultado:1|itens:0|mais:0");
}

#[test]
fn a_client_sees_nothing_of_anothers_files() {
    let server = Server::start();
    let mut client = server.connect();
    let (owner, other) = (client.new_id(), client.new_id());
    client.deposit(&owner, "a.txt", b"hello");
    let theirs = client.ask(headers::recover(&other, "a.txt"));
    let nobodys = client.ask(headers::recover(&other, "b.txt"));
    answer::refused(&theirs, "arquivo_inexistente");
    assert_eq!(theirs, nobodys);
    answer::refused(&client.ask(headers::stat(&other, "a.txt")), "arquivo_inexistente");
    answer::refused(&client.ask(headers::remove(&other, "a.txt")), "arquivo_inexistente");
    assert_eq!(client.names(&other), [""; 0]);
    client.deposit(&other, "a.txt", b"another");
    assert_eq!(client.recover(&owner, "a.txt"), b"hello");
    assert_eq!(client.recover(&other, "a.txt"), b"another");
}

#[test]
fn everything_works_over_ipv6_too() {
    let server = Setup::new().address("[::1]:0").start();
    assert!(server.address().is_ipv6(), "{}", server.ready_line());
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"hello");
    assert_eq!(client.recover(&id, "a.txt"), b"hello");
    client.ask(headers::state(&id));
    assert_eq!(client.line(), format!("servidor:one|endereco:{}|ativo:1", server.address()));
}
