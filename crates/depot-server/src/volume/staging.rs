//! A payload on its way in, and the one place that makes it durable. In this order, each step
//! after the one before has returned (RELIABILITY.md, 1.1):
//!
//! 1. create the staged file under a random name, and reserve room ahead of the bytes;
//! 2. write the bytes, hash them, check-sum each chunk (a small payload waits for 1 until it is whole;
//!    a large one goes past the page cache, `direct.rs`);
//! 3. compare size and hash, else unlink; write the last checksums and the footer;
//! 4. sync the file, close it;
//! 5. rename it to its hash, over whatever is there: this file is the one just verified;
//! 6. sync the directory. Only now is there a [`Sealed`].
//!
//! A small payload that is held in memory goes into a pack, synced, instead of 4, and needs no file
//! and no name (`packs.rs`). Others that are not large share the syncs of 4 and 6 with whoever waits
//! for one (`shared_sync.rs`).
//! Between 4 and 5 it is a [`Complete`]: a deposit waits there for its copies on other servers,
//! and goes back to being a part where there are too few.

pub(super) mod direct;
mod part;
pub(super) mod together;

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::Digest as Crc;
use depot_protocol::Digest;
use sha2::{Digest as _, Sha256};

use super::layout::{self, BLOCK, CHUNK, SEGMENT};
use super::parts::PartKey;
use super::shared_sync::SHARED_MAX;
use super::staged::{StagedReader, Written};
use super::{Volume, VolumeError, lock};
use crate::seams::blocking;
use crate::seams::disk::{DiskFile, OpenMode};
use direct::Direct;

/// A payload of at most so many bytes is kept in memory until it is whole: its file is made and
/// written in one go, then synced.
pub const HELD_MAX: u64 = 32 * 1024;
/// Fewer bytes than this are not worth waking another thread to hash them.
const APART_MIN: usize = 128 * 1024;
/// Room is reserved at most this far ahead of the bytes.
const RESERVE_AHEAD: u64 = 64 * 1024 * 1024;
/// And so far at first.
const RESERVE_FIRST: u64 = 1024 * 1024;

/// Proof that a payload lies in this volume: its hash was checked, its bytes, its size and its
/// name were synced, or all of them in a pack (or it was found here, sealed before). Nothing else
/// makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    digest: Digest,
    size: u64,
    sweep: u64,
}

impl Sealed {
    pub(super) fn new(digest: Digest, size: u64, sweep: u64) -> Self {
        Sealed { digest, size, sweep }
    }

    /// The payload's hash.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The payload's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The sweep number under which this server vouches for it.
    pub fn sweep(&self) -> u64 {
        self.sweep
    }
}

/// How [`Staging::seal`] ended.
#[derive(Debug)]
pub enum Seal {
    /// The payload is durable.
    Done(Sealed),
    /// The bytes don't have the announced hash, or are not as many as announced; they are gone.
    WrongHash,
}

/// A payload whose bytes are whole, right and synced, and that has no name yet, so nobody finds it.
/// Dropped, it ends as a [`Staging`] does.
#[derive(Debug)]
pub struct Complete {
    staging: Staging,
    digest: Digest,
}

/// A payload on its way in. Dropped, it goes back to its last checkpoint; without one, or where the
/// disk refused something, its file goes.
#[derive(Debug)]
pub struct Staging {
    volume: Arc<Volume>,
    /// The bytes of a small payload, as long as there is no file.
    held: Option<Vec<u8>>,
    file: Option<Box<dyn DiskFile>>,
    /// What of a large payload is gathered for the next write, and not in the file yet.
    direct: Option<Direct>,
    name: String,
    announced: u64,
    written: u64,
    /// How many of them are in the file, for who reads along.
    told: Written,
    reserved: u64,
    hash: Sha256,
    /// The checksum of the chunk being filled.
    chunk: Crc,
    /// Those of the chunks of the current segment that are full.
    checksums: Vec<u64>,
    /// The record that names this file as a part, so that dropping it keeps the file.
    recorded: Option<PartKey>,
    /// How many bytes that record vouches for.
    checkpointed: u64,
    /// It was written into a pack.
    packed: bool,
    /// The disk refused something: nothing of it is kept.
    spoiled: Cell<bool>,
}

impl Staging {
    pub(super) fn create(volume: Arc<Volume>, announced: u64) -> Result<Self, VolumeError> {
        let mut staging = Staging {
            volume,
            held: Some(Vec::new()),
            file: None,
            direct: None,
            name: String::new(),
            announced,
            written: 0,
            told: Written::default(),
            reserved: 0,
            hash: Sha256::new(),
            chunk: layout::chunk_crc(0),
            checksums: Vec::new(),
            recorded: None,
            checkpointed: 0,
            packed: false,
            spoiled: Cell::new(false),
        };
        if announced > HELD_MAX {
            staging.write_held()?;
        }
        Ok(staging)
    }

