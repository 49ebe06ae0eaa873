//! Seeds of storms, and what must hold after each.

use std::ops::Range;
use std::process::Command;

use crate::world::{Plan, run};

/// Whose story is to be told to another process: seed, and the plan in its order.
const TELL: &str = "DEPOT_TELL";

/// The seeds to try: these, so many more by `DEPOT_SIM_SEEDS`, or the one of `DEPOT_SEED`.
fn seeds(usual: Range<u64>) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (number("DEPOT_SEED"), number("DEPOT_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => usual.start..usual.start + count,
        (None, None) => usual,
    }
}

/// Each seed in a process of its own: in which order a runtime lets go of its tasks when a machine
/// crashes follows from their numbers, which count on within a process.
fn tell(seed: u64, plan: Plan) -> Vec<String> {
    let mut teller = Command::new(std::env::current_exe().unwrap());
    teller.args(["--exact", "storms::a_story_is_told", "--nocapture", "--test-threads=1"]);
    teller.env(TELL, format!("{seed} {} {} {}", plan.servers, plan.shared, plan.loss));
    let told = teller.output().unwrap();
    let (story, fault) =
        (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "DEPOT_SEED={seed} {plan:?}\n{story}\n{fault}");
    story.lines().filter_map(|line| line.strip_prefix("told: ")).map(str::to_owned).collect()
}

/// Tells the story in [`TELL`] to another process; by itself it tells nothing.
#[test]
fn a_story_is_told() {
    let Ok(story) = std::env::var(TELL) else { return };
    let mut story = story.split(' ');
    let mut next = || story.next().unwrap();
    let (seed, servers, shared, loss) = (next(), next(), next(), next());
    let plan = Plan {
        servers: servers.parse().unwrap(),
        shared: shared.parse().unwrap(),
        loss: loss.parse().unwrap(),
    };
    let seen = run(seed.parse().unwrap(), plan);
    for line in &seen.trace {
        println!("told: {line}");
    }
    println!("told: {} faults, {} changes kept", seen.faults, seen.promises);
}

fn nothing_is_lost(seeds: Range<u64>, plan: Plan) {
    let count = |told: &[String], what: &str| -> usize {
        let last = told.last().and_then(|line| line.split(", ").find(|part| part.contains(what)));
        last.and_then(|part| part.split(' ').next()?.parse().ok()).expect("the last line counts")
    };
    let (mut faults, mut promises) = (0, 0);
    for seed in seeds.clone() {
        let told = tell(seed, plan);
        faults += count(&told, "faults");
        promises += count(&told, "changes");
    }
    assert!(faults > 0 && promises > 0);
    println!("{} seeds of {plan:?}: {faults} faults, {promises} changes kept", seeds.count());
}

#[test]
fn three_servers_lose_nothing_that_was_acknowledged() {
    nothing_is_lost(seeds(0..24), Plan { servers: 3, shared: false, loss: false });
}

#[test]
fn five_servers_lose_nothing_that_was_acknowledged() {
    nothing_is_lost(seeds(1000..1006), Plan { servers: 5, shared: false, loss: false });
}

#[test]
fn clients_that_share_their_files_see_one_order() {
    nothing_is_lost(seeds(2000..2014), Plan { servers: 3, shared: true, loss: false });
}

#[test]
fn what_one_server_loses_for_good_the_others_have() {
    nothing_is_lost(seeds(3000..3012), Plan { servers: 3, shared: true, loss: true });
}

#[test]
fn one_seed_is_one_story() {
    let seeded = cfg!(tokio_unstable);
    assert!(seeded, "RUSTFLAGS hides .cargo/config.toml: tokio's random numbers have no seed");
    for seed in [7, 8] {
        let plan = Plan { servers: 3, shared: false, loss: false };
        let (once, again) = (tell(seed, plan), tell(seed, plan));
        assert!(once.len() > 20, "{once:?}");
        assert_eq!(once, again);
    }
}
