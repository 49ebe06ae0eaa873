//! Time: a wall clock that is only ever displayed, and a monotonic one that everything that waits
//! or expires is measured by (RELIABILITY.md, C9).

use std::time::Duration;

use depot_protocol::UtcSeconds;

/// Tells the time.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// The wall clock. It may jump either way at any moment: it is shown to people, never compared.
    fn utc(&self) -> UtcSeconds;

    /// Time since this process started; never goes back.
    fn uptime(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock whose uptime starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    pub fn start() -> Self {
        SystemClock { started: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn utc(&self) -> UtcSeconds {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock set before 1970 shows 1970: nothing depends on it.
        UtcSeconds::new(since_epoch.map_or(0, |d| d.as_secs()))
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
