//! One server's payloads on disk. The floors above speak of blobs, by hash and size, never of paths.
//!
//! A payload comes in through a [`Staging`] and becomes a [`Sealed`] blob: hash checked, made durable
//! together with its name. That is the only way in, and `staging.rs` the one file that owns its
//! order. It goes out through a [`Blob`], verified chunk by chunk before anybody sees a byte. It
//! goes away only through the trash (`trash.rs`), on the word of the catalogue.
//!
//! Everything here blocks: call it through the `Blocking` seam.
//!
//! **After a disk fault** (any error of a write, sync, close or rename but a full disk; many copies
//! that can't be read) the volume is *suspect*: it takes no more payloads until a scrub has read all of
//! it and found it good. A failed sync is never tried again: the kernel has dropped what it could not
//! write.

pub mod blob;
mod check;
pub mod layout;
mod packs;
pub mod parts;
mod shared_sync;
mod staged;
mod staging;
mod trash;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::Digest;
use tokio::sync::{Notify, Semaphore};

use crate::config::VolumeSettings;
use crate::seams::blocking::Gathered;
use crate::seams::disk::{self, Disk, Kind, OpenMode};
use crate::seams::{Blocking, Clock, Entropy, Seams};

pub use blob::{Blob, BlobError};
pub use check::{Check, MANY, Verdict};
use packs::Packs;
pub use packs::Reclaim;
pub use parts::{PartKey, Parts};
use shared_sync::SharedSync;
pub use staged::StagedReader;
use staging::together::{self, Step};
pub use staging::{Complete, HELD_MAX, Seal, Sealed, Staging};
use trash::Trash;
pub use trash::Trashed;

/// How many locks the hashes are spread over.
const LOCKS: usize = 64;

/// A payload could not be written.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The disk is full, or would be but for the reserve. The bytes written so far are kept or
    /// dropped as the caller says; what is stored is untouched.
    #[error("no room in the volume")]
    Full,
    /// The volume had a disk fault and takes nothing until a scrub has passed.
    #[error("the volume is read-only after a disk fault, until a scrub has passed")]
    Suspect,
    /// The disk failed now, and the volume has become suspect; or the process is short of
    /// descriptors or memory.
    #[error("the disk failed to {doing}")]
    Fault {
        /// What the volume was doing.
        doing: &'static str,
        /// What the disk said.
        source: io::Error,
    },
}

/// One server's payloads.
#[derive(Debug)]
pub struct Volume {
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    settings: VolumeSettings,
    /// How many disk faults there were; the volume is suspect while there are any.
    faults: AtomicU64,
    /// Wakes whoever scrubs a suspect volume.
    pub became_suspect: Notify,
    /// Held while a hash's name changes or is vouched for: sealing, vouching, trashing,
    /// quarantining. Never held over anything that waits for a client.
    locks: [Mutex<()>; LOCKS],
    given: Mutex<Given>,
    syncs: Arc<SharedSync>,
    packs: Arc<Packs>,
    small: Arc<Gathered<Step>>,
    blocking: Arc<dyn Blocking>,
    /// The right to memory of who writes past the page cache.
    direct: Arc<Semaphore>,
    parts: Mutex<Parts>,
    trash: Mutex<Trash>,
    /// When copies were set aside of late because the disk did not give them.
    unread: Mutex<VecDeque<Duration>>,
}

/// Which hashes this server has vouched for under its current sweep number: a blob in this set
/// may be about to be listed by a record, so no sweep touches it.
#[derive(Debug, Default)]
struct Given {
    sweep: u64,
    hashes: HashSet<Digest>,
}

impl Volume {
    /// Makes an empty volume in an empty data folder: every directory, synced into its parent.
    /// Doing it again over a half-made one finishes it.
    pub fn found(disk: &dyn Disk) -> io::Result<()> {
        let own = [
            layout::volume(),
            layout::staging(),
            layout::packs(),
            layout::index(),
            layout::blobs(),
            layout::quarantine(),
            layout::trash(),
        ];
        for dir in own.into_iter().chain((0..=u8::MAX).map(layout::shard)) {
            match disk.create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            disk.sync_dir(&dir)?;
        }
        for dir in [layout::blobs(), layout::volume(), "".into()] {
            disk.sync_dir(&dir)?;
        }
        Ok(())
    }

