//! How payloads lie in a file of the journal.
//!
//! ```text
//! [ 4 KiB header: magic, format, mark, CRC ]     zeros: nothing in this file is needed
//! [ 64 bytes: magic, mark, size, SHA-256, CRC ][ payload ], zero-padded to 512 bytes, and so on
//! ```
//!
//! What is written with one sync begins at a multiple of 4 KiB, so that no later write can tear it. A
//! record says by itself where it ends and whether it is whole, and is found wherever it begins: one
//! that is damaged hides no other. The mark is random, anew each time the file is begun; records of
//! another mark are older and not needed.

use std::io;
use std::ops::Range;

use depot_protocol::Digest;

use super::super::layout::{self, BLOCK};
use super::super::staging::HELD_MAX;
use crate::seams::disk::DiskFile;

/// The version of the format that this code writes and the only one that it reads.
const FORMAT: u32 = 1;
const MAGIC: &[u8; 16] = b"depot journal\r\n\x1a";
const HEADER: usize = 36;

const RECORD_MAGIC: &[u8; 8] = b"\x1adeposit";
const RECORD: usize = 64;
/// Records begin at multiples of this.
const UNIT: usize = 512;

/// What tells the records of one turn of writing a file from older ones.
pub(super) type Mark = [u8; 8];

/// What is to be written at once, where `first` at the beginning of the file.
pub(super) fn encode(first: bool, mark: &Mark, payloads: &[(Digest, Vec<u8>)]) -> Vec<u8> {
    let sizes = payloads.iter().map(|(_, payload)| (RECORD + payload.len()).next_multiple_of(UNIT));
    let mut bytes = Vec::with_capacity(sizes.sum::<usize>() + 2 * BLOCK as usize);
    if first {
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(mark);
        bytes.extend_from_slice(&layout::checksum(&bytes).to_le_bytes());
        bytes.resize(BLOCK as usize, 0);
    }
    for (digest, payload) in payloads {
        let begin = bytes.len();
        bytes.extend_from_slice(RECORD_MAGIC);
        bytes.extend_from_slice(mark);
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        bytes.extend_from_slice(digest.as_bytes());
        let sum = record_checksum(&bytes[begin..], payload);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(UNIT), 0);
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    bytes
}

/// The payloads in a file, and where they lie in it.
///
/// # Errors
/// A newer program wrote it.
pub(super) fn payloads(file: &[u8]) -> io::Result<Vec<(Digest, Range<usize>)>> {
    let Some(header) = file.get(..HEADER) else { return Ok(Vec::new()) };
    if header.iter().all(|byte| *byte == 0) {
        return Ok(Vec::new());
    }
    let (fields, sum) = header.split_at(HEADER - 8);
    let whole = fields.starts_with(MAGIC) && *sum == layout::checksum(fields).to_le_bytes();
    if whole && fields[16..20] != FORMAT.to_le_bytes() {
        let newer =
            "a newer program wrote the journal of small payloads: start that one once, and stop it";
        return Err(io::Error::new(io::ErrorKind::InvalidData, newer));
    }
    // A damaged header tells no mark: then whatever is whole is taken.
    let mark = whole.then(|| &fields[20..]);
    let (mut found, mut at) = (Vec::new(), BLOCK as usize);
    while at < file.len() {
        at += match payload(&file[at..], mark) {
            Some((digest, size)) => {
                let begin = at + RECORD;
                found.push((digest, begin..begin + size));
                (RECORD + size).next_multiple_of(UNIT)
            }
            None => UNIT,
        };
    }
    Ok(found)
}

/// The record that these bytes begin with.
fn payload(bytes: &[u8], mark: Option<&[u8]>) -> Option<(Digest, usize)> {
    let (fields, sum) = bytes.get(..RECORD)?.split_at(RECORD - 8);
    if !fields.starts_with(RECORD_MAGIC) || mark.is_some_and(|mark| fields[8..16] != *mark) {
        return None;
    }
    let size = u64::from_le_bytes(fields[16..24].try_into().ok()?);
    let size = usize::try_from(size).ok().filter(|size| *size as u64 <= HELD_MAX)?;
    let payload = bytes.get(RECORD..RECORD + size)?;
    let digest: [u8; 32] = fields[24..].try_into().ok()?;
    (*sum == record_checksum(fields, payload).to_le_bytes())
        .then_some((Digest::from_bytes(digest), size))
}

