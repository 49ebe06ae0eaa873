//! The connections kept to one peer for one class of conversations. So many conversations are open
//! at once; who finds none free waits. A connection whose conversation was finished is kept for the
//! next one, for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::cluster::wire::Wire;

/// Connections that are kept with nothing to do: a deposit that finds none dials and proves itself,
/// which costs more than the deposit.
const IDLE_MAX: usize = 32;
/// For how long. The other end keeps them longer, so that it is not the one who closes.
const IDLE: Duration = Duration::from_secs(60);

/// The connections to one peer, of one class.
pub(in crate::cluster) struct Pool {
    slots: Arc<Semaphore>,
    /// The one used last at the end.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    wire: Wire,
    since: Instant,
}

/// The right to one open conversation, and where its connection goes afterwards.
pub(in crate::cluster) struct Place {
    pool: Arc<Pool>,
    _slot: OwnedSemaphorePermit,
}

impl Pool {
    /// For so many conversations at once.
    pub(in crate::cluster) fn new(most: usize) -> Self {
        Pool { slots: Arc::new(Semaphore::new(most)), idle: Mutex::default() }
    }

    /// Waits for a free slot; who came first gets it first.
    pub(in crate::cluster) async fn place(self: &Arc<Self>) -> Place {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        Place { pool: Arc::clone(self), _slot: slot.expect("the semaphore is never closed") }
    }

    /// A kept connection that a conversation can begin on.
    pub(in crate::cluster) fn take(&self) -> Option<Wire> {
        let mut idle = self.lock();
        while let Some(Idle { mut wire, since }) = idle.pop() {
            if since.elapsed() < IDLE && wire.is_fresh() {
                return Some(wire);
            }
        }
        None
    }

    /// Closes kept connections that nobody used for long, or whose other end is gone.
    pub(in crate::cluster) fn prune(&self) {
        self.lock().retain_mut(|idle| idle.since.elapsed() < IDLE && idle.wire.is_fresh());
    }

    /// Closes all kept connections.
    pub(in crate::cluster) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Keeps a connection whose conversation was finished.
    pub(in crate::cluster) fn keep(self, mut wire: Wire) {
        let mut idle = self.pool.lock();
        if idle.len() < IDLE_MAX && wire.is_fresh() {
            wire.shrink();
            idle.push(Idle { wire, since: Instant::now() });
        }
    }
}
