//! Lines, their ends, and requests sent before the last one was answered.

use depot_tests::content::{made_up_id, random_bytes, sha256};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Server, answer};

#[test]
fn one_carriage_return_before_the_line_feed_is_dropped() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.send(format!("{}\r\nhello", Deposit::of(&id, "a.txt", b"hello").header()));
    assert!(client.line().starts_with("resultado:1|"));
    client.send(format!("{}\r\n", headers::recover(&id, "a.txt")));
    assert!(client.line().starts_with("resultado:1|"));
    assert_eq!(client.exact(5), b"hello");
    assert_eq!(client.names(&id), ["a.txt"]);
}

#[test]
fn a_carriage_return_is_dropped_from_the_hash_line_too() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.send_line(Deposit::of(&id, "a.txt", b"hello").hash_last().header());
    client.send(format!("hello{}\r\n", hash_line(b"hello")));
    assert!(client.line().starts_with("resultado:1|"));
}

#[test]
fn answers_end_with_a_line_feed_alone() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("id_cliente:\r\n");
    assert!(!client.line().ends_with('\r'));
}

#[test]
fn names_may_hold_bars_and_colons() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let names = ["a:b", "a|b", "x|deslocamento:9", "|", ":", "x|nome_arquivo:y", "|a:|"];
    for name in names {
        client.deposit(&id, name, name.as_bytes());
    }
    for name in names {
        assert_eq!(client.recover(&id, name), name.as_bytes());
    }
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(client.names(&id), sorted);
}

#[test]
fn pipelined_requests_are_answered_in_order_and_each_sees_the_earlier() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    let all = [
        headers::stat(&id, "a.txt"),
        format!("{}\nhello{}", Deposit::of(&id, "a.txt", b"hello").header(), headers::END),
    ];
    // The payload is five bytes; what stands straight behind it is the next request.
    client.send(format!("{}\n{}\n", all[0], all[1]));
    answer::refused(&client.line(), "arquivo_inexistente");
    assert!(client.line().starts_with("resultado:1|qtd_replicas:0|"));
    assert_eq!(client.line(), "resultado:1");
    client.ended();
    assert_eq!(server.connect().recover(&id, "a.txt"), b"hello");
}

#[test]
fn a_deposit_its_recover_and_its_removal_go_in_one_write() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    let bytes = random_bytes(3, 100_000);
    let mut all = format!("{}\n", Deposit::of(&id, "a", &bytes).header()).into_bytes();
    all.extend_from_slice(&bytes);
    for header in [headers::recover(&id, "a"), headers::remove(&id, "a"), headers::stat(&id, "a")] {
        all.extend_from_slice(format!("{header}\n").as_bytes());
    }
    client.send(all);
    assert!(client.line().starts_with("resultado:1|qtd_replicas:0|copias:0|"));
    assert!(client.line().starts_with("resultado:1|tamanho_arquivo:100000|"));
    assert_eq!(client.exact(100_000), bytes);
    assert_eq!(client.line(), "resultado:1");
    answer::refused(&client.line(), "arquivo_inexistente");
    client.stays_open();
}

#[test]
fn after_a_half_close_all_requests_are_answered_and_then_the_server_closes() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    client.send_line(Deposit::of(&id, "a.txt", b"hello").header());
    client.send("hello");
    client.send_line(headers::recover(&id, "a.txt"));
    client.send_line(headers::stat(&id, "a.txt"));
    client.finish();
    assert!(client.line().starts_with("resultado:1|qtd_replicas:0|"));
    assert!(client.line().starts_with("resultado:1|tamanho_arquivo:5|"));
    assert_eq!(client.exact(5), b"hello");
    assert!(client.line().starts_with("resultado:1|qtd_replicas:0|"));
    client.ended();
}

#[test]
fn a_connection_closed_between_requests_is_closed_without_an_answer() {
    let server = Server::start();
    let mut client = server.connect();
    client.finish();
    client.ended();
}

#[test]
fn a_half_close_in_a_header_is_mensagem_incompleta() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("id_cliente");
    client.finish();
    answer::refused(&client.line(), "mensagem_incompleta");
    client.ended();
}

#[test]
fn a_half_close_in_a_payload_or_a_hash_line_is_mensagem_incompleta() {
    let server = Server::start();
    let id = made_up_id();
    let deposit = Deposit::of(&id, "a.txt", b"hello");
    let messages = [
        format!("{}\nhell", deposit.header()),
        format!("{}\n", deposit.header()),
        format!("{}\nhello", deposit.clone().hash_last().header()),
        format!("{}\nhello{}", deposit.clone().hash_last().header(), hash_line(b"hello")),
    ];
    for message in messages {
        let mut client = server.connect();
        client.send(&message);
        client.finish();
        answer::refused(&client.line(), "mensagem_incompleta");
        client.ended();
        assert_eq!(server.connect().names(&id), [""; 0], "after {message:?}");
    }
}

#[test]
fn a_header_split_at_every_byte_is_the_same_header() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    for byte in format!("{}\nhello", Deposit::of(&id, "a.txt", b"hello").header()).bytes() {
        client.send([byte]);
    }
    assert!(client.line().ends_with(&sha256(b"hello")));
    assert_eq!(client.recover(&id, "a.txt"), b"hello");
}
