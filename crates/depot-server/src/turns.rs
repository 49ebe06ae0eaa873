//! How many transfers one client has at once: more than that wait for their turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::catalogue::Namespace;

/// The turns of all clients that have a transfer under way.
#[derive(Debug)]
pub struct Turns {
    each: usize,
    of: Arc<Mutex<HashMap<Namespace, Arc<Semaphore>>>>,
}

/// One client's turn; ends when it is dropped.
#[derive(Debug)]
pub struct Turn {
    of: Arc<Mutex<HashMap<Namespace, Arc<Semaphore>>>>,
    client: Namespace,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// `each` transfers at once for each client.
    pub fn new(each: usize) -> Self {
        Turns { each, of: Arc::default() }
    }

    /// Waits for this client's turn; first come, first served.
    pub async fn take(&self, client: Namespace) -> Turn {
        let turns = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(of.entry(client).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
        };
        // The turn exists before its permit, so that a wait given up cleans up too.
        let mut turn = Turn { of: Arc::clone(&self.of), client, permit: None };
        turn.permit = Some(turns.acquire_owned().await.expect("it is never closed"));
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody holds a turn or waits for one: the map keeps only clients at work.
        if of.get(&self.client).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            of.remove(&self.client);
        }
    }
}
