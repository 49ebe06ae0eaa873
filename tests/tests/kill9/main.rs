//! Kill -9 at random instants under load, again and again on the same data folder: what was
//! acknowledged is there and right, what was not is whole or absent, and nothing else is left.
//!
//! `DEPOT_KILLS=500` kills more often than 20 times; `DEPOT_SEED` repeats a run's choices (not its
//! instants, which are the machine's).

mod load;
mod model;

use std::thread;
use std::time::Duration;

use depot_tests::content::{Random, seed};
use depot_tests::{Server, Setup};
use load::Client;

const CLIENTS: u64 = 4;

#[test]
fn what_was_acknowledged_outlives_every_kill_9() {
    let (seed, kills) = (seed(), kills());
    let mut random = Random::new(seed);
    let setup = Setup::new();
    let mut clients = (0..CLIENTS).map(|n| Client::new(seed ^ (n << 32))).collect::<Vec<_>>();
    for kill in 0..kills {
        let server = setup.start();
        everything_is_right(&server, &mut clients);
        let instant = Duration::from_millis(random.below(400));
        kill_under_load(server, &mut clients, instant);
        println!("kill {} of {kills}, after {instant:?}", kill + 1);
    }
    let server = setup.start();
    everything_is_right(&server, &mut clients);
    let done = clients.iter().map(Client::done).sum::<u64>();
    println!("{done} acknowledged requests outlived {kills} kills");
    assert!(done > kills, "the load was none");
    server.still_serves();
    server.stop().start().still_serves();
}

fn kills() -> u64 {
    std::env::var("DEPOT_KILLS").map_or(20, |text| text.parse().expect("DEPOT_KILLS is a number"))
}

/// All clients work at once until the server is gone.
fn kill_under_load(mut server: Server, clients: &mut [Client], instant: Duration) {
    let address = server.address();
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || client.work_until_cut(address));
        }
        // The instant of the kill is the point: no condition stands for it.
        thread::sleep(instant);
        server.kill();
    });
}

/// Every client's files are as its model says, and the staging folder holds only parts.
fn everything_is_right(server: &Server, clients: &mut [Client]) {
    for client in clients {
        client.check(&mut server.connect());
    }
    for name in server.folder().staged() {
        let part = name.ends_with(".part") || name.ends_with(".data");
        assert!(part, "{name} was left in the staging folder");
    }
}
