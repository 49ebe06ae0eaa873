//! A piece of the index: a file of entries in the order of their hashes, written once and never
//! changed.
//!
//! ```text
//! [ 4 KiB header: magic, format, number of entries, what it covers, CRC ]
//! [ 4 KiB page: 85 entries of SHA-256, pack, place, size, kind; CRC ]     as many as it takes
//! [ fences: the first 8 bytes of each page's first hash; CRC ]
//! ```
//!
//! The fences are kept in memory, 8 bytes for 85 payloads, so a look-up reads one page. Every page is held
//! against its checksum as it is read: what it does not have is not there.

use std::io;
use std::iter::Peekable;
use std::path::Path;
use std::sync::Arc;

use depot_protocol::Digest;

use super::super::layout::{self, BLOCK};
use super::Place;
use crate::seams::disk::{Disk, DiskFile, OpenMode};

/// The version of the format that this code writes and the only one that it reads.
const FORMAT: u32 = 1;
const MAGIC: &[u8; 16] = b"depot index\r\n\x1a\n\0";
const HEADER: usize = 48;

const ENTRY: usize = 48;
const PER_PAGE: usize = 85;
const PAGE: usize = BLOCK as usize;
/// Pages that are read or written at once where many are.
const STRETCH: usize = 64;

const HERE: u32 = 1;
const FORGOTTEN: u32 = 2;

/// Where a payload lies; `None`: nowhere any more.
pub(super) type Entry = (Digest, Option<Place>);

/// Up to where the records of packs are in an index: all of those in packs with a lower number, and
/// those that begin before this offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Covered {
    pub(super) pack: u32,
    pub(super) offset: u64,
}

/// An open run.
#[derive(Debug)]
pub(super) struct Run {
    file: Box<dyn DiskFile>,
    pub(super) count: u64,
    pub(super) covered: Covered,
    fences: Vec<u64>,
}

/// Writes a run: a new file, synced when this returns. The entries come in their order, none twice.
pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    covered: Covered,
    entries: impl Iterator<Item = io::Result<Entry>>,
) -> io::Result<()> {
    let file = disk.open(path, OpenMode::CreateNew)?;
    let (mut at, mut count, mut fences) = (BLOCK, 0_u64, Vec::new());
    let mut entries = entries.peekable();
    let mut stretch = Vec::with_capacity(STRETCH * PAGE);
    while entries.peek().is_some() {
        let index = fences.len() as u64;
        let mut page = Vec::with_capacity(PAGE);
        for entry in entries.by_ref().take(PER_PAGE) {
            let (digest, place) = entry?;
            if page.is_empty() {
                fences.push(fence(&digest));
            }
            encode(&digest, place, &mut page);
            count += 1;
        }
        page.resize(PAGE - 8, 0);
        page.extend_from_slice(&layout::chunk_checksum(index, &page).to_le_bytes());
        stretch.append(&mut page);
        if stretch.len() == STRETCH * PAGE {
            file.write_all_at(&stretch, at)?;
            at += stretch.len() as u64;
            stretch.clear();
        }
    }
    stretch.extend(seal(fences.iter().flat_map(|fence| fence.to_le_bytes()).collect()));
    file.write_all_at(&stretch, at)?;
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&covered.pack.to_le_bytes());
    header.extend_from_slice(&covered.offset.to_le_bytes());
    header.extend_from_slice(&count.to_le_bytes());
    let mut header = seal(header);
    header.resize(PAGE, 0);
    file.write_all_at(&header, 0)?;
    file.sync()?;
    file.close()
}

impl Run {
    /// # Errors
    /// `InvalidData`: it is not whole, or a newer program wrote it.
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, OpenMode::Read)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).map_err(cut_short)?;
        let fields = unseal(&header).filter(|fields| fields.starts_with(MAGIC));
        let fields = fields.ok_or_else(|| damaged("its header"))?;
        let (format, rest) = fields[MAGIC.len()..].split_at(4);
        if format != FORMAT.to_le_bytes() {
            return Err(damaged("its format"));
        }
        let (pack, rest) = rest.split_at(4);
        let (offset, count) = rest.split_at(8);
        let number = |bytes: &[u8]| {
            bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let covered = Covered { pack: number(pack) as u32, offset: number(offset) };
        let count = number(count);
        let pages = count.div_ceil(PER_PAGE as u64);
        let mut fences = vec![0; pages as usize * 8 + 8];
        file.read_exact_at(&mut fences, BLOCK + pages * BLOCK).map_err(cut_short)?;
        let fences = unseal(&fences).ok_or_else(|| damaged("its fences"))?;
        let fences = fences.chunks_exact(8).map(number).collect();
        Ok(Run { file, count, covered, fences })
    }

    /// What it says of a payload, if anything.
    pub(super) fn get(&self, digest: &Digest) -> io::Result<Option<Option<Place>>> {
        let key = fence(digest);
        let mut behind = self.fences.partition_point(|first| *first <= key);
        while behind > 0 {
            let page = self.pages(behind - 1, 1)?;
            let entries = entries(&page);
            if let Ok(at) = entries.binary_search_by(|(other, _)| other.cmp(digest)) {
                return Ok(Some(entries[at].1));
            }
            // Hashes that begin alike may lie on both sides of a page's end.
            if self.fences[behind - 1] < key {
                break;
            }
            behind -= 1;
        }
        Ok(None)
    }

    /// All entries, from the first one on whose hash begins with `first` or something behind it.
    pub(super) fn iter(self: &Arc<Self>, first: u8) -> Entries {
        let key = u64::from(first) << 56;
        let page = self.fences.partition_point(|fence| *fence < key).saturating_sub(1);
        Entries { run: Arc::clone(self), page, first, read: Vec::new().into_iter() }
    }

    /// So many pages, each of which has its checksum.
    fn pages(&self, first: usize, count: usize) -> io::Result<Vec<u8>> {
        let mut pages = vec![0; count * PAGE];
        self.file.read_exact_at(&mut pages, BLOCK + (first * PAGE) as u64).map_err(cut_short)?;
        for (page, index) in pages.chunks_exact(PAGE).zip(first as u64..) {
            let (entries, sum) = page.split_at(PAGE - 8);
            if *sum != layout::chunk_checksum(index, entries).to_le_bytes() {
                return Err(damaged("a page"));
            }
        }
        Ok(pages)
    }
}

