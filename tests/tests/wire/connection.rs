//! How connections end, and what an end leaves undone.

use std::time::Duration;

use depot_tests::content::made_up_id;
use depot_tests::headers::{self, Deposit};
use depot_tests::{Server, answer, eventually, within};

#[test]
fn what_was_pipelined_behind_an_answer_that_closes_is_not_carried_out() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    client.deposit(&id, "a", b"hello");
    let removal = headers::remove(&id, "a");
    client.send(format!("{}\n{removal}\n", headers::END));
    assert_eq!(client.line(), "resultado:1");
    client.ended();
    let mut client = server.connect();
    let faulty = Deposit::of(&id, "b", b"").size("x");
    client.send(format!("{}\n{removal}\n", faulty.header()));
    answer::refused(&client.line(), "campo_invalido");
    client.ended();
    assert_eq!(server.connect().recover(&id, "a"), b"hello");
}

#[test]
fn a_first_byte_that_no_key_can_begin_with_is_refused_at_once() {
    let server = Server::start();
    for byte in [b'G', b'0', b' ', b'|', b':', b'\n', b'\r', 0, 0x16, 0xef, 0xff] {
        within(Duration::ZERO, Duration::from_secs(8), || {
            let mut client = server.connect();
            client.send([byte]);
            answer::refused(&client.line(), "cabecalho_invalido");
            client.ended();
        });
    }
}

#[test]
fn a_closed_connection_leaves_no_descriptor_behind() {
    let server = Server::start();
    server.still_serves();
    let before = server.descriptors();
    for _ in 0..50 {
        let mut client = server.connect();
        assert_eq!(client.ask(headers::END), "resultado:1");
    }
    eventually("as many descriptors as before", || server.descriptors() <= before);
}

#[test]
fn clients_are_served_side_by_side() {
    let server = Server::start();
    let (mut slow, id) = (server.connect(), made_up_id());
    slow.begin(&Deposit::of(&id, "a", &[0; 1000]), &[0; 10]);
    server.still_serves();
    slow.send([0; 990]);
    assert!(slow.line().starts_with("resultado:1|"));
}
