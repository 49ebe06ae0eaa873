//! A disk in memory that keeps apart what can be read from what would survive a power cut.
//!
//! [`DiskFile::sync`] makes a file's bytes and size durable, not its name; [`Disk::sync_dir`] makes
//! a directory's names durable: creations, renames and removals in it. A rename from one directory
//! into another needs both, and where only one of them was synced, the file can end up under two
//! names, or under none. What a power cut does to the rest is a [`CrashMode`]:
//!
//! ```
//! use std::path::Path;
//! use depot_server::seams::disk::{Disk, OpenMode};
//! use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk};
//!
//! let disk = MemoryDisk::new();
//! let file = disk.open(Path::new("a"), OpenMode::CreateNew)?;
//! file.write_all_at(b"hello", 0)?;
//! file.sync()?;
//! assert!(disk.crash(CrashMode::DropAll).paths().is_empty()); // the name was not synced
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! It can be told to fail ([`MemoryDisk::inject`]), to stop at a chosen operation as if the power
//! had gone ([`MemoryDisk::crash_at`]), to lie ([`MemoryDisk::lose_syncs`]) and to rot
//! ([`MemoryDisk::flip`]). It is deterministic: equal operations and equal seeds leave equal disks.
//!
//! Where it is harsher than most disks: names reach it in any order, also those of one rename into
//! another directory; a failed write leaves the first half of its sectors; what a failed sync should have
//! written is never written; holes take room.

mod contents;
mod crash;
mod image;
mod inspect;
mod names;
mod plan;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_server::seams::disk::{Disk, DiskFile, Entry, OpenMode, Space};
pub use nix::errno::Errno;

use contents::SECTOR;
pub use crash::CrashMode;
use image::{HandleId, Image, Inode};
pub use plan::{Fault, Op, Operation, When};
use plan::{Plan, Verdict};

/// The room on a disk that nothing else is said of.
const DEFAULT_CAPACITY: usize = 1 << 30;

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    image: Image,
    plan: Plan,
}

impl MemoryDisk {
    /// An empty disk of 1 GiB.
    pub fn new() -> Self {
        MemoryDisk::with_capacity(DEFAULT_CAPACITY)
    }

    /// An empty disk that holds `capacity` bytes of files; names take no room.
    pub fn with_capacity(capacity: usize) -> Self {
        MemoryDisk::of(Image::empty(capacity))
    }

    fn of(image: Image) -> Self {
        MemoryDisk { state: Arc::new(Mutex::new(State { image, plan: Plan::default() })) }
    }

    /// Cuts the power. From now on every operation here, and on files opened here, fails (EIO), so
    /// that a server still running can do no harm; the disk as it comes back is returned, with no
    /// faults planned. Call it again for another way in which the same cut can end.
    pub fn crash(&self, mode: CrashMode) -> MemoryDisk {
        let mut state = self.state();
        state.plan.frozen = true;
        MemoryDisk::of(state.image.after_crash(mode))
    }

    /// Kills the process: as [`MemoryDisk::crash`], except that nothing is lost. What was not
    /// synced can still be lost by a later crash.
    pub fn kill(&self) -> MemoryDisk {
        let mut state = self.state();
        state.plan.frozen = true;
        MemoryDisk::of(state.image.after_kill())
    }

    /// Another disk with the same content, as a backup of it would have. This one goes on.
    pub fn copy(&self) -> MemoryDisk {
        MemoryDisk::of(self.state().image.after_kill())
    }

    /// Plans an error.
    pub fn inject(&self, fault: Fault) {
        self.state().plan.add(fault);
    }

    /// The `nth` operation from now on, of any kind, fails with `error`, once.
    pub fn fail_at(&self, nth: u64, error: Errno) {
        self.inject(Fault::at(nth, error));
    }

    /// The disk is repaired: no more errors to come.
    pub fn clear_faults(&self) {
        self.state().plan.clear_faults();
    }

    /// How many operations have failed because of a [`Fault`].
    pub fn faults_fired(&self) -> u64 {
        self.state().plan.faults_fired
    }

    /// Freezes the disk at its `nth` operation from now on that can change it (1 is the next one):
    /// from then on every operation fails (EIO). [`MemoryDisk::crash`] and [`MemoryDisk::kill`] then
    /// give the disk as it was at that moment.
    pub fn crash_at(&self, nth: u64, when: When) {
        let mut state = self.state();
        state.plan.crash = Some((state.plan.mutations + nth, when));
    }

    /// Whether the power is gone: an answer that a server gives after that was never given.
    pub fn is_frozen(&self) -> bool {
        self.state().plan.frozen
    }

    /// A lying disk: syncs of files beneath `prefix` say that they went well and do nothing.
    pub fn lose_syncs(&self, prefix: impl Into<PathBuf>) {
        self.state().plan.lost_syncs.push(prefix.into());
    }

    /// A lying disk: syncs of the directory `prefix` and those beneath say that they went well and
    /// do nothing.
    pub fn lose_dir_syncs(&self, prefix: impl Into<PathBuf>) {
        self.state().plan.lost_dir_syncs.push(prefix.into());
    }

