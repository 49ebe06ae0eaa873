//! Parts: what an upload that was cut leaves on the server, who finds it, and when it goes.

use depot_tests::content::random_bytes;
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Raw, Server, Setup, answer, eventually};

const SIZE: usize = 500_000;
const SENT: usize = 300_000;

#[test]
fn a_part_with_a_hash_is_found_under_any_name_of_this_client() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    leave_a_part(&server, &deposit, &bytes);
    let (mut client, other) = (server.connect(), deposit.name("b.bin"));
    let held = client.prepare(&other, &bytes);
    assert!(held > 0);
    assert!(client.deposit_as(&other.offset(held), &bytes[held..]).starts_with("resultado:1|"));
    assert_eq!(client.names(&id), ["b.bin"]);
    assert_eq!(client.recover(&id, "b.bin"), bytes);
}

#[test]
fn a_part_with_a_hash_is_found_by_that_hash_and_size_only() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    leave_a_part(&server, &deposit, &bytes);
    let mut client = server.connect();
    let another = Deposit::of(&id, "a.bin", &random_bytes(99, SIZE));
    assert_eq!(client.prepare(&another, &bytes), 0);
    assert_eq!(client.prepare(&deposit.clone().size(SIZE + 1), &bytes), 0);
    assert!(client.prepare(&deposit, &bytes) > 0);
}

#[test]
fn a_part_with_the_hash_last_is_found_by_name_and_size_only() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes).hash_last();
    leave_a_part(&server, &deposit, &bytes);
    let mut client = server.connect();
    assert_eq!(client.prepare(&deposit.clone().name("b.bin"), &bytes), 0);
    assert_eq!(client.prepare(&deposit.clone().size(SIZE + 1), &bytes), 0);
    assert!(client.prepare(&deposit, &bytes) > 0);
}

#[test]
fn parts_with_a_hash_and_parts_with_the_hash_last_do_not_find_each_other() {
    let (server, id, bytes) = server_and_bytes();
    let (first, last) = (Deposit::of(&id, "a", &bytes), Deposit::of(&id, "b", &bytes).hash_last());
    leave_a_part(&server, &first, &bytes);
    leave_a_part(&server, &last, &bytes);
    let mut client = server.connect();
    assert_eq!(client.prepare(&first.clone().hash_last(), &bytes), 0);
    assert!(client.prepare(&first, &bytes) > 0);
    let (server, id, bytes) = server_and_bytes();
    let last = Deposit::of(&id, "b", &bytes).hash_last();
    leave_a_part(&server, &last, &bytes);
    assert_eq!(server.connect().prepare(&Deposit::of(&id, "b", &bytes), &bytes), 0);
}

#[test]
fn a_part_of_another_client_is_not_found() {
    let (server, id, bytes) = server_and_bytes();
    leave_a_part(&server, &Deposit::of(&id, "a.bin", &bytes), &bytes);
    let mut client = server.connect();
    let other = client.new_id();
    assert_eq!(client.prepare(&Deposit::of(&other, "a.bin", &bytes), &bytes), 0);
}

#[test]
fn a_part_goes_when_its_deposit_is_done() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    leave_a_part(&server, &deposit, &bytes);
    let mut client = server.connect();
    let held = client.prepare(&deposit, &bytes);
    client.deposit_as(&deposit.clone().offset(held), &bytes[held..]);
    server.has_nothing_staged();
    assert_eq!(client.ask(headers::remove(&id, "a.bin")), "resultado:1");
    assert_eq!(client.prepare(&deposit, &bytes), 0);
}

#[test]
fn a_part_goes_when_its_hash_turns_out_wrong() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    leave_a_part(&server, &deposit, &bytes);
    let mut client = server.connect();
    let held = client.prepare(&deposit, &bytes);
    let wrong = random_bytes(99, SIZE - held);
    let line = client.deposit_as(&deposit.clone().offset(held), &wrong);
    answer::refused(&line, "hash_divergente");
    assert_eq!(client.prepare(&deposit, &bytes), 0);
    server.has_stored_nothing();
}

