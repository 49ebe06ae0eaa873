//! The keys that bound what is stored: `max_size`, `part_lifetime` and `reserve`.

use depot_tests::content::{made_up_id, random_bytes};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Server, Setup, answer, eventually};

#[test]
fn max_size_is_the_largest_file_that_is_taken() {
    let server = Setup::new().deposit("max_size = \"100 KiB\"").start();
    let (mut client, id) = (server.connect(), made_up_id());
    let (largest, larger) = (random_bytes(1, 102_400), random_bytes(2, 102_401));
    answer::refused(&client.deposit(&id, "a", &larger), "limite_excedido");
    answer::refused(&client.ask(Deposit::of(&id, "a", &larger).prepare()), "limite_excedido");
    assert_eq!(client.names(&id), [""; 0]);
    assert!(client.deposit(&id, "a", &largest).starts_with("resultado:1|"));
    assert_eq!(client.recover(&id, "a"), largest);
    server.is_unharmed();
}

#[test]
fn part_lifetime_is_how_long_a_part_is_kept() {
    let server = Setup::new().deposit("part_lifetime = \"1s\"").start();
    let (mut client, id, bytes) = (server.connect(), made_up_id(), random_bytes(1, 500_000));
    let deposit = Deposit::of(&id, "a", &bytes);
    client.begin(&deposit, &bytes[..300_000]);
    client.finish();
    answer::refused(&client.line(), "mensagem_incompleta");
    let mut client = server.connect();
    eventually("the part is gone", || client.prepare(&deposit, &bytes) == 0);
    assert!(client.deposit(&id, "a", &bytes).starts_with("resultado:1|"));
    server.is_unharmed();
}

#[test]
fn below_the_reserve_deposits_get_sem_espaco_and_everything_stored_stays_readable() {
    let server = Server::start();
    let id = made_up_id();
    server.connect().deposit(&id, "there", b"hello");
    let server = server.stop().volume("reserve = \"1000 TiB\"").start();
    let mut client = server.connect();
    let deposit = Deposit::of(&id, "a", b"other");
    answer::refused(&client.deposit_as(&deposit, b"other"), "sem_espaco");
    answer::refused(&client.deposit_as(&deposit.clone().offset(1), b"ther"), "sem_espaco");
    answer::refused(&client.ask(deposit.prepare()), "sem_espaco");
    assert_eq!(client.names(&id), ["there"]);
    assert_eq!(client.recover(&id, "there"), b"hello");
    assert_eq!(client.ask(headers::remove(&id, "there")), "resultado:1");
    server.has_nothing_staged();
    server.stop().volume("").start().is_unharmed();
}
