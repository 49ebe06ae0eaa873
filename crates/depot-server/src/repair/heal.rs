//! Copies that this server shall have and has not: fetched from whoever has them.
//!
//! A record that lists this server as wanted says so. It is heard of when the catalogue applies it
//! ([`Healer::want`]); all records are looked through at start, every hour, and when something was
//! missed ([`Healer::look_at_all`]), a page at a time while there is little else to do. Each copy is pulled, hashed, sealed, read again from the disk, and then
//! listed by its record; a few at once. What can't be had is tried again later, ever less often, and
//! when a peer comes up; what is no longer wanted is forgotten. Where enough others have copies
//! meanwhile, this server leaves the record instead.

mod wanted;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::{Digest, FileName, ServerName};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::plan::Place;
use super::reading::{ReadingError, is_good};
use super::surplus::{leave, others_suffice};
use crate::catalogue::{Cause, Namespace, ProposeError, Record, Servers, View};
use crate::custody::{Custody, CustodyError, Loss};
use crate::operator::{MissingCopy, Why};
use crate::tasks::Tasks;
use crate::telemetry;
use crate::transfer::{Added, Courier, FetchError, File};
use crate::volume::Sealed;
use wanted::{BACKOFF_MAX, Due, Key, PAGE, Tried, Wanted};

/// So many copies are fetched at once.
const AT_ONCE: usize = 4;
/// How long is rested after a page of records, or after one that could not be read.
const PAUSE: Duration = Duration::from_millis(20);
const BACKOFF: Duration = Duration::from_secs(1);
/// How long until all records are looked through again though nothing was heard of.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// A lane of the deposit itself may just be bringing the copy: it has this long.
const LANE_HEAD_START: Duration = Duration::from_secs(2);
/// So many tries give way to a peer that pushes something of the same size. It may be another
/// content, and its client may take for ever.
const GIVES_WAY: u32 = 3;
/// So many of the copies that are missing are told of one by one.
const SHOWN: usize = 20;

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
    /// Whether there may be more than are known.
    pub more: bool,
    /// How many of them are being fetched now.
    pub running: usize,
    /// How many were made since the start.
    pub healed: u64,
    /// Those that are missing for the longest time, at most 20.
    pub oldest: Vec<MissingCopy>,
}

impl Healer {
    /// For this server.
    pub fn new(courier: Courier, me: ServerName) -> Arc<Self> {
        let wanted = Mutex::new(Wanted::at_start());
        Arc::new(Healer { courier, me, wanted, wake: Notify::new(), healed: AtomicU64::new(0) })
    }

    /// How it is.
    pub fn status(&self) -> Healing {
        let (oldest, (missing, running), more) = {
            let wanted = self.wanted();
            (wanted.oldest(SHOWN), wanted.count(), wanted.more())
        };
        let oldest = oldest.into_iter().map(|(due, running)| self.describe(due, running));
        let healed = self.healed.load(Ordering::Relaxed);
        Healing { missing, more, running, healed, oldest: oldest.collect() }
    }

    fn describe(&self, due: Due, running: bool) -> MissingCopy {
        let why = match (self.courier.custody.loss(&due.digest), due.cause) {
            (Some(Loss::Bad), _) => Why::Bad,
            (Some(Loss::Gone), _) | (None, Some(Cause::Lost)) => Why::Gone,
            (None, Some(Cause::Deposit)) => Why::Deposit,
            (None, Some(Cause::Lacking)) => Why::Lacking,
            (None, None) => Why::Found,
        };
        MissingCopy {
            digest: due.digest.to_string(),
            why,
            since: due.since.elapsed().as_secs(),
            running,
            attempts: due.attempts,
            failure: due.failure,
        }
    }

    /// A record lists this server as wanted.
    pub fn want(&self, key: (Namespace, FileName), digest: Digest, cause: Cause) {
        self.wanted().add(key, Due::new(digest, Some(cause), LANE_HEAD_START));
        self.wake.notify_one();
    }

    /// Records may have changed that nobody told of.
    pub fn look_at_all(&self) {
        self.wanted().look_at_all();
        self.wake.notify_one();
    }

