//! `preparar` and `deslocamento`: how an upload goes on, and what it may be told.

use depot_tests::content::{EMPTY_HASH, random_bytes, sha256};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Raw, Server, Setup, answer};

#[test]
fn preparar_of_a_new_upload_says_that_nothing_is_held() {
    let server = Server::start();
    let mut client = server.connect();
    let deposit = Deposit::of(&client.new_id(), "a.txt", b"hello");
    for deposit in [deposit.clone(), deposit.hash_last()] {
        let line = client.ask(deposit.prepare());
        assert_eq!(line, format!("resultado:1|deslocamento:0|hash_parcial:{EMPTY_HASH}"));
    }
    client.stays_open();
}

#[test]
fn an_upload_that_was_cut_goes_on_where_preparar_says() {
    let server = Server::start();
    let (id, bytes) = (server.connect().new_id(), random_bytes(1, 500_000));
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    let mut client = cut(&server, &deposit, &bytes[..300_000]);
    let held = client.prepare(&deposit, &bytes);
    assert!(held > 0 && held <= 300_000, "{held}");
    let answer = client.deposit_as(&deposit.offset(held), &bytes[held..]);
    let hash = sha256(&bytes);
    assert_eq!(answer, format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{hash}"));
    assert_eq!(client.recover(&id, "a.bin"), bytes);
}

#[test]
fn an_upload_with_the_hash_last_goes_on_too() {
    let server = Server::start();
    let (id, bytes) = (server.connect().new_id(), random_bytes(2, 500_000));
    let deposit = Deposit::of(&id, "a.bin", &bytes).hash_last();
    let mut client = cut(&server, &deposit, &bytes[..300_000]);
    let held = client.prepare(&deposit, &bytes);
    assert!(held > 0 && held <= 300_000, "{held}");
    client.begin(&deposit.offset(held), &bytes[held..]);
    assert!(client.ask(hash_line(&bytes)).ends_with(&sha256(&bytes)));
    assert_eq!(client.recover(&id, "a.bin"), bytes);
}

#[test]
fn a_resumed_deposit_may_be_cut_and_resumed_again() {
    let server = Server::start();
    let (id, bytes) = (server.connect().new_id(), random_bytes(3, 900_000));
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    let mut held = 0;
    for until in [300_000, 600_000] {
        let mut client = cut(&server, &deposit.clone().offset(held), &bytes[held..until]);
        let now = client.prepare(&deposit, &bytes);
        assert!(now > held && now <= until, "{held} then {now}");
        held = now;
    }
    let mut client = server.connect();
    client.deposit_as(&deposit.offset(held), &bytes[held..]);
    assert_eq!(client.recover(&id, "a.bin"), bytes);
}

#[test]
fn after_all_bytes_of_a_hash_last_deposit_only_its_hash_line_is_missing() {
    let server = Server::start();
    let (id, bytes) = (server.connect().new_id(), random_bytes(4, 200_000));
    let deposit = Deposit::of(&id, "a.bin", &bytes).hash_last();
    let mut client = cut(&server, &deposit, &bytes);
    let held = client.prepare(&deposit, &bytes);
    client.begin(&deposit.offset(held), &bytes[held..]);
    assert!(client.ask(hash_line(&bytes)).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a.bin"), bytes);
}

#[test]
fn offset_0_is_always_allowed_and_the_same_as_none() {
    let server = Server::start();
    let (id, bytes) = (server.connect().new_id(), random_bytes(5, 200_000));
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    let mut client = cut(&server, &deposit, &bytes[..100_000]);
    assert!(client.deposit_as(&deposit.offset(0), &bytes).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a.bin"), bytes);
}

#[test]
fn preparar_tells_the_whole_size_where_this_client_has_the_content_under_any_name() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a.txt", b"hello");
    for name in ["a.txt", "b.txt"] {
        let deposit = Deposit::of(&id, name, b"hello");
        assert_eq!(client.prepare(&deposit, b"hello"), 5);
        assert!(client.ask(deposit.offset(5).header()).starts_with("resultado:1|"));
    }
    assert_eq!(client.recover(&id, "b.txt"), b"hello");
    assert_eq!(client.prepare(&Deposit::of(&id, "a.txt", b"hello").hash_last(), b"hello"), 0);
}

#[test]
fn an_offset_that_preparar_did_not_answer_is_deslocamento_invalido_and_stays_open() {
    let server = Server::start();
    let (id, bytes) = (server.connect().new_id(), random_bytes(6, 500_000));
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    let mut client = cut(&server, &deposit, &bytes[..300_000]);
    let held = client.prepare(&deposit, &bytes);
    for offset in [1, held - 1, held + 1, 500_000] {
        let line = client.deposit_as(&deposit.clone().offset(offset), &bytes[offset..]);
        answer::refused(&line, "deslocamento_invalido");
    }
    assert_eq!(client.prepare(&deposit, &bytes), held, "the part is still there");
}

#[test]
fn an_offset_above_the_size_closes_whatever_else_is_wrong() {
    let server = Server::start();
    let id = server.connect().new_id();
    let deposit = Deposit::of(&id, "a.txt", b"hello").offset(6);
    let cases = [
        (deposit.clone(), "deslocamento_invalido"),
        (deposit.clone().replicas(9), "replicas_indisponiveis"),
        (deposit.name("a//b"), "nome_invalido"),
    ];
    for (deposit, code) in cases {
        let mut client = server.connect();
        answer::refused(&client.ask(deposit.header()), code);
        client.ended();
    }
    server.has_stored_nothing();
}

#[test]
fn preparar_checks_all_that_can_be_checked_before_a_byte_is_sent() {
    let server = Setup::new().deposit("max_size = \"1 MiB\"").start();
    let mut client = server.connect();
    let right = Deposit::of(&client.new_id(), "a.txt", b"hello");
    let cases = [
        (right.clone().name("a/../b"), "nome_invalido"),
        (right.clone().replicas(1), "replicas_indisponiveis"),
        (right.clone().size(1_048_577), "limite_excedido"),
        (right.clone().size("5.0"), "campo_invalido"),
        (right.clone().hash("x"), "campo_invalido"),
    ];
    for (deposit, code) in cases {
        answer::refused(&client.ask(deposit.prepare()), code);
    }
    assert_eq!(client.prepare(&right, b"hello"), 0);
}

#[test]
fn a_recover_goes_on_at_an_offset_after_a_cut() {
    let server = Server::start();
    let mut client = server.connect();
    let (id, bytes) = (client.new_id(), random_bytes(7, 400_000));
    client.deposit(&id, "a.bin", &bytes);
    client.send_line(headers::recover(&id, "a.bin"));
    let header = client.line();
    let mut whole = client.exact(123_456);
    let mut client = server.connect();
    assert_eq!(client.ask(headers::recover_from(&id, 123_456, "a.bin")), header);
    whole.extend(client.exact(400_000 - 123_456));
    assert_eq!(sha256(&whole), answer::field(&header, "hash_arquivo"));
}

/// Sends the header and some bytes, and ends in the middle; returns a new connection.
fn cut(server: &Server, deposit: &Deposit, sent: &[u8]) -> Raw {
    let mut client = server.connect();
    client.begin(deposit, sent);
    client.finish();
    answer::refused(&client.line(), "mensagem_incompleta");
    client.ended();
    server.connect()
}
