//! What the door writes into the log about those whom it does not take: once a minute for each
//! address and reason, for whoever is refused comes back again and again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long the same is not written again.
const QUIET: Duration = Duration::from_secs(60);
/// How many are remembered; while there are more, the further ones are not written.
const REMEMBERED: usize = 256;

/// What was written within the last minute.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<BTreeMap<(IpAddr, String), Instant>>);

impl Complaints {
    /// Whether to write this now.
    pub(super) fn is_new(&self, from: IpAddr, why: &str) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, since| since.elapsed() < QUIET);
        let key = (from, why.to_owned());
        if written.contains_key(&key) || written.len() >= REMEMBERED {
            return false;
        }
        written.insert(key, Instant::now());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_written_once_a_minute_and_not_without_end() {
        let (complaints, here) = (Complaints::default(), IpAddr::from([10, 0, 0, 1]));
        assert!(complaints.is_new(here, "secret"));
        assert!(!complaints.is_new(here, "secret"));
        assert!(complaints.is_new(here, "cluster"));
        assert!(complaints.is_new(IpAddr::from([10, 0, 0, 2]), "secret"));
        tokio::time::advance(QUIET).await;
        assert!(complaints.is_new(here, "secret"));
        let written = (0..1000_u16).filter(|at| {
            let [high, low] = at.to_be_bytes();
            complaints.is_new(IpAddr::from([10, 1, high, low]), "secret")
        });
        assert_eq!(written.count(), REMEMBERED - 1);
    }
}
