//! Syncs of small payloads, shared by all who wait at the same time.
//!
//! A sync of one file costs a flush of the disk, and a flush takes with it whatever else is written:
//! so while [`AT_ONCE`] syncs are under way, who comes waits, and one sync of the whole file system
//! then speaks for all who wait (group commit). Whoever is alone syncs what is its own, as if nobody
//! else existed; nobody ever waits for others to come.
//!
//! **A shared sync that fails speaks for nobody.** What could not be written may be anybody's, and it
//! is told once: to a sync of everything that began later it is all well. So only one of them is
//! under way at a time, and after one that failed there is no other: each syncs its own, for which
//! the system keeps its own error.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// So many syncs are under way at a time. One more than one: a lone client then never waits for the
/// sync of another.
const AT_ONCE: usize = 2;

/// Payloads of at most this many bytes share their syncs. What is larger has so much of its own to
/// write that others would wait for it.
pub(super) const SHARED_MAX: u64 = 1024 * 1024;

/// Who syncs, and who waits for the next one.
#[derive(Debug)]
pub(super) struct SharedSync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Each syncs its own.
    apart: bool,
    syncing: usize,
    /// Whether one of those is of everything.
    sharing: bool,
    /// How many wait for the next round, which begins after they came.
    waiting: usize,
    next: Arc<Round>,
}

/// One sync, and whether what those had written who shared it is durable; each syncs its own where
/// it is not known to be.
#[derive(Debug, Default)]
struct Round(OnceLock<bool>);

impl SharedSync {
    /// `shares`: whether a sync of everything tells of all that could not be written.
    pub(super) fn new(shares: bool) -> Self {
        let state = State { apart: !shares, ..State::default() };
        SharedSync { state: Mutex::new(state), ended: Condvar::new() }
    }

    /// Returns when everything that the caller wrote before is durable: by `own`, the sync of just
    /// that, or by `all`, that of the whole file system, which somebody began after this call.
    ///
    /// # Errors
    /// That of `own`. Nothing is known of what was to be synced then.
    pub(super) fn sync(
        &self,
        own: impl FnOnce() -> io::Result<()>,
        all: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.state();
        let round = Arc::clone(&state.next);
        state.waiting += 1;
        loop {
            let told = round.0.get().copied();
            if let Some(true) = told {
                return Ok(());
            }
            if told.is_some() || state.apart {
                drop(state);
                return own();
            }
            let begun = !Arc::ptr_eq(&round, &state.next);
            let shared = state.waiting > 1;
            if begun || state.syncing == AT_ONCE || shared && state.sharing {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            (state.waiting, state.next) = (0, Arc::default());
            state.syncing += 1;
            state.sharing |= shared;
            drop(state);
            let turn = Turn { syncs: self, round: &round, shared };
            if !shared {
                return own();
            }
            return if turn.share(all) { Ok(()) } else { own() };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to sync, given back whatever becomes of it.
struct Turn<'s> {
    syncs: &'s SharedSync,
    round: &'s Round,
    shared: bool,
}

impl Turn<'_> {
    /// Syncs everything; whether it is durable now.
    fn share(self, all: impl FnOnce() -> io::Result<()>) -> bool {
        let durable = match all() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a sync of the whole file system failed: from now on each payload is synced by itself");
                self.syncs.state().apart = true;
                false
            }
        };
        *self.round.0.get_or_init(|| durable)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.round.0.get_or_init(|| false);
        let mut state = self.syncs.state();
        state.syncing -= 1;
        state.sharing &= !self.shared;
        self.syncs.ended.notify_all();
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
        alone: Arc<AtomicUsize>,
        error: Option<i32>,
    }

    impl Bench {
        fn new(shares: bool, error: Option<i32>) -> Self {
            let syncs = Arc::new(SharedSync::new(shares));
            Bench { syncs, shared: Arc::default(), alone: Arc::default(), error }
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

        /// One that may share; its own sync fails.
        fn sharing(&self) -> thread::JoinHandle<io::Result<()>> {
            let (syncs, error) = (Arc::clone(&self.syncs), self.error);
            let (shared, alone) = (Arc::clone(&self.shared), Arc::clone(&self.alone));
            thread::spawn(move || {
                let own = || {
                    alone.fetch_add(1, Ordering::SeqCst);
                    Err(io::Error::from_raw_os_error(EIO))
                };
                let all = || {
                    shared.fetch_add(1, Ordering::SeqCst);
                    error.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
                };
                syncs.sync(own, all)
            })
        }

        fn wait_for(&self, waiting: usize) {
            while self.syncs.state().waiting < waiting {
                thread::yield_now();
            }
        }

        /// While two sync, five wait. How they end, and how many syncs there were of everything and
        /// of one's own.
        fn five_wait_for_two(&self) -> (Vec<io::Result<()>>, usize, usize) {
            let (first, second) = (self.alone(), self.alone());
            let waiting: Vec<_> = (0..5).map(|_| self.sharing()).collect();
            self.wait_for(5);
            for (thread, go) in [first, second] {
                go.send(()).unwrap();
                thread.join().unwrap();
            }
            let ended = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
            (ended, self.shared.load(Ordering::SeqCst), self.alone.load(Ordering::SeqCst))
        }
    }

    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;

    #[test]
    fn those_who_wait_share_one_sync() {
        let (ended, shared, alone) = Bench::new(true, None).five_wait_for_two();
        assert!(ended.iter().all(Result::is_ok));
        assert_eq!((shared, alone), (1, 0));
    }

    #[test]
    fn one_that_fails_speaks_for_nobody_and_is_the_last() {
        for error in [EIO, ENOSPC] {
            let bench = Bench::new(true, Some(error));
            let (ended, shared, alone) = bench.five_wait_for_two();
            let own = |end: &io::Result<()>| end.as_ref().unwrap_err().raw_os_error() == Some(EIO);
            assert!(ended.iter().all(own), "{ended:?}");
            assert_eq!((shared, alone), (1, 5));
            let later: Vec<_> = (0..5).map(|_| bench.sharing()).collect();
            assert!(later.into_iter().all(|thread| own(&thread.join().unwrap())));
            assert_eq!(bench.shared.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn where_the_system_does_not_tell_each_syncs_its_own_and_waits_for_nobody() {
        let bench = Bench::new(false, None);
        let (first, go) = bench.alone();
        let others: Vec<_> = (0..5).map(|_| bench.sharing()).collect();
        others.into_iter().for_each(|thread| assert!(thread.join().unwrap().is_err()));
        assert_eq!(bench.shared.load(Ordering::SeqCst), 0);
        go.send(()).unwrap();
        first.join().unwrap();
    }

    #[test]
    fn whoever_panics_holds_up_nobody() {
        let bench = Bench::new(true, None);
        let (first, second) = (bench.alone(), bench.alone());
        let syncs = Arc::clone(&bench.syncs);
        let bad = thread::spawn(move || syncs.sync(|| panic!("here"), || panic!("or here")));
        bench.wait_for(1);
        let waiting = bench.sharing();
        bench.wait_for(2);
        for (thread, go) in [first, second] {
            go.send(()).unwrap();
            thread.join().unwrap();
        }
        // Whichever of the two was to sync for both.
        drop((bad.join(), waiting.join().unwrap()));
        assert!(bench.sharing().join().unwrap().is_err(), "alone, by its own");
    }
}
