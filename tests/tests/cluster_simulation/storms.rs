//! Seeds of storms, and what must hold after each.

use std::ops::Range;
use std::process::Command;

use crate::world::{Plan, run};

/// The seed whose story is to be told to another process.
const TELL: &str = "DEPOT_TELL_SEED";

/// The seeds to try: these, so many more by `DEPOT_SIM_SEEDS`, or the one of `DEPOT_SEED`.
fn seeds(usual: Range<u64>) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (number("DEPOT_SEED"), number("DEPOT_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => usual.start..usual.start + count,
        (None, None) => usual,
    }
}

fn nothing_is_lost(seeds: Range<u64>, plan: Plan) {
    let (mut faults, mut promises) = (0, 0);
    for seed in seeds.clone() {
        let seen = run(seed, plan);
        assert!(seen.promises > 0, "seed {seed}: nothing was ever acknowledged");
        faults += seen.faults;
        promises += seen.promises;
    }
    assert!(faults > 0);
    println!("{} seeds of {plan:?}: {faults} faults, {promises} changes kept", seeds.count());
}

#[test]
fn three_servers_lose_nothing_that_was_acknowledged() {
    nothing_is_lost(seeds(0..30), Plan { servers: 3, shared: false });
}

#[test]
fn five_servers_lose_nothing_that_was_acknowledged() {
    nothing_is_lost(seeds(1000..1010), Plan { servers: 5, shared: false });
}

#[test]
fn clients_that_share_their_files_see_one_order() {
    nothing_is_lost(seeds(2000..2020), Plan { servers: 3, shared: true });
}

/// Two processes are compared, not two runs in one: in which order a runtime lets go of its tasks
/// when a machine crashes follows from their numbers, which count on within a process.
#[test]
fn one_seed_is_one_story() {
    let tell = |seed: u64| {
        let mut teller = Command::new(std::env::current_exe().unwrap());
        teller.args(["--exact", "storms::a_story_is_told", "--nocapture", "--test-threads=1"]);
        let told = teller.env(TELL, seed.to_string()).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let told = String::from_utf8(told.stdout).unwrap();
        told.lines()
            .filter(|line| line.starts_with("told: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for seed in [7, 8] {
        let (once, again) = (tell(seed), tell(seed));
        assert!(once.len() > 20, "{once:?}");
        assert_eq!(once, again);
    }
}

/// Tells the story of the seed in [`TELL`] to another process; by itself it tells nothing.
#[test]
fn a_story_is_told() {
    let Ok(seed) = std::env::var(TELL) else { return };
    for line in run(seed.parse().unwrap(), Plan { servers: 3, shared: false }).trace {
        println!("told: {line}");
    }
}
