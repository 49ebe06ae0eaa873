//! Deposits with the hash last, equal deposits, and replacing.

use depot_tests::content::{EMPTY_HASH, random_bytes, sha256};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Raw, Server, answer, next_second};

#[test]
fn a_hash_that_comes_last_is_answered_like_any_other() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let answer = client.deposit_hash_last(&id, "a.txt", b"hello");
    let hash = sha256(b"hello");
    assert_eq!(answer, format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{hash}"));
    assert_eq!(client.recover(&id, "a.txt"), b"hello");
}

#[test]
fn a_hash_line_follows_an_empty_payload_too() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let answer = client.deposit_hash_last(&id, "vazio", b"");
    assert!(answer.ends_with(EMPTY_HASH), "{answer:?}");
    assert_eq!(client.recover(&id, "vazio"), b"");
}

#[test]
fn a_hash_line_is_taken_in_upper_case_and_answered_in_lower() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.begin(&Deposit::of(&id, "a.txt", b"hello").hash_last(), b"hello");
    let answer = client.ask(format!("hash_arquivo:{}", sha256(b"hello").to_uppercase()));
    assert!(answer.ends_with(&sha256(b"hello")), "{answer:?}");
}

#[test]
fn a_hash_line_with_the_wrong_hash_is_hash_divergente_and_stays_open() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.begin(&Deposit::of(&id, "a.txt", b"hello").hash_last(), b"hello");
    answer::refused(&client.ask(hash_line(b"other")), "hash_divergente");
    client.stays_open();
    assert_eq!(client.names(&id), [""; 0]);
    server.has_stored_nothing();
}

#[test]
fn a_hash_line_that_is_not_one_is_cabecalho_invalido_and_closes() {
    let server = Server::start();
    let id = server.connect().new_id();
    let short = &hash_line(b"hello")[..70];
    let lines = ["hash_arquivo:depois", "hash_arquivo:", "id_cliente:", "hash:00", short];
    for line in lines {
        let mut client = server.connect();
        client.begin(&Deposit::of(&id, "a.txt", b"hello").hash_last(), b"hello");
        answer::refused(&client.ask(line), "cabecalho_invalido");
        client.ended();
    }
    assert_eq!(server.connect().names(&id), [""; 0]);
}

#[test]
fn other_content_replaces_the_old_whole() {
    let server = Server::start();
    let mut client = server.connect();
    let (id, old, new) = (client.new_id(), random_bytes(1, 90_000), random_bytes(2, 150_000));
    client.deposit(&id, "a.bin", &old);
    client.deposit(&id, "a.bin", &new);
    assert_eq!(client.recover(&id, "a.bin"), new);
    assert_eq!(client.names(&id), ["a.bin"]);
}

#[test]
fn until_a_replacement_is_done_the_old_content_is_read() {
    let server = Server::start();
    let (mut client, mut writer) = (server.connect(), server.connect());
    let (id, new) = (client.new_id(), random_bytes(2, 150_000));
    client.deposit(&id, "a.bin", b"old");
    writer.begin(&Deposit::of(&id, "a.bin", &new), &new[..100_000]);
    assert_eq!(client.recover(&id, "a.bin"), b"old");
    writer.send(&new[100_000..]);
    assert!(writer.line().starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a.bin"), new);
}

#[test]
fn a_replacement_that_fails_leaves_the_old_content() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"old");
    let wrong = Deposit::of(&id, "a.txt", b"new").hash(sha256(b"other"));
    answer::refused(&client.deposit_as(&wrong, b"new"), "hash_divergente");
    assert_eq!(client.recover(&id, "a.txt"), b"old");
}

#[test]
fn an_equal_deposit_is_done_and_stores_nothing_twice() {
    let server = Server::start();
    let mut client = server.connect();
    let (id, bytes) = (client.new_id(), random_bytes(1, 100_000));
    let first = client.deposit(&id, "a.bin", &bytes);
    assert_eq!(client.deposit(&id, "a.bin", &bytes), first);
    assert_eq!(server.folder().blobs(), [sha256(&bytes)]);
    assert_eq!(client.names(&id), ["a.bin"]);
    server.has_nothing_staged();
}

#[test]
fn one_content_under_many_names_and_clients_is_stored_once() {
    let server = Server::start();
    let mut client = server.connect();
    let (one, other, bytes) = (client.new_id(), client.new_id(), random_bytes(1, 100_000));
    for (id, name) in [(&one, "a"), (&one, "b"), (&other, "a")] {
        client.deposit(id, name, &bytes);
    }
    assert_eq!(server.folder().blobs(), [sha256(&bytes)]);
    client.ask(headers::remove(&one, "a"));
    client.ask(headers::remove(&other, "a"));
    assert_eq!(client.recover(&one, "b"), bytes);
}

#[test]
fn the_bytes_of_an_equal_deposit_are_checked_like_any_other() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"hello");
    let line = client.deposit_as(&Deposit::of(&id, "a.txt", b"hello"), b"HELLO");
    answer::refused(&line, "hash_divergente");
    assert_eq!(client.recover(&id, "a.txt"), b"hello");
}

#[test]
fn an_equal_deposit_with_the_whole_size_as_offset_has_no_payload() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let first = client.deposit(&id, "a.txt", b"hello");
    let again = Deposit::of(&id, "a.txt", b"hello").offset(5);
    assert_eq!(client.ask(again.header()), first);
    assert_eq!(client.ask(again.name("b.txt").header()), first);
    assert_eq!(client.recover(&id, "b.txt"), b"hello");
}

#[test]
fn depositado_changes_with_the_content_only() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"hello");
    let begun = depositado(&mut client, &id);
    next_second();
    client.deposit(&id, "a.txt", b"hello");
    client.ask(headers::set_replicas(&id, 0, "a.txt"));
    assert_eq!(depositado(&mut client, &id), begun);
    client.deposit(&id, "a.txt", b"other");
    assert!(depositado(&mut client, &id) > begun);
}

fn depositado(client: &mut Raw, id: &str) -> String {
    answer::field(&client.ask(headers::stat(id, "a.txt")), "depositado").to_owned()
}
