//! Rows 53, 56, 59 and 60: many connections, and connections that end.

use std::time::Duration;

use depot_tests::content::{made_up_id, random_bytes};
use depot_tests::headers;
use depot_tests::{Server, answer, eventually, within};

#[test]
fn row_53_2000_idle_connections_do_not_keep_others_from_working() {
    let server = Server::start();
    let memory = server.memory();
    let mut idle = (0..2000).map(|_| server.connect()).collect::<Vec<_>>();
    within(Duration::ZERO, Duration::from_secs(60), || {
        for _ in 0..20 {
            server.still_serves();
        }
    });
    for client in idle.iter_mut().step_by(100) {
        client.stays_open();
    }
    let each = (server.memory().saturating_sub(memory)) / 2000;
    assert!(each <= 64, "{each} KiB for each connection");
    let connected = server.descriptors();
    drop(idle);
    eventually("they are gone", || server.descriptors() <= connected - 2000);
    server.is_unharmed();
}

#[test]
fn row_56_connections_that_close_at_once_leave_nothing_behind() {
    let server = Server::start();
    server.still_serves();
    let before = server.descriptors();
    for _ in 0..2000 {
        drop(server.connect());
    }
    eventually("as many descriptors as before", || server.descriptors() <= before);
    server.has_nothing_staged();
    server.still_serves();
}

#[test]
fn row_59_a_request_behind_the_end_is_ignored() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    client.deposit(&id, "a", b"hello");
    client.send(format!("{}\n{}\n", headers::END, headers::remove(&id, "a")));
    assert_eq!(client.line(), "resultado:1");
    client.ended();
    assert_eq!(server.connect().recover(&id, "a"), b"hello");
    server.is_unharmed();
}

#[test]
fn row_60_an_answer_that_the_servers_end_cuts_is_short_of_its_size() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    let bytes = random_bytes(1, 32 << 20);
    client.deposit(&id, "a", &bytes);
    let header = client.ask(headers::recover(&id, "a"));
    let mut read = client.exact(1 << 20);
    let server = server.kill9().start();
    read.extend(client.until_cut());
    assert!(read.len() < answer::number(&header, "tamanho_arquivo"), "all stood in buffers");
    assert!(bytes.starts_with(&read));
    let mut client = server.connect();
    assert_eq!(client.ask(headers::recover_from(&id, read.len(), "a")), header);
    read.extend(client.exact(bytes.len() - read.len()));
    assert_eq!(read, bytes);
    server.is_unharmed();
}
