//! What is deposited: files of any size, made as they are read and each different in every 4 KiB.
//!
//! A server that stored equal content once, or compressed it, would otherwise be measured at doing
//! nothing. Making a block costs next to nothing: noise that was drawn once, a stamp every 4 KiB.

use depot_protocol::Digest;
use sha2::{Digest as _, Sha256};

/// A file is made, sent and hashed in blocks of this size.
pub(crate) const BLOCK: usize = 1024 * 1024;

/// Every so many bytes stands a stamp that no other file has there.
const STAMP_EVERY: usize = 4096;

/// The length of a stamp: session, series, number, size and place in the file.
pub(crate) const STAMP: usize = 40;

/// The smallest file: one stamp.
pub(crate) const SMALLEST: u64 = STAMP as u64;

/// Which file: the stamp is made of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileKey {
    /// Another one for each start of this program, so that a kept server sees no file twice.
    pub(crate) session: u64,
    /// Which load, in which run, by which worker.
    pub(crate) series: u64,
    /// The worker's how manieth file of that series.
    pub(crate) number: u64,
    /// Its size.
    pub(crate) size: u64,
}

impl FileKey {
    /// What stands at `offset`, a multiple of 4 KiB.
    pub(crate) fn stamp(self, offset: u64) -> [u8; STAMP] {
        let mut stamp = [0; STAMP];
        let words = [self.session, self.series, self.number, self.size, offset];
        for (place, word) in stamp.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        stamp
    }
}

/// One worker's source of files: a block of noise that is stamped and handed out.
pub(crate) struct Content {
    block: Vec<u8>,
}

impl Content {
    /// A source for files of up to `size` bytes; it holds one block at most, whatever their size.
    pub(crate) fn new(size: u64, session: u64) -> Self {
        let length = usize::try_from(size).map_or(BLOCK, |size| size.min(BLOCK));
        let mut state = session;
        let mut block = Vec::with_capacity(length + 8);
        while block.len() < length {
            block.extend_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        block.truncate(length);
        Self { block }
    }

    /// The bytes of the file `key` from `offset`, a multiple of [`BLOCK`], to the end of that block or
    /// of the file.
    pub(crate) fn block(&mut self, key: FileKey, offset: u64) -> &[u8] {
        let left = key.size - offset;
        let length = usize::try_from(left).map_or(BLOCK, |left| left.min(self.block.len()));
        let block = &mut self.block[..length];
        for (index, page) in block.chunks_mut(STAMP_EVERY).enumerate() {
            let stamp = key.stamp(offset + (index * STAMP_EVERY) as u64);
            let length = page.len().min(STAMP);
            page[..length].copy_from_slice(&stamp[..length]);
        }
        block
    }
}

/// The next of a sequence of well mixed numbers (SplitMix64).
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A finished SHA-256 as the protocol has it.
pub(crate) fn digest(hash: Sha256) -> Digest {
    Digest::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(size: u64, number: u64) -> Vec<u8> {
        let key = FileKey { session: 7, series: 1, number, size };
        let mut content = Content::new(size, 7);
        let mut file = Vec::new();
        while (file.len() as u64) < size {
            file.extend_from_slice(content.block(key, file.len() as u64));
        }
        file
    }

    #[test]
    fn a_file_has_its_size_and_is_the_same_each_time() {
        let size = 2 * BLOCK as u64 + 4097;
        assert_eq!(whole(size, 3).len() as u64, size);
        assert_eq!(whole(size, 3), whole(size, 3));
    }

    #[test]
    fn no_page_of_a_file_stands_in_it_twice_or_in_another() {
        let (first, second) = (whole(2 * BLOCK as u64, 1), whole(2 * BLOCK as u64, 2));
        let pages = first.chunks(STAMP_EVERY).chain(second.chunks(STAMP_EVERY));
        let distinct: std::collections::HashSet<&[u8]> = pages.clone().collect();
        assert_eq!(distinct.len(), pages.count());
    }
}
