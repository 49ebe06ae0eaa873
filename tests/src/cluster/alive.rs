//! How many servers of clusters run at once in a test process, however many tests run.

use std::sync::{Condvar, Mutex, PoisonError};

/// The most that run at once, unless one cluster alone has more.
const MOST: usize = 13;

static ALIVE: Mutex<usize> = Mutex::new(0);
static FEWER: Condvar = Condvar::new();

/// Room for some servers, until it is dropped.
#[derive(Debug)]
pub(super) struct Alive(usize);

/// Waits until there is room for so many more.
pub(super) fn let_in(servers: usize) -> Alive {
    let alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner);
    let full = |alive: &mut usize| *alive > 0 && *alive + servers > MOST;
    let mut alive = FEWER.wait_while(alive, full).unwrap_or_else(PoisonError::into_inner);
    *alive += servers;
    Alive(servers)
}

impl Drop for Alive {
    fn drop(&mut self) {
        *ALIVE.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        FEWER.notify_all();
    }
}
