//! An id is a capability: it stands nowhere on a server's disk and nowhere in its log.

use depot_tests::content::{made_up_id, random_bytes};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Server, answer};

#[test]
fn an_id_stands_nowhere_on_disk_and_in_no_log_whatever_was_done_with_it() {
    let server = Server::start();
    let mut client = server.connect();
    let ids = [client.new_id(), made_up_id().to_uppercase()];
    for id in &ids {
        every_kind_of_request(&server, id);
    }
    for id in &ids {
        server.folder().knows_nothing_of(id);
        server.log_is_silent_on(id);
    }
    let server = server.kill9().start();
    assert_eq!(server.connect().names(&ids[0]), ["kept"]);
    for id in &ids {
        server.folder().knows_nothing_of(id);
        server.log_is_silent_on(id);
    }
}

/// Deposits, parts, refusals and faults of which a careless server would keep or tell the id.
fn every_kind_of_request(server: &Server, id: &str) {
    let (mut client, bytes) = (server.connect(), random_bytes(1, 300_000));
    client.deposit(id, "kept", &bytes);
    client.deposit(id, "gone", b"hello");
    client.deposit_hash_last(id, "gone", b"other");
    client.recover(id, "kept");
    for header in [
        headers::stat(id, "kept"),
        headers::stat(id, "unknown"),
        headers::remove(id, "gone"),
        headers::set_replicas(id, 9, "kept"),
        headers::recover_from(id, "x", "kept"),
        format!("id_cliente:{id}x"),
        format!("id_cliente:{id}|nome_arquivo:a\u{1b}"),
    ] {
        client.ask(header);
    }
    let broken = Deposit::of(id, "part", &bytes).hash_last();
    client.begin(&broken, &bytes[..200_000]);
    client.finish();
    answer::refused(&client.line(), "mensagem_incompleta");
    let mut client = server.connect();
    let nonsense = format!("id_cliente:{id}|{id}");
    answer::refused(&client.ask(nonsense), "cabecalho_invalido");
}
