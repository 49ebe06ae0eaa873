//! Reading a sealed payload: no byte leaves before its chunk's checksum was found right.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use depot_protocol::Digest;
use rustix::io::Errno;

use super::layout::{self, BLOCK, CHUNK, SEGMENT};
use crate::buffers::Lent;
use crate::seams::disk::{Disk, DiskFile, OpenMode};

/// A blob is there and can't be used. Corrupt is not absent: absent is `None`.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Its bytes are not those that were sealed.
    #[error("the blob is corrupt: {0}")]
    Corrupt(&'static str),
    /// The disk can't read it, or the process is short of descriptors or memory.
    #[error("the blob cannot be read")]
    Unreadable(#[source] io::Error),
}

impl BlobError {
    /// Whether it speaks against the copy: its bytes are wrong, or the disk has lost them.
    pub fn condemns(&self) -> bool {
        match self {
            BlobError::Corrupt(_) => true,
            BlobError::Unreadable(error) => Errno::from_io_error(error) == Some(Errno::IO),
        }
    }
}

/// A sealed payload, open to be read. It stays readable, unchanged, while its name is replaced,
/// trashed or quarantined.
#[derive(Debug)]
pub struct Blob {
    digest: Digest,
    size: u64,
    source: Source,
}

/// Where its bytes come from.
#[derive(Debug)]
enum Source {
    /// All of the file of one that has a single chunk: it was read with its footer.
    Memory(Bytes),
    File(Box<Open>),
    /// The payload of a packed one, held against its checksum.
    Packed(Bytes),
}

/// A file that is read piece by piece.
#[derive(Debug)]
struct Open {
    file: Box<dyn DiskFile>,
    checksums: Option<Checksums>,
    /// The memory of the pieces that were read.
    lent: Lent,
}

/// The checksums of the segment read last.
#[derive(Debug)]
struct Checksums {
    segment: u64,
    sums: Vec<u64>,
}

impl Blob {
    pub(super) fn open(
        disk: &dyn Disk,
        digest: Digest,
        size: u64,
    ) -> Result<Option<Self>, BlobError> {
        let Some(file) = open(disk, &digest)? else { return Ok(None) };
        Self::of_file(file, digest, size).map(Some)
    }

    /// A blob of whatever size its own footer says.
    pub(super) fn find(disk: &dyn Disk, digest: Digest) -> Result<Option<Self>, BlobError> {
        let Some(file) = open(disk, &digest)? else { return Ok(None) };
        let length = file.size().map_err(BlobError::Unreadable)?;
        let footer_at = length
            .checked_sub(BLOCK)
            .ok_or(BlobError::Corrupt("its file is shorter than a footer"))?;
        let mut footer = vec![0; BLOCK as usize];
        read(&*file, &mut footer, footer_at)?;
        let size = layout::footer_size(&footer).map_err(BlobError::Corrupt)?;
        if size > length {
            return Err(BlobError::Corrupt("its file is shorter than its footer says"));
        }
        Self::of_file(file, digest, size).map(Some)
    }

    /// The file of a blob; it is held against the size first, its footer after.
    fn of_file(file: Box<dyn DiskFile>, digest: Digest, size: u64) -> Result<Self, BlobError> {
        if file.size().map_err(BlobError::Unreadable)? != layout::file_size(size) {
            return Err(BlobError::Corrupt(
                "its file is longer or shorter than its payload asks for",
            ));
        }
        let whole = size <= CHUNK;
        let footer_at = layout::footer_offset(size);
        let from = if whole { 0 } else { footer_at };
        let mut bytes = vec![0; (layout::file_size(size) - from) as usize];
        read(&*file, &mut bytes, from)?;
        let footer = &bytes[(footer_at - from) as usize..];
        layout::check_footer(footer, &digest, size).map_err(BlobError::Corrupt)?;
        let source = match whole {
            true => Source::Memory(bytes.into()),
            false => Source::File(Box::new(Open { file, checksums: None, lent: Lent::default() })),
        };
        Ok(Blob { digest, size, source })
    }

    /// One out of a pack.
    pub(super) fn packed(digest: Digest, payload: Bytes) -> Self {
        Blob { digest, size: payload.len() as u64, source: Source::Packed(payload) }
    }

    /// Whether it lies in a pack.
    pub(super) fn is_packed(&self) -> bool {
        matches!(self.source, Source::Packed(_))
    }

    /// Its hash.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The payload's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Verified payload bytes from `offset` on: at least one, at most `most` rounded up to whole
    /// chunks, none only at the end.
    pub fn read(&mut self, offset: u64, most: usize) -> Result<Bytes, BlobError> {
        if offset >= self.size {
            return Ok(Bytes::new());
        }
        let open = match &mut self.source {
            Source::Memory(file) => {
                let payload = file.slice(..self.size as usize);
                let checksums = &file[layout::checksums_offset(0, self.size) as usize..];
                verify(&payload, 0, &layout::decode_checksums(&checksums[..BLOCK as usize]))?;
                return Ok(payload.slice(offset as usize..));
            }
            Source::Packed(payload) => return Ok(payload.slice(offset as usize..)),
            Source::File(open) => open,
        };
        let segment = offset / SEGMENT;
        let first = offset / CHUNK;
        let end_of_segment = self.size.min((segment + 1) * SEGMENT);
        let end = (offset + (most as u64).max(1)).next_multiple_of(CHUNK).min(end_of_segment);
        let start = first * CHUNK;

        let piece = open.piece(start..end)?;
        verify(&piece, first, open.checksums(segment, self.size)?)?;
        Ok(piece.slice((offset - start) as usize..))
    }
}

impl Open {
    /// This range of the payload, as it lies on the disk.
    fn piece(&mut self, range: Range<u64>) -> Result<Bytes, BlobError> {
        let length = (range.end - range.start) as usize;
        let mut buffer = self.lent.take(length);
        buffer.resize(length, 0);
        read(&*self.file, &mut buffer, layout::payload_offset(range.start))?;
        let piece = buffer.split().freeze();
        self.lent.keep(buffer);
        Ok(piece)
    }

    /// The checksums of a segment of a payload of this size.
    fn checksums(&mut self, segment: u64, size: u64) -> Result<&[u64], BlobError> {
        let kept = self.checksums.take().filter(|kept| kept.segment == segment);
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let mut block = vec![0; BLOCK as usize];
                read(&*self.file, &mut block, layout::checksums_offset(segment, size))?;
                Checksums { segment, sums: layout::decode_checksums(&block) }
            }
        };
        Ok(&self.checksums.insert(kept).sums)
    }
}

