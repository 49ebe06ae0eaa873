//! Copies that this server shall have and has not: fetched from whoever has them.
//!
//! A record that lists this server as wanted says so. It is heard of when the catalogue applies it
//! ([`Healer::want`]); all records are looked through at start, when something was missed
//! ([`Healer::look_at_all`]). Each copy is pulled, hashed, sealed, read again from the disk, and then
//! listed by its record; a few at once. What can't be had is tried again later, ever less often, and
//! when a peer comes up; what is no longer wanted is forgotten. Where enough others have copies
//! meanwhile, this server leaves the record instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::{FileName, ServerName};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::reading::{ReadingError, is_good};
use super::surplus::{leave, others_suffice};
use crate::catalogue::{Namespace, Record, Servers, View};
use crate::custody::{Custody, CustodyError};
use crate::tasks::Tasks;
use crate::transfer::{Added, Courier, FetchError, File};
use crate::volume::Sealed;

/// So many copies are fetched at once.
const AT_ONCE: usize = 4;
/// So many wanted copies are known at once; of more, the next look at all records tells.
const KNOWN_MAX: usize = 4096;
/// So many records are looked through in one go.
const PAGE: usize = 4096;
/// How long after a copy could not be had it is tried again, at first.
const BACKOFF: Duration = Duration::from_secs(1);
/// And at last.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A lane of the deposit itself may just be bringing the copy: it has this long.
const LANE_HEAD_START: Duration = Duration::from_secs(2);

/// A file of somebody.
type Key = (Namespace, FileName);

/// What this server shall fetch.
pub struct Healer {
    courier: Courier,
    me: ServerName,
    wanted: Mutex<Wanted>,
    /// Wakes [`Healer::run`].
    wake: Notify,
    /// How many copies were made.
    healed: AtomicU64,
}

/// How the healer is, for operators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healing {
    /// How many wanted copies are known and not here.
    pub missing: usize,
    /// Whether there are more than are known.
    pub more: bool,
    /// How many of them are being fetched now.
    pub running: usize,
    /// How many were made since the start.
    pub healed: u64,
}

#[derive(Debug, Default)]
struct Wanted {
    /// When each is to be tried, and how long it waits after that.
    files: BTreeMap<Key, Due>,
    /// Those being fetched.
    running: BTreeSet<Key>,
    /// All records are to be looked through.
    look_at_all: bool,
    /// There are more than could be remembered.
    missed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    backoff: Duration,
}

/// What came of a try.
enum Tried {
    /// The copy is here and listed, or nobody wants it any more.
    Settled,
    /// It could not be had now.
    Later,
}

impl Healer {
    /// For this server.
    pub fn new(courier: Courier, me: ServerName) -> Arc<Self> {
        let wanted = Mutex::new(Wanted { look_at_all: true, ..Wanted::default() });
        Arc::new(Healer { courier, me, wanted, wake: Notify::new(), healed: AtomicU64::new(0) })
    }

    /// How it is.
    pub fn status(&self) -> Healing {
        let wanted = self.wanted();
        Healing {
            missing: wanted.files.len() + wanted.running.len(),
            more: wanted.missed,
            running: wanted.running.len(),
            healed: self.healed.load(Ordering::Relaxed),
        }
    }

    /// A record lists this server as wanted.
    pub fn want(&self, namespace: Namespace, name: FileName) {
        let due = Due { at: Instant::now() + LANE_HEAD_START, backoff: BACKOFF };
        self.wanted().add((namespace, name), due);
        self.wake.notify_one();
    }

    /// Records may have changed that nobody told of.
    pub fn look_at_all(&self) {
        self.wanted().look_at_all = true;
        self.wake.notify_one();
    }

