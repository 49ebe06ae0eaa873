//! Small payloads, many in one file: they are written one behind another into a *pack*, all that wait
//! with one sync (group commit), and found again by an index.
//!
//! A record of a pack says whose payload it is and is never changed. A pack that is full is written no
//! more; when most of what is in it is not wanted any longer, the rest is copied into the one that is
//! written, and the pack goes (`reclaim.rs`). It is never waited for: where packs can't be written,
//! payloads get files of their own.
//!
//! **A payload is durable once its record is synced.** The index (`index.rs`) is made of what the packs
//! have: after a crash the records that are not in it yet are read again, and a damaged index is made
//! anew from all of them.
//!
//! What is forgotten here may come back by that. Nothing goes by it that is needed, and what nobody
//! needs the sweep finds again.

mod format;
mod index;
mod reclaim;
mod run;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use depot_protocol::Digest;

use super::blob::{Blob, BlobError};
use super::{layout, lock, own_files, report_unknown, write_file};
use crate::seams::disk::{self, Disk, DiskFile, OpenMode};
use crate::seams::{Blocking, Entropy, Seams};
use format::{Mark, RECORD, Scan, UNIT};
use index::Index;
pub use reclaim::Reclaim;
use run::Covered;

/// A file that has no room for a batch grows by so much, in bytes.
const GROWS_BY: u64 = 1024 * 1024;
/// So many entries of the index are in memory until they are written into a run.
const FLUSH_AT: usize = 32 * 1024;
/// With so many, as where runs can't be written, no more payloads are packed.
const RECENT_MAX: usize = 4 * FLUSH_AT;
/// So many packs, the last ones, may have records that no sync has reached.
const DOUBTED: usize = 4;
/// So many packs are kept open.
const OPEN_MAX: usize = 64;

/// Where a payload lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    pack: u32,
    /// Where its record begins, in units of 512 bytes.
    unit: u32,
    /// The payload's size in bytes.
    size: u32,
}

/// The packs of one volume.
pub(super) struct Packs {
    disk: Arc<dyn Disk>,
    blocking: Arc<dyn Blocking>,
    entropy: Arc<dyn Entropy>,
    /// A pack of at least so many bytes is full; 0: none is written.
    full: u64,
    index: Index,
    state: Mutex<State>,
    flushing: AtomicBool,
    /// Packs that are open to be read.
    open: Mutex<BTreeMap<u32, Arc<dyn DiskFile>>>,
    /// How many bytes were forgotten since it was last looked what can be reclaimed.
    forgotten: AtomicU64,
    reclaiming: Mutex<()>,
}

struct State {
    /// What was there at the start is not all in the index yet.
    starting: bool,
    /// Nothing more is written.
    off: bool,
    /// The number of the next pack.
    next: u32,
    /// The one that is written.
    active: Option<Active>,
    writing: bool,
    /// How much was written since the index was flushed.
    unflushed: u64,
    /// What the next batch will be.
    waiting: Vec<(Digest, Vec<u8>)>,
    batch: Arc<Batch>,
}

#[derive(Clone)]
struct Active {
    pack: u32,
    file: Arc<dyn DiskFile>,
    mark: Mark,
    end: u64,
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
    Written,
    /// There was no room for them.
    NoRoom,
    /// The disk failed.
    Failed(io::ErrorKind, Option<i32>),
}

impl Packs {
    /// Opens the packs of a volume, and reads again what the index does not have. From now on each is
    /// of about `full` bytes.
    ///
    /// # Errors
    /// They can't be read, or a newer program wrote one.
    pub(super) fn open(disk: &Arc<dyn Disk>, seams: &Seams, full: u64) -> io::Result<Arc<Self>> {
        let index = Index::open(disk)?;
        let numbers = numbers(&**disk)?;
        let next = numbers.last().map_or(0, |last| *last).max(index.covered().pack) + 1;
        let state = State {
            starting: true,
            off: false,
            next,
            active: None,
            writing: false,
            unflushed: 0,
            waiting: Vec::new(),
            batch: Arc::default(),
        };
        let packs = Arc::new(Packs {
            disk: Arc::clone(disk),
            blocking: Arc::clone(&seams.blocking),
            entropy: Arc::clone(&seams.entropy),
            full,
            index,
            state: Mutex::new(state),
            flushing: AtomicBool::new(false),
            open: Mutex::default(),
            forgotten: AtomicU64::new(full),
            reclaiming: Mutex::default(),
        });
        packs.read_again(&numbers)?;
        Ok(packs)
    }