    /// Fetches what is wanted until the server stops. `peers` changes when one comes up.
    pub async fn run(self: Arc<Self>, mut peers: watch::Receiver<u64>, tasks: Tasks) {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let work = async {
            let mut look_again = Instant::now() + LOOK_AGAIN;
            loop {
                let look_on = self.find_more().await;
                let next = self.start_due(&turns, &tasks).min(look_on).min(look_again);
                tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    () = sleep_until(next) => {}
                    Ok(()) = peers.changed() => self.wanted().hurry(),
                }
                if Instant::now() >= look_again {
                    self.wanted().look_at_all();
                    look_again = Instant::now() + LOOK_AGAIN;
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
                    tried = healer.heal(&key, due.attempts) => tried,
                    () = stopping.cancelled() => return,
                };
                if let Tried::Settled = tried {
                    healer.courier.custody.forget_loss(&due.digest);
                }
                healer.wanted().end(key, tried);
                drop(turn);
                healer.wake.notify_one();
            });
        }
    }

    /// Looks through a page of records for those that want this server, if it is to; when to go on.
    async fn find_more(&self) -> Instant {
        let Some(Place(after)) = self.wanted().next_page() else {
            return Instant::now() + BACKOFF_MAX;
        };
        let me = self.me.clone();
        let look = move |view: &View, _: &Custody| view.wanted_by(&me, after.as_ref(), PAGE);
        match self.courier.custody.ask(look).await {
            Ok(page) => {
                let files = page.files.into_iter();
                let files = files.map(|(namespace, name, digest)| ((namespace, name), digest));
                self.wanted().add_page(files, page.last);
                Instant::now() + PAUSE
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for copies that this server shall have");
                Instant::now() + BACKOFF
            }
        }
    }

    /// Has this server hold one copy, and the record list it; and all others that are known to want
    /// it: that it was read whole once does for all of them. So often it was tried in vain.
    async fn heal(&self, key: &Key, attempts: u32) -> Tried {
        match self.make(key, attempts).await {
            Ok(Some((record, sealed))) => {
                let listed = self.list(key, &record, &sealed).await;
                self.list_in_others(&sealed).await;
                tried(listed)
            }
            Ok(None) => Tried::Settled,
            Err(error) => tried(Err(error)),
        }
    }

    /// A copy for this record, if it wants one.
    async fn make(&self, key: &Key, attempts: u32) -> Result<Option<(Record, Sealed)>, HealError> {
        let Some(record) = self.wanting(key).await? else { return Ok(None) };
        let sealed = self.copy(&record, attempts).await?;
        Ok(Some((record, sealed)))
    }

    /// The record, if it wants a copy here. Where others have made the copies meanwhile, this server
    /// leaves it.
    async fn wanting(&self, key: &Key) -> Result<Option<Record>, HealError> {
        let (record, servers) = self.record(key).await?;
        let Some(record) = record.filter(|record| record.wants(&self.me)) else { return Ok(None) };
        if !others_suffice(&record, &servers, (&self.me, &self.courier.transfer)) {
            return Ok(Some(record));
        }
        let (namespace, name) = key;
        match leave(&self.courier.custody, (namespace, name), &record).await? {
            true => Ok(None),
            false => Err(HealError::Needed),
        }
    }

    /// Has a record list this server's copy.
    async fn list(&self, key: &Key, record: &Record, sealed: &Sealed) -> Result<(), HealError> {
        let (namespace, name) = key.clone();
        let (digest, size) = (record.digest, record.size.get());
        let file = File { namespace, name, digest, size };
        let custody = &self.courier.custody;
        match self.courier.add_copy(&file, record.version, custody.receipt(sealed)).await? {
            Added::Listed => {
                tracing::info!(blob = %digest, "a wanted copy is here");
                self.healed.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Added::Needless => {
                custody.let_go(digest);
                Err(HealError::Needless)
            }
        }
    }

    async fn list_in_others(&self, sealed: &Sealed) {
        let (digest, mut after) = (sealed.digest(), None);
        loop {
            let same = self.wanted().begin_same(&digest, after.as_ref());
            let Some(key) = same else { return };
            let listed = self.list_in_other(&key, sealed).await;
            self.wanted().end(key.clone(), tried(listed));
            after = Some(key);
        }
    }

    async fn list_in_other(&self, key: &Key, sealed: &Sealed) -> Result<(), HealError> {
        let record = self.wanting(key).await?;
        match record {
            Some(record) if record.digest == sealed.digest() => {
                self.list(key, &record, sealed).await
            }
            Some(_) => Err(HealError::Needless),
            None => Ok(()),
        }
    }

    /// This server's copy: one that is here already (a lane brought it, or another record has it),
    /// else one from a holder.
    async fn copy(&self, record: &Record, attempts: u32) -> Result<Sealed, HealError> {
        let (digest, size) = (record.digest, record.size.get());
        let Courier { custody, seams, .. } = &self.courier;
        match custody.vouch(digest, size).await? {
            Ok(Some(sealed)) if is_good(custody, seams, digest).await? => {
                return Ok(sealed);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(blob = %digest, %error, "this server can't vouch for its copy; another is fetched");
            }
        }
        if attempts < GIVES_WAY && self.courier.arrivals.expects(size) {
            return Err(HealError::Arriving);
        }
        let transfer = &self.courier.transfer;
        let holders = record.confirmed().map(|(holder, _)| holder);
        let mut holders: Vec<_> = holders.filter(|holder| **holder != self.me).cloned().collect();
        if !holders.iter().any(|holder| transfer.is_up(holder)) {
            return Err(HealError::NobodyUp);
        }
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

/// Whatever failed is tried again, and settled then if nobody wants it any more.
fn tried(done: Result<(), HealError>) -> Tried {
    match done {
        Ok(()) => Tried::Settled,
        Err(error) => {
            let why = telemetry::chain(&error);
            tracing::info!(why, "a wanted copy is not here or not listed now");
            match error {
                HealError::NobodyUp => Tried::NoHolder(why),
                _ => Tried::Later(why),
            }
        }
    }
}

/// A wanted copy is not here.
#[derive(Debug, thiserror::Error)]
enum HealError {
    #[error(transparent)]
    Custody(#[from] CustodyError),
    #[error("it cannot be listed")]
    List(#[from] ProposeError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    ReadingError(#[from] ReadingError),
    #[error("a peer may be pushing it right now")]
    Arriving,
    #[error("nobody who has a copy is up")]
    NobodyUp,
    #[error("it was fetched, and the disk does not give it back as it was")]
    Bad,
    #[error("others have copies, and this one is needed all the same")]
    Needed,
    #[error("the copy went again, or the record has another content now")]
    Needless,
}
