//! How many small files are put on the disk at a time, over all connections: each has its folder and
//! itself open, and most processes may have 1,024 files open. What waits here has none.

use std::sync::{Condvar, Mutex, PoisonError};

/// So many at a time: more than a disk does at once.
const AT_A_TIME: u32 = 128;

static UNDER_WAY: Mutex<u32> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// One of those that are under way, until it is dropped.
pub(crate) struct Turn(());

impl Turn {
    /// Waits for one. Blocks.
    pub(crate) fn take() -> Turn {
        let under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = ENDED.wait_while(under_way, |under_way| *under_way >= AT_A_TIME);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
        Turn(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn no_more_than_so_many_are_under_way() {
        let all = (0..AT_A_TIME).map(|_| Turn::take()).collect::<Vec<_>>();
        let begun = Barrier::new(2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                begun.wait();
                Turn::take()
            });
            begun.wait();
            assert_eq!(*UNDER_WAY.lock().unwrap(), AT_A_TIME);
            drop(all);
            drop(waiting.join().unwrap());
        });
        assert_eq!(*UNDER_WAY.lock().unwrap(), 0);
    }
}