    /// Has all records in the index that are behind what it covers. The last ones may be in the page cache
    /// alone, whatever a sync says now: of a killed process, or of one whose sync had failed. So they are
    /// written anew, and cut off where they were; until all are, the index covers none of them.
    fn read_again(self: &Arc<Self>, numbers: &[u32]) -> io::Result<()> {
        let covered = self.index.covered();
        let behind = numbers.iter().copied().filter(|pack| *pack >= covered.pack);
        let from = |pack| if pack == covered.pack { covered.offset } else { 0 };
        let behind = behind.map(|pack| (pack, from(pack))).collect::<Vec<_>>();
        // All packs are behind an index that is made anew, and most of them are old.
        let doubted = if covered == Covered::default() { DOUBTED } else { behind.len() };
        let (sure, last) = behind.split_at(behind.len().saturating_sub(doubted));
        for (pack, from) in sure {
            self.read_into_index(*pack, *from)?;
        }
        let (mut count, mut left) = (0, Vec::new());
        for (pack, from) in last {
            match self.write_anew(*pack, *from)? {
                Some(anew) => {
                    left.push((*pack, *from));
                    count += anew;
                }
                None => {
                    tracing::warn!("there is no room to write the last small payloads anew");
                    self.disk.open(&layout::pack(*pack), OpenMode::Write)?.sync()?;
                    self.read_into_index(*pack, *from)?;
                }
            }
        }
        let all = {
            let mut state = self.state();
            state.starting = false;
            state.covers()
        };
        self.index.put([], all);
        if count > 0 || !sure.is_empty() {
            tracing::info!(count, "the last small payloads in packs were written anew");
            self.index.flush()?;
        }
        left.into_iter().try_for_each(|(pack, from)| self.cut(pack, from))
    }

