//! RELIABILITY.md, section 3 B: hostile payloads, one test for each of rows 36 to 52.

use std::fs;
use std::thread;
use std::time::Duration;

use depot_tests::content::{EMPTY_HASH, made_up_id, random_bytes, sha256};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Raw, Recovered, Server, Setup, answer, eventually, within};

const MIB: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn row_36_fewer_bytes_than_announced_make_nothing_visible_and_at_most_a_part() {
    let server = Server::start();
    let (id, bytes) = (made_up_id(), random_bytes(1, 500_000));
    let mut closing = server.connect();
    closing.begin(&Deposit::of(&id, "closed", &bytes), &bytes[..200_000]);
    closing.finish();
    answer::refused(&closing.line(), "mensagem_incompleta");
    closing.ended();
    let mut resetting = server.connect();
    resetting.leave_an_answer_unread();
    resetting.begin(&Deposit::of(&id, "reset", &bytes), &bytes[..200_000]);
    drop(resetting);
    eventually("only parts are staged", || only_parts(&server.folder().staged()));
    assert_eq!(server.folder().blobs(), [""; 0]);
    assert_eq!(server.connect().names(&id), [""; 0]);
    server.still_serves();
}

fn only_parts(staged: &[String]) -> bool {
    staged.iter().all(|name| name.ends_with(".part") || name.ends_with(".data"))
}

#[test]
fn row_37_bytes_past_the_announced_ones_are_the_next_header() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    client.begin(&Deposit::of(&id, "a", b"hello"), b"hello, and more\n");
    assert!(client.line().starts_with("resultado:1|"));
    answer::refused(&client.line(), "cabecalho_invalido");
    client.ended();
    assert_eq!(server.connect().recover(&id, "a"), b"hello");
    server.is_unharmed();
}

#[test]
fn row_38_requests_in_a_payload_are_payload_in_accepted_and_in_refused_deposits() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    client.deposit(&id, "victim", b"hello");
    let smuggled = format!("\n{}\n{}\n", headers::remove(&id, "victim"), headers::END).repeat(50);
    let payload = smuggled.as_bytes();
    assert!(client.deposit(&id, "accepted", payload).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "accepted"), payload);
    let right = Deposit::of(&id, "refused", payload);
    for (deposit, code) in [
        (right.clone().name("a//b"), "nome_invalido"),
        (right.clone().replicas(9), "replicas_indisponiveis"),
        (right.hash(EMPTY_HASH), "hash_divergente"),
    ] {
        answer::refused(&client.deposit_as(&deposit, payload), code);
    }
    let mut closing = server.connect();
    let field = Deposit::of(&id, "refused", payload).size("x");
    answer::refused(&closing.deposit_as(&field, payload), "campo_invalido");
    closing.ended();
    assert_eq!(client.names(&id), ["accepted", "victim"]);
    server.is_unharmed();
}

#[test]
fn row_39_the_refusal_of_2_to_the_40_bytes_reaches_the_client() {
    let server = Server::start();
    let deposit = Deposit::of(&made_up_id(), "a", b"").size(1_u64 << 40).replicas(9);
    let mut client = server.connect();
    client.begin(&deposit, &vec![0; 32 * MIB]);
    answer::refused(&client.line(), "replicas_indisponiveis");
    client.ended();
    server.has_stored_nothing();
}

#[test]
fn row_40_a_hash_that_does_not_match_leaves_no_trace_and_a_good_connection() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    let bytes = random_bytes(1, 100_000);
    let other = Deposit::of(&id, "a", &bytes).hash(sha256(b"other"));
    answer::refused(&client.deposit_as(&other, &bytes), "hash_divergente");
    let short = Deposit::of(&id, "a", &bytes).size(90_000);
    answer::refused(&client.deposit_as(&short, &bytes[..90_000]), "hash_divergente");
    client.begin(&Deposit::of(&id, "a", &bytes).hash_last(), &bytes);
    answer::refused(&client.ask(hash_line(b"other")), "hash_divergente");
    assert_eq!(client.names(&id), [""; 0]);
    assert_eq!(client.prepare(&Deposit::of(&id, "a", &bytes), &bytes), 0);
    server.has_stored_nothing();
}

#[test]
fn row_41_an_empty_file_has_the_hash_of_nothing_and_no_other() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    let empty = Deposit::of(&id, "a", b"");
    answer::refused(&client.ask(empty.clone().hash(sha256(b"x")).header()), "hash_divergente");
    assert_eq!(client.names(&id), [""; 0]);
    assert!(client.ask(empty.hash(EMPTY_HASH).header()).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a"), b"");
    server.is_unharmed();
}

