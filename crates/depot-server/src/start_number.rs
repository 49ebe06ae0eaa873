//! How often this server was started, counted in both halves of its data folder: first in the
//! catalogue, then in the blobs' marker. So the catalogue's is never the lower one, but where
//! somebody has put an older copy of it in place (RELIABILITY.md, C13).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::catalogue::store::Store;
use crate::home::{Home, HomeError};
use crate::seams::Clock;

/// The count, at both places.
#[derive(Clone)]
pub struct StartNumber {
    store: Arc<Store>,
    home: Arc<Home>,
    clock: Arc<dyn Clock>,
}

impl StartNumber {
    /// Compares the two; an older catalogue is damage.
    pub fn check(
        store: Arc<Store>,
        home: Arc<Home>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HomeError> {
        let (catalogue, blobs) = (store.start_number(), home.start_number());
        if catalogue < blobs {
            return Err(HomeError::Damaged(format!(
                "the catalogue is an older copy (of start {catalogue}, the blobs have seen start {blobs}): \
                 what was deposited since is not in it; put the newer one back, or start a new depot with another --data"
            )));
        }
        Ok(StartNumber { store, home, clock })
    }

    /// The number as it is, synced; whoever tells it to others reads it here.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.store.start_counter()
    }

    /// Saves the running time; with `raise`, counts one up at both places.
    pub fn save(&self, raise: bool) -> Result<(), HomeError> {
        if raise {
            let next = self.store.start_number() + 1;
            let raised = self.store.raise_start_number(next);
            raised.map_err(|error| {
                HomeError::Damaged(format!("the catalogue cannot be written: {error}"))
            })?;
        }
        self.home.save(&*self.clock, self.store.start_number())
    }
}
