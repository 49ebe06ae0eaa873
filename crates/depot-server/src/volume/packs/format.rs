//! How payloads lie in a pack.
//!
//! ```text
//! [ 4 KiB header: magic, format, mark, CRC ]
//! [ 64 bytes: magic, mark, size, SHA-256, CRC of these and of the payload ][ payload ], zero-padded
//!   to 512 bytes, and so on
//! ```
//!
//! What is written with one sync begins at a multiple of 4 KiB, so that no later write can tear it. A
//! record says by itself where it ends and whether it is whole, and is found wherever it begins: one
//! that is damaged hides no other. The mark is random, another for each pack, so that no payload can be
//! taken for a record.

use std::io;

use depot_protocol::Digest;
use sha2::{Digest as _, Sha256};

use super::super::layout::{self, BLOCK};
use super::super::staging::HELD_MAX;
use super::Place;
use crate::seams::disk::DiskFile;

/// The version of the format that this code writes and the only one that it reads.
const FORMAT: u32 = 1;
const MAGIC: &[u8; 16] = b"depot pack\r\n\x1a\n\0\0";
const HEADER: usize = 36;

const RECORD_MAGIC: &[u8; 8] = b"\x1adeposit";
/// What comes before a payload.
pub(super) const RECORD: usize = 64;
/// Records begin at multiples of this.
pub(super) const UNIT: u64 = 512;
/// A pack is read in pieces of about so many bytes.
const PIECE: usize = 1 << 20;

/// What tells the records of one pack from all else.
pub(super) type Mark = [u8; 8];

/// How many bytes of a pack a payload takes.
pub(super) fn length(size: u32) -> u64 {
    (RECORD as u64 + u64::from(size)).next_multiple_of(UNIT)
}

/// What is to be written at once at this place of a pack, 0 for its beginning, and where in the pack
/// each payload then is.
pub(super) fn encode(
    pack: u32,
    at: u64,
    mark: &Mark,
    payloads: &[(Digest, Vec<u8>)],
) -> (Vec<u8>, Vec<(Digest, Place)>) {
    let sizes = payloads.iter().map(|(_, payload)| length(payload.len() as u32) as usize);
    let mut bytes = Vec::with_capacity(sizes.sum::<usize>() + 2 * BLOCK as usize);
    let mut places = Vec::with_capacity(payloads.len());
    if at == 0 {
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(mark);
        bytes.extend_from_slice(&layout::checksum(&bytes).to_le_bytes());
        bytes.resize(BLOCK as usize, 0);
    }
    for (digest, payload) in payloads {
        let begin = bytes.len();
        let unit = ((at + begin as u64) / UNIT) as u32;
        places.push((*digest, Place { pack, unit, size: payload.len() as u32 }));
        bytes.extend_from_slice(RECORD_MAGIC);
        bytes.extend_from_slice(mark);
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        bytes.extend_from_slice(digest.as_bytes());
        let sum = record_checksum(&bytes[begin..], payload);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(UNIT as usize), 0);
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    (bytes, places)
}

/// Reads the payloads of a pack one after another: those that are whole and have their hash.
pub(super) struct Scan<'f> {
    file: &'f dyn DiskFile,
    pack: u32,
    mark: Option<Mark>,
    at: u64,
    end: u64,
    /// What was read, from this offset on.
    piece: Vec<u8>,
    begin: u64,
}

impl<'f> Scan<'f> {
    /// From an offset on.
    ///
    /// # Errors
    /// A newer program wrote it, or the disk failed.
    pub(super) fn new(file: &'f dyn DiskFile, pack: u32, from: u64) -> io::Result<Self> {
        let end = file.size()?;
        let mut header = [0; HEADER];
        let mut mark = None;
        if end >= BLOCK {
            file.read_exact_at(&mut header, 0)?;
            let (fields, sum) = header.split_at(HEADER - 8);
            let whole = fields.starts_with(MAGIC) && *sum == layout::checksum(fields).to_le_bytes();
            if whole && fields[16..20] != FORMAT.to_le_bytes() {
                let newer = "a newer program wrote a pack of small payloads: use that one";
                return Err(io::Error::new(io::ErrorKind::InvalidData, newer));
            }
            // A damaged header tells no mark: then whatever is whole is taken.
            mark = fields[20..].first_chunk().copied().filter(|_| whole);
        }
        let at = from.max(BLOCK);
        Ok(Scan { file, pack, mark, at, end, piece: Vec::new(), begin: at })
    }

