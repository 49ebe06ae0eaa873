//! Clocks that a test, or a simulation, moves.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::UtcSeconds;
use depot_server::seams::Clock;

/// 2026-01-01, in seconds since 1970: where the wall clocks start.
pub const START: u64 = 1_767_225_600;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(Mutex<Times>);

#[derive(Debug)]
struct Times {
    uptime: Duration,
    /// The wall clock, less the uptime's whole seconds.
    origin: u64,
}

impl ManualClock {
    /// A clock at uptime 0 and [`START`].
    pub fn new() -> Self {
        ManualClock(Mutex::new(Times { uptime: Duration::ZERO, origin: START }))
    }

    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        self.times().uptime += by;
    }

    /// Makes the wall clock jump; the uptime stays (RELIABILITY.md, C9).
    pub fn set_utc(&self, utc: UtcSeconds) {
        let mut times = self.times();
        times.origin = utc.get().wrapping_sub(times.uptime.as_secs());
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::new()
    }
}

impl Clock for ManualClock {
    fn utc(&self) -> UtcSeconds {
        let times = self.times();
        UtcSeconds::new(times.origin.wrapping_add(times.uptime.as_secs()))
    }

    fn uptime(&self) -> Duration {
        self.times().uptime
    }
}

/// A clock driven by Tokio's: it stands still and leaps where the runtime is paused, and runs on
/// simulated time in a simulated host.
#[derive(Debug)]
pub struct TokioClock {
    started: tokio::time::Instant,
    /// What the wall clock showed when this was made.
    origin: Mutex<u64>,
}

impl TokioClock {
    /// A clock whose uptime starts now, at [`START`].
    pub fn start() -> Self {
        TokioClock { started: tokio::time::Instant::now(), origin: Mutex::new(START) }
    }

    /// Makes the wall clock jump; the uptime stays.
    pub fn set_utc(&self, utc: UtcSeconds) {
        let origin = utc.get().wrapping_sub(self.uptime().as_secs());
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = origin;
    }
}

impl Clock for TokioClock {
    fn utc(&self) -> UtcSeconds {
        let origin = *self.origin.lock().unwrap_or_else(PoisonError::into_inner);
        UtcSeconds::new(origin.wrapping_add(self.uptime().as_secs()))
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
