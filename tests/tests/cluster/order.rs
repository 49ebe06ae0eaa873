//! Clients that share their files see one order, whatever a villain does to three servers: kills
//! them, freezes them, cuts them off from each other; one or two things at once, for seconds.
//!
//! `DEPOT_ORDER_SECONDS=600` goes on for longer; `DEPOT_SEED` repeats a run's choices (not its
//! instants, which are the machine's).

mod client;
mod names;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use depot_tests::content::{Random, made_up_id, seed};
use depot_tests::history::Histories;
use depot_tests::{Cluster, answer, eventually_within, headers, timed};

use crate::client::Over;
use client::Client;
use names::Names;

const CLIENTS: u64 = 4;
const SERVERS: usize = 3;
/// How long it may take, once all is well, until each file has its copies.
const SETTLED: Duration = Duration::from_secs(60);

#[test]
fn clients_that_share_their_files_see_one_order_whatever_happens_to_servers() {
    let (seed, time) = (seed(), Duration::from_secs(seconds()));
    let mut cluster = Cluster::of(SERVERS).through_proxies().start();
    let (id, histories, names) = (made_up_id(), Histories::default(), Names::default());
    let (over, addresses) = (AtomicBool::new(false), [0, 1, 2].map(|n| cluster.address(n)));
    let strikes = thread::scope(|scope| {
        let _ends = Over(&over);
        for number in 0..CLIENTS {
            let client = Client::new((&id, &histories, &names), addresses, seed, number);
            let over = || over.load(Ordering::SeqCst);
            scope.spawn(move || client.work(over));
        }
        storm(&mut cluster, &mut Random::new(seed), time)
    });
    cluster.ready();
    let last = Client::new((&id, &histories, &names), addresses, seed, CLIENTS);
    last.reads_all(&cluster);
    let counts = histories.check();
    println!("{strikes} strikes in {time:?}: {counts:?}");
    assert!(counts.answered > strikes, "the load was none");
    has_its_copies(&cluster, &id);
}

fn seconds() -> u64 {
    let given = std::env::var("DEPOT_ORDER_SECONDS");
    given.map_or(20, |text| text.parse().expect("DEPOT_ORDER_SECONDS is a number"))
}

/// Strikes for so long, then makes all good; returns how often.
fn storm(cluster: &mut Cluster, random: &mut Random, time: Duration) -> usize {
    let (mut strikes, mut passed) = (0, Duration::ZERO);
    while passed < time {
        let (took, ()) = timed(|| strike(cluster, random));
        strikes += 1;
        passed += took;
    }
    strikes
}

/// One or two things go wrong, for a while, and are over. The instants are the point: no condition
/// stands for them.
fn strike(cluster: &mut Cluster, random: &mut Random) {
    // Short enough to be overlooked, long enough for an election, and for local readings.
    let most = *random.pick(&[300, 2_000, 8_000]);
    let mut moment = |most| Duration::from_millis(random.below(most));
    let (calm, bad) = (moment(500), moment(most));
    thread::sleep(calm);
    let one = usize::try_from(random.below(3)).expect("one of three");
    let other = (one + 1 + usize::from(random.below(2) == 1)) % SERVERS;
    let mut paused = None;
    let mut pause = |cluster: &Cluster, server| {
        cluster.pause(server);
        paused = Some(server);
    };
    match random.below(8) {
        0 | 1 => cluster.kill9(one),
        2 => pause(cluster, one),
        3 => cluster.isolate(one),
        4 => cluster.cut(one, other),
        5 => cluster.cut_one_way(one, other),
        6 => {
            pause(cluster, one);
            cluster.kill9(other);
        }
        _ => (0..SERVERS).for_each(|server| cluster.kill9(server)),
    }
    thread::sleep(bad);
    cluster.heal();
    paused.into_iter().for_each(|server| cluster.resume(server));
    cluster.start_all();
}

/// Every file comes to have the replicas that it shall have, as every server tells it.
#[track_caller]
fn has_its_copies(cluster: &Cluster, id: &str) {
    for name in cluster.raw(0).names(id) {
        for server in 0..SERVERS {
            let mut client = cluster.raw(server);
            eventually_within(SETTLED, &format!("the copies of {name}"), || {
                let line = client.ask(headers::stat(id, &name));
                answer::number(&line, "copias") == answer::number(&line, "qtd_replicas")
            });
        }
    }
}
