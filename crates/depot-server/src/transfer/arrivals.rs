//! The payloads that peers are pushing to this server now, known by their sizes alone: their hashes
//! come last. Whoever is about to fetch a copy waits while one of that size is on its way anyway.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is on its way here. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(Arc<Mutex<BTreeMap<u64, usize>>>);

/// One payload on its way; dropped when it is here, or does not come.
#[derive(Debug)]
pub(super) struct Arrival {
    all: Arrivals,
    size: u64,
}

impl Arrivals {
    /// Whether a payload of this size is on its way.
    pub fn expects(&self, size: u64) -> bool {
        self.lock().contains_key(&size)
    }

    pub(super) fn begin(&self, size: u64) -> Arrival {
        *self.lock().entry(size).or_default() += 1;
        Arrival { all: self.clone(), size }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.size) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.size);
            }
        }
    }
}
