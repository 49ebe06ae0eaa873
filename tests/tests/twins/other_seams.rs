//! Clocks, randomness, blocking work, sockets, aborts.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use depot_protocol::UtcSeconds;
use depot_server::seams::{Blocking, Clock, Entropy, Network, blocking};
use depot_tests::twins::blocking::Inline;
use depot_tests::twins::clock::{ManualClock, TokioClock};
use depot_tests::twins::entropy::Seeded;
use depot_tests::twins::memory_disk::Errno;
use depot_tests::twins::network::MemoryNetwork;
use depot_tests::twins::seams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::address;

#[test]
fn clocks_move_by_hand_and_the_wall_clock_jumps_alone() {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(90));
    assert_eq!(clock.uptime(), Duration::from_secs(90));
    assert_eq!(clock.utc().to_string(), "2026-01-01T00:01:30Z");
    clock.set_utc(UtcSeconds::new(5));
    clock.advance(Duration::from_secs(2));
    assert_eq!((clock.uptime(), clock.utc().get()), (Duration::from_secs(92), 7));
}

#[tokio::test(start_paused = true)]
async fn tokios_clock_drives_the_uptime() {
    let clock = TokioClock::start();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(clock.uptime().as_secs(), 3600);
    assert_eq!(clock.utc().to_string(), "2026-01-01T01:00:00Z");
    clock.set_utc(UtcSeconds::new(0));
    assert_eq!((clock.uptime().as_secs(), clock.utc().get()), (3600, 0));
}

#[test]
fn a_seed_gives_the_same_bytes_and_no_two_alike() {
    let (one, same, other) = (Seeded::new(1), Seeded::new(1), Seeded::new(2));
    let bytes = |source: &Seeded| {
        let mut bytes = [0; 20];
        source.fill(&mut bytes);
        bytes
    };
    let first = bytes(&one);
    assert_eq!(first, bytes(&same));
    assert_ne!(first, bytes(&other));
    assert_ne!(first, bytes(&one));
}

#[tokio::test]
async fn blocking_work_runs_inline_and_a_panic_is_a_loss() {
    let inline: Arc<dyn Blocking> = Arc::new(Inline);
    let here = std::thread::current().id();
    let there = blocking::run(&inline, || std::thread::current().id()).await.unwrap();
    assert_eq!(here, there);
    let lost = blocking::run(&inline, || std::panic::resume_unwind(Box::new("no message"))).await;
    let _: blocking::Lost = lost.map(|never: ()| never).unwrap_err();
}

#[tokio::test]
async fn a_connection_carries_bytes_both_ways_and_its_makers_address() {
    let network = MemoryNetwork::new(16);
    let (from, any) = (address("10.1.2.3:4"), address("127.0.0.1:0"));
    let mut listener = network.bind(any).await.unwrap();
    let here = listener.local_address().unwrap();
    assert_eq!(network.bind(here).await.err().unwrap().kind(), ErrorKind::AddrInUse);
    assert_ne!(network.bind(any).await.unwrap().local_address().unwrap(), here);

    let mut client = network.connect(from, here).await.unwrap();
    network.fail_accepts(1);
    assert_eq!(listener.accept().await.err().unwrap().raw_os_error(), Some(Errno::EMFILE as i32));
    let (mut server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, from);
    client.write_all(b"ping").await.unwrap();
    client.shutdown().await.unwrap();
    let mut said = Vec::new();
    server.read_to_end(&mut said).await.unwrap();
    server.write_all(b"pong").await.unwrap();
    drop(server);
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"pingpong");

    drop(listener);
    let refused = network.connect(from, here).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    network.bind(here).await.expect("the address is free again");
}

#[test]
fn an_abort_is_written_down() {
    let network = Arc::new(MemoryNetwork::new(16));
    let (seams, aborts) = seams(Arc::new(ManualClock::new()), network, 1);
    assert!(aborts.is_empty());
    (seams.abort)("the catalogue could not be synced");
    assert_eq!(aborts.reasons(), ["the catalogue could not be synced"]);
}
