//! Small payloads are durable before their files are: they are written one behind another into a
//! journal, all that wait with one sync (group commit), and their files are made beside it without
//! any. After a crash the journal makes the files again (`restore.rs`).
//!
//! A few files ([`SLOTS`]) are written in turn. One that is full is *retired* once each payload in
//! it has its file: a sync of the whole file system makes all of them durable, then it is written
//! over. It is never waited for: where all are full, or the journal can't be written, payloads are
//! synced by themselves.
//!
//! **A payload in a retired file is durable without it.** Retiring believes the file system, so there is a
//! journal only where [`Disk::tells_all`]; after a sync that failed, none is retired and none is
//! written any more until the next start has made the files again.

mod format;
mod restore;

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use depot_protocol::Digest;

use super::layout;
use super::shared_sync::SharedSync;
use crate::seams::disk::{self, Disk, DiskFile, OpenMode};
use crate::seams::{Blocking, Entropy, Seams};
use format::Mark;
pub(super) use restore::restore;

/// How many files it has: while some are retired, others are written.
const SLOTS: usize = 8;
/// A file that has no room for a batch grows by so much, in bytes.
const GROWS_BY: u64 = 1024 * 1024;

/// The journal of one volume.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    blocking: Arc<dyn Blocking>,
    entropy: Arc<dyn Entropy>,
    syncs: Arc<SharedSync>,
    /// A file of at least so many bytes is full.
    full: u64,
    state: Mutex<State>,
    /// No file is being retired any more.
    retired: Condvar,
}

struct State {
    /// Nothing more is written or retired.
    off: bool,
    slots: [Slot; SLOTS],
    /// The one that is written.
    active: Option<usize>,
    writing: bool,
    retiring: bool,
    /// What the next batch will be.
    waiting: Vec<(Digest, Vec<u8>)>,
    next: Arc<Batch>,
}

#[derive(Default)]
struct Slot {
    stage: Stage,
    file: Option<Arc<dyn DiskFile>>,
    /// What tells the records of this turn from older ones.
    mark: Mark,
    /// How much of it is written.
    end: u64,
    /// How many payloads in it, or on their way, have no file yet.
    unfiled: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It holds nothing that is needed.
    #[default]
    Free,
    Active,
    /// To be retired.
    Full,
    /// To be kept until the next start.
    Kept,
}

/// Payloads that are written together, and what became of them.
#[derive(Default)]
struct Batch {
    outcome: OnceLock<Outcome>,
    /// It is written, or one of those who wait for it is to write it.
    turn: Condvar,
}

#[derive(Clone, Copy)]
enum Outcome {
    /// They are durable, in this slot.
    Written(usize),
    /// There was no room for them.
    NoRoom,
    /// The disk failed.
    Failed(io::ErrorKind, Option<i32>),
}

enum Failed {
    /// What was written before is as durable as it was.
    Write(io::Error),
    /// Nothing that is written to this file later can be believed.
    Sync(io::Error),
}

/// A payload in the journal that has no file yet. Dropped, it has one, or needs none.
#[derive(Debug)]
pub(super) struct Unfiled {
    journal: Arc<Journal>,
    slot: usize,
}

impl Journal {
    /// The journal of a volume whose files are all there, of about `size` bytes; `None` where there
    /// is none to be. `kept`: the slots that [`restore`] could not empty.
    pub(super) fn start(
        disk: &Arc<dyn Disk>,
        seams: &Seams,
        syncs: &Arc<SharedSync>,
        size: u64,
        kept: &[usize],
    ) -> Option<Arc<Self>> {
        if size == 0 || !disk.tells_all() {
            return None;
        }
        let mut slots = <[Slot; SLOTS]>::default();
        kept.iter().for_each(|slot| slots[*slot].stage = Stage::Kept);
        let state = State {
            off: false,
            slots,
            active: None,
            writing: false,
            retiring: false,
            waiting: Vec::new(),
            next: Arc::default(),
        };
        Some(Arc::new(Journal {
            disk: Arc::clone(disk),
            blocking: Arc::clone(&seams.blocking),
            entropy: Arc::clone(&seams.entropy),
            syncs: Arc::clone(syncs),
            full: size / SLOTS as u64,
            state: Mutex::new(state),
            retired: Condvar::new(),
        }))
    }