    /// Fetches what is wanted until the server stops. `peers` changes when one comes up.
    pub async fn run(self: Arc<Self>, mut peers: watch::Receiver<u64>, tasks: Tasks) {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let work = async {
            loop {
                if std::mem::take(&mut self.wanted().look_at_all) {
                    self.find_all().await;
                }
                let next = self.start_due(&turns, &tasks);
                tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    () = sleep_until(next) => {}
                    Ok(()) = peers.changed() => self.wanted().hurry(),
                }
            }
        };
        tokio::select! {
            biased;
            () = work => {}
            () = tasks.stopping().cancelled() => {}
        }
    }

    /// Starts what is due, as far as there are turns; when to look again.
    fn start_due(self: &Arc<Self>, turns: &Arc<Semaphore>, tasks: &Tasks) -> Instant {
        let now = Instant::now();
        loop {
            let Some((key, due)) = self.wanted().first() else { return now + BACKOFF_MAX };
            if due.at > now {
                return due.at;
            }
            // Whoever has a turn wakes this when it ends.
            let Ok(turn) = Arc::clone(turns).try_acquire_owned() else {
                return now + BACKOFF_MAX;
            };
            self.wanted().begin(&key);
            let (healer, stopping) = (Arc::clone(self), tasks.stopping().clone());
            tasks.spawn(async move {
                let tried = tokio::select! {
                biased;
                               tried = healer.heal(&key) => tried,
                               () = stopping.cancelled() => return,
                           };
                healer.wanted().end(key, due, &tried);
                drop(turn);
                healer.wake.notify_one();
            });
        }
    }

    /// Looks through all records for those that want this server.
    async fn find_all(&self) {
        let mut after: Option<Key> = None;
        loop {
            let me = self.me.clone();
            let look = move |view: &View, _: &Custody| view.wanted_by(&me, after.as_ref(), PAGE);
            let page = match self.courier.custody.ask(look).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for copies that this server shall have");
                    return;
                }
            };
            let due = Due { at: Instant::now(), backoff: BACKOFF };
            page.files.into_iter().for_each(|key| self.wanted().add(key, due));
            if page.last.is_none() || self.wanted().missed {
                return;
            }
            after = page.last;
        }
    }

    /// Has this server hold one copy, and the record list it.
    async fn heal(&self, key: &Key) -> Tried {
        let (namespace, name) = key;
        let (record, servers) = match self.record(key).await {
            Ok((Some(record), servers)) if record.wants(&self.me) => (record, servers),
            Ok(_) => return Tried::Settled,
            Err(error) => {
                tracing::warn!(%error, "cannot look at a record that wants a copy here");
                return Tried::Later;
            }
        };
        if others_suffice(&record, &servers, (&self.me, &self.courier.transfer)) {
            return self.leave(key, &record).await;
        }
        let (digest, size) = (record.digest, record.size.get());
        let file = File { namespace: *namespace, name: name.clone(), digest, size };
        let receipt = match self.copy(&record).await {
            Ok(sealed) => self.courier.custody.receipt(&sealed),
            Err(error) => {
                tracing::info!(blob = %digest, %error, "a wanted copy is not to be had now");
                return Tried::Later;
            }
        };
        match self.courier.add_copy(&file, record.version, receipt).await {
            Ok(added) => {
                tracing::info!(blob = %digest, ?added, "a wanted copy is here");
                self.healed.fetch_add(1, Ordering::Relaxed);
                if added == Added::Needless {
                    self.courier.custody.let_go(digest);
                }
                Tried::Settled
            }
            Err(error) => {
                tracing::info!(blob = %digest, %error, "a wanted copy cannot be listed now");
                Tried::Later
            }
        }
    }

    /// Others have made the copies meanwhile.
    async fn leave(&self, (namespace, name): &Key, record: &Record) -> Tried {
        let custody = &self.courier.custody;
        match leave(custody, (namespace, name), record).await {
            Ok(true) => Tried::Settled,
            Ok(false) => Tried::Later,
            Err(error) => {
                tracing::info!(blob = %record.digest, %error, "cannot leave a record now");
                Tried::Later
            }
        }
    }

    /// This server's copy: one that is here already (a lane brought it, or another record has it),
    /// else one from a holder.
    async fn copy(&self, record: &Record) -> Result<Sealed, HealError> {
        let (digest, size) = (record.digest, record.size.get());
        let Courier { custody, seams, .. } = &self.courier;
        match custody.vouch(digest, size).await? {
            Ok(Some(sealed)) if is_good(custody, seams, digest).await? => {
                return Ok(sealed);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(blob = %digest, %error, "this server's copy is bad; another is fetched");
            }
        }
        if self.courier.arrivals.expects(size) {
            return Err(HealError::Arriving);
        }
        let transfer = &self.courier.transfer;
        let holders = record.confirmed().map(|(holder, _)| holder);
        let mut holders: Vec<_> = holders.filter(|holder| **holder != self.me).cloned().collect();
        holders.sort_by_key(|holder| !transfer.is_up(holder));
        let sealed = self.courier.fetch((digest, size), &holders).await?;
        // A copy was repaired when it was read again.
        match is_good(custody, seams, digest).await? {
            true => Ok(sealed),
            false => Err(HealError::Bad),
        }
    }

    async fn record(&self, key: &Key) -> Result<(Option<Record>, Servers), CustodyError> {
        let (namespace, name) = key.clone();
        let look =
            move |view: &View, _: &Custody| Ok((view.get(&namespace, &name)?, view.servers()?));
        self.courier.custody.ask(look).await
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    /// One more; the sooner of two times counts.
    fn add(&mut self, key: Key, due: Due) {
        if self.files.len() >= KNOWN_MAX && !self.files.contains_key(&key) {
            self.missed = true;
            return;
        }
        let known = self.files.entry(key).or_insert(due);
        known.at = known.at.min(due.at);
    }

    /// The one that is due first, of those that are not being fetched.
    fn first(&self) -> Option<(Key, Due)> {
        let idle = self.files.iter().filter(|(key, _)| !self.running.contains(*key));
        let first = idle.min_by_key(|(_, due)| due.at);
        first.map(|(key, due)| (key.clone(), *due))
    }

    /// This one is being fetched. What is heard of it from now on is for the time after that.
    fn begin(&mut self, key: &Key) {
        self.files.remove(key);
        self.running.insert(key.clone());
    }

    fn end(&mut self, key: Key, due: Due, tried: &Tried) {
        self.running.remove(&key);
        if let Tried::Later = tried {
            let backoff = (due.backoff * 2).min(BACKOFF_MAX);
            self.add(key, Due { at: Instant::now() + due.backoff, backoff });
        }
        if self.missed && self.files.len() < KNOWN_MAX / 2 {
            (self.missed, self.look_at_all) = (false, true);
        }
    }

    /// A peer has come up, or gone: what could not be had is tried now.
    fn hurry(&mut self) {
        let now = Instant::now();
        self.files.values_mut().for_each(|due| *due = Due { at: now, backoff: BACKOFF });
    }
}

/// A wanted copy is not here.
#[derive(Debug, thiserror::Error)]
enum HealError {
    #[error(transparent)]
    Custody(#[from] CustodyError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    ReadingError(#[from] ReadingError),
    #[error("a peer may be pushing it right now")]
    Arriving,
    #[error("it was fetched, and the disk does not give it back as it was")]
    Bad,
}
