//! Row 69: a server that stops reading, or reads hardly anything, while a deposit is sent on to it.

use std::time::Duration;

use depot_tests::content::{Stream, made_up_id};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, answer, eventually, eventually_within, timed, within};

use crate::client::{File, pour, promised};

/// What a lane may cost: it is let go when it has taken nothing for 5 s.
const LANE: Duration = Duration::from_secs(5);
/// What a receipt may cost until another server is asked for one.
const RECEIPT: Duration = Duration::from_secs(10);
/// What else may differ between two equal deposits on a machine that does other things too.
const SLACK: Duration = Duration::from_secs(20);

#[test]
fn row_69_a_peer_that_stops_reading_costs_a_bounded_time_and_its_copy_goes_elsewhere() {
    let (mebibytes, id) = (mebibytes(), made_up_id());
    let cluster = Cluster::of(4).start();
    let (even, _) = deposit(&cluster, &id, "even.bin", &Stream::new(1, mebibytes << 20), |_| ());
    let stream = Stream::new(2, mebibytes << 20);
    let mut paused = None;
    let (uneven, hash) = deposit(&cluster, &id, "uneven.bin", &stream, |cluster| {
        let lanes = || cluster.staging().into_iter().filter(|&server| server != 0);
        eventually("two lanes", || lanes().count() == 2);
        paused = lanes().next();
        paused.into_iter().for_each(|server| cluster.pause(server));
    });
    let most = 2 * even + LANE + SLACK;
    assert!(uneven <= most, "{uneven:?}, and {even:?} when all read");
    let paused = paused.expect("a lane");
    eventually_within(Duration::from_secs(120), "its copy is on the fourth server", || {
        let holding = cluster.holding(&hash);
        holding.len() == 3 && !holding.contains(&paused)
    });
    cluster.wait_copies(0, &id, "uneven.bin", 2);
    reads_right(&cluster, 0, &id, "uneven.bin", &stream);
    cluster.resume(paused);
    cluster.ready();
    reads_right(&cluster, paused, &id, "uneven.bin", &stream);
}

fn mebibytes() -> u64 {
    let given = std::env::var("DEPOT_LANE_MIB");
    given.map_or(256, |text| text.parse().expect("DEPOT_LANE_MIB is a number"))
}

/// Deposits with two replicas through the first server; returns how long that took, and the hash.
#[track_caller]
fn deposit(
    cluster: &Cluster,
    id: &str,
    name: &str,
    stream: &Stream,
    between: impl FnOnce(&Cluster),
) -> (Duration, String) {
    let (hash, pieces) = (stream.hash(), stream.clone().count() as u64);
    let size = stream.clone().map(|piece| piece.len()).sum::<usize>();
    let header = Deposit::of(id, name, b"").size(size).hash(&hash).replicas(2);
    let mut client = cluster.raw(0);
    let (took, line) = timed(|| {
        client.send_line(header.header());
        pour(&mut client, stream, pieces, || between(cluster));
        client.line()
    });
    promised(&line, 2, &hash);
    (took, hash)
}

/// The file comes back byte by byte, and is never held whole.
#[track_caller]
fn reads_right(cluster: &Cluster, server: usize, id: &str, name: &str, stream: &Stream) {
    let mut client = cluster.raw(server);
    let line = client.ask(headers::recover(id, name));
    assert_eq!(answer::field(&line, "hash_arquivo"), stream.hash(), "{line}");
    stream.clone().for_each(|piece| assert!(client.exact(piece.len()) == piece, "wrong bytes"));
}

#[test]
fn row_69_a_peer_that_reads_a_thousand_bytes_a_second_holds_nobody_up() {
    let cluster = Cluster::of(3).through_proxies().start();
    // Which of the others comes first is the name's to say: here it is the second server.
    let names = (0..).map(|number| File::new(&format!("{number}.bin"), 2_000_000));
    let file = names.into_iter().find(|file| {
        file.deposit(&cluster, 0, 1);
        cluster.holding(&file.hash()) == [0, 1]
    });
    let file = file.expect("one of many").changed();
    cluster.slow(0, 1, 1000);
    within(Duration::ZERO, RECEIPT + SLACK, || assert_eq!(file.deposit(&cluster, 0, 1), 1));
    assert_eq!(cluster.holding(&file.hash()), [0, 2]);
    file.is_at(&cluster, 2);
    cluster.heal();
    cluster.ready();
}

#[test]
fn row_69_a_network_with_50_ms_of_delay_is_only_slower() {
    let cluster = Cluster::of(3).through_proxies().start();
    for (one, other) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        cluster.delay(one, other, Duration::from_millis(50));
    }
    let file = File::new("far.bin", 3_000_000);
    for server in 0..3 {
        file.deposit_whole(&cluster, server, 2);
        (0..3).for_each(|other| file.is_at(&cluster, other));
    }
}
