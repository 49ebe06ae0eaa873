//! One file's bytes: as they are read, as they would be after a power cut, and the changes between.

use std::io;
use std::sync::Arc;

use nix::errno::Errno;

use super::crash::Fate;

/// A disk writes this many bytes whole or not at all; every larger write can tear.
pub(super) const SECTOR: usize = 512;

/// One file's bytes, twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    live: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    /// What makes `durable` into `live`, oldest first, unless a sync failed.
    unsynced: Vec<Change>,
    /// Room is set aside up to here, beyond the size.
    reserved: usize,
    /// Something of it was lost, and nobody was told yet.
    lost: bool,
}

/// A change that is not durable yet.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Contents {
    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    /// The room that it takes: holes count as if they were written.
    pub(super) fn allocated(&self) -> usize {
        self.live.len().max(self.reserved)
    }

    pub(super) fn reserve(&mut self, end: usize) {
        self.reserved = self.reserved.max(end);
    }

    pub(super) fn change(&mut self, change: Change) {
        if let Change::Resize(size) = change {
            self.reserved = self.reserved.min(size);
        }
        change.apply(Arc::make_mut(&mut self.live));
        self.unsynced.push(change);
    }

    /// Syncs this file. What a failed sync of everything has lost of it, it tells, once.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.lost) {
            return Err(Errno::EIO.into());
        }
        self.write_back();
        Ok(())
    }

    pub(super) fn write_back(&mut self) {
        if !self.unsynced.is_empty() {
            let durable = Arc::make_mut(&mut self.durable);
            self.unsynced.drain(..).for_each(|change| change.apply(durable));
        }
    }

    /// A sync failed: as on Linux, what it should have written can still be read, counts as clean,
    /// and no later sync ever writes it.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    /// A sync of everything failed: the same, and this file's own sync will tell.
    pub(super) fn lose(&mut self) {
        self.lost |= !self.unsynced.is_empty();
        self.fail_sync();
    }

    /// Flips a bit wherever this byte is kept. Returns whether the file has such a byte.
    pub(super) fn flip(&mut self, offset: usize, mask: u8) -> bool {
        for change in &mut self.unsynced {
            if let Change::Write { offset: start, bytes } = change
                && let Some(byte) = offset.checked_sub(*start).and_then(|at| bytes.get_mut(at))
            {
                *byte ^= mask;
            }
        }
        if let Some(byte) = Arc::make_mut(&mut self.durable).get_mut(offset) {
            *byte ^= mask;
        }
        match Arc::make_mut(&mut self.live).get_mut(offset) {
            Some(byte) => {
                *byte ^= mask;
                true
            }
            None => false,
        }
    }

    /// What a power cut leaves: the durable bytes, and those sectors and sizes of the changes since
    /// that happened to reach the disk. A lost sector leaves what was there, or zeros.
    ///
    /// Applying the survivors in their order reaches every reordering too: of two writes to one
    /// place, "the older one came last" and "the newer one was lost" leave the same bytes.
    pub(super) fn after_crash(&self, fate: &mut Fate) -> Contents {
        let mut bytes = Arc::clone(&self.durable);
        fate.turn();
        for change in &self.unsynced {
            match change {
                Change::Resize(size) if fate.survives() => {
                    Arc::make_mut(&mut bytes).resize(*size, 0);
                }
                Change::Resize(_) => {}
                Change::Write { offset, bytes: written } => {
                    // The size can arrive without the bytes: delayed allocation shows zeros.
                    let end = offset + written.len();
                    if end > bytes.len() && fate.survives() {
                        Arc::make_mut(&mut bytes).resize(end, 0);
                    }
                    for (offset, sector) in sectors(*offset, written) {
                        if fate.survives() {
                            put(Arc::make_mut(&mut bytes), offset, sector);
                        }
                    }
                }
            }
        }
        Contents { live: Arc::clone(&bytes), durable: bytes, ..Contents::default() }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => put(to, *offset, bytes),
            Change::Resize(size) => to.resize(*size, 0),
        }
    }
}

fn put(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[offset..end].copy_from_slice(bytes);
}

/// A write cut where the disk's sectors are.
fn sectors(mut offset: usize, mut bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    std::iter::from_fn(move || {
        let (sector, rest) = bytes.split_at(bytes.len().min(SECTOR - offset % SECTOR));
        let at = offset;
        offset += sector.len();
        bytes = rest;
        (!sector.is_empty()).then_some((at, sector))
    })
}