fn record_checksum(fields: &[u8], payload: &[u8]) -> u64 {
    let mut crc = layout::chunk_crc(0);
    crc.update(fields);
    crc.update(payload);
    crc.finalize()
}

/// Says, durably, that nothing in this file is needed any more.
pub(super) fn forget(file: &dyn DiskFile) -> io::Result<()> {
    file.write_all_at(&[0; HEADER], 0)?;
    file.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = *b"mark one";

    fn some(sizes: &[usize]) -> Vec<(Digest, Vec<u8>)> {
        let payload = |(at, size): (usize, &usize)| {
            (Digest::from_bytes([at as u8; 32]), vec![at as u8; *size])
        };
        sizes.iter().enumerate().map(payload).collect()
    }

    fn found(file: &[u8]) -> Vec<(Digest, Vec<u8>)> {
        let found = payloads(file).unwrap();
        found.into_iter().map(|(digest, at)| (digest, file[at].to_vec())).collect()
    }

    #[test]
    fn what_is_written_is_found() {
        let all = some(&[1, 4096, 0, 448, 449, HELD_MAX as usize]);
        let mut file = encode(true, &MARK, &all[..2]);
        assert!(file.len().is_multiple_of(BLOCK as usize));
        file.extend(encode(false, &MARK, &all[2..]));
        assert_eq!(found(&file), all);
        assert!(found(&[]).is_empty());
        assert!(found(&vec![0; 65536]).is_empty());
    }

    #[test]
    fn a_damaged_record_hides_no_other() {
        let all = some(&[100, 5000, 200]);
        let file = encode(true, &MARK, &all);
        for at in (BLOCK as usize..BLOCK as usize + 164).chain(5000..5010) {
            let mut bad = file.clone();
            bad[at] ^= 0x40;
            let found = found(&bad);
            assert_eq!(found.len(), 2, "byte {at}");
            assert!(found.iter().all(|one| all.contains(one)));
        }
        for end in 0..file.len() {
            assert!(found(&file[..end]).len() <= 3, "cut at {end}");
        }
    }

    #[test]
    fn what_is_older_is_not_needed_unless_nobody_can_tell() {
        let (old, new) = (some(&[100, 200]), some(&[300]));
        let mut file = encode(true, b"mark two", &old);
        let newer = encode(true, &MARK, &new);
        file.resize(newer.len(), 0);
        file.extend(encode(false, b"mark two", &old));
        file[..newer.len()].copy_from_slice(&newer);
        assert_eq!(found(&file), new);
        for at in 0..HEADER {
            let mut bad = file.clone();
            bad[at] ^= 1;
            assert_eq!(found(&bad).len(), 3, "byte {at}");
        }
        file[..HEADER].fill(0);
        assert!(found(&file).is_empty());
    }

    /// Yesterday's journal must be read tomorrow: this pins the format to the byte.
    #[test]
    fn the_format_is_pinned() {
        let file = encode(true, &MARK, &[(Digest::EMPTY, b"depot".to_vec())]);
        assert_eq!(file.len() as u64, 2 * BLOCK);
        assert_eq!(&file[..28], b"depot journal\r\n\x1a\x01\0\0\0mark one");
        assert_eq!(&file[4096..4120], b"\x1adepositmark one\x05\0\0\0\0\0\0\0");
        assert_eq!(&file[4160..4166], b"depot\0");
        assert_eq!(layout::checksum(&file), 10_992_130_306_587_130_986);
    }

    #[test]
    fn one_of_a_newer_program_is_not_taken_for_empty() {
        let mut file = encode(true, &MARK, &some(&[1]));
        file[16] = 2;
        let sum = layout::checksum(&file[..28]);
        file[28..36].copy_from_slice(&sum.to_le_bytes());
        assert!(payloads(&file).unwrap_err().to_string().contains("newer program"));
    }
}