/// The entries of a run.
pub(super) struct Entries {
    run: Arc<Run>,
    page: usize,
    first: u8,
    read: std::vec::IntoIter<Entry>,
}

impl Iterator for Entries {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.read.find(|(digest, _)| digest.as_bytes()[0] >= self.first) {
                return Some(Ok(entry));
            }
            let count = STRETCH.min(self.run.fences.len() - self.page);
            if count == 0 {
                return None;
            }
            match self.run.pages(self.page, count) {
                Ok(pages) => self.read = entries(&pages).into_iter(),
                Err(error) => {
                    self.page = self.run.fences.len();
                    return Some(Err(error));
                }
            }
            self.page += count;
        }
    }
}

/// What several say together, in the order of the hashes: of one hash, what the first of them says
/// that says anything.
pub(super) struct Merged<'m> {
    sources: Vec<Peekable<Box<dyn Iterator<Item = io::Result<Entry>> + 'm>>>,
}

impl<'m> Merged<'m> {
    pub(super) fn new(
        sources: impl IntoIterator<Item = Box<dyn Iterator<Item = io::Result<Entry>> + 'm>>,
    ) -> Self {
        Merged { sources: sources.into_iter().map(Iterator::peekable).collect() }
    }
}

impl Iterator for Merged<'_> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut next: Option<Digest> = None;
        for source in &mut self.sources {
            match source.peek() {
                Some(Ok((digest, _))) if next.is_none_or(|next| *digest < next) => {
                    next = Some(*digest);
                }
                Some(Err(_)) => return source.next(),
                _ => {}
            }
        }
        let next = next?;
        let mut said = None;
        for source in &mut self.sources {
            let entry = source.next_if(|entry| matches!(entry, Ok((digest, _)) if *digest == next));
            said = said.or(entry);
        }
        said
    }
}

fn encode(digest: &Digest, place: Option<Place>, page: &mut Vec<u8>) {
    page.extend_from_slice(digest.as_bytes());
    let fields = match place {
        Some(Place { pack, unit, size }) => [pack, unit, size, HERE],
        None => [0, 0, 0, FORGOTTEN],
    };
    fields.iter().for_each(|field| page.extend_from_slice(&field.to_le_bytes()));
}

/// The entries of whole pages; the last page may have less than others.
fn entries(pages: &[u8]) -> Vec<Entry> {
    let pages = pages.chunks_exact(PAGE).map(|page| &page[..PER_PAGE * ENTRY]);
    let entries = pages.flat_map(|page| page.chunks_exact(ENTRY));
    entries.map_while(decode).collect()
}

fn decode(entry: &[u8]) -> Option<Entry> {
    let (digest, fields) = entry.split_first_chunk::<32>()?;
    let (fields, _) = fields.as_chunks::<4>();
    let [pack, unit, size, kind] = *fields else { return None };
    let digest = Digest::from_bytes(*digest);
    let [pack, unit, size] = [pack, unit, size].map(u32::from_le_bytes);
    match u32::from_le_bytes(kind) {
        HERE => Some((digest, Some(Place { pack, unit, size }))),
        FORGOTTEN => Some((digest, None)),
        _ => None,
    }
}

fn fence(digest: &Digest) -> u64 {
    let first = digest.as_bytes().first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}

fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = layout::checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (bytes, sum) = bytes.split_last_chunk::<8>()?;
    (layout::checksum(bytes).to_le_bytes() == *sum).then_some(bytes)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the index of packs is damaged: {what} is not as it was written"),
    )
}

fn cut_short(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("its length"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
