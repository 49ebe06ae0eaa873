//! Syncs of small payloads, shared by all who wait at the same time.
//!
//! A sync of one file costs a flush of the disk, and a flush takes with it whatever else is written:
//! so while [`AT_ONCE`] syncs are under way, who comes waits, and one sync of the whole file system
//! then speaks for all who wait (group commit). Whoever is alone syncs what is its own, as if nobody
//! else existed; nobody ever waits for others to come.

use std::io;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

/// So many syncs are under way at a time. One more than one: a lone client then never waits for the
/// sync of another.
const AT_ONCE: usize = 2;

/// Payloads of at most this many bytes share their syncs. What is larger has so much of its own to
/// write that others would wait for it.
pub(super) const SHARED_MAX: u64 = 1024 * 1024;

/// Who syncs, and who waits for the next one.
#[derive(Debug, Default)]
pub(super) struct SharedSync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    syncing: usize,
    /// How many wait for the next round, which begins after they came.
    waiting: usize,
    next: Arc<Round>,
}

/// What became of one sync.
#[derive(Debug, Default)]
struct Round(OnceLock<Result<(), io::Error>>);

impl SharedSync {
    /// Returns when everything that the caller wrote before is durable: by `own`, the sync of just
    /// that, or by `all`, that of the whole file system, which somebody began after this call.
    ///
    /// # Errors
    /// That of the sync, told to all who shared it. Nothing is known of what was to be synced then.
    pub(super) fn sync(
        &self,
        own: impl FnOnce() -> io::Result<()>,
        all: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let round = Arc::clone(&state.next);
        state.waiting += 1;
        while round.0.get().is_none() {
            let begun = !Arc::ptr_eq(&round, &state.next);
            if begun || state.syncing == AT_ONCE {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let sharing = std::mem::take(&mut state.waiting);
            state.next = Arc::default();
            state.syncing += 1;
            drop(state);
            let synced = if sharing == 1 { own() } else { all() };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.syncing -= 1;
            let told = round.0.get_or_init(|| synced);
            self.ended.notify_all();
            return repeat(told);
        }
        repeat(round.0.get_or_init(|| Ok(())))
    }
}

/// The same result for one more.
fn repeat(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => error.kind().into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;

    /// Threads that sync, of which each says when its own sync begins and waits to be let go.
    struct Bench {
        syncs: Arc<SharedSync>,
        shared: Arc<AtomicUsize>,
        error: Option<i32>,
    }

    impl Bench {
        fn new(error: Option<i32>) -> Self {
            Bench { syncs: Arc::default(), shared: Arc::default(), error }
        }

        fn alone(&self) -> (thread::JoinHandle<()>, Sender<()>) {
            let (began, begun) = channel();
            let (go, gone): (Sender<()>, Receiver<()>) = channel();
            let syncs = Arc::clone(&self.syncs);
            let thread = thread::spawn(move || {
                let own = || {
                    began.send(()).unwrap();
                    gone.recv().unwrap();
                    Ok(())
                };
                syncs.sync(own, || panic!("it is alone")).unwrap();
            });
            begun.recv().unwrap();
            (thread, go)
        }

        fn sharing(&self) -> thread::JoinHandle<io::Result<()>> {
            let (syncs, shared, error) =
                (Arc::clone(&self.syncs), Arc::clone(&self.shared), self.error);
            thread::spawn(move || {
                let all = || {
                    shared.fetch_add(1, Ordering::SeqCst);
                    error.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
                };
                syncs.sync(|| panic!("it is not alone"), all)
            })
        }

        fn wait_for(&self, waiting: usize) {
            while self.syncs.state.lock().unwrap().waiting < waiting {
                thread::yield_now();
            }
        }
    }

    fn five_wait_for_two(error: Option<i32>) -> (Vec<io::Result<()>>, usize) {
        let bench = Bench::new(error);
        let (first, second) = (bench.alone(), bench.alone());
        let waiting: Vec<_> = (0..5).map(|_| bench.sharing()).collect();
        bench.wait_for(5);
        for (thread, go) in [first, second] {
            go.send(()).unwrap();
            thread.join().unwrap();
        }
        let ended = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
        (ended, bench.shared.load(Ordering::SeqCst))
    }

    #[test]
    fn those_who_wait_share_one_sync() {
        let (ended, shared) = five_wait_for_two(None);
        assert!(ended.iter().all(Result::is_ok));
        assert_eq!(shared, 1);
    }

    #[test]
    fn its_error_is_told_to_all_of_them() {
        const EIO: i32 = 5;
        let (ended, shared) = five_wait_for_two(Some(EIO));
        assert!(ended.iter().all(|end| end.as_ref().unwrap_err().raw_os_error() == Some(EIO)));
        assert_eq!(shared, 1);
    }
}
