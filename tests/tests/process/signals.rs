//! Row 91: SIGTERM in every situation, twice, and SIGHUP.

use std::fs;
use std::time::Duration;

use depot_tests::content::{made_up_id, random_bytes};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Server, Setup, answer, eventually, within};
use nix::sys::signal::Signal;

const SECOND: Duration = Duration::from_secs(1);

/// Well before the 30 s that a server has to end by default.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn row_91_sigterm_lets_a_deposit_finish() {
    let (mut server, id, bytes) = (Server::start(), made_up_id(), random_bytes(1, 600_000));
    let mut writer = server.connect();
    writer.begin(&Deposit::of(&id, "a", &bytes), &bytes[..300_000]);
    eventually("the deposit has begun", || !server.folder().staged().is_empty());
    server.signal(Signal::SIGTERM);
    refuses_newcomers(&server);
    writer.send(&bytes[300_000..]);
    assert!(writer.line().starts_with("resultado:1|"));
    assert_eq!(server.exit_code(), Some(0));
    let server = server.setup().start();
    assert_eq!(server.connect().recover(&id, "a"), bytes);
}

#[test]
fn row_91_sigterm_cuts_a_deposit_that_does_not_finish_in_time_and_keeps_its_part() {
    let mut server = Setup::new().limits("shutdown = \"1s\"").start();
    let (id, bytes) = (made_up_id(), random_bytes(1, 600_000));
    let mut writer = server.connect();
    let deposit = Deposit::of(&id, "a", &bytes);
    writer.begin(&deposit, &bytes[..300_000]);
    eventually("the deposit has begun", || !server.folder().staged().is_empty());
    within(SECOND / 2, SOON, || {
        server.signal(Signal::SIGTERM);
        assert_eq!(server.exit_code(), Some(0));
    });
    writer.until_cut();
    let server = server.setup().start();
    let mut client = server.connect();
    assert_eq!(client.names(&id), [""; 0]);
    let held = client.prepare(&deposit, &bytes);
    assert!(held > 0 && held <= 300_000, "{held}");
    assert!(client.deposit_as(&deposit.offset(held), &bytes[held..]).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a"), bytes);
}

#[test]
fn row_91_sigterm_tells_idle_connections_encerrando() {
    let mut server = Server::start();
    let (mut fresh, mut used) = (server.connect(), server.connect());
    used.stays_open();
    fresh.silent_for(Duration::from_millis(100));
    server.signal(Signal::SIGTERM);
    for client in [&mut fresh, &mut used] {
        answer::refused(&client.line(), "encerrando");
        client.ended();
    }
    drop((fresh, used));
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn row_91_sigterm_without_clients_ends_at_once() {
    let server = Server::start();
    server.still_serves();
    within(Duration::ZERO, SOON, || server.stop());
}

#[test]
fn row_91_a_second_sigterm_ends_it_at_once() {
    let mut server = Setup::new().limits("shutdown = \"10min\"").start();
    let (id, mut writer) = (made_up_id(), server.connect());
    writer.begin(&Deposit::of(&id, "a", &[7; 600_000]), &[7; 300_000]);
    eventually("the deposit has begun", || !server.folder().staged().is_empty());
    server.signal(Signal::SIGTERM);
    refuses_newcomers(&server);
    within(Duration::ZERO, SOON, || {
        server.signal(Signal::SIGTERM);
        server.exit_code()
    });
    writer.until_cut();
    let server = server.setup().start();
    assert_eq!(server.connect().names(&id), [""; 0]);
    server.still_serves();
}

#[test]
fn row_91_sigint_stops_it_like_sigterm() {
    let mut server = Server::start();
    server.signal(Signal::SIGINT);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn row_91_sighup_with_a_good_file_puts_its_limits_in_force() {
    let mut server = Setup::new().limits("idle = \"60s\"").start();
    let mut waiting = server.connect();
    waiting.silent_for(Duration::from_millis(100));
    server.reload("connections = 3\nidle = \"60s\"");
    eventually("the new limit holds", || {
        let mut clients = (0..4).map(|_| server.connect()).collect::<Vec<_>>();
        let last = clients.last_mut().expect("four");
        last.try_send("comando:encerrar\n").is_ok()
            && last.line_or_end().is_some_and(|line| line.contains("|erro:limite_excedido|"))
    });
    waiting.stays_open();
}

#[test]
fn row_91_sighup_with_a_broken_file_keeps_the_old_configuration() {
    let server = Setup::new().limits("connections = 3").start();
    for broken in ["not toml at all [", "[limits]\nconections = 5\n"] {
        let errors = server.log().matches("ERROR").count();
        fs::write(server.setup().config(), broken).expect("broken");
        server.signal(Signal::SIGHUP);
        eventually("the log tells it", || server.log().matches("ERROR").count() > errors);
    }
    let mut clients = (0..3).map(|_| server.connect()).collect::<Vec<_>>();
    clients.iter_mut().for_each(|client| client.stays_open());
    answer::refused(&server.connect().line(), "limite_excedido");
    drop(clients);
    eventually("others are let in again", || {
        let mut client = server.connect();
        client.try_send(format!("{}\n", headers::END)).is_ok()
            && client.line_or_end().as_deref() == Some("resultado:1")
    });
}

/// Newcomers are told that it is stopping, from some moment on.
fn refuses_newcomers(server: &Server) {
    eventually("newcomers are told", || {
        let mut client = server.connect();
        client.try_send("id_cliente:\n").is_ok()
            && client.line_or_end().is_some_and(|line| line.contains("|erro:encerrando|"))
    });
}
