//! Where everything lies in a volume, and the format of a blob: pure arithmetic and bytes.
//!
//! ```text
//! volume/SUSPECT                     there while the volume is read-only after a disk fault
//! volume/packs/<number>              small payloads, many in a file (packs/format.rs)
//! volume/index/<states>              where in the packs each of them lies (packs/run.rs)
//! volume/staging/<random>.data       a payload on its way in, in the format of a blob
//! volume/staging/<key>.part          the record of one that was cut, to be resumed (parts.rs)
//! volume/blobs/MARKER                whose blobs these are (home.rs)
//! volume/blobs/ab/<sha256>           a sealed payload
//! volume/quarantine/<sha256>.<random>        a copy that failed its checksums, kept for a person
//! volume/trash/<running seconds>-<sha256>    a copy that no record lists, until that time
//! ```
//!
//! A blob describes itself, so a volume can be verified and its index rebuilt without the
//! catalogue. Everything is aligned to 4 KiB:
//!
//! ```text
//! [ 32 MiB of payload ][ 4 KiB: 512 checksums ]   as often as the payload has whole segments
//! [ rest, zero-padded ][ 4 KiB: its checksums ]   unless the rest is empty
//! [ 4 KiB footer: magic, format, size, SHA-256, ..., CRC ]
//! ```
//!
//! A checksum is the CRC-64/NVME of a chunk's index (8 bytes, little-endian) and its up to 64 KiB:
//! rot is missed once in 2^64, and a chunk written to another's place is found too.

use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, Digest as Crc};
use depot_protocol::Digest;

/// Payload bytes under one checksum.
pub const CHUNK: u64 = 64 * 1024;
/// Payload bytes before a block of checksums.
pub const SEGMENT: u64 = 32 * 1024 * 1024;
/// Alignment, and the size of a checksum block and of the footer.
pub const BLOCK: u64 = 4096;

/// The version of the blob format that this code writes and the only one that it reads.
const FORMAT: u32 = 1;
const MAGIC: &[u8; 16] = b"depot blob\r\n\x1a\n\0\0";

/// The volume's folder.
pub fn volume() -> PathBuf {
    "volume".into()
}

/// Payloads on their way in, and parts.
pub fn staging() -> PathBuf {
    "volume/staging".into()
}

/// Small payloads, many in a file.
pub fn packs() -> PathBuf {
    "volume/packs".into()
}

/// One of those files.
pub fn pack(number: u32) -> PathBuf {
    packs().join(format!("{number:08x}"))
}

/// Where each packed payload lies.
pub fn index() -> PathBuf {
    "volume/index".into()
}

/// Sealed payloads.
pub fn blobs() -> PathBuf {
    "volume/blobs".into()
}

/// Copies that failed.
pub fn quarantine() -> PathBuf {
    "volume/quarantine".into()
}

/// Copies that no record lists.
pub fn trash() -> PathBuf {
    "volume/trash".into()
}

/// Says that the volume had a disk fault.
pub fn suspect() -> PathBuf {
    "volume/SUSPECT".into()
}

/// One of the 256 folders of blobs.
pub fn shard(first_byte: u8) -> PathBuf {
    Path::new("volume/blobs").join(format!("{first_byte:02x}"))
}

/// The folder of one blob.
pub fn shard_of(digest: &Digest) -> PathBuf {
    let [first, ..] = digest.as_bytes();
    shard(*first)
}

/// One blob.
pub fn blob(digest: &Digest) -> PathBuf {
    shard_of(digest).join(digest.to_string())
}

/// Where the payload byte at `position` lies in the file.
pub fn payload_offset(position: u64) -> u64 {
    position + position / SEGMENT * BLOCK
}

/// How much of the payload lies before this place in the file; the inverse of [`payload_offset`].
pub fn payload_position(offset: u64) -> u64 {
    let (segment, rest) = (offset / (SEGMENT + BLOCK), offset % (SEGMENT + BLOCK));
    segment * SEGMENT + rest.min(SEGMENT)
}

/// How many segments a payload of `size` bytes has, the last one perhaps short.
pub fn segments(size: u64) -> u64 {
    size.div_ceil(SEGMENT)
}

/// Where the checksums of one segment lie in the blob of a payload of `size` bytes.
pub fn checksums_offset(segment: u64, size: u64) -> u64 {
    let payload = SEGMENT.min(size - segment * SEGMENT);
    segment * (SEGMENT + BLOCK) + payload.next_multiple_of(BLOCK)
}

/// Where the footer lies.
pub fn footer_offset(size: u64) -> u64 {
    match segments(size) {
        0 => 0,
        n => checksums_offset(n - 1, size) + BLOCK,
    }
}

/// The size of the whole file.
pub fn file_size(size: u64) -> u64 {
    footer_offset(size) + BLOCK
}

/// Starts the checksum of a chunk.
pub fn chunk_crc(index: u64) -> Crc {
    let mut crc = Crc::new(CrcAlgorithm::Crc64Nvme);
    crc.update(&index.to_le_bytes());
    crc
}

/// The checksum of one chunk.
pub fn chunk_checksum(index: u64, chunk: &[u8]) -> u64 {
    let mut crc = chunk_crc(index);
    crc.update(chunk);
    crc.finalize()
}