    /// Each sync takes so long, for tests with threads.
    pub fn slow_syncs(&self, takes: Duration) {
        self.state().plan.sync_takes = takes;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform<T>(
        &self,
        op: Op,
        path: &Path,
        act: impl FnOnce(&mut Image) -> io::Result<T>,
    ) -> io::Result<T> {
        self.perform_or(Operation::on(op, path), act, |_| {})
    }

    /// Performs an operation as the plan has it; `fail` is what a failure leaves behind.
    fn perform_or<T>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut Image) -> io::Result<T>,
        fail: impl FnOnce(&mut Image),
    ) -> io::Result<T> {
        let State { image, plan } = &mut *self.state();
        match plan.next(operation) {
            Verdict::Go => act(image),
            Verdict::Fail(error) => {
                fail(image);
                Err(error.into())
            }
            Verdict::FreezeAfter => {
                drop(act(image)); // whatever it says, nobody hears it
                Err(Errno::EIO.into())
            }
            Verdict::Frozen => Err(Errno::EIO.into()),
        }
    }

    fn perform_sync(
        &self,
        operation: Operation,
        sync: impl FnOnce(&mut Image) -> io::Result<()>,
        fail: impl FnOnce(&mut Image),
    ) -> io::Result<()> {
        let (lies, takes) = {
            let plan = &self.state().plan;
            (plan.lies(&operation), plan.sync_takes)
        };
        std::thread::sleep(takes / 2); // what is written meanwhile may be lost with the rest
        let done =
            self.perform_or(operation, |image| if lies { Ok(()) } else { sync(image) }, fail);
        std::thread::sleep(takes / 2); // what is written meanwhile is not synced
        done
    }
}

impl Default for MemoryDisk {
    fn default() -> Self {
        MemoryDisk::new()
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").field("frozen", &self.is_frozen()).finish_non_exhaustive()
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let (inode, handle) = match mode {
            OpenMode::Read | OpenMode::Write => {
                self.perform(Op::Open, path, |image| image.open(path))?
            }
            OpenMode::CreateNew => self.perform(Op::Create, path, |image| image.create(path))?,
        };
        let writable = mode != OpenMode::Read;
        let path = path.to_owned();
        let (disk, direct) = (self.clone(), AtomicBool::new(false));
        Ok(Box::new(MemoryFile { disk, inode, handle, path, writable, direct }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let operation = Operation { to: Some(to.to_owned()), ..Operation::on(Op::Rename, from) };
        self.perform_or(operation, |image| image.rename(from, to), |_| {})
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.perform(Op::Remove, path, |image| image.remove(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.perform(Op::CreateDir, path, |image| image.create_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.perform_sync(
            Operation::on(Op::SyncDir, path),
            |image| image.sync_dir(path),
            |image| image.fail_sync_dir(path),
        )
    }

    fn sync_all(&self) -> io::Result<()> {
        let operation = Operation::on(Op::SyncAll, Path::new(""));
        let sync = |image: &mut Image| {
            image.sync_all();
            Ok(())
        };
        self.perform_sync(operation, sync, Image::fail_sync_all)
    }

    fn tells_all(&self) -> bool {
        true
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.perform(Op::List, path, |image| image.list(path))
    }

    fn space(&self) -> io::Result<Space> {
        self.perform(Op::Space, Path::new(""), |image| Ok(image.space()))
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    inode: Inode,
    handle: HandleId,
    /// The path that it was opened by, for the log and the faults.
    path: PathBuf,
    writable: bool,
    /// It takes whole blocks only.
    direct: AtomicBool,
}

impl MemoryFile {
    fn perform<T>(&self, op: Op, act: impl FnOnce(&mut Image) -> io::Result<T>) -> io::Result<T> {
        self.disk.perform(op, &self.path, act)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(Errno::EBADF.into()) }
    }

    fn check_aligned(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let fits = buf.as_ptr().align_offset(4096) == 0
            && buf.len().is_multiple_of(4096)
            && offset.is_multiple_of(4096);
        let asked = self.direct.load(Ordering::Relaxed);
        if fits || !asked { Ok(()) } else { Err(Errno::EINVAL.into()) }
    }
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state();
        if state.plan.frozen {
            return Err(Errno::EIO.into());
        }
        Ok(state.image.bytes(self.inode).len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.check_aligned(buf, offset)?;
        self.perform(Op::Read, |image| {
            let bytes = image.bytes(self.inode);
            let start = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
            let got = &bytes[start..bytes.len().min(start.saturating_add(buf.len()))];
            buf[..got.len()].copy_from_slice(got);
            if got.len() < buf.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(())
        })
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        self.check_aligned(buf, offset)?;
        self.disk.perform_or(
            Operation::on(Op::Write, &self.path),
            |image| image.write(self.inode, buf, offset),
            |image| {
                // Half of it got through before the error, in whole sectors, where there was room.
                drop(image.write(self.inode, &buf[..whole_sectors(offset, buf.len() / 2)], offset));
            },
        )
    }

    fn bypass_cache(&self) -> bool {
        self.direct.store(true, Ordering::Relaxed);
        true
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.check_writable()?;
        self.perform(Op::SetSize, |image| image.set_size(self.inode, size))
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.perform(Op::Reserve, |image| image.reserve(self.inode, offset, len))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.perform_sync(
            Operation::on(Op::Sync, &self.path),
            |image| image.contents(self.inode).sync(),
            |image| image.contents(self.inode).fail_sync(),
        )
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        // The file itself is let go of in any case, when this is dropped.
        self.perform(Op::Close, |_| Ok(()))
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.perform(Op::Lock, |image| Ok(image.lock(self.inode, self.handle)))
    }
}

/// How many of `len` bytes from `offset` on fill their sectors to the end.
fn whole_sectors(offset: u64, len: usize) -> usize {
    let behind = (offset % SECTOR as u64) as usize;
    ((behind + len) / SECTOR * SECTOR).saturating_sub(behind)
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.disk.state().image.close(self.inode, self.handle);
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile").field("path", &self.path).finish_non_exhaustive()
    }
}
