//! The server's machine crashes again and again; whatever was acknowledged is there in the end.

use std::ops::Range;

use crate::world::{Kind, run};

/// The seeds to try: these, or the one of `DEPOT_SEED`.
fn seeds(usual: Range<u64>) -> Range<u64> {
    match std::env::var("DEPOT_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => usual,
    }
}

fn nothing_is_lost(seeds: Range<u64>, kind: Kind) {
    let (mut crashes, mut promises) = (0, 0);
    for seed in seeds.clone() {
        let seen = run(seed, kind);
        assert!(seen.crashes > 0 && seen.promises > 0, "seed {seed}: {seen:?}");
        crashes += seen.crashes;
        promises += seen.promises;
    }
    println!("{} seeds, {crashes} crashes, {promises} changes kept", seeds.count());
}

#[test]
fn on_the_simulations_disk_crashes_lose_nothing_that_was_acknowledged() {
    nothing_is_lost(seeds(0..30), Kind::Turmoil);
}

#[test]
fn on_the_disk_in_memory_power_cuts_lose_nothing_that_was_acknowledged() {
    nothing_is_lost(seeds(100..130), Kind::Memory);
}

#[test]
fn one_seed_is_one_story() {
    for kind in [Kind::Turmoil, Kind::Memory] {
        for seed in seeds(7..8) {
            let (once, again) = (run(seed, kind), run(seed, kind));
            assert_eq!(once.trace, again.trace);
            assert_eq!(once.crashes, again.crashes);
        }
    }
    assert_ne!(run(1, Kind::Memory).trace, run(2, Kind::Memory).trace);
}