#[test]
fn row_42_a_payload_that_stalls_or_trickles_is_tempo_esgotado() {
    let server = Setup::new().limits("payload_stall = \"1s\"").start();
    let id = made_up_id();
    let (mut silent, mut trickling) = (server.connect(), server.connect());
    silent.begin(&Deposit::of(&id, "a", &[0; 10_000]), &[0; 5_000]);
    trickling.begin(&Deposit::of(&id, "b", &[0; 10_000]), &[]);
    // A byte now and then is less than 1 KiB in the time.
    for _ in 0..30 {
        if trickling.try_send([0]).is_err() {
            break;
        }
        thread::sleep(SECOND / 20);
    }
    for client in [&mut silent, &mut trickling] {
        within(Duration::ZERO, 20 * SECOND, || {
            answer::refused(&client.line(), "tempo_esgotado");
            client.ended();
        });
    }
    assert_eq!(server.connect().names(&id), [""; 0]);
    eventually("only parts are staged", || only_parts(&server.folder().staged()));
    server.still_serves();
}

#[test]
fn row_43_a_message_in_segments_of_one_byte_is_the_same_message() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    let bytes = random_bytes(1, 5_000);
    let mut message =
        format!("{}\n", Deposit::of(&id, "a", &bytes).hash_last().header()).into_bytes();
    message.extend_from_slice(&bytes);
    message.extend_from_slice(format!("{}\n", hash_line(&bytes)).as_bytes());
    for byte in message {
        client.send([byte]);
    }
    assert!(client.line().ends_with(&sha256(&bytes)));
    assert_eq!(client.recover(&id, "a"), bytes);
    server.is_unharmed();
}

#[test]
fn row_44_a_client_that_never_reads_its_answers_is_closed_after_the_write_stall() {
    let server = Setup::new().limits("write_stall = \"1s\"").start();
    let (mut client, id) = (server.connect(), made_up_id());
    for number in 0..50 {
        client.deposit(&id, &format!("{number:02}{}", "a".repeat(1000)), b"hello");
    }
    let connected = server.sockets();
    // Each answer has 60 KB: 10,000 of them fit no buffer.
    let lists = format!("{}\n", headers::list(&id, 1000, "")).repeat(10_000);
    let unread = thread::spawn(move || {
        // The server may stop reading, or have closed, in the middle of this.
        let _ = client.try_send(lists);
        client
    });
    eventually("the connection is closed", || server.sockets() < connected);
    assert!(server.memory() < 64 << 10, "{} KiB", server.memory());
    server.is_unharmed();
    drop(unread.join());
}

#[test]
fn row_45_a_recover_that_nobody_reads_is_closed_after_the_write_stall() {
    let server = Setup::new().limits("write_stall = \"1s\"").start();
    let (mut client, id) = (server.connect(), made_up_id());
    let bytes = random_bytes(1, 32 * MIB);
    client.deposit(&id, "a", &bytes);
    let connected = server.sockets();
    client.send_line(headers::recover(&id, "a"));
    eventually("the connection is closed", || server.sockets() < connected);
    assert!(client.line().starts_with("resultado:1|"));
    let read = client.until_cut();
    assert!(read.len() < bytes.len(), "all of it stood in buffers");
    assert!(bytes.starts_with(&read), "not the file's bytes");
    server.is_unharmed();
}

#[test]
fn row_46_two_deposits_of_one_name_at_once_have_one_order_and_no_mix() {
    let server = Server::start();
    let id = made_up_id();
    for round in 0..20 {
        let versions = [random_bytes(round, 150_000), random_bytes(round + 1000, 120_000)];
        thread::scope(|scope| {
            for bytes in &versions {
                let (mut client, id) = (server.connect(), &id);
                scope.spawn(move || {
                    let line = client.deposit(id, "a", bytes);
                    assert!(line.ends_with(&format!("|hash_arquivo:{}", sha256(bytes))), "{line}");
                    assert!(line.starts_with("resultado:1|"), "{line}");
                });
            }
        });
        let read = server.connect().recover(&id, "a");
        assert!(versions.contains(&read), "round {round}: neither version");
    }
    server.is_unharmed();
}

#[test]
fn row_47_one_content_from_100_connections_and_a_kill_9_is_whole_or_absent() {
    let server = Server::start();
    let bytes = random_bytes(1, MIB);
    let ids = (0..100).map(|_| made_up_id()).collect::<Vec<_>>();
    let mut clients = ids.iter().map(|_| server.connect()).collect::<Vec<_>>();
    for (client, id) in clients.iter_mut().zip(&ids) {
        client.begin(&Deposit::of(id, "a", &bytes), &bytes[..MIB - 1]);
    }
    for client in &mut clients {
        client.send(&bytes[MIB - 1..]);
    }
    let acknowledged = clients[0].line();
    assert!(acknowledged.starts_with("resultado:1|"), "{acknowledged}");
    let server = server.kill9().start();
    let mut done = vec![true];
    done.extend(clients[1..].iter_mut().map(|client| !client.until_cut().is_empty()));
    let mut client = server.connect();
    for (id, done) in ids.iter().zip(done) {
        match client.try_recover(id, "a") {
            Recovered::Whole(read) => assert_eq!(read, bytes),
            Recovered::Refused(line) if !done => {
                answer::refused(&line, "arquivo_inexistente");
            }
            other => panic!("acknowledged: {done}, then {other:?}"),
        }
    }
    assert_eq!(server.folder().blobs(), [sha256(&bytes)]);
    server.still_serves();
}

