//! Waiting for a condition, never for a time: [`eventually`] is what the tests use for all that
//! happens "soon" in the server, and every wait of theirs ends.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// How long anything may take that ought to happen at once; longer is a failed test. Generous, since a
/// busy machine is late with everything; what is promised within a time is held to it by [`within`].
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Returns when `condition` holds; panics with `what` when it still does not after 30 s.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, condition);
}

/// The same for what may take longer than 30 s, or shall not take as long.
#[track_caller]
pub fn eventually_within(most: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < most, "still waiting after {most:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Runs `story` and fails unless it took at least `least` and at most `most`.
#[track_caller]
pub fn within<T>(least: Duration, most: Duration, story: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let told = story();
    let took = start.elapsed();
    assert!(took >= least && took <= most, "took {took:?}, wanted {least:?} to {most:?}");
    told
}

/// Runs `story`, and tells how long it took.
#[track_caller]
pub fn timed<T>(story: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let told = story();
    (start.elapsed(), told)
}

/// Returns as soon as the wall clock shows another second (what `depositado` is told in).
pub fn next_second() {
    let second = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.expect("the clock stands after 1970").as_secs()
    };
    let begun = second();
    eventually("the wall clock's next second", || second() > begun);
}