#[test]
fn a_part_goes_when_its_hash_line_is_wrong() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes).hash_last();
    leave_a_part(&server, &deposit, &bytes);
    let mut client = server.connect();
    let held = client.prepare(&deposit, &bytes);
    client.begin(&deposit.clone().offset(held), &bytes[held..]);
    answer::refused(&client.ask(hash_line(b"other")), "hash_divergente");
    assert_eq!(client.prepare(&deposit, &bytes), 0);
    server.has_stored_nothing();
}

#[test]
fn a_part_goes_when_an_upload_of_the_same_starts_at_0_and_ends() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    leave_a_part(&server, &deposit, &bytes);
    let mut client = server.connect();
    client.begin(&deposit, &bytes[..100_000]);
    client.finish();
    answer::refused(&client.line(), "mensagem_incompleta");
    assert!(server.connect().prepare(&deposit, &bytes) <= 100_000);
    assert!(server.connect().deposit(&id, "a.bin", &bytes).starts_with("resultado:1|"));
    server.has_nothing_staged();
}

#[test]
fn preparar_cuts_the_same_upload_under_the_same_name_on_another_connection() {
    for hash_last in [false, true] {
        let (server, id, bytes) = server_and_bytes();
        let deposit = Deposit::of(&id, "a.bin", &bytes);
        let deposit = if hash_last { deposit.hash_last() } else { deposit };
        let (mut broken, mut client) = (server.connect(), server.connect());
        broken.begin(&deposit, &bytes[..SENT]);
        eventually("the upload has begun", || !server.folder().staged().is_empty());
        let held = client.prepare(&deposit, &bytes);
        assert!(held <= SENT, "{held}");
        broken.until_cut();
        client.begin(&deposit.offset(held), &bytes[held..]);
        if hash_last {
            client.send_line(hash_line(&bytes));
        }
        assert!(client.line().starts_with("resultado:1|"));
        assert_eq!(client.recover(&id, "a.bin"), bytes);
    }
}

#[test]
fn under_another_name_an_open_upload_goes_on_and_is_not_counted() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    let (mut writer, mut client) = (server.connect(), server.connect());
    writer.begin(&deposit, &bytes[..SENT]);
    eventually("the upload has begun", || !server.folder().staged().is_empty());
    assert_eq!(client.prepare(&deposit.name("b.bin"), &bytes), 0);
    writer.send(&bytes[SENT..]);
    assert!(writer.line().starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a.bin"), bytes);
}

#[test]
fn a_part_outlives_a_restart() {
    let (server, id, bytes) = server_and_bytes();
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    leave_a_part(&server, &deposit, &bytes);
    let server = server.stop().start();
    let mut client = server.connect();
    let held = client.prepare(&deposit, &bytes);
    assert!(held > 0);
    assert!(client.deposit_as(&deposit.offset(held), &bytes[held..]).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a.bin"), bytes);
}

#[test]
fn what_was_checkpointed_of_an_upload_outlives_a_kill_9() {
    let server = Setup::new().deposit("checkpoint = \"1 MiB\"").start();
    let (id, bytes) = (server.connect().new_id(), random_bytes(8, 8 << 20));
    let deposit = Deposit::of(&id, "a.bin", &bytes);
    let mut writer = server.connect();
    writer.begin(&deposit, &bytes[..6 << 20]);
    eventually("a part's record", || server.folder().staged().iter().any(|n| n.ends_with(".part")));
    let server = server.kill9().start();
    let mut client = server.connect();
    let held = client.prepare(&deposit, &bytes);
    assert!(held > 0 && held <= 6 << 20, "{held}");
    assert!(client.deposit_as(&deposit.offset(held), &bytes[held..]).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a.bin"), bytes);
}

/// A server, a client's id and a file.
fn server_and_bytes() -> (Server, String, Vec<u8>) {
    let server = Server::start();
    let id = server.connect().new_id();
    (server, id, random_bytes(1, SIZE))
}

/// An upload of which only the beginning came.
fn leave_a_part(server: &Server, deposit: &Deposit, bytes: &[u8]) {
    let mut client: Raw = server.connect();
    client.begin(deposit, &bytes[..SENT]);
    client.finish();
    answer::refused(&client.line(), "mensagem_incompleta");
    client.ended();
}
