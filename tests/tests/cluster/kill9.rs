//! Kill -9 under load on three servers, again and again: one of them or all at once, at random
//! instants, while clients go on through those that are left. What was acknowledged is there and
//! right, what was not is whole or absent.
//!
//! `DEPOT_CLUSTER_KILLS=100` kills more often than 6 times; `DEPOT_SEED` repeats a run's choices (not
//! its instants, which are the machine's).

mod ledger;
mod load;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use depot_tests::Cluster;
use depot_tests::content::{Random, seed};

use crate::client::Over;
use load::Client;

const CLIENTS: u64 = 3;

#[test]
fn what_was_acknowledged_by_a_cluster_outlives_every_kill_9() {
    let (seed, kills) = (seed(), kills());
    let (mut random, mut cluster) = (Random::new(seed), Cluster::of(3).start());
    let mut clients = (0..CLIENTS).map(|n| Client::new(seed ^ (n << 32))).collect::<Vec<_>>();
    for kill in 0..kills {
        let one = usize::try_from(random.below(3)).expect("one of three");
        let victims = if kill % 3 == 2 { vec![0, 1, 2] } else { vec![one] };
        kill_under_load(&mut cluster, &mut clients, &victims, &mut random);
        cluster.ready();
        let server = usize::try_from(random.below(3)).expect("one of three");
        clients.iter_mut().for_each(|client| client.check(&mut cluster.raw(server)));
        nothing_but_parts_is_staged(&cluster);
        println!("kill {} of {kills}: {victims:?}, checked through {server}", kill + 1);
    }
    let done = clients.iter().map(Client::done).sum::<u64>();
    println!("{done} acknowledged requests outlived {kills} kills");
    assert!(done > kills, "the load was none");
}

fn kills() -> u64 {
    let given = std::env::var("DEPOT_CLUSTER_KILLS");
    given.map_or(6, |text| text.parse().expect("DEPOT_CLUSTER_KILLS is a number"))
}

/// All clients work; the victims die, and come back while the work goes on.
fn kill_under_load(
    cluster: &mut Cluster,
    clients: &mut [Client],
    victims: &[usize],
    random: &mut Random,
) {
    let (over, addresses) = (AtomicBool::new(false), [0, 1, 2].map(|n| cluster.address(n)));
    let mut moment = |most| Duration::from_millis(random.below(most));
    thread::scope(|scope| {
        let over = Over(&over);
        for client in clients {
            scope.spawn(|| client.work(addresses, || over.0.load(Ordering::SeqCst)));
        }
        // The instants are the point: no condition stands for them.
        thread::sleep(moment(800));
        victims.iter().for_each(|&victim| cluster.kill9(victim));
        thread::sleep(moment(1500));
        cluster.start_all();
        thread::sleep(moment(500));
    });
}

fn nothing_but_parts_is_staged(cluster: &Cluster) {
    for server in 0..3 {
        for name in cluster.folder(server).staged() {
            let part = name.ends_with(".part") || name.ends_with(".data");
            assert!(part, "{name} was left in the staging folder of {server}");
        }
    }
}
