//! The first 512 bytes of the catalogue's file: redb's own header, and a seal on it.
//!
//! redb checksums all that it stores but the front of its header: the byte that tells which of the
//! two commit slots is the current one, and the numbers of its layout. One flipped bit there would
//! make yesterday's commit today's, and nothing would notice. So each header that redb writes gets
//! a CRC-64/NVME behind it, in the same write and the same 512-byte sector: the two are never apart
//! on a disk that writes its sectors whole. redb neither reads nor writes that place (its header
//! page is 4 KiB, of which it uses 320 bytes), so the file stays a plain redb file.
//!
//! What of redb's header (its `docs/design.md`, file format 3, which 4.x keeps) is read here is only
//! its layout, to know a file that was cut short: redb makes a longer file durable before it writes
//! the longer layout, and cuts the file only after the shorter layout is durable, so the file is
//! never shorter than the header says, whenever the power fails.

use std::io;

use crc_fast::{CrcAlgorithm, checksum};

use crate::seams::DiskFile;

/// The bytes that redb writes at offset 0, always all at once.
pub(super) const HEADER_LEN: usize = 320;
const SEALED_LEN: usize = HEADER_LEN + SEAL_MAGIC.len() + 8;
const SEAL_MAGIC: &[u8; 8] = b"depot-1\n";
/// redb's header page, and the shortest file that can be one of ours.
const PAGE: u64 = 4096;

/// Offsets of the layout's numbers, each a little-endian `u32`.
const PAGE_SIZE_AT: usize = 12;
const REGION_HEADER_PAGES_AT: usize = 16;
const REGION_MAX_PAGES_AT: usize = 20;
const FULL_REGIONS_AT: usize = 24;
const TRAILING_PAGES_AT: usize = 28;

/// redb's header with its seal, to be written at offset 0.
pub(super) fn seal(header: &[u8; HEADER_LEN]) -> [u8; SEALED_LEN] {
    let mut sealed = [0; SEALED_LEN];
    let (front, crc) = sealed.split_at_mut(SEALED_LEN - 8);
    front[..HEADER_LEN].copy_from_slice(header);
    front[HEADER_LEN..].copy_from_slice(SEAL_MAGIC);
    crc.copy_from_slice(&checksum(CrcAlgorithm::Crc64Nvme, front).to_le_bytes());
    sealed
}

/// Why a file is not a whole catalogue as far as its header tells; none if it may be one.
pub(super) fn fault(file: &dyn DiskFile) -> io::Result<Option<String>> {
    let size = file.size()?;
    if size < PAGE {
        return Ok(Some(format!("it was cut short to {size} bytes")));
    }
    let mut sealed = [0; SEALED_LEN];
    file.read_exact_at(&mut sealed, 0)?;
    let (front, crc) = sealed.split_at(SEALED_LEN - 8);
    if checksum(CrcAlgorithm::Crc64Nvme, front).to_le_bytes() != *crc {
        return Ok(Some("its header does not have its checksum".into()));
    }
    let (header, magic) = front.split_at(HEADER_LEN);
    if magic != SEAL_MAGIC {
        return Ok(Some("its header is sealed in a form that this program does not know".into()));
    }
    let wanted = layout_len(header);
    Ok((size < wanted).then(|| format!("it was cut short to {size} of {wanted} bytes")))
}

/// How long the header says that the file is.
fn layout_len(header: &[u8]) -> u64 {
    let number = |at: usize| {
        let bytes = header[at..].first_chunk().copied().unwrap_or_default();
        u64::from(u32::from_le_bytes(bytes))
    };
    let pages = |data: u64| number(REGION_HEADER_PAGES_AT).saturating_add(data);
    let full = number(FULL_REGIONS_AT).saturating_mul(pages(number(REGION_MAX_PAGES_AT)));
    let trailing = match number(TRAILING_PAGES_AT) {
        0 => 0,
        data => pages(data),
    };
    let regions = full.saturating_add(trailing).saturating_mul(number(PAGE_SIZE_AT));
    number(PAGE_SIZE_AT).saturating_add(regions)
}