    /// How many payload bytes it has.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How many of them a reader finds in the file.
    pub fn readable(&self) -> u64 {
        match &self.direct {
            Some(direct) => layout::payload_position(direct.written()).min(self.written),
            None => self.written,
        }
    }

    /// How many have come since the last checkpoint.
    pub fn since_checkpoint(&self) -> u64 {
        self.written - self.checkpointed
    }

    /// The hash of the bytes so far.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }

    /// How many more make it whole.
    pub fn missing(&self) -> u64 {
        self.announced - self.written
    }

    /// Takes the next bytes of the payload. Never more than was announced.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), VolumeError> {
        self.hash.update(bytes);
        self.take(bytes)
    }

    /// The same for several pieces. Those of a large payload are hashed and written at the same time.
    pub fn append_all(&mut self, pieces: Vec<Bytes>) -> Result<(), VolumeError> {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if self.direct.is_none() || bytes < APART_MIN {
            return pieces.iter().try_for_each(|piece| self.append(piece));
        }
        let (mut hash, hashed) = (self.hash.clone(), pieces.clone());
        let hash = move || {
            hashed.iter().for_each(|piece| hash.update(piece));
            hash
        };
        let blocking = Arc::clone(&self.volume.blocking);
        let write = || pieces.iter().try_for_each(|piece| self.take(piece));
        let (hash, written) = blocking::both(&blocking, hash, write);
        self.hash = hash;
        written
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), VolumeError> {
        assert!(bytes.len() as u64 <= self.missing(), "the codec counts the payload");
        if let Some(held) = &mut self.held {
            held.extend_from_slice(bytes);
            self.add_checksums(bytes);
            self.written += bytes.len() as u64;
            return Ok(());
        }
        while !bytes.is_empty() {
            let room = SEGMENT - self.written % SEGMENT;
            let (now, later) = bytes.split_at(room.min(bytes.len() as u64) as usize);
            self.reserve(now.len() as u64)?;
            self.write(now, layout::payload_offset(self.written))?;
            self.add_checksums(now);
            self.written += now.len() as u64;
            if self.written.is_multiple_of(SEGMENT) {
                let at = layout::checksums_offset(self.written / SEGMENT - 1, self.written);
                let block = layout::encode_checksums(&std::mem::take(&mut self.checksums));
                self.write(&block, at)?;
            }
            bytes = later;
        }
        self.told.set(self.readable());
        Ok(())
    }

    /// Reads what is written so far while more comes, and stays good when the payload is sealed,
    /// kept or gone.
    pub fn reader(&mut self) -> Result<StagedReader, VolumeError> {
        self.write_held()?;
        let file = self.volume.disk.open(&self.path(), OpenMode::Read);
        let file = file.map_err(|error| self.failed("open a staged file to read", error))?;
        Ok(StagedReader::new(file, self.told.clone()))
    }

    /// Whether it is the payload with this hash, whole.
    pub fn is(&self, expected: &Digest) -> bool {
        self.written == self.announced && self.digest() == *expected
    }

    /// Whether all of it waits in memory, so far: a small payload, for which `seal_soon` and
    /// `complete_soon` need no thread of their own.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Steps 3 to 6: makes the payload durable if it is the announced one.
    pub fn seal(self, expected: &Digest) -> Result<Seal, VolumeError> {
        match self.complete(expected)? {
            Some(complete) => Ok(Seal::Done(complete.seal()?)),
            None => Ok(Seal::WrongHash),
        }
    }

    /// Steps 3 and 4, the sync of the file. `None`: it is not the payload with this hash, and gone.
    pub fn complete(self, expected: &Digest) -> Result<Option<Complete>, VolumeError> {
        let Some(staging) = self.checked(expected)? else { return Ok(None) };
        if staging.held.is_some() && staging.pack(expected)? {
            return Ok(Some(staging.packed(*expected)));
        }
        staging.synced(*expected).map(Some)
    }

    /// Step 3, the comparison.
    fn checked(mut self, expected: &Digest) -> Result<Option<Self>, VolumeError> {
        if !self.is(expected) {
            self.forget_record();
            return Ok(None);
        }
        self.volume.check_writable()?;
        Ok(Some(self))
    }

    /// Writes a payload that is held into a pack; whether there was room.
    fn pack(&self, digest: &Digest) -> Result<bool, VolumeError> {
        let payload = self.held.clone().unwrap_or_default();
        let packed = self.volume.packs.append(vec![(*digest, payload)]);
        packed.map_err(|error| self.unpacked(error))
    }

    /// A payload that a pack has.
    fn packed(mut self, digest: Digest) -> Complete {
        self.packed = true;
        Complete { staging: self, digest }
    }

    /// A payload that no pack has room for.
    fn synced(mut self, digest: Digest) -> Result<Complete, VolumeError> {
        self.write_tail(&digest)?;
        self.volume.check_writable()?;
        let synced = self.sync_shared(|| self.file().sync());
        synced.map_err(|error| self.failed("sync a payload", error))?;
        Ok(Complete { staging: self, digest })
    }

    fn unpacked(&self, error: io::Error) -> VolumeError {
        self.failed("write a payload into a pack", error)
    }

    fn add_checksums(&mut self, mut bytes: &[u8]) {
        let mut at = self.written;
        while !bytes.is_empty() {
            let room = (CHUNK - at % CHUNK) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.update(now);
            at += now.len() as u64;
            if at.is_multiple_of(CHUNK) {
                let full = std::mem::replace(&mut self.chunk, layout::chunk_crc(at / CHUNK));
                self.checksums.push(full.finalize());
            }
            bytes = later;
        }
    }

    /// The checksums of the current segment, that of a chunk only begun among them.
    fn all_checksums(&self) -> Vec<u64> {
        let mut sums = self.checksums.clone();
        if !self.written.is_multiple_of(CHUNK) {
            sums.push(self.chunk.clone().finalize());
        }
        sums
    }

    /// Makes the file, with what is held in memory.
    fn write_held(&mut self) -> Result<(), VolumeError> {
        match self.held.take() {
            Some(held) => self.make_file(&held),
            None => Ok(()),
        }
    }

    fn make_file(&mut self, bytes: &[u8]) -> Result<(), VolumeError> {
        let volume = &self.volume;
        let random = volume.entropy.bytes::<16>();
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{random}.data");
        let file = volume.disk.open(&layout::staging().join(&name), OpenMode::CreateNew);
        self.file = Some(file.map_err(|error| self.failed("create a staged file", error))?);
        self.name = name;
        self.pass_cache(&[]);
        if !bytes.is_empty() {
            self.write(bytes, 0)?;
        }
        self.told.set(self.readable());
        Ok(())
    }

    /// Has a large payload's bytes go past the page cache from here on; never those of one that
    /// shares its sync. These are the last ones of its file, which begin a block.
    fn pass_cache(&mut self, begun: &[u8]) {
        if self.announced > self.volume.settings.cached.max(SHARED_MAX) {
            let at = layout::payload_offset(self.written);
            self.direct = Direct::begin(self.file(), at, begun, &self.volume.direct);
        }
    }

    /// The last checksums and the footer, in one write, behind all of a payload that is held.
    fn write_tail(&mut self, digest: &Digest) -> Result<(), VolumeError> {
        if let Some(held) = self.held.take() {
            return self.make_file(&layout::small_blob(digest, held));
        }
        let mut tail = Vec::new();
        let mut at = layout::footer_offset(self.written);
        if !self.written.is_multiple_of(SEGMENT) {
            tail = layout::encode_checksums(&self.all_checksums());
            at -= BLOCK;
        }
        tail.extend_from_slice(&layout::encode_footer(digest, self.written));
        self.write(&tail, at)?;
        self.flush()?;
        self.direct = None;
        self.told.set(self.written);
        if self.recorded.is_none() {
            return Ok(());
        }
        // A resumed part may have had more in its file than its record knew.
        let size = layout::file_size(self.written);
        let longer =
            self.file().size().map_err(|error| self.failed("size a staged file", error))?;
        if longer > size {
            let cut = self.file().set_size(size);
            cut.map_err(|error| self.failed("cut a staged file", error))?;
        }
        Ok(())
    }

    fn reserve(&mut self, len: u64) -> Result<(), VolumeError> {
        // A small payload had room a moment ago, and a write that has none says so itself.
        if self.written + len <= self.reserved || self.announced <= CHUNK {
            return Ok(());
        }
        // As much again as has come, so that an announced size alone takes nothing.
        let ahead = self.written.clamp(RESERVE_FIRST, RESERVE_AHEAD).max(len);
        let ahead = ahead.min(self.announced - self.written);
        let room = self.volume.room().map_err(|error| self.failed("ask for room", error))?;
        if room < ahead {
            self.spoiled.set(true);
            return Err(VolumeError::Full);
        }
        let from = layout::payload_offset(self.written);
        let upto = match self.written + ahead {
            end if end == self.announced => layout::file_size(end),
            end => layout::payload_offset(end),
        };
        let reserved = self.file().reserve(from, upto - from);
        reserved.map_err(|error| self.failed("reserve room", error))?;
        self.reserved = self.written + ahead;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], at: u64) -> Result<(), VolumeError> {
        let written = match (&mut self.direct, &self.file) {
            (Some(direct), Some(file)) => direct.write(&**file, bytes, at),
            _ => self.file().write_all_at(bytes, at),
        };
        written.map_err(|error| self.failed("write a payload", error))
    }

    /// Writes what is gathered.
    fn flush(&mut self) -> Result<(), VolumeError> {
        let flushed = match (&mut self.direct, &self.file) {
            (Some(direct), Some(file)) => direct.flush(&**file),
            _ => Ok(()),
        };
        flushed.map_err(|error| self.failed("write a payload", error))
    }

    fn sync(&self) -> Result<(), VolumeError> {
        // Another upload's failed sync may have taken pages of ours with it.
        self.volume.check_writable()?;
        self.file().sync().map_err(|error| self.failed("sync a payload", error))
    }

    /// Returns when what was written is durable: by `own`, or together with what others wrote.
    fn sync_shared(&self, own: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self.announced > SHARED_MAX {
            true => own(),
            false => self.volume.syncs.sync(own, || self.volume.disk.sync_all()),
        }
    }

    fn close(&mut self) -> Result<(), VolumeError> {
        let closed = self.file.take().map_or(Ok(()), |file| file.close());
        closed.map_err(|error| self.failed("close a payload", error))
    }

    /// Sees to it that a packed payload is still here: no record lists it yet, so the sweep may have
    /// come by while it waited for its copies. Under the hash's lock.
    fn stay_packed(&self, digest: &Digest) -> Result<(), VolumeError> {
        let there = self.volume.packs.has(digest);
        let there = there.map_err(|error| self.failed("look for a packed payload", error))?;
        if there || self.pack(digest)? { Ok(()) } else { Err(VolumeError::Full) }
    }

    fn rename_to(&self, digest: &Digest) -> Result<(), VolumeError> {
        let (from, to) = (self.path(), layout::blob(digest));
        let renamed = match self.volume.disk.rename(&from, &to) {
            // Somebody put a folder where the blob belongs.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.volume.quarantine(digest).and_then(|()| self.volume.disk.rename(&from, &to))
            }
            other => other,
        };
        renamed.map_err(|error| self.failed("rename a payload into place", error))
    }

    fn failed(&self, doing: &'static str, error: io::Error) -> VolumeError {
        self.spoiled.set(true);
        self.volume.failed(doing, error)
    }

    fn forget_record(&mut self) {
        if let Some(key) = self.recorded.take() {
            lock(&self.volume.parts).forget(&*self.volume.disk, &key, &self.name);
        }
    }

    fn path(&self) -> PathBuf {
        layout::staging().join(&self.name)
    }

    fn file(&self) -> &dyn DiskFile {
        self.file.as_deref().expect("it is taken only by the calls that consume the staging")
    }
}

