//! A look at a catalogue's file that does not change it: redb opens, checks and even mends a copy
//! that exists only as the blocks in memory that differ from the file.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::seams::DiskFile;

const BLOCK: usize = 4096;

/// The file below, and what was written above it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: Box<dyn DiskFile>,
    above: Mutex<Above>,
}

#[derive(Debug)]
struct Above {
    len: u64,
    /// Up to where the file shows through; beyond, what was not written is zeros.
    shows: u64,
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl Overlay {
    /// A copy of `file` as it is now.
    pub(super) fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let len = file.size()?;
        let above = Mutex::new(Above { len, shows: len, blocks: BTreeMap::new() });
        Ok(Overlay { file, above })
    }

    fn above(&self) -> MutexGuard<'_, Above> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file's bytes of one block, zeros where it does not show.
    fn below(&self, shows: u64, index: u64) -> io::Result<Box<[u8; BLOCK]>> {
        let mut block = Box::new([0; BLOCK]);
        let start = index * BLOCK as u64;
        let len = usize::try_from(shows.saturating_sub(start)).unwrap_or(BLOCK).min(BLOCK);
        self.file.read_exact_at(&mut block[..len], start)?;
        Ok(block)
    }
}

/// The pieces of `len` bytes from `offset` on, by blocks: (block, place within it, length).
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        let (index, within) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
        let piece = (BLOCK - within).min(usize::try_from(end - at).unwrap_or(BLOCK));
        at += piece as u64;
        (piece > 0).then_some((index, within, piece))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.above().len)
    }

    fn read(&self, offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let above = self.above();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > above.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (index, within, len) in pieces(offset, out.len()) {
            let (piece, rest) = out.split_at_mut(len);
            match above.blocks.get(&index) {
                Some(block) => piece.copy_from_slice(&block[within..within + len]),
                None => {
                    let block = self.below(above.shows, index)?;
                    piece.copy_from_slice(&block[within..within + len]);
                }
            }
            out = rest;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut above = self.above();
        if len < above.len {
            above.shows = above.shows.min(len);
            drop(above.blocks.split_off(&len.div_ceil(BLOCK as u64)));
            // What is cut off a block in the middle must be zeros when the file grows again.
            let within = (len % BLOCK as u64) as usize;
            if let Some(block) = above.blocks.get_mut(&(len / BLOCK as u64)) {
                block[within..].fill(0);
            }
        }
        above.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut above = self.above();
        above.len = above.len.max(offset + data.len() as u64);
        for (index, within, len) in pieces(offset, data.len()) {
            let mut block = match above.blocks.remove(&index) {
                Some(block) => block,
                None => self.below(above.shows, index)?,
            };
            let (piece, rest) = data.split_at(len);
            block[within..within + len].copy_from_slice(piece);
            above.blocks.insert(index, block);
            data = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