    /// Opens the volume of a data folder; [`Volume::begin_sweep`] then tells it its number. Staged
    /// payloads that no part's record names are what a crash left behind, and go; packed payloads that
    /// the index does not have yet are put into it; nothing else is touched.
    pub fn open(disk: Arc<dyn Disk>, seams: &Seams, settings: VolumeSettings) -> io::Result<Self> {
        let parts = Parts::load(&*disk)?;
        let trash = Trash::load(&*disk)?;
        packs::from_before(&*disk)?;
        check_folders(&*disk)?;
        let faults = match disk.open(&layout::suspect(), OpenMode::Read) {
            Ok(_) => 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let packs = Packs::open(&disk, seams, settings.pack)?;
        let volume = Volume {
            small: together::gather(&seams.blocking, &packs),
            blocking: Arc::clone(&seams.blocking),
            direct: staging::direct::memory(),
            packs,
            syncs: Arc::new(SharedSync::new(disk.tells_all())),
            disk,
            entropy: Arc::clone(&seams.entropy),
            clock: Arc::clone(&seams.clock),
            settings,
            faults: AtomicU64::new(faults),
            became_suspect: Notify::new(),
            locks: std::array::from_fn(|_| Mutex::new(())),
            given: Mutex::default(),
            parts: Mutex::new(parts),
            trash: Mutex::new(trash),
            unread: Mutex::default(),
        };
        if faults > 0 {
            tracing::warn!("the volume had a disk fault: read-only until a scrub has passed");
            volume.became_suspect.notify_one();
        }
        Ok(volume)
    }

    /// Whether all of its folders are there and can be read, and the marker that lies among them: if
    /// so, what is missing is missing, and not a mount that is gone.
    pub fn check_whole(&self) -> io::Result<()> {
        check_folders(&*self.disk)?;
        for shard in (0..=u8::MAX).map(layout::shard) {
            self.disk.list(&shard)?;
        }
        self.disk.open(&layout::blobs().join("MARKER"), OpenMode::Read).map(drop)
    }

    /// How many bytes may still be stored before the reserve is touched.
    pub fn room(&self) -> io::Result<u64> {
        let space = self.disk.space()?;
        let percent = u64::from(self.settings.reserve_percent);
        let reserve = self.settings.reserve.max(space.total / 100 * percent);
        Ok(space.free.saturating_sub(reserve))
    }

    /// Whether the volume takes payloads.
    pub fn check_writable(&self) -> Result<(), VolumeError> {
        if self.faults() > 0 { Err(VolumeError::Suspect) } else { Ok(()) }
    }

    /// How many disk faults there were that no scrub has passed since.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Acquire)
    }