impl Complete {
    /// Steps 4, the close, to 6: it gets its name.
    pub fn seal(self) -> Result<Sealed, VolumeError> {
        let Complete { mut staging, digest } = self;
        let volume = Arc::clone(&staging.volume);
        staging.close()?;

        let _lock = volume.lock(&digest);
        if staging.packed {
            staging.stay_packed(&digest)?;
            staging.forget_record();
        } else {
            staging.rename_to(&digest)?;
            let synced = staging.sync_shared(|| volume.disk.sync_dir(&layout::shard_of(&digest)));
            // Not before: the name it had is its record's until the new one is durable.
            staging.forget_record();
            staging.name.clear();
            synced.map_err(|error| volume.failed("sync a folder of blobs", error))?;
        }
        // Another's failed sync of this folder may have taken our name with it.
        volume.check_writable()?;
        Ok(volume.give(digest, staging.written))
    }

    /// It shall have no name now: keeps it as a part, whole as it is, as [`Staging::keep`] does.
    pub fn keep(self, key: PartKey, expires: u64) -> Result<(), VolumeError> {
        self.staging.keep(key, expires)
    }

    /// The payload's hash.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it lies in a pack, so that to seal it is quickly done.
    pub fn is_quick(&self) -> bool {
        self.staging.packed
    }
}

/// Whichever way its upload ended: what has a checkpoint stays a part, all else leaves nothing.
impl Drop for Staging {
    fn drop(&mut self) {
        drop(self.file.take());
        if self.spoiled.get() {
            self.forget_record();
        }
        if let Some(key) = self.recorded {
            lock(&self.volume.parts).release(&key, &self.name);
        } else if !self.name.is_empty()
            && let Err(error) = self.volume.disk.remove_file(&self.path())
        {
            tracing::warn!(%error, "cannot remove a staged file; the next start will");
        }
    }
}