#[test]
fn row_48_an_offset_past_what_is_held_or_of_another_hash_is_deslocamento_invalido() {
    let server = Server::start();
    let (mut client, id, bytes) = (server.connect(), made_up_id(), random_bytes(1, 500_000));
    let deposit = Deposit::of(&id, "a", &bytes);
    leave_a_part(&server, &deposit, &bytes[..300_000]);
    let held = client.prepare(&deposit, &bytes);
    let past = deposit.clone().offset(held + 1);
    answer::refused(&client.deposit_as(&past, &bytes[held + 1..]), "deslocamento_invalido");
    let other = deposit.clone().hash(sha256(b"other")).offset(held);
    answer::refused(&client.deposit_as(&other, &bytes[held..]), "deslocamento_invalido");
    assert_eq!(client.names(&id), [""; 0]);
    let line = client.deposit_as(&deposit.offset(held), &bytes[held..]);
    assert!(line.starts_with("resultado:1|"), "{line}");
    server.is_unharmed();
}

#[test]
fn row_49_a_part_that_rotted_never_becomes_a_file() {
    let server = Server::start();
    let (id, bytes) = (made_up_id(), random_bytes(1, 500_000));
    let deposit = Deposit::of(&id, "a", &bytes);
    leave_a_part(&server, &deposit, &bytes[..300_000]);
    let stopped = server.stop();
    let [part] = &stopped.folder().part_data()[..] else { panic!("one part") };
    let mut rotten = fs::read(part).expect("the part");
    rotten[1_000] ^= 1;
    fs::write(part, rotten).expect("written back");
    let server = stopped.start();
    let mut client = server.connect();
    let held = client.prepare(&deposit, &bytes);
    // Found out when the part is read, or at the latest by the hash of the whole.
    if held > 1_000 {
        let line = client.deposit_as(&deposit.clone().offset(held), &bytes[held..]);
        answer::refused(&line, "hash_divergente");
        assert_eq!(client.prepare(&deposit, &bytes), 0);
        assert_eq!(client.names(&id), [""; 0]);
    }
    assert!(client.deposit(&id, "a", &bytes).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a"), bytes);
    server.is_unharmed();
}

#[test]
fn row_50_preparar_does_not_tell_what_another_client_holds() {
    let server = Server::start();
    let (mut client, owner, other) = (server.connect(), made_up_id(), made_up_id());
    client.deposit(&owner, "a", b"hello");
    let line = client.ask(Deposit::of(&other, "a", b"hello").prepare());
    assert_eq!(line, format!("resultado:1|deslocamento:0|hash_parcial:{EMPTY_HASH}"));
    server.is_unharmed();
}

#[test]
fn row_51_knowing_a_hash_does_not_get_the_content_of_another_client() {
    let server = Server::start();
    let (mut client, owner, other) = (server.connect(), made_up_id(), made_up_id());
    client.deposit(&owner, "a", b"hello");
    let claim = Deposit::of(&other, "a", b"hello").offset(5);
    answer::refused(&client.ask(claim.header()), "deslocamento_invalido");
    client.begin(&claim.hash_last(), b"");
    answer::refused(&client.ask(hash_line(b"hello")), "deslocamento_invalido");
    assert_eq!(client.names(&other), [""; 0]);
    server.is_unharmed();
}

#[test]
fn row_52_a_recover_gives_the_whole_old_version_though_it_is_replaced_or_removed() {
    let server = Server::start();
    let (id, old) = (made_up_id(), random_bytes(1, 24 * MIB));
    let mut writer = server.connect();
    for change in ["replace", "remove"] {
        writer.deposit(&id, "a", &old);
        let mut reader = server.connect();
        let header = reader.ask(headers::recover(&id, "a"));
        let mut read = reader.exact(MIB);
        let line = match change {
            "replace" => writer.deposit(&id, "a", b"new"),
            _ => writer.ask(headers::remove(&id, "a")),
        };
        assert!(line.starts_with("resultado:1"), "{line}");
        read.extend(reader.up_to(answer::number(&header, "tamanho_arquivo") - MIB));
        assert!(old.starts_with(&read), "{change}: other bytes than the old version's");
        assert!(read.len() == old.len() || reader.until_cut().is_empty(), "{change}");
    }
    answer::refused(&writer.ask(headers::recover(&id, "a")), "arquivo_inexistente");
    server.is_unharmed();
}

/// An upload of which only the beginning came.
fn leave_a_part(server: &Server, deposit: &Deposit, sent: &[u8]) {
    let mut client: Raw = server.connect();
    client.begin(deposit, sent);
    client.finish();
    answer::refused(&client.line(), "mensagem_incompleta");
    client.ended();
}
