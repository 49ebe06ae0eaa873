//! redb's storage on a file of the [`Disk`](crate::seams::Disk) seam.
//!
//! The first write or sync that fails is the last: from then on every call fails, so that nothing
//! can be made durable on top of what is in doubt. (redb itself does the same for most calls, but
//! forgives a failed write of a page that it only meant to evict.) Locks are not offered: the data
//! folder has its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

use super::header::{self, HEADER_LEN};
use crate::seams::DiskFile;

/// Set when the file may be written no more, ever again. Shared by file and store.
#[derive(Debug, Clone, Default)]
pub(super) struct Fuse(Arc<AtomicBool>);

impl Fuse {
    pub(super) fn blow(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_blown(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One open catalogue file.
#[derive(Debug)]
pub(super) struct Backend {
    file: Box<dyn DiskFile>,
    fuse: Fuse,
}

impl Backend {
    pub(super) fn new(file: Box<dyn DiskFile>, fuse: Fuse) -> Self {
        Backend { file, fuse }
    }

    fn guarded<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.fuse.is_blown() {
            return Err(io::Error::other("an earlier fault of the catalogue's file was final"));
        }
        work().inspect_err(|_| self.fuse.blow())
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.guarded(|| self.file.size())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.guarded(|| self.file.read_exact_at(out, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.guarded(|| self.file.set_size(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.guarded(|| self.file.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.guarded(|| match offset {
            0 => self.file.write_all_at(&header::seal(whole_header(data)?), 0),
            _ => self.file.write_all_at(data, offset),
        })
    }
}

/// redb writes its header whole, and nothing else into its page. Were that to change, the seal
/// would have to change with it.
pub(super) fn whole_header(data: &[u8]) -> io::Result<&[u8; HEADER_LEN]> {
    data.try_into().map_err(|_| io::Error::other("redb's header is not as this program knows it"))
}
