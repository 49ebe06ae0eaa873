//! The newest end of the log, durable before the tables' file is: entries are written into a small file
//! beside it with one sync, and laid into the tables many at once, later. So a commit costs one sync
//! and a few KiB instead of two syncs and every page that changed.
//!
//! Each durable transaction of the tables lays down all entries that came before it, and raises their
//! *epoch*: the journal's records belong to an epoch, and with the next one they are not needed any
//! more. Then the file is written anew from its beginning; so does whoever finds it full, by such a
//! transaction. At start, the records of the tables' own epoch are what the tables lack, and are laid
//! into them.
//!
//! ```text
//! [ 40 bytes: magic, epoch, number within it, length, CRC of these ]
//! [ length: 8 bytes first index, then 4 bytes length and one sealed row for each entry ][ CRC ]
//! ```
//!
//! Each record begins at a multiple of 4 KiB, so that no later write can tear it. One that is not whole
//! and the last was never answered: the power went while it was written. One that is not whole and has
//! another of its epoch behind it, or one of an epoch that is yet to come, is damage.

use std::io;

use super::consensus::Entry;
use super::fault::{Corrupt, StoreError};
use super::log_tables::LogRow;
use super::rows::Row;
use crate::seams::DiskFile;

const MAGIC: &[u8; 8] = b"depotlog";
const HEADER: usize = 40;
const CRC: usize = 8;
const BLOCK: usize = 4096;
/// A file that has no room for a record grows by so much, in bytes.
const GROWS_BY: u64 = 256 * 1024;

/// The journal of an open catalogue.
#[derive(Debug)]
pub(super) struct LogJournal {
    file: Box<dyn DiskFile>,
    room: u64,
    epoch: u64,
    /// The number of the next record, and where it goes.
    number: u64,
    end: u64,
    /// What was written and is not in the tables yet, and how many bytes that is.
    unlaid: (Vec<LogRow>, usize),
}

impl LogJournal {
    /// One whose records, if it has any, are in the tables, whose epoch this is: before anything is
    /// written to it they are to be raised to the next.
    pub(super) fn new(file: Box<dyn DiskFile>, room: u64, epoch: u64) -> Self {
        LogJournal { file, room, epoch, number: 0, end: 0, unlaid: Default::default() }
    }

    /// The tables' epoch.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What the tables have is durable, and of the next epoch; entries that are not in the tables there
    /// must not be.
    pub(super) fn restart(&mut self) {
        self.epoch += 1;
        (self.number, self.end) = (0, 0);
    }

    /// The entries that were written and are not in the tables yet.
    pub(super) fn unlaid(&self) -> &[LogRow] {
        &self.unlaid.0
    }

    /// How many bytes these are.
    pub(super) fn unlaid_bytes(&self) -> usize {
        self.unlaid.1
    }

    /// They are in the tables now.
    pub(super) fn laid(&mut self) {
        self.unlaid = Default::default();
    }

    /// The record of these rows, if there is room for it.
    pub(super) fn record(&self, rows: &[LogRow]) -> Option<Vec<u8>> {
        let first = rows.first()?.log_id.index;
        let mut body = first.to_le_bytes().to_vec();
        for LogRow { sealed, .. } in rows {
            body.extend_from_slice(&u32::try_from(sealed.len()).ok()?.to_le_bytes());
            body.extend_from_slice(sealed);
        }
        let mut record = header(self.epoch, self.number, body.len() as u64);
        record.append(&mut body);
        record.extend_from_slice(&checksum(&record).to_le_bytes());
        record.resize(record.len().next_multiple_of(BLOCK), 0);
        (self.end + record.len() as u64 <= self.room).then_some(record)
    }

    /// Makes the record of these rows durable. After an error nothing is known of it, and the journal
    /// can't be used.
    pub(super) fn write(&mut self, mut record: Vec<u8>, rows: Vec<LogRow>) -> io::Result<()> {
        let end = self.end + record.len() as u64;
        if end > self.file.size()? {
            // With room for those that follow: a sync of a file that has grown costs more.
            record.resize((end.next_multiple_of(GROWS_BY) - self.end) as usize, 0);
        }
        self.file.write_all_at(&record, self.end)?;
        self.file.sync()?;
        self.number += 1;
        self.end = end;
        self.unlaid.1 += rows.iter().map(|row| row.sealed.len()).sum::<usize>();
        self.unlaid.0.extend(rows);
        Ok(())
    }
}

fn header(epoch: u64, number: u64, length: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    for field in [epoch, number, length] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    header.extend_from_slice(&checksum(&header).to_le_bytes());
    header
}

/// The epoch, number and length that a record's header names.
fn parse(bytes: &[u8]) -> Option<(u64, u64, usize)> {
    let header = bytes.get(..HEADER)?;
    let field = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let sum = checksum(&header[..HEADER - CRC]);
    if !header.starts_with(MAGIC) || field(HEADER - CRC)? != sum {
        return None;
    }
    Some((field(8)?, field(16)?, usize::try_from(field(24)?).ok()?))
}

/// The entries that tables of this epoch lack, or have already, in their order.
pub(super) fn entries(file: &dyn DiskFile, epoch: u64) -> Result<Vec<Entry>, StoreError> {
    let fault = |error| StoreError::from(redb::StorageError::Io(error));
    let mut bytes = vec![0; file.size().map_err(fault)? as usize];
    file.read_exact_at(&mut bytes, 0).map_err(fault)?;
    let (mut entries, mut at, mut number) = (Vec::new(), 0, 0);
    while let Some(body) = bytes.get(at..).and_then(|rest| body(rest, epoch, number)) {
        read_entries(body, &mut entries)?;
        at += (HEADER + body.len() + CRC).next_multiple_of(BLOCK);
        number += 1;
    }
    for rest in (0..bytes.len()).step_by(BLOCK).filter_map(|at| bytes.get(at..)) {
        match parse(rest) {
            Some((later, ..)) if later > epoch => {
                return Err(corrupt("the log's journal is newer than the catalogue"));
            }
            Some((same, later, _)) if same == epoch && later > number => {
                return Err(corrupt(format!("record {number} of the log's journal is damaged")));
            }
            _ => {}
        }
    }
    Ok(entries)
}

/// The body of the record that these bytes begin with, if it is this one and whole.
fn body(bytes: &[u8], epoch: u64, number: u64) -> Option<&[u8]> {
    let (its_epoch, its_number, length) = parse(bytes)?;
    if (its_epoch, its_number) != (epoch, number) {
        return None;
    }
    let end = HEADER.checked_add(length)?;
    let sum = bytes.get(end..end.checked_add(CRC)?)?;
    (checksum(&bytes[..end]).to_le_bytes() == *sum).then(|| &bytes[HEADER..end])
}

fn read_entries(body: &[u8], entries: &mut Vec<Entry>) -> Result<(), Corrupt> {
    let odd = || Corrupt::new("a record of the log's journal cannot be decoded");
    let (first, mut rest) = body.split_first_chunk().ok_or_else(odd)?;
    let mut index = u64::from_le_bytes(*first);
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk().ok_or_else(odd)?;
        let (row, behind) =
            behind.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(odd)?;
        let entry = Entry::unseal(&index.to_be_bytes(), row)?;
        if entry.log_id.index != index {
            return Err(odd());
        }
        entries.push(entry);
        (rest, index) = (behind, index + 1);
    }
    Ok(())
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    crc.update(bytes);
    crc.finalize()
}

fn corrupt(what: impl Into<String>) -> StoreError {
    Corrupt::new(what).into()
}
