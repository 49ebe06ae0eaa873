//! Files far larger than the server's memory, in and out, as streams that nobody holds whole; and
//! the other ends of the scale.
//!
//! `DEPOT_LARGE_MIB=5120` makes them 5 GiB.

use std::time::Duration;

use depot_tests::content::{EMPTY_HASH, Stream, made_up_id};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Raw, Server, answer};

/// The most memory that the server may ever have held, in KiB.
const PEAK: u64 = 64 << 10;

/// How long after its last byte a deposit may be answered.
const ANSWER: Duration = Duration::from_secs(60);

#[test]
fn a_large_file_goes_in_and_out_with_the_hash_last() {
    let (server, id, stream, size) = large(1);
    // Taken before: the hash line is due within 10 s of the last byte.
    let hash = stream.hash();
    let mut client = server.connect().patient_for(ANSWER);
    client.send_line(Deposit::of(&id, "grande", b"").size(size).hash_last().header());
    stream.clone().for_each(|piece| client.send(piece));
    let line = client.ask(format!("hash_arquivo:{hash}"));
    assert_eq!(line, format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{hash}"));
    comes_back(&mut client, &id, stream, &hash);
    assert!(server.peak_memory() < PEAK, "{} KiB", server.peak_memory());
}

#[test]
fn a_large_file_goes_in_and_out_with_the_hash_first_and_a_cut_between() {
    let (server, id, stream, size) = large(2);
    let hash = stream.hash();
    let deposit = Deposit::of(&id, "grande", b"").size(size).hash(&hash);
    let mut client = server.connect();
    client.send_line(deposit.header());
    let pieces = usize::try_from(size).expect("a size in memory's reach") / Stream::PIECE;
    stream.clone().take(pieces * 2 / 3).for_each(|piece| client.send(piece));
    client.finish();
    answer::refused(&client.line(), "mensagem_incompleta");
    let mut client = server.connect().patient_for(ANSWER);
    let held = answer::number(&client.ask(deposit.prepare()), "deslocamento");
    assert!(held > 0, "the part is kept");
    client.send_line(deposit.offset(held).header());
    let mut skipped = stream.clone().skip(held / Stream::PIECE);
    if let Some(first) = skipped.next() {
        client.send(&first[held % Stream::PIECE..]);
    }
    skipped.for_each(|piece| client.send(piece));
    let line = client.line();
    assert_eq!(line, format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{hash}"));
    comes_back(&mut client, &id, stream, &hash);
    assert!(server.peak_memory() < PEAK, "{} KiB", server.peak_memory());
}

#[test]
fn a_file_of_no_bytes_and_a_name_of_1024_bytes_go_together() {
    let server = Server::start();
    let (mut client, id, name) = (server.connect(), made_up_id(), "n".repeat(1024));
    let line = client.deposit(&id, &name, b"");
    assert_eq!(line, format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{EMPTY_HASH}"));
    assert_eq!(client.recover(&id, &name), b"");
    assert_eq!(client.names(&id), [name]);
}

/// A server, a client's id, and a file of `DEPOT_LARGE_MIB` and an odd number of bytes.
fn large(seed: u64) -> (Server, String, Stream, u64) {
    let mib = std::env::var("DEPOT_LARGE_MIB").map_or(512, |text| text.parse().expect("MiB"));
    let size = mib * (1 << 20) + 12_345;
    (Server::start(), made_up_id(), Stream::new(seed, size), size)
}

/// Every byte of the stream, compared as it comes.
fn comes_back(client: &mut Raw, id: &str, stream: Stream, hash: &str) {
    let header = client.ask(headers::recover(id, "grande"));
    assert!(header.ends_with(&format!("|hash_arquivo:{hash}")), "{header}");
    for (number, piece) in stream.enumerate() {
        assert!(client.exact(piece.len()) == piece, "wrong bytes in MiB {number}");
    }
    client.stays_open();
}