    /// A scrub has read everything and found it good: payloads are taken again, unless there were
    /// more faults than the `faults` that it began with.
    pub fn absolve(&self, faults: u64) -> io::Result<bool> {
        if self.faults() != faults {
            return Ok(false);
        }
        match self.disk.remove_file(&layout::suspect()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        self.disk.sync_dir(&layout::volume())?;
        let swapped = self.faults.compare_exchange(faults, 0, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            self.note_suspect(); // one more fault came in between
        }
        Ok(swapped.is_ok())
    }

    /// Starts a payload of `size` bytes (a promise of the client, so far), if there is room for it.
    pub fn stage(self: &Arc<Self>, size: u64) -> Result<Staging, VolumeError> {
        self.check_writable()?;
        let room = self.room().map_err(|error| self.failed("ask for room", error))?;
        if room < layout::file_size(size) {
            return Err(VolumeError::Full);
        }
        Staging::create(Arc::clone(self), size)
    }

    /// Has the index of packed payloads made durable, so that the next start has little to read.
    pub fn settle(&self) {
        self.packs.flush();
    }

    /// The same: the last call before the server ends.
    pub fn close(&self) {
        self.packs.close();
    }

    /// Gives back room in packs that nobody needs any more.
    pub fn reclaim(&self, reclaim: Reclaim) -> io::Result<()> {
        self.packs.reclaim(reclaim).map(drop)
    }

    /// Opens a blob to read. `None`: it is not here. An error: it is here and damaged, or the
    /// disk can't tell; either way [`Volume::condemn`] it.
    ///
    /// A blob that lies in the trash is taken out of it again: a record that asks for it proves
    /// that it is wanted.
    pub fn open_blob(&self, digest: &Digest, size: u64) -> Result<Option<Blob>, BlobError> {
        match self.lying(digest, size)? {
            Some(blob) => Ok(Some(blob)),
            None if self.restore(digest).map_err(BlobError::Unreadable)? => {
                self.lying(digest, size)
            }
            None => Ok(None),
        }
    }

    /// The same for whoever would have it from another server too: what lies in the trash stays
    /// there.
    pub fn open_blob_outside_trash(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<Blob>, BlobError> {
        self.lying(digest, size)
    }

    /// Vouches for a blob that is here, sealed long ago: what a record needs to list this server
    /// as a holder without the bytes being sent again. One that lies in the trash is taken out.
    /// A suspect volume vouches for nothing: its names may not be on the disk.
    pub fn vouch(&self, digest: &Digest, size: u64) -> Result<Option<Sealed>, BlobError> {
        let suspect = |error| BlobError::Unreadable(io::Error::other(error));
        self.check_writable().map_err(suspect)?;
        let _lock = self.lock(digest);
        let mut blob = self.lying(digest, size)?;
        if blob.is_none() && self.restore_locked(digest).map_err(BlobError::Unreadable)? {
            blob = self.lying(digest, size)?;
        }
        let Some(blob) = blob else { return Ok(None) };
        if !blob.is_packed() {
            // It may lie here since a moment before a crash, its name never synced.
            let synced = self.disk.sync_dir(&layout::shard_of(digest));
            synced.map_err(|error| suspect(self.failed("sync a folder of blobs", error)))?;
        }
        // Another's failed sync of this folder may have taken the name with it.
        self.check_writable().map_err(suspect)?;
        Ok(Some(self.give(*digest, size)))
    }

    /// A sweep with this number stands in the catalogue: from here on blobs are vouched for
    /// under it. Told again, nothing is forgotten that was vouched for meanwhile.
    pub fn begin_sweep(&self, number: u64) {
        let mut given = lock(&self.given);
        if number > given.sweep {
            *given = Given { sweep: number, hashes: HashSet::new() };
        }
    }

    /// How many blobs were vouched for since the last sweep: what [`Volume::begin_sweep`] forgets.
    pub fn vouched(&self) -> usize {
        lock(&self.given).hashes.len()
    }

    /// Whether this blob was vouched for since the last sweep.
    pub fn has_vouched(&self, digest: &Digest) -> bool {
        lock(&self.given).hashes.contains(digest)
    }

    /// Every blob of one of the 256 shards; what else lies there is reported and left alone.
    pub fn shard(&self, first_byte: u8) -> io::Result<Vec<Digest>> {
        let dir = layout::shard(first_byte);
        let mut found: BTreeSet<_> = self.packs.shard(first_byte)?.into_iter().collect();
        for entry in self.disk.list(&dir)? {
            match entry.name.to_str().map(Digest::parse) {
                Some(Ok(digest)) if layout::blob(&digest) == dir.join(&entry.name) => {
                    found.insert(digest);
                }
                _ => report_unknown(&dir, &entry.name.to_string_lossy()),
            }
        }
        Ok(found.into_iter().collect())
    }

    /// A blob of this size, as it lies in a pack or in a file of its own.
    fn lying(&self, digest: &Digest, size: u64) -> Result<Option<Blob>, BlobError> {
        if size > HELD_MAX {
            return Blob::open(&*self.disk, *digest, size);
        }
        match self.packs.blob(digest)? {
            None => Blob::open(&*self.disk, *digest, size),
            Some(blob) if blob.size() == size => Ok(Some(blob)),
            Some(_) => Err(BlobError::Corrupt("it is longer or shorter than its record says")),
        }
    }

    /// A blob of whatever size it says it has.
    fn find(&self, digest: &Digest) -> Result<Option<Blob>, BlobError> {
        match self.packs.blob(digest)? {
            Some(blob) => Ok(Some(blob)),
            None => Blob::find(&*self.disk, *digest),
        }
    }

    /// Under the hash's lock.
    fn give(&self, digest: Digest, size: u64) -> Sealed {
        let mut given = lock(&self.given);
        given.hashes.insert(digest);
        Sealed::new(digest, size, given.sweep)
    }

    fn lock(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        let [.., last] = digest.as_bytes();
        lock(&self.locks[usize::from(*last) % LOCKS])
    }

    /// Turns what the disk said into what the caller must do, and remembers a fault.
    fn failed(&self, doing: &'static str, source: io::Error) -> VolumeError {
        if disk::is_full(&source) {
            return VolumeError::Full;
        }
        if disk::is_scarcity(&source) {
            return VolumeError::Fault { doing, source }; // not the disk's fault
        }
        if self.faults.fetch_add(1, Ordering::AcqRel) == 0 {
            tracing::error!(doing, error = %source, "disk fault: the volume is read-only from now on");
            self.note_suspect();
            self.became_suspect.notify_one();
        }
        VolumeError::Fault { doing, source }
    }

    /// Best effort, on a disk that has just failed: it makes the next start careful too.
    fn note_suspect(&self) {
        if let Err(error) = write_file(&*self.disk, &layout::suspect(), b"disk fault\n") {
            tracing::warn!(%error, "cannot note the disk fault on the disk");
        }
    }
}

/// The volume's folders are all there, as folders; what is not ours is reported and left alone.
/// Looks at two directories, whatever lies in the shards.
fn check_folders(disk: &dyn Disk) -> io::Result<()> {
    let own = [
        layout::staging(),
        layout::packs(),
        layout::index(),
        layout::blobs(),
        layout::quarantine(),
        layout::trash(),
    ];
    check_folder(disk, &layout::volume(), own.into_iter(), &["SUSPECT", "SUSPECT.new", "journal"])?;
    let shards = (0..=u8::MAX).map(layout::shard);
    check_folder(disk, &layout::blobs(), shards, &["MARKER", "MARKER.new"])
}

fn check_folder(
    disk: &dyn Disk,
    dir: &Path,
    own: impl Iterator<Item = PathBuf>,
    files: &[&str],
) -> io::Result<()> {
    let mut missing: BTreeSet<PathBuf> = own.collect();
    for entry in disk.list(dir)? {
        let ours = entry.kind == Kind::Directory && missing.remove(&dir.join(&entry.name));
        if !ours && !files.iter().any(|file| entry.name == *file) {
            report_unknown(dir, &entry.name.to_string_lossy());
        }
    }
    match missing.first() {
        None => Ok(()),
        Some(missing) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the folder {} is missing", missing.display()),
        )),
    }
}

/// A small file that is there whole and durable when this returns, or not there at all: written
/// beside its place under a name that is never read, synced, renamed, the directory synced.
pub fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let next = path.with_added_extension("new");
    match disk.remove_file(&next) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?, // a left-over of a crash
    }
    let file = disk.open(&next, OpenMode::CreateNew)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    file.close()?;
    disk.rename(&next, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new("")))
}

/// A small file's bytes; `None` where it does not exist. At most `limit` bytes are read.
pub fn read_file(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let size = file.size()?;
    if size > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than such a file ever is"));
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// The regular files of a directory of ours, by name; anything else is reported and left alone.
fn own_files(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in disk.list(dir)? {
        match entry.name.into_string() {
            Ok(name) if entry.kind == Kind::File => names.push(name),
            Ok(name) => report_unknown(dir, &name),
            Err(name) => report_unknown(dir, &name.to_string_lossy()),
        }
    }
    Ok(names)
}

fn report_unknown(dir: &Path, name: &str) {
    tracing::warn!(dir = %dir.display(), name = %name.escape_debug(), "unknown file, left alone");
}

/// A mutex whose data stays good when a holder panics: each of them is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