    /// Makes payloads durable, together with all that wait. `None`: there is no room for them, and
    /// each is to be synced by itself.
    ///
    /// # Errors
    /// Nothing is known of them.
    pub(super) fn append(
        self: &Arc<Self>,
        payloads: Vec<(Digest, Vec<u8>)>,
    ) -> io::Result<Option<Vec<Unfiled>>> {
        let mut state = self.state();
        let count = payloads.len();
        state.waiting.extend(payloads);
        let batch = Arc::clone(&state.next);
        loop {
            match batch.outcome.get() {
                Some(Outcome::Written(slot)) => {
                    let unfiled = |_| Unfiled { journal: Arc::clone(self), slot: *slot };
                    return Ok(Some((0..count).map(unfiled).collect()));
                }
                Some(Outcome::NoRoom) => return Ok(None),
                Some(Outcome::Failed(_, Some(code))) => {
                    return Err(io::Error::from_raw_os_error(*code));
                }
                Some(Outcome::Failed(kind, None)) => return Err((*kind).into()),
                None if state.writing => {
                    state = batch.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                None => state = self.write_batch(state),
            }
        }
    }

    /// Retires what is written so far, in the background.
    pub(super) fn settle(self: &Arc<Self>) {
        let mut state = self.state();
        if state.active.is_some_and(|slot| state.slots[slot].end > 0) {
            state.leave_active();
        }
        self.retire_later(state);
    }

    /// Retires what is written so far; what could not be is restored by the next start.
    pub(super) fn close(self: &Arc<Self>) {
        self.settle();
        let mut state = self.state();
        while state.retiring && !state.off {
            state = self.retired.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes all that wait, as the only one who writes.
    fn write_batch<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let payloads = std::mem::take(&mut state.waiting);
        let mut turn = Turn { journal: self, batch: std::mem::take(&mut state.next), slot: None };
        if let Some(slot) = state.slot_with_room(|| self.entropy.bytes()) {
            turn.slot = Some((slot, payloads.len()));
            state.writing = true;
            state.slots[slot].unfiled += payloads.len();
            let Slot { file, end: at, mark, .. } = &state.slots[slot];
            let (file, at, bytes) = (file.clone(), *at, format::encode(*at == 0, mark, &payloads));
            drop(state);
            let length = bytes.len() as u64;
            let written = self.write(slot, file, at, bytes);
            state = self.state();
            let outcome = match written {
                Ok(file) => {
                    state.slots[slot].file = Some(file);
                    state.slots[slot].end += length;
                    if state.slots[slot].end >= self.full {
                        state.leave_active();
                    }
                    Outcome::Written(slot)
                }
                Err(Failed::Write(error)) if disk::is_full(&error) => Outcome::NoRoom,
                Err(Failed::Write(error) | Failed::Sync(error)) => {
                    tracing::error!(%error, "the journal of small payloads failed: it is not written until the next start");
                    state.off = true;
                    Outcome::Failed(error.kind(), error.raw_os_error())
                }
            };
            turn.batch.outcome.get_or_init(|| outcome);
        } else {
            turn.batch.outcome.get_or_init(|| Outcome::NoRoom);
        }
        drop(state);
        drop(turn);
        self.state()
    }

    fn write(
        &self,
        slot: usize,
        file: Option<Arc<dyn DiskFile>>,
        at: u64,
        mut bytes: Vec<u8>,
    ) -> Result<Arc<dyn DiskFile>, Failed> {
        let file = match file {
            Some(file) => file,
            None => Arc::from(self.open(slot).map_err(Failed::Write)?),
        };
        let ahead = at + bytes.len() as u64 > file.size().map_err(Failed::Write)?;
        if ahead {
            // With room for those that follow: a sync of a file that has grown costs more.
            let end = (at + bytes.len() as u64).next_multiple_of(GROWS_BY);
            bytes.resize((end - at) as usize, 0);
        }
        file.write_all_at(&bytes, at).map_err(Failed::Write)?;
        file.sync().map_err(Failed::Sync)?;
        Ok(file)
    }

    fn open(&self, slot: usize) -> io::Result<Box<dyn DiskFile>> {
        let file = match self.disk.open(&layout::journal_file(slot), OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.open(&layout::journal_file(slot), OpenMode::CreateNew)?
            }
            other => other?,
        };
        // Whoever made it may have failed right here.
        self.disk.sync_dir(&layout::journal())?;
        Ok(file)
    }

    /// Starts to retire what is to be retired, unless that is under way.
    fn retire_later(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.retiring || state.off || state.to_retire().is_empty() {
            return;
        }
        state.retiring = true;
        drop(state);
        let journal = Arc::clone(self);
        self.blocking.start(Box::new(move || journal.retire()));
    }

    fn retire(&self) {
        let mut state = self.state();
        loop {
            let slots = state.to_retire();
            if slots.is_empty() || state.off {
                break;
            }
            drop(state);
            let durable = self.syncs.all(|| self.disk.sync_all());
            let retired = slots.into_iter().map(|slot| (slot, durable && self.forget(slot)));
            let retired = retired.collect::<Vec<_>>();
            state = self.state();
            // Which files are whole is not known after a failed sync: the next start makes all again.
            state.off |= !durable;
            for (slot, done) in retired {
                let slot = &mut state.slots[slot];
                slot.stage = if done { Stage::Free } else { Stage::Kept };
            }
        }
        state.retiring = false;
        drop(state);
        self.retired.notify_all();
    }

    /// Nothing in this slot is needed any more.
    fn forget(&self, slot: usize) -> bool {
        let file = self.state().slots[slot].file.clone();
        let forgotten = file.map_or(Ok(()), |file| format::forget(&*file));
        forgotten
            .inspect_err(|error| tracing::warn!(%error, "cannot empty a part of the journal"))
            .is_ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        super::lock(&self.state)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl State {
    /// The slot that the next batch goes into.
    fn slot_with_room(&mut self, mark: impl FnOnce() -> Mark) -> Option<usize> {
        if self.off {
            return None;
        }
        if self.active.is_none() {
            let free = self.slots.iter().position(|slot| slot.stage == Stage::Free)?;
            let slot = &mut self.slots[free];
            (slot.stage, slot.mark, slot.end) = (Stage::Active, mark(), 0);
            self.active = Some(free);
        }
        self.active
    }

    /// From now on another slot is written.
    fn leave_active(&mut self) {
        if let Some(slot) = self.active.take() {
            self.slots[slot].stage = Stage::Full;
        }
    }

    fn to_retire(&self) -> Vec<usize> {
        let ready = |slot: &Slot| slot.stage == Stage::Full && slot.unfiled == 0;
        (0..SLOTS).filter(|slot| ready(&self.slots[*slot])).collect()
    }
}

/// The right to write, given back whatever becomes of it.
struct Turn<'j> {
    journal: &'j Journal,
    batch: Arc<Batch>,
    /// Where it writes, and how many payloads.
    slot: Option<(usize, usize)>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.journal.state();
        let outcome =
            self.batch.outcome.get_or_init(|| Outcome::Failed(io::ErrorKind::Other, None));
        if let (Some((slot, payloads)), false) = (self.slot, matches!(outcome, Outcome::Written(_)))
        {
            state.slots[slot].unfiled -= payloads;
        }
        state.writing &= self.slot.is_none();
        self.batch.turn.notify_all();
        state.next.turn.notify_one();
    }
}

impl Drop for Unfiled {
    fn drop(&mut self) {
        let mut state = self.journal.state();
        state.slots[self.slot].unfiled -= 1;
        self.journal.retire_later(state);
    }
}
