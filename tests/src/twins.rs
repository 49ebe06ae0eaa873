//! Twins of what a server needs of the world (`depot_server::seams`), for tests: each can stand
//! still, fail at a chosen moment, or lose what was not synced, and each follows from a seed alone.
//!
//! A test usually takes a [`memory_disk::MemoryDisk`] and the [`seams`] of a simulated server; a
//! simulation of a whole cluster puts [`turmoil_network::TurmoilNetwork`] and
//! [`clock::TokioClock`] in.

pub mod blocking;
pub mod clock;
pub mod conformance;
pub mod entropy;
pub mod memory_disk;
pub mod network;
pub mod turmoil_disk;
pub mod turmoil_network;

use std::sync::{Arc, Mutex, PoisonError};

use depot_server::seams::{Clock, Network, Seams};

/// The seams of a simulated server: blocking work inline, randomness from `seed`, aborts written
/// down instead of done.
pub fn seams(clock: Arc<dyn Clock>, network: Arc<dyn Network>, seed: u64) -> (Seams, AbortLog) {
    let aborts = AbortLog::default();
    let seams = Seams {
        clock,
        entropy: Arc::new(entropy::Seeded::new(seed)),
        blocking: Arc::new(blocking::Inline),
        network,
        abort: aborts.recorder(),
    };
    (seams, aborts)
}

/// Why a simulated server would have aborted. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct AbortLog(Arc<Mutex<Vec<String>>>);

impl AbortLog {
    /// The reasons so far, oldest first. After the first one the server must not answer any more.
    pub fn reasons(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the server would still run.
    pub fn is_empty(&self) -> bool {
        self.reasons().is_empty()
    }

    /// What goes into [`Seams::abort`].
    pub fn recorder(&self) -> Arc<dyn Fn(&str) + Send + Sync> {
        let log = Arc::clone(&self.0);
        Arc::new(move |why| {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(why.to_owned());
        })
    }
}
