//! Every key of `[limits]` does what it says, shown with a shortened value.
//!
//! `connections_per_address` does not hold on loopback; `header` and `payload_stall` also have
//! rows 2 and 42, `write_stall` rows 44 and 45, `shutdown` a test in `process`.

use std::thread;
use std::time::Duration;

use depot_tests::content::{made_up_id, random_bytes};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Server, Setup, answer, eventually, timed, within};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn idle_closes_a_connection_on_which_no_request_has_begun_also_after_one() {
    let server = with("idle = \"1s\"");
    let mut client = server.connect();
    within(SECOND / 2, 20 * SECOND, || {
        client.stays_open();
        client.ended();
    });
}

#[test]
fn idle_does_not_count_while_a_request_is_under_way() {
    let server = with("idle = \"500ms\"");
    let (mut client, id) = (server.connect(), made_up_id());
    client.begin(&Deposit::of(&id, "a", &[7; 1_600]), &[]);
    for _ in 0..16 {
        client.send([7; 100]);
        thread::sleep(SECOND / 16);
    }
    assert!(client.line().starts_with("resultado:1|"));
}

#[test]
fn header_is_also_the_time_for_a_hash_line() {
    let server = with("header = \"1s\"");
    let mut client = server.connect();
    // By default it is 10 s.
    within(SECOND / 2, 8 * SECOND, || {
        client.begin(&Deposit::of(&made_up_id(), "a", b"hello").hash_last(), b"hello");
        answer::refused(&client.line(), "tempo_esgotado");
    });
    client.ended();
}

#[test]
fn payload_min_is_what_a_payload_must_bring_in_each_payload_stall() {
    let server = with("payload_stall = \"1s\"\npayload_min = \"10 B\"");
    let (mut fast, mut slow) = (server.connect(), server.connect());
    fast.begin(&Deposit::of(&made_up_id(), "a", &[7; 900]), &[]);
    slow.begin(&Deposit::of(&made_up_id(), "b", &[7; 900]), &[]);
    // 20 bytes in each 200 ms are enough, one is not.
    for _ in 0..8 {
        fast.send([7; 20]);
        let _ = slow.try_send([7]);
        thread::sleep(SECOND / 5);
    }
    fast.send([7; 740]);
    assert!(fast.line().starts_with("resultado:1|"));
    answer::refused(&slow.line(), "tempo_esgotado");
    slow.ended();
}

#[test]
fn connections_past_their_number_get_limite_excedido_until_one_ends() {
    let server = with("connections = 4");
    let mut clients = (0..4).map(|_| server.connect()).collect::<Vec<_>>();
    clients.iter_mut().for_each(|client| client.stays_open());
    let mut fifth = server.connect();
    answer::refused(&fifth.line(), "limite_excedido");
    fifth.ended();
    clients.pop();
    eventually("another one is let in", || {
        let mut client = server.connect();
        client.try_send("id_cliente:\n").is_ok()
            && client.line_or_end().is_some_and(|line| line.starts_with("resultado:1|"))
    });
    clients.iter_mut().for_each(|client| client.stays_open());
}

#[test]
fn transfers_past_a_clients_number_wait_and_are_not_refused() {
    let server = with("transfers_per_client = 2");
    let id = made_up_id();
    server.connect().deposit(&id, "there", b"hello");
    let bytes = random_bytes(1, 600_000);
    let mut busy = ["a", "b"].map(|name| {
        let mut client = server.connect();
        client.begin(&Deposit::of(&id, name, &bytes).hash_last(), &bytes[..300_000]);
        client
    });
    eventually("both have begun", || server.folder().staged().len() >= 2);
    let mut waiting = server.connect();
    waiting.send_line(headers::recover(&id, "there"));
    waiting.silent_for(Duration::from_millis(300));
    server.still_serves();
    busy[0].send(&bytes[300_000..]);
    assert!(busy[0].ask(hash_line(&bytes)).starts_with("resultado:1|"));
    assert!(waiting.line().starts_with("resultado:1|tamanho_arquivo:5|"));
    assert_eq!(waiting.exact(5), b"hello");
    busy[1].send(&bytes[300_000..]);
    assert!(busy[1].ask(hash_line(&bytes)).starts_with("resultado:1|"));
}

#[test]
fn unknown_per_second_delays_first_connections_and_answers_that_there_is_no_such_file() {
    let server = with("unknown_per_second = 10");
    let mut client = server.connect();
    within(SECOND, 30 * SECOND, || {
        client.send("id_cliente:\n".repeat(30));
        (0..30).for_each(|_| assert!(client.line().starts_with("resultado:1|")));
    });
    let guess = |_| format!("{}\n", headers::recover(&made_up_id(), "a"));
    within(SECOND, 30 * SECOND, || {
        client.send((0..30).map(guess).collect::<String>());
        (0..30).for_each(|_| assert!(client.line().contains("|erro:arquivo_inexistente|")));
    });
}

#[test]
fn drain_time_is_how_long_a_refused_client_is_still_read() {
    let server = with("drain_time = \"300ms\"");
    let refused = Deposit::of(&made_up_id(), "a//b", b"").size(1 << 30);
    // The client has not ended its side, and the server does not wait the default 2 s for it. A busy
    // machine may make it seem so, but not each time.
    eventually("a connection is gone in less than 2 s", || {
        let mut client = server.connect();
        client.stays_open();
        let connected = server.sockets();
        let (took, ()) = timed(|| {
            answer::refused(&client.ask(refused.header()), "nome_invalido");
            client.ended();
            eventually("the connection is gone", || server.sockets() < connected);
        });
        took < SECOND * 3 / 2
    });
    server.is_unharmed();
}

#[test]
fn drain_size_is_how_much_a_refused_client_may_still_send() {
    let server = with("drain_size = \"1 MiB\"\ndrain_time = \"60s\"");
    let mut client = server.connect();
    let refused = Deposit::of(&made_up_id(), "a//b", b"").size(1_u64 << 40);
    client.send_line(refused.header());
    answer::refused(&client.line(), "nome_invalido");
    // 64 MiB is more than 1 MiB and all buffers between.
    let taken = (0..64).take_while(|_| client.try_send(vec![0; 1 << 20]).is_ok()).count();
    assert!(taken < 64, "it read on");
    server.has_stored_nothing();
}

#[test]
fn write_stall_does_not_cut_a_slow_reader_that_goes_on_reading() {
    let server = with("write_stall = \"1s\"");
    let (mut client, id, bytes) = (server.connect(), made_up_id(), random_bytes(1, 24 << 20));
    client.deposit(&id, "a", &bytes);
    client.send_line(headers::recover(&id, "a"));
    client.line();
    let mut read = Vec::new();
    for _ in 0..12 {
        read.extend(client.exact(2 << 20));
        thread::sleep(SECOND / 6);
    }
    assert_eq!(read, bytes);
}

fn with(limits: &str) -> Server {
    Setup::new().limits(limits).start()
}

#[test]
fn a_deposit_after_a_long_rest_has_all_its_time() {
    let server = with("payload_stall = \"1s\"");
    let (mut client, id) = (server.connect(), made_up_id());
    // More than a kilobyte of headers, then a rest longer than a payload may make.
    for _ in 0..20 {
        client.ask(headers::stat(&id, "nothing"));
    }
    client.silent_for(SECOND * 6 / 5);
    client.begin(&Deposit::of(&id, "late", b"hello"), b"hel");
    client.silent_for(SECOND / 10);
    client.send(b"lo");
    assert!(client.line().starts_with("resultado:1|"));
}