/// Holds chunks, the first of them `first` in the payload, against the checksums of their segment.
pub(super) fn verify(bytes: &[u8], first: u64, sums: &[u64]) -> Result<(), BlobError> {
    let in_segment = (first % (SEGMENT / CHUNK)) as usize;
    let expected = sums.iter().skip(in_segment);
    let mut chunks = bytes.chunks(CHUNK as usize).zip(first..);
    let good =
        expected.zip(&mut chunks).all(|(sum, (chunk, i))| layout::chunk_checksum(i, chunk) == *sum);
    if good && chunks.next().is_none() {
        Ok(())
    } else {
        Err(BlobError::Corrupt("a chunk does not have its checksum"))
    }
}

pub(super) fn read(file: &dyn DiskFile, buf: &mut [u8], offset: u64) -> Result<(), BlobError> {
    file.read_exact_at(buf, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BlobError::Corrupt("its file ends too early"),
        _ => BlobError::Unreadable(error),
    })
}

fn open(disk: &dyn Disk, digest: &Digest) -> Result<Option<Box<dyn DiskFile>>, BlobError> {
    match disk.open(&layout::blob(digest), OpenMode::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if is_no_file(&error) => {
            Err(BlobError::Corrupt("what lies in its place is no regular file"))
        }
        Err(error) => Err(BlobError::Unreadable(error)),
    }
}

/// A directory, a link, a FIFO or the like.
fn is_no_file(error: &io::Error) -> bool {
    let no_file = [Errno::LOOP, Errno::ISDIR, Errno::NXIO];
    error.kind() == io::ErrorKind::InvalidData
        || Errno::from_io_error(error).is_some_and(|errno| no_file.contains(&errno))
}