    fn read_into_index(&self, pack: u32, from: u64) -> io::Result<()> {
        let file = self.file(pack)?;
        let mut scan = Scan::new(&*file, pack, from)?;
        while let Some((digest, place, _)) = scan.next()? {
            if self.index.put([(digest, place)], self.index.covered()) >= FLUSH_AT {
                self.index.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the records of a pack from an offset on anew; how many. `None`: there is no room.
    fn write_anew(self: &Arc<Self>, pack: u32, from: u64) -> io::Result<Option<usize>> {
        let file = self.disk.open(&layout::pack(pack), OpenMode::Read)?;
        let mut scan = Scan::new(&*file, pack, from)?;
        let mut count = 0;
        loop {
            let batch = scan.batch(|_, _| Ok(true))?;
            if batch.is_empty() {
                return Ok(Some(count));
            }
            count += batch.len();
            if !self.append_always(batch)? {
                return Ok(None);
            }
        }
    }

    /// Nothing is needed of a pack from an offset on.
    fn cut(&self, pack: u32, from: u64) -> io::Result<()> {
        let path = layout::pack(pack);
        if from <= layout::BLOCK {
            return self.disk.remove_file(&path);
        }
        let file = self.disk.open(&path, OpenMode::Write)?;
        if file.size()? > from {
            file.set_size(from)?;
        }
        file.close()
    }

    /// Makes payloads durable, together with all that wait: they are here when this returns `true`.
    /// `false`: there is no room for them.
    ///
    /// # Errors
    /// Nothing is known of them.
    pub(super) fn append(self: &Arc<Self>, payloads: Vec<(Digest, Vec<u8>)>) -> io::Result<bool> {
        if self.full == 0 { Ok(false) } else { self.append_always(payloads) }
    }

    /// The same, where packs are no longer wanted too.
    fn append_always(self: &Arc<Self>, payloads: Vec<(Digest, Vec<u8>)>) -> io::Result<bool> {
        let mut state = self.state();
        state.waiting.extend(payloads);
        let batch = Arc::clone(&state.batch);
        let outcome = loop {
            match batch.outcome.get() {
                Some(outcome) => break *outcome,
                None if state.writing => {
                    state = batch.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                None => state = self.write_batch(state),
            }
        };
        let flush = state.unflushed >= self.full || self.index.recent() >= FLUSH_AT;
        drop(state);
        match outcome {
            Outcome::Written => {
                if flush && !self.flushing.swap(true, Ordering::AcqRel) {
                    let packs = Arc::clone(self);
                    self.blocking.start(Box::new(move || packs.flush()));
                }
                Ok(true)
            }
            Outcome::NoRoom => Ok(false),
            Outcome::Failed(_, Some(code)) => Err(io::Error::from_raw_os_error(code)),
            Outcome::Failed(kind, None) => Err(kind.into()),
        }
    }

    /// Whether a payload is here.
    pub(super) fn has(&self, digest: &Digest) -> io::Result<bool> {
        Ok(self.index.get(digest)?.is_some())
    }

    /// A payload, read and held against its checksum. `None`: it is not here.
    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<Blob>, BlobError> {
        for _ in 0..2 {
            let place = self.index.get(digest).map_err(BlobError::Unreadable)?;
            let Some(place) = place else { return Ok(None) };
            let bytes = match self.read(&place) {
                // It was copied out of that pack a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(BlobError::Corrupt("its pack ends too early"));
                }
                other => other.map_err(BlobError::Unreadable)?,
            };
            let found = format::record(&bytes, None).filter(|(found, _)| found == digest);
            let Some((_, payload)) = found else {
                return Err(BlobError::Corrupt("its record in a pack is not as it was written"));
            };
            let range = RECORD..RECORD + payload.len();
            return Ok(Some(Blob::packed(*digest, Bytes::from(bytes).slice(range))));
        }
        // Of a volume that is not there nothing is said.
        let marker = self.disk.open(&layout::blobs().join("MARKER"), OpenMode::Read);
        marker.map_err(BlobError::Unreadable)?;
        Err(BlobError::Corrupt("its pack is not there"))
    }

    /// All payloads whose hash begins with this byte.
    pub(super) fn shard(&self, first: u8) -> io::Result<Vec<Digest>> {
        self.index.walk(first..=first).map(|entry| entry.map(|(digest, _)| digest)).collect()
    }

    /// A payload is no longer wanted here. Under the hash's lock.
    pub(super) fn forget(&self, digest: &Digest) -> io::Result<()> {
        if let Some(place) = self.index.get(digest)? {
            self.index.forget(digest);
            self.forgotten.fetch_add(format::length(place.size), Ordering::AcqRel);
        }
        Ok(())
    }

    /// Copies a bad payload's record to this place, as far as it can be read, and forgets it; whether
    /// it was here. Under the hash's lock.
    pub(super) fn set_aside(&self, digest: &Digest, to: &Path) -> io::Result<bool> {
        let Some(place) = self.index.get(digest)? else { return Ok(false) };
        let kept = self.read(&place).and_then(|bytes| write_file(&*self.disk, to, &bytes));
        if let Err(error) = kept {
            tracing::warn!(blob = %digest, %error, "nothing is kept of a bad copy");
        }
        self.forget(digest)?;
        Ok(true)
    }

    /// Makes the index durable, so that the next start has little to read again.
    pub(super) fn flush(&self) {
        self.state().unflushed = 0;
        if let Err(error) = self.index.flush() {
            tracing::warn!(%error, "cannot write the index of packs; it stays in memory");
        }
        self.flushing.store(false, Ordering::Release);
    }

    /// The same, and gives back the room that the last pack has ahead: the last call.
    pub(super) fn close(&self) {
        let active = self.state().active.take();
        if let Some(active) = active {
            self.trim(&active);
        }
        self.flush();
    }

    /// Writes all that wait, as the only one who writes.
    fn write_batch<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let payloads = std::mem::take(&mut state.waiting);
        let turn = Turn { packs: self, batch: std::mem::take(&mut state.batch) };
        state.writing = true;
        let full = state.off || self.index.recent() >= RECENT_MAX;
        let (active, next) = (state.active.clone(), state.next);
        drop(state);
        let outcome = match full {
            true => Outcome::NoRoom,
            false => self.write(active, next, &payloads),
        };
        turn.batch.outcome.get_or_init(|| outcome);
        drop(turn);
        self.state()
    }

    /// What is written here, reclaiming leaves alone: the active pack, or else the next one.
    fn write(&self, active: Option<Active>, next: u32, payloads: &[(Digest, Vec<u8>)]) -> Outcome {
        let written = active.map_or_else(|| self.begin(next), Ok).map_err(|error| (None, error));
        let written = written.and_then(|mut active| {
            let (bytes, places) = format::encode(active.pack, active.end, &active.mark, payloads);
            let length = bytes.len() as u64;
            match self.write_synced(&active, bytes) {
                Ok(()) => {
                    active.end += length;
                    Ok((active, places, length))
                }
                Err(error) => Err((Some(active), error)),
            }
        });
        match written {
            Ok((active, places, length)) => {
                let full = active.end >= self.full;
                let covered = match self.state().starting {
                    true => self.index.covered(),
                    false => Covered { pack: active.pack, offset: active.end },
                };
                self.index.put(places, covered);
                if full {
                    self.trim(&active);
                }
                let mut state = self.state();
                state.unflushed += length;
                state.next = active.pack + 1;
                state.active = (!full).then_some(active);
                Outcome::Written
            }
            // What was written before is as durable as it was.
            Err((active, Failed::Write(error))) if disk::is_full(&error) => {
                let mut state = self.state();
                // One that could not be begun is not tried again: nobody knows whether its name lasts.
                state.next = next + u32::from(active.is_none());
                state.active = active;
                Outcome::NoRoom
            }
            Err((_, Failed::Write(error) | Failed::Sync(error))) => {
                tracing::error!(%error, "a pack failed: none is written until the next start");
                self.state().off = true;
                Outcome::Failed(error.kind(), error.raw_os_error())
            }
        }
    }

    fn begin(&self, pack: u32) -> Result<Active, Failed> {
        let file = self.disk.open(&layout::pack(pack), OpenMode::CreateNew);
        let file: Arc<dyn DiskFile> = Arc::from(file.map_err(Failed::Write)?);
        self.disk.sync_dir(&layout::packs()).map_err(Failed::Write)?;
        Ok(Active { pack, file, mark: self.entropy.bytes(), end: 0 })
    }

    fn write_synced(&self, active: &Active, mut bytes: Vec<u8>) -> Result<(), Failed> {
        let Active { file, end: at, .. } = active;
        let end = at + bytes.len() as u64;
        if end > file.size().map_err(Failed::Write)? {
            // With room for those that follow: a sync of a file that has grown costs more.
            let step = GROWS_BY.min(self.full).max(layout::BLOCK).next_multiple_of(layout::BLOCK);
            let ahead = end.next_multiple_of(step);
            bytes.resize((ahead - at) as usize, 0);
        }
        file.write_all_at(&bytes, *at).map_err(Failed::Write)?;
        file.sync().map_err(Failed::Sync)
    }

    /// Gives back the room that a pack has ahead: zeros, whatever becomes of that.
    fn trim(&self, active: &Active) {
        if let Err(error) = active.file.set_size(active.end) {
            tracing::warn!(%error, "cannot give back room of a pack");
        }
    }

    /// The record at a place, as it lies there.
    fn read(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; RECORD + place.size as usize];
        self.file(place.pack)?.read_exact_at(&mut bytes, place.offset())?;
        Ok(bytes)
    }

    /// A pack, open to be read.
    fn file(&self, pack: u32) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = lock(&self.open).get(&pack) {
            return Ok(Arc::clone(file));
        }
        let file: Arc<dyn DiskFile> =
            Arc::from(self.disk.open(&layout::pack(pack), OpenMode::Read)?);
        let mut open = lock(&self.open);
        open.insert(pack, Arc::clone(&file));
        if open.len() > OPEN_MAX {
            open.pop_first();
        }
        Ok(file)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// What an index covers that has everything.
    fn covers(&self) -> Covered {
        let next = Covered { pack: self.next, offset: 0 };
        let written = |active: &Active| Covered { pack: active.pack, offset: active.end };
        self.active.as_ref().map_or(next, written)
    }
}

impl fmt::Debug for Packs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packs").finish_non_exhaustive()
    }
}

