//! Writing a large payload past the page cache, a run of blocks at a time (`O_DIRECT`, open(2)).
//!
//! The cache costs a large file a copy of every byte, the room that others' reads need, and a long
//! sync in the end; past it, a write that has returned is with the disk. Memory, length and place in
//! the file must be whole blocks, so the file's bytes are gathered here first.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::layout::BLOCK;
use crate::seams::disk::DiskFile;

/// So much goes to the disk in one write: a slow disk answers each, however small, late.
const RUN: usize = 1024 * 1024;
/// So many payloads of a volume are gathered at a time, 8 MiB in all; others go through the cache.
const AT_ONCE: usize = 8;

/// The right to memory, for all payloads of one volume.
pub(in crate::volume) fn memory() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_ONCE))
}

/// The end of a file of which the rest is written.
pub(super) struct Direct {
    /// One block more than a run: in it, a run is aligned.
    memory: Vec<u8>,
    /// Where that run begins.
    start: usize,
    /// How much is gathered in it.
    len: usize,
    /// How much of that is in the file: at most what begins a block.
    written: usize,
    /// Where it lies in the file.
    at: u64,
    _permit: OwnedSemaphorePermit,
}

impl Direct {
    /// Goes on at this place in a file, behind the bytes that begin its block. `None`: there is no
    /// memory free, or this file system has no way past its cache.
    pub(super) fn begin(
        file: &dyn DiskFile,
        at: u64,
        begun: &[u8],
        memory: &Arc<Semaphore>,
    ) -> Option<Self> {
        let _permit = Arc::clone(memory).try_acquire_owned().ok()?;
        if !file.bypass_cache() {
            return None;
        }
        let memory = vec![0; RUN + BLOCK as usize];
        let start = memory.as_ptr().align_offset(BLOCK as usize);
        let (len, written, at) = (begun.len(), begun.len(), at - begun.len() as u64);
        let mut direct = Direct { memory, start, len, written, at, _permit };
        direct.run()[..len].copy_from_slice(begun);
        Some(direct)
    }

    /// Up to where the file is written.
    pub(super) fn written(&self) -> u64 {
        self.at + self.written as u64
    }

    /// Takes what comes at this place, less than a block behind what came before; zeros go between.
    pub(super) fn write(&mut self, file: &dyn DiskFile, bytes: &[u8], at: u64) -> io::Result<()> {
        let gap = at - (self.at + self.len as u64);
        self.gather(file, &[0; BLOCK as usize][..gap as usize])?;
        self.gather(file, bytes)
    }

    fn gather(&mut self, file: &dyn DiskFile, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let len = self.len;
            let (now, later) = bytes.split_at(bytes.len().min(RUN - len));
            self.run()[len..len + now.len()].copy_from_slice(now);
            self.len += now.len();
            if self.len == RUN {
                self.flush(file)?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Writes what is gathered, the last block filled with zeros. It stays here to be written again
    /// with what comes behind it.
    pub(super) fn flush(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        if self.len == self.written {
            return Ok(());
        }
        let (len, at) = (self.len, self.at);
        let full = len - len % BLOCK as usize;
        let run = self.run();
        let blocks = len.next_multiple_of(BLOCK as usize);
        run[len..blocks].fill(0);
        file.write_all_at(&run[..blocks], at)?;
        run.copy_within(full..len, 0);
        (self.at, self.len, self.written) = (at + full as u64, len - full, len - full);
        Ok(())
    }

    fn run(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + RUN]
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Direct { len, written, at, .. } = self;
        let mut debug = f.debug_struct("Direct");
        debug.field("len", len).field("written", written).field("at", at).finish_non_exhaustive()
    }
}
