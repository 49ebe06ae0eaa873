//! Seeds of storms, and what must hold after each.

use std::ops::Range;

use crate::world::{Plan, run};

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
    nothing_is_lost(seeds(0..30), Plan { servers: 3 });
}

#[test]
fn five_servers_lose_nothing_that_was_acknowledged() {
    nothing_is_lost(seeds(1000..1010), Plan { servers: 5 });
}

#[test]
fn one_seed_is_one_story() {
    for seed in seeds(7..8) {
        let plan = Plan { servers: 3 };
        let (once, again) = (run(seed, plan), run(seed, plan));
        assert_eq!(once.trace, again.trace);
        assert_eq!(once.faults, again.faults);
    }
}