impl Place {
    fn offset(&self) -> u64 {
        u64::from(self.unit) * UNIT
    }
}

enum Failed {
    /// What was written before is as durable as it was.
    Write(io::Error),
    /// Nothing that is written to this file later can be believed.
    Sync(io::Error),
}

/// The right to write, given back whatever becomes of it.
struct Turn<'p> {
    packs: &'p Packs,
    batch: Arc<Batch>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.packs.state();
        self.batch.outcome.get_or_init(|| Outcome::Failed(io::ErrorKind::Other, None));
        state.writing = false;
        self.batch.turn.notify_all();
        state.batch.turn.notify_one();
    }
}

/// Makes the folders of packs in a volume from before there were any: one with the journal that small
/// payloads were in then.
pub(super) fn from_before(disk: &dyn Disk) -> io::Result<()> {
    let journal = layout::volume().join("journal");
    let is_missing = |dir| match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        other => other.map(|_| false),
    };
    let packs = [layout::packs(), layout::index()];
    if is_missing(&journal)? || !is_missing(&packs[0])? || !is_missing(&packs[1])? {
        return Ok(());
    }
    for name in own_files(disk, &journal)? {
        let file = disk.open(&journal.join(name), OpenMode::Read)?;
        let mut header = vec![0; 64.min(file.size()? as usize)];
        file.read_exact_at(&mut header, 0)?;
        if header.iter().any(|byte| *byte != 0) {
            let left = "volume/journal has payloads that an earlier version of depot has left there: \
                        start that version once and stop it, then start this one";
            return Err(io::Error::new(io::ErrorKind::InvalidData, left));
        }
    }
    packs.iter().try_for_each(|dir| disk.create_dir(dir))?;
    disk.sync_dir(&layout::volume())
}

/// The numbers of all packs, the lowest first.
fn numbers(disk: &dyn Disk) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for name in own_files(disk, &layout::packs())? {
        match u32::from_str_radix(&name, 16) {
            Ok(number) if layout::pack(number) == layout::packs().join(&name) => {
                numbers.push(number);
            }
            _ => report_unknown(&layout::packs(), &name),
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