/// The checksum of anything that is not a chunk.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut crc = Crc::new(CrcAlgorithm::Crc64Nvme);
    crc.update(bytes);
    crc.finalize()
}

/// A block of checksums as it lies on disk.
pub fn encode_checksums(checksums: &[u64]) -> Vec<u8> {
    let mut block: Vec<u8> = checksums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    block.resize(BLOCK as usize, 0);
    block
}

/// The checksums in a block.
pub fn decode_checksums(block: &[u8]) -> Vec<u64> {
    let (sums, _) = block.as_chunks::<8>();
    sums.iter().map(|sum| u64::from_le_bytes(*sum)).collect()
}

/// The footer of a blob.
pub fn encode_footer(digest: &Digest, size: u64) -> Vec<u8> {
    let mut footer = Vec::with_capacity(BLOCK as usize);
    footer.extend_from_slice(MAGIC);
    footer.extend_from_slice(&FORMAT.to_le_bytes());
    footer.extend_from_slice(&size.to_le_bytes());
    footer.extend_from_slice(digest.as_bytes());
    footer.resize(BLOCK as usize - 8, 0);
    let sum = checksum(&footer);
    footer.extend_from_slice(&sum.to_le_bytes());
    footer
}

/// The whole file of a payload of at most one chunk.
pub fn small_blob(digest: &Digest, payload: Vec<u8>) -> Vec<u8> {
    let (size, mut file) = (payload.len() as u64, payload);
    if size > 0 {
        let sum = chunk_checksum(0, &file);
        file.resize(size.next_multiple_of(BLOCK) as usize, 0);
        file.extend_from_slice(&encode_checksums(&[sum]));
    }
    file.extend_from_slice(&encode_footer(digest, size));
    file
}

/// What is wrong with a footer, or nothing. As it is wholly determined by hash and size, it is
/// compared whole; the format is looked at first, to tell a newer blob from a damaged one.
pub fn check_footer(footer: &[u8], digest: &Digest, size: u64) -> Result<(), &'static str> {
    let expected = encode_footer(digest, size);
    let (magic_end, format_end) = (MAGIC.len(), MAGIC.len() + 4);
    match footer.get(magic_end..format_end) {
        _ if footer == expected => Ok(()),
        Some(format) if footer.starts_with(MAGIC) && *format != FORMAT.to_le_bytes()[..] => {
            Err("its format is not one that this program reads")
        }
        _ => Err("its footer is not that of this hash and size"),
    }
}

/// The payload size that a footer names; whether the rest of it is right is for [`check_footer`].
pub fn footer_size(footer: &[u8]) -> Result<u64, &'static str> {
    let at = MAGIC.len() + 4;
    let size = footer.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    size.map(u64::from_le_bytes).ok_or("its footer is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_leave_room_for_every_block_and_no_more() {
        assert_eq!(file_size(0), BLOCK);
        assert_eq!(file_size(1), 3 * BLOCK);
        assert_eq!(file_size(BLOCK), 3 * BLOCK);
        assert_eq!(file_size(BLOCK + 1), 4 * BLOCK);
        assert_eq!(file_size(SEGMENT), SEGMENT + 2 * BLOCK);
        assert_eq!(checksums_offset(0, SEGMENT + 1), SEGMENT);
        assert_eq!(payload_offset(SEGMENT), SEGMENT + BLOCK);
        assert_eq!(checksums_offset(1, SEGMENT + 1), SEGMENT + 2 * BLOCK);
        assert_eq!(file_size(SEGMENT + 1), SEGMENT + 4 * BLOCK);
        for position in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 3 * SEGMENT + 7] {
            assert_eq!(payload_position(payload_offset(position)), position);
        }
        assert_eq!(payload_position(SEGMENT + 9), SEGMENT);
    }

    #[test]
    fn a_segment_has_as_many_chunks_as_a_block_has_checksums() {
        assert_eq!(SEGMENT / CHUNK * 8, BLOCK);
    }

    /// Yesterday's blobs must open tomorrow: this pins the format to the byte.
    #[test]
    fn the_format_is_pinned() {
        let footer = encode_footer(&Digest::EMPTY, 0);
        assert_eq!(footer.len() as u64, BLOCK);
        assert_eq!(&footer[..28], b"depot blob\r\n\x1a\n\0\0\x01\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(chunk_checksum(0, b"depot"), 17168467695164107614);
        assert_eq!(checksum(&footer), 932192092175765949);
    }

    #[test]
    fn a_footer_of_another_hash_or_size_is_refused() {
        let footer = encode_footer(&Digest::EMPTY, 0);
        assert!(check_footer(&footer, &Digest::EMPTY, 0).is_ok());
        assert!(check_footer(&footer, &Digest::EMPTY, 1).is_err());
        assert!(check_footer(&footer, &Digest::from_bytes([7; 32]), 0).is_err());
        for at in [0, 17, 20, 60, 4000, 4095] {
            let mut flipped = footer.clone();
            flipped[at] ^= 1;
            assert!(check_footer(&flipped, &Digest::EMPTY, 0).is_err(), "byte {at}");
        }
    }
}
