//! Whether this server has been in touch with a majority of late.
//!
//! A leader knows: openraft tells since when no majority has acknowledged it. A follower believes
//! the leader's word, which comes with each heartbeat; to hear a leader that has itself lost the
//! majority is not enough. So "no" is said after 5 s in which neither was heard, and after at most
//! two seconds more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openraft::{RaftMetrics, ServerState};
use tokio::time::Instant;

use super::consensus::Member;

/// Without word from a majority for so long, there is none.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

pub(super) type Metrics = RaftMetrics<u64, Member>;

/// When a majority was last known of.
#[derive(Debug)]
pub(super) struct Quorum(Mutex<Instant>);

impl Quorum {
    /// A server that starts has had no time to hear of one.
    pub(super) fn new() -> Self {
        Quorum(Mutex::new(Instant::now()))
    }

    /// A leader that has a majority was heard.
    pub(super) fn heard(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether a majority was reached within the last 5 s.
    pub(super) fn has(&self, metrics: &Metrics) -> bool {
        if metrics.running_state.is_err() {
            return false;
        }
        if leads_majority(metrics) {
            self.heard();
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < PATIENCE
    }
}

/// Whether this node leads, and a majority acknowledges it now, as far as that is noted: openraft
/// counts at its ticks, a few a second.
pub(super) fn leads_majority(metrics: &Metrics) -> bool {
    const FRESH: u64 = 1_000;
    let acknowledged = || metrics.millis_since_quorum_ack.is_some_and(|millis| millis < FRESH);
    leads(metrics) && (is_alone(metrics) || acknowledged())
}

/// Whether this node is the leader, as far as it knows.
pub(super) fn leads(metrics: &Metrics) -> bool {
    metrics.running_state.is_ok()
        && metrics.state == ServerState::Leader
        && metrics.current_leader == Some(metrics.id)
}

/// Whether this node is the only one that votes.
pub(super) fn is_alone(metrics: &Metrics) -> bool {
    metrics.membership_config.voter_ids().eq([metrics.id])
}