    /// The next one, its place and its bytes.
    pub(super) fn next(&mut self) -> io::Result<Option<(Digest, Place, Vec<u8>)>> {
        while self.at < self.end {
            let mut from = (self.at - self.begin) as usize;
            let more = self.begin + (self.piece.len() as u64) < self.end;
            if more && self.piece.len() < from + RECORD + HELD_MAX as usize {
                self.piece.resize(PIECE.min((self.end - self.at) as usize), 0);
                self.file.read_exact_at(&mut self.piece, self.at)?;
                (self.begin, from) = (self.at, 0);
            }
            let (unit, rest) = ((self.at / UNIT) as u32, &self.piece[from..]);
            let found = record(rest, self.mark.as_ref()).filter(|(digest, payload)| {
                *digest == Digest::from_bytes(Sha256::digest(payload).into())
            });
            let Some((digest, payload)) = found else {
                self.at += UNIT;
                continue;
            };
            let place = Place { pack: self.pack, unit, size: payload.len() as u32 };
            self.at += length(place.size);
            return Ok(Some((digest, place, payload.to_vec())));
        }
        Ok(None)
    }
}

impl Scan<'_> {
    /// The next payloads that are `wanted`, about a MiB of them; none only at the end.
    pub(super) fn batch(
        &mut self,
        wanted: impl Fn(&Digest, &Place) -> io::Result<bool>,
    ) -> io::Result<Vec<(Digest, Vec<u8>)>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < PIECE
            && let Some((digest, place, payload)) = self.next()?
        {
            if wanted(&digest, &place)? {
                bytes += payload.len();
                batch.push((digest, payload));
            }
        }
        Ok(batch)
    }
}

/// The record that these bytes begin with: its hash, which is not looked into, and its payload, which
/// has its checksum.
pub(super) fn record<'b>(bytes: &'b [u8], mark: Option<&Mark>) -> Option<(Digest, &'b [u8])> {
    let (fields, sum) = bytes.get(..RECORD)?.split_at(RECORD - 8);
    if !fields.starts_with(RECORD_MAGIC) || mark.is_some_and(|mark| fields[8..16] != *mark) {
        return None;
    }
    let size = u64::from_le_bytes(fields[16..24].try_into().ok()?);
    let size = usize::try_from(size).ok().filter(|size| *size as u64 <= HELD_MAX)?;
    let payload = bytes.get(RECORD..RECORD + size)?;
    let digest: [u8; 32] = fields[24..].try_into().ok()?;
    (*sum == record_checksum(fields, payload).to_le_bytes())
        .then_some((Digest::from_bytes(digest), payload))
}

