//! What the catalogue lists and the volume has, held together: receipts for what is here, the
//! sweep that lets go of what no record lists, and room.
//!
//! **The sweep** (RELIABILITY.md, 1.1) is the only way that a copy goes. It puts `Sweep{n + 1}`
//! into the catalogue's order; from there on no commit takes a receipt of an older number. Then,
//! under the hash's lock, it trashes a blob only if no record lists it on this server and no
//! receipt was given for it under n + 1. Whoever holds an older receipt must ask again, and is
//! either heard before the trashing (and the blob stays) or finds it gone. No clock decides.

mod losses;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::{Digest, ServerName};
use tokio::sync::Notify;

use crate::catalogue::command::{Lost, Sweep};
use crate::catalogue::{
    Catalogue, Command, Freshness, Incarnation, Outcome, ProposeError, ReadError, Receipt,
    SweepNumber, View,
};
use crate::home::Home;
use crate::seams::{Seams, blocking};
use crate::volume::{
    BlobError, HELD_MAX, Reclaim, Sealed, Staging, Verdict, Volume, VolumeError, layout,
};
pub use losses::Loss;
use losses::Losses;

/// How many vouched hashes are remembered before a sweep makes them forgotten: 3 MiB of memory.
const VOUCHED_MAX: usize = 65_536;

/// Of so many records of one content a command says that the copy is lost.
const LOST_PAGE: u32 = 256;

