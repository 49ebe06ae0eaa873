//! Row 69: a server that stops reading, or reads hardly anything, while a deposit is sent on to it.

use std::time::Duration;

use depot_tests::content::{Stream, made_up_id};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, answer, eventually, eventually_within, timed, within};

use crate::client::{File, promised};

/// What a lane may cost: it is let go when it has taken nothing for 5 s.
const LANE: Duration = Duration::from_secs(5);
/// What a receipt may cost until another server is asked for one.
const RECEIPT: Duration = Duration::from_secs(10);
/// What else may differ between two equal deposits on a machine that does other things too.
const SLACK: Duration = Duration::from_secs(20);

#[test]
fn row_69_a_peer_that_stops_reading_holds_up_nobody_and_its_copy_goes_elsewhere() {
    let (mebibytes, id) = (mebibytes(), made_up_id());
    let cluster = Cluster::of(4).start();
    // A quarter is enough to tell how fast this machine is when all read.
    let quarter = Stream::new(1, mebibytes << 18);
    let (even, _) = timed(|| deposit(&cluster, &id, "even.bin", &quarter, |_| ()));
    cluster.wait_copies(0, &id, "even.bin", 2);
    let (stream, mut paused) = (Stream::new(2, mebibytes << 20), None);
    let (uneven, hash) = timed(|| {
        deposit(&cluster, &id, "uneven.bin", &stream, |quarter| match (quarter, paused) {
            (1, _) => paused = Some(pause_a_lane(&cluster)),
            // The client goes on meanwhile. It ends only when the next server has begun.
            (3, Some(_)) => eventually_within(LANE + SLACK, "the fourth has begun", || {
                cluster.staging().len() == 4
            }),
            _ => {}
        })
    });
    let most = 8 * even + 2 * LANE + SLACK;
    assert!(uneven <= most, "{uneven:?}, and {even:?} for a quarter when all read");
    let paused = paused.expect("a lane");
    eventually_within(Duration::from_secs(120), "its copy is on the fourth server", || {
        let holding = cluster.holding(&hash);
        holding.len() == 3 && !holding.contains(&paused)
    });
    cluster.wait_copies(0, &id, "uneven.bin", 2);
    cluster.resume(paused);
    cluster.ready();
    reads_right(&cluster, paused, &id, "uneven.bin", &stream);
}

#[test]
fn row_69_what_a_peer_that_stands_still_was_to_hold_is_made_elsewhere_after_a_while() {
    let after = "repair_after = \"3s\"\nrepair_after_last = \"2s\"";
    let (cluster, id) = (Cluster::of(4).section("cluster", after).start(), made_up_id());
    let stream = Stream::new(3, 32 << 20);
    let mut paused = None;
    let hash = deposit(&cluster, &id, "a.bin", &stream, |quarter| {
        if quarter == 1 {
            paused = Some(pause_a_lane(&cluster));
        }
    });
    let paused = paused.expect("a lane");
    eventually_within(Duration::from_secs(60), "its copy is on the fourth server", || {
        let holding = cluster.holding(&hash);
        holding.len() == 3 && !holding.contains(&paused)
    });
    cluster.wait_copies(0, &id, "a.bin", 2);
    cluster.resume(paused);
    cluster.ready();
    reads_right(&cluster, paused, &id, "a.bin", &stream);
}

/// One of the two servers that an upload is sent on to stands still.
#[track_caller]
fn pause_a_lane(cluster: &Cluster) -> usize {
    let lanes = || cluster.staging().into_iter().filter(|&server| server != 0);
    eventually("two lanes", || lanes().count() == 2);
    let paused = lanes().next().expect("two lanes");
    cluster.pause(paused);
    paused
}

fn mebibytes() -> u64 {
    let given = std::env::var("DEPOT_LANE_MIB");
    given.map_or(256, |text| text.parse().expect("DEPOT_LANE_MIB is a number"))
}

/// Deposits with two replicas through the first server; returns the hash. `between` is told of
/// each quarter that was sent.
#[track_caller]
fn deposit(
    cluster: &Cluster,
    id: &str,
    name: &str,
    stream: &Stream,
    mut between: impl FnMut(usize),
) -> String {
    let (hash, pieces) = (stream.hash(), stream.clone().count());
    let size = stream.clone().map(|piece| piece.len()).sum::<usize>();
    let mut client = cluster.raw(0);
    client.send_line(Deposit::of(id, name, b"").size(size).hash(&hash).replicas(2).header());
    for (sent, piece) in (1..).zip(stream.clone()) {
        client.send(&piece);
        if sent % (pieces / 4) == 0 {
            between(sent / (pieces / 4));
        }
    }
    promised(&client.line(), 2, &hash);
    hash
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