fn record_checksum(fields: &[u8], payload: &[u8]) -> u64 {
    let mut crc = layout::chunk_crc(0);
    crc.update(fields);
    crc.update(payload);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::seams::disk::{Disk, OpenMode};
    use crate::seams::system_disk::SystemDisk;

    const MARK: Mark = *b"mark one";

    fn some(sizes: &[usize]) -> Vec<(Digest, Vec<u8>)> {
        let payload = |(at, size): (usize, &usize)| {
            let payload = vec![at as u8; *size];
            (Digest::from_bytes(Sha256::digest(&payload).into()), payload)
        };
        sizes.iter().enumerate().map(payload).collect()
    }

    fn pack(payloads: &[(Digest, Vec<u8>)]) -> Vec<u8> {
        encode(7, 0, &MARK, payloads).0
    }

    /// What is found in a file with these bytes, each where it says that it is.
    fn scan(bytes: &[u8], from: u64) -> io::Result<Vec<(Digest, Vec<u8>)>> {
        let folder: TempDir = tempfile::tempdir().unwrap();
        let disk = SystemDisk::open(folder.path()).unwrap();
        let file = disk.open("pack".as_ref(), OpenMode::CreateNew).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let (mut found, mut scan) = (Vec::new(), Scan::new(&*file, 7, from)?);
        while let Some((digest, place, payload)) = scan.next()? {
            let lies = &bytes[place.offset() as usize..];
            assert_eq!(record(lies, None), Some((digest, &payload[..])));
            assert_eq!((place.pack, place.size as usize), (7, payload.len()));
            found.push((digest, payload));
        }
        Ok(found)
    }

    fn found(bytes: &[u8]) -> Vec<(Digest, Vec<u8>)> {
        scan(bytes, 0).unwrap()
    }

    #[test]
    fn what_is_written_is_found() {
        let all = some(&[1, 4096, 0, 448, 449, HELD_MAX as usize]);
        let mut file = pack(&all[..2]);
        assert!(file.len().is_multiple_of(BLOCK as usize));
        let (more, places) = encode(7, file.len() as u64, &MARK, &all[2..]);
        let second = file.len() as u64;
        file.extend(more);
        assert_eq!(found(&file), all);
        assert_eq!(scan(&file, second).unwrap(), all[2..]);
        assert_eq!(places[0].1.offset(), second);
        assert!(found(&[]).is_empty());
        assert!(found(&vec![0; 65536]).is_empty());
    }

    #[test]
    fn one_of_many_pieces_is_read_to_its_end() {
        let all = some(&[HELD_MAX as usize; 100]);
        assert_eq!(found(&pack(&all)).len(), 100);
    }

    #[test]
    fn a_damaged_record_hides_no_other() {
        let all = some(&[100, 5000, 200]);
        let file = pack(&all);
        for at in (BLOCK as usize..BLOCK as usize + 164).step_by(3).chain(5000..5010) {
            let mut bad = file.clone();
            bad[at] ^= 0x40;
            let found = found(&bad);
            assert_eq!(found.len(), 2, "byte {at}");
            assert!(found.iter().all(|one| all.contains(one)));
        }
        for end in (0..file.len()).step_by(101) {
            assert!(found(&file[..end]).len() <= 3, "cut at {end}");
        }
    }

    /// A payload that looks like a record is none, unless nobody can tell the mark; then it must have
    /// the hash that it says.
    #[test]
    fn a_payload_is_not_taken_for_a_record() {
        let inner = some(&[300]);
        let mut forged = inner.clone();
        forged[0].0 = Digest::from_bytes([9; 32]);
        for (inner, taken) in [(inner, 2), (forged, 1)] {
            let body = encode(7, BLOCK, b"mark two", &inner).0;
            let mut payload = vec![0; UNIT as usize - RECORD];
            payload.extend_from_slice(&body);
            let outer = vec![(Digest::from_bytes(Sha256::digest(&payload).into()), payload)];
            let next = some(&[10]);
            let mut file = pack(&[outer, next].concat());
            assert_eq!(found(&file).len(), 2);
            file[BLOCK as usize + 70] ^= 1;
            assert_eq!(found(&file).len(), 1, "the mark is another");
            file[3] ^= 1;
            assert_eq!(found(&file).len(), taken);
        }
    }

    /// Yesterday's packs must be read tomorrow: this pins the format to the byte.
    #[test]
    fn the_format_is_pinned() {
        let file = encode(7, 0, &MARK, &[(Digest::EMPTY, b"depot".to_vec())]).0;
        assert_eq!(file.len() as u64, 2 * BLOCK);
        assert_eq!(&file[..28], b"depot pack\r\n\x1a\n\0\0\x01\0\0\0mark one");
        assert_eq!(&file[4096..4120], b"\x1adepositmark one\x05\0\0\0\0\0\0\0");
        assert_eq!(&file[4160..4166], b"depot\0");
        let whole = Digest::from_bytes(Sha256::digest(&file).into()).to_string();
        assert_eq!(&whole[..16], "570fe7fc3476ed67");
    }

    #[test]
    fn one_of_a_newer_program_is_not_taken_for_empty() {
        let mut file = pack(&some(&[1]));
        file[16] = 2;
        let sum = layout::checksum(&file[..28]);
        file[28..36].copy_from_slice(&sum.to_le_bytes());
        assert!(scan(&file, 0).unwrap_err().to_string().contains("newer program"));
    }
}