/// Something between catalogue and volume did not work. Nothing was lost by it.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The catalogue can't be asked.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The catalogue took no sweep.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The catalogue's answer makes no sense: another process uses this server's name.
    #[error("the catalogue refused this server's sweep")]
    Refused,
    /// The disk failed.
    #[error("the volume cannot be changed")]
    Disk(#[from] io::Error),
    /// The server is going down.
    #[error(transparent)]
    Lost(#[from] blocking::Lost),
}

/// One server's copies, and what the catalogue says of them.
pub struct Custody {
    seams: Seams,
    /// The payloads.
    pub volume: Arc<Volume>,
    /// Who deposited what.
    pub catalogue: Arc<dyn Catalogue>,
    /// Whose folder this is, and its running time.
    pub home: Arc<Home>,
    trash: Duration,
    /// Blobs that perhaps no record lists any more.
    orphans: Mutex<BTreeSet<Digest>>,
    /// Wakes the sweeper.
    pub orphaned: Notify,
    /// Copies that are bad or gone.
    losses: Mutex<Losses>,
    /// Wakes who tells it.
    pub lost_any: Notify,
    /// One sweep at a time.
    sweeping: Arc<tokio::sync::Mutex<()>>,
}

impl Custody {
    /// Puts the two together. `trash`: how long a copy that no record lists is kept, in running
    /// time.
    pub fn new(
        seams: Seams,
        volume: Arc<Volume>,
        catalogue: Arc<dyn Catalogue>,
        home: Arc<Home>,
        trash: Duration,
    ) -> Self {
        Custody {
            seams,
            volume,
            catalogue,
            home,
            trash,
            orphans: Mutex::default(),
            orphaned: Notify::new(),
            losses: Mutex::default(),
            lost_any: Notify::new(),
            sweeping: Arc::default(),
        }
    }

    /// This server's word for a copy that it has: what a commit is made of.
    pub fn receipt(&self, sealed: &Sealed) -> Receipt {
        if self.volume.vouched() > VOUCHED_MAX {
            self.orphaned.notify_one();
        }
        let identity = self.home.identity();
        Receipt {
            server: identity.server.clone(),
            incarnation: Incarnation(identity.incarnation),
            sweep: SweepNumber(sealed.sweep()),
        }
    }

    /// Starts a payload of `size` bytes, if there is room for it, if need be by emptying the trash.
    pub async fn stage(
        self: &Arc<Self>,
        size: u64,
    ) -> Result<Result<Staging, VolumeError>, CustodyError> {
        let stage = || async move {
            let volume = Arc::clone(&self.volume);
            match size <= HELD_MAX {
                true => Ok(volume.stage(size)), // asks for room, which the kernel knows, and no more
                false => blocking::run(&self.seams.blocking, move || volume.stage(size)).await,
            }
        };
        let staged = stage().await?;
        if !matches!(staged, Err(VolumeError::Full)) {
            return Ok(staged);
        }
        self.make_room(size).await?;
        Ok(stage().await?)
    }

    /// Vouches for a copy that is here, under this server's current sweep, whose number the volume
    /// may not have been told yet. `None`: it is not here. A bad one is condemned.
    pub async fn vouch(
        self: &Arc<Self>,
        digest: Digest,
        size: u64,
    ) -> Result<Result<Option<Sealed>, BlobError>, CustodyError> {
        let vouch = move |view: &View, custody: &Custody| {
            let sweep = view.sweep_number(&custody.home.identity().server)?;
            custody.volume.begin_sweep(sweep.0);
            Ok(custody.volume.vouch(&digest, size))
        };
        let vouched = self.ask(vouch).await?;
        if vouched.as_ref().is_err_and(BlobError::condemns) {
            self.condemn(digest);
        }
        Ok(vouched)
    }

    /// A reader found this copy bad, or not here though a record lists it: it is judged. Nobody
    /// waits for that: reading it whole may take a while.
    pub fn condemn(self: &Arc<Self>, digest: Digest) {
        let custody = Arc::clone(self);
        drop(blocking::start(&self.seams.blocking, move || {
            if let Err(error) = custody.judge(digest) {
                tracing::error!(blob = %digest, %error, "cannot judge a copy that is said to be bad");
            }
        }));
    }

    /// Reads a copy whole and says what it is, with all that follows from it: a bad one goes into
    /// quarantine, and the catalogue hears of it. Blocks.
    pub fn judge(&self, digest: Digest) -> io::Result<Verdict> {
        let verdict = self.volume.condemn(&digest)?;
        match verdict {
            Verdict::Unreadable => {} // in a suspect volume the scrub judges
            verdict => self.conclude(digest, verdict),
        }
        Ok(verdict)
    }

    /// A pass over everything found a copy that can't be read among most that can. Blocks.
    pub fn set_aside(&self, digest: Digest) -> io::Result<Verdict> {
        let verdict = self.volume.set_aside(&digest)?;
        self.conclude(digest, verdict);
        Ok(verdict)
    }

    /// A copy was read whole (by the scrub, by the healer) up to `at` and was bad there: what it is,
    /// with all that follows from it. Blocks.
    pub fn condemn_at(&self, digest: Digest, at: u64) -> io::Result<Verdict> {
        let verdict = self.volume.condemn_at(&digest, at)?;
        self.conclude(digest, verdict);
        Ok(verdict)
    }

    fn conclude(&self, digest: Digest, verdict: Verdict) {
        match verdict {
            Verdict::Good => {}
            Verdict::Bad | Verdict::Unreadable => self.lost(digest, Loss::Bad),
            Verdict::Absent => self.lost(digest, Loss::Gone),
        }
    }

    /// This server's copy is bad, or not here: whoever runs `repair::lost` tells the catalogue, as
    /// often as it takes, if any record counts it. Where it is said of a copy that is good after all,
    /// that copy does not count until the healer has read it.
    pub fn lost(&self, digest: Digest, loss: Loss) {
        self.losses().add(digest, loss);
        self.lost_any.notify_one();
    }

    /// How this server's copy was lost, if it was and there is none again, as far as is remembered.
    pub fn loss(&self, digest: &Digest) -> Option<Loss> {
        self.losses().of(digest)
    }

    /// There is a copy again, or none is wanted here any more.
    pub fn forget_loss(&self, digest: &Digest) {
        self.losses().forget(digest);
    }

    fn orphans(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the catalogue of one copy that was lost. `None`: there was none to tell of.
    pub async fn tell_lost(self: &Arc<Self>) -> Option<Result<Digest, CustodyError>> {
        let digest = self.losses().take()?;
        let told = self.tell_lost_copy(digest).await;
        if told.is_err() {
            self.losses().put_back(digest);
        }
        Some(told.map(|()| digest))
    }

    async fn tell_lost_copy(self: &Arc<Self>, digest: Digest) -> Result<(), CustodyError> {
        let identity = self.home.identity();
        let (server, incarnation) = (identity.server.clone(), Incarnation(identity.incarnation));
        // A receipt that was given for it may not be listed yet: from the next sweep on it is good
        // for nothing, and who holds it asks again.
        if self.volume.has_vouched(&digest) {
            self.sweep().await?;
        }
        let (view, asked) = (self.latest().await?, server.clone());
        let counts = move || view.counts_blob(&digest, (&asked, incarnation));
        if blocking::run(&self.seams.blocking, counts).await?? {
            tracing::warn!(blob = %digest, "this server's copy is lost; another is made");
            self.tell_all_records((server, incarnation), digest).await?;
        }
        Ok(())
    }

    async fn tell_all_records(
        &self,
        (server, incarnation): (ServerName, Incarnation),
        digest: Digest,
    ) -> Result<(), CustodyError> {
        let mut after = None;
        loop {
            let (server, most) = (server.clone(), LOST_PAGE);
            let lost = Command::Lost(Lost { server, incarnation, digest, after, most });
            match self.catalogue.propose(lost).await?.outcome {
                Outcome::NotedUpTo { namespace, name } => after = Some((namespace, name)),
                _ => return Ok(()),
            }
        }
    }

    /// Seconds of this server's running time: what things expire by.
    pub fn now(&self) -> u64 {
        self.home.running(&*self.seams.clock)
    }

    /// A record stopped listing this blob, or never came to: the sweeper shall look.
    pub fn let_go(&self, digest: Digest) {
        self.orphans().insert(digest);
        self.orphaned.notify_one();
    }

    /// Whether a sweep has anything to do.
    pub fn wants_sweep(&self) -> bool {
        !self.orphans().is_empty() || self.volume.vouched() > VOUCHED_MAX
    }

    /// Sweeps what was let go. Returns how many copies went into the trash.
    pub async fn sweep(self: &Arc<Self>) -> Result<usize, CustodyError> {
        // Held by the job that trashes, so that it ends before the next sweep begins even where
        // nobody waits for it any more.
        let one = Arc::clone(&self.sweeping).lock_owned().await;
        let orphans = Orphans::take(self);
        // The number is what all of the catalogue's order says: one that a restart knows of no more
        // may have been given receipts under.
        let (view, server) = (self.latest().await?, self.home.identity().server.clone());
        let asked = server.clone();
        let current = blocking::run(&self.seams.blocking, move || view.sweep_number(&asked));
        let number = SweepNumber(current.await??.0 + 1);
        let sweep = Command::Sweep(Sweep { server: server.clone(), number });
        let Outcome::Swept = self.catalogue.propose(sweep).await?.outcome else {
            return Err(CustodyError::Refused);
        };
        self.volume.begin_sweep(number.0);
        let expires = self.now() + self.trash.as_secs();
        // Every look comes after the sweep in the catalogue's order.
        let view = self.latest().await?;
        let trash = move || {
            let trashed = orphans.trash(&view, &server, expires);
            drop(one);
            trashed
        };
        Ok(blocking::run(&self.seams.blocking, trash).await?)
    }

    /// Removes from the trash what is past its time, or, where the reserve is touched, as much as
    /// frees it, oldest first, each after a fresh look.
    pub async fn empty_trash(self: &Arc<Self>) -> Result<(), CustodyError> {
        self.empty_while(|room| room == 0).await
    }

    /// Tries to have room for a payload of `size` bytes, if need be by emptying the trash; not at
    /// all where that would not be enough.
    pub async fn make_room(self: &Arc<Self>, size: u64) -> Result<bool, CustodyError> {
        let needed = layout::file_size(size);
        let mut room = self.room().await?;
        if room >= needed {
            return Ok(true);
        }
        if self.wants_sweep() {
            self.sweep().await?;
        }
        self.reclaim(Reclaim::IfAny).await?;
        room = self.room().await?;
        let freed = self.volume.trashed().iter().map(|(_, copy)| copy.bytes).sum();
        if room.saturating_add(freed) < needed {
            return Ok(false);
        }
        self.empty_while(move |room| room < needed).await?;
        Ok(self.room().await? >= needed)
    }

    /// Gives back room in packs that nobody needs any more.
    pub async fn reclaim(self: &Arc<Self>, reclaim: Reclaim) -> Result<(), CustodyError> {
        let volume = Arc::clone(&self.volume);
        let reclaimed =
            blocking::run(&self.seams.blocking, move || volume.reclaim(reclaim)).await?;
        if let Err(error) = reclaimed {
            tracing::warn!(%error, "cannot give back room in packs");
        }
        Ok(())
    }

    async fn empty_while(
        self: &Arc<Self>,
        needed: impl Fn(u64) -> bool + Send + Sync + 'static,
    ) -> Result<(), CustodyError> {
        for (digest, copy) in self.volume.trashed() {
            if copy.expires > self.now() && !needed(self.room().await?) {
                break; // the oldest first: the others are younger
            }
            let view = self.latest().await?;
            let custody = Arc::clone(self);
            let empty = move || {
                let server = &custody.home.identity().server;
                let listed = || view.lists_blob(&digest, server).map_err(CustodyError::from);
                custody.volume.empty(&digest, listed)
            };
            if let Err(error) = blocking::run(&self.seams.blocking, empty).await? {
                tracing::error!(blob = %digest, %error, "cannot empty a copy out of the trash");
            }
        }
        Ok(())
    }

    async fn room(self: &Arc<Self>) -> Result<u64, CustodyError> {
        let volume = Arc::clone(&self.volume);
        Ok(blocking::run(&self.seams.blocking, move || volume.room()).await??)
    }

    /// A view that shows every change made before it was asked for. No copy goes by any other: a
    /// server that reaches no majority lets go of nothing.
    async fn latest(&self) -> Result<View, CustodyError> {
        let view = self.catalogue.view().await?;
        match view.freshness() {
            Freshness::Linearizable => Ok(view),
            Freshness::Local => Err(ProposeError::NoQuorum.into()),
        }
    }

    /// Asks a fresh snapshot of the catalogue.
    pub async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&View, &Custody) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, CustodyError> {
        let view = self.catalogue.view().await?;
        let custody = Arc::clone(self);
        Ok(blocking::run(&self.seams.blocking, move || ask(&view, &custody)).await??)
    }
}

/// Blobs that a sweep has taken to look at. Where it does not come to that, also because nobody waits
/// for it any more, they are looked at by the next one.
struct Orphans {
    custody: Arc<Custody>,
    blobs: BTreeSet<Digest>,
}

impl Orphans {
    fn take(custody: &Arc<Custody>) -> Self {
        let blobs = std::mem::take(&mut *custody.orphans());
        Orphans { custody: Arc::clone(custody), blobs }
    }

    /// Trashes those that no record lists, as this view has it. How many that were.
    fn trash(mut self, view: &View, server: &ServerName, expires: u64) -> usize {
        let mut trashed = 0;
        for digest in std::mem::take(&mut self.blobs) {
            let listed = || view.lists_blob(&digest, server).map_err(CustodyError::from);
            match self.custody.volume.trash(&digest, expires, listed) {
                Ok(true) => {
                    tracing::info!(blob = %digest, "no record lists this copy: into the trash");
                    trashed += 1;
                }
                Ok(false) => {}
                // This one stays; the next look at the whole volume comes to it again.
                Err(error) => tracing::error!(blob = %digest, %error, "cannot sweep a copy"),
            }
        }
        trashed
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        self.custody.orphans().append(&mut self.blobs);
    }
}
