//! One data folder, as the server sees it: files read and written at offsets, renamed, synced.
//!
//! Every path is relative to the folder, with no `..` and no symbolic link on the way. Nothing is
//! durable before [`DiskFile::sync`] (bytes and size) and [`Disk::sync_dir`] (names), or
//! [`Disk::sync_all`] (both), have returned;
//! a twin may lose everything else, whole or in pieces, when it "crashes".

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To read; it must exist and be a regular file.
    Read,
    /// To read and write; it must exist and be a regular file.
    Write,
    /// To read and write; it must not exist (mode 0600).
    CreateNew,
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, FIFO, socket or device: never one of ours.
    Other,
}

/// A directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name within the directory.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

/// Room on the file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What this process may still write.
    pub free: u64,
    /// Its size.
    pub total: u64,
}

/// A data folder.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a regular file. Anything else at that path is an error, and never blocks.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file over whatever file is at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory (mode 0700); its parent must exist, it must not.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable. The empty path is the data folder itself.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes everything durable that was written on this file system before: bytes, sizes and names,
    /// also what others wrote, for which it may take a while. After an error nothing is known of any
    /// of it, and the next call does not tell it again.
    fn sync_all(&self) -> io::Result<()>;

    /// Whether [`Disk::sync_all`] tells of everything that could not be written since the last call.
    fn tells_all(&self) -> bool;

    /// What a directory holds, in no particular order.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// How much room there is.
    fn space(&self) -> io::Result<Space>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buf` from `offset` on; an end of file before that is `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `buf` at `offset`, growing the file as needed.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// From now on what is written here goes past the page cache, where this file system has a way;
    /// else `false`, and nothing has changed. Then the memory, the length and the offset of every
    /// read and write are multiples of 4,096. As before, nothing is durable before
    /// [`DiskFile::sync`]; who reads the file elsewhere finds what was written.
    fn bypass_cache(&self) -> bool;

    /// Cuts or grows it (with zeros).
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Reserves room for `len` bytes from `offset` on without changing the size, so that a full
    /// disk shows before the bytes are there. A file system that can't reserve says nothing.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes its bytes and size durable. After an error nothing is known of them, for ever: never
    /// sync it again and believe it.
    fn sync(&self) -> io::Result<()>;

    /// Closes it; on some file systems a late write error shows only here.
    fn close(self: Box<Self>) -> io::Result<()>;

    /// Takes the exclusive lock on it, held until it is closed; `false` where another has it.
    fn try_lock(&self) -> io::Result<bool>;
}

/// Whether an error says that this process is short of descriptors or memory, or was interrupted:
/// nothing is wrong with the disk or the file.
pub fn is_scarcity(error: &io::Error) -> bool {
    let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR];
    Errno::from_io_error(error).is_some_and(|errno| scarce.contains(&errno))
}

/// Whether an error says that the disk, or this user's share of it, is full. Everything else that
/// goes wrong in writing puts the disk itself in doubt.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
