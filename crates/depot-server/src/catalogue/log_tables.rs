//! The log within the tables: entries without a hole from behind `purged` up to `tail`, the vote,
//! and the last entry known to be committed.
//!
//! Head and tail are written beside the entries, so that a row lost at an end shows like one lost in
//! the middle. Whatever contradicts itself here is damage: nothing is cut to make it fit.

use std::ops::{Bound, RangeBounds};

use redb::{ReadTransaction, ReadableTable};

use super::consensus::{Entry, LogId, Vote};
use super::fault::{Corrupt, StoreError};
use super::rows::Row;
use super::tables::{LOG, META, Tables, get, put};

pub(super) const VOTE: &[u8] = b"vote";
pub(super) const COMMITTED: &[u8] = b"committed";
pub(super) const PURGED: &[u8] = b"purged";
/// The index of the first entry that is there.
pub(super) const HEAD: &[u8] = b"head";
/// The last entry that is there.
pub(super) const TAIL: &[u8] = b"tail";

/// An entry as it lies in the tables and in the journal.
#[derive(Debug)]
pub(super) struct LogRow {
    pub(super) log_id: LogId,
    pub(super) sealed: Vec<u8>,
}

impl LogRow {
    pub(super) fn of(entry: &Entry) -> Self {
        LogRow { log_id: entry.log_id, sealed: entry.seal(&entry.log_id.index.to_be_bytes()) }
    }
}

/// Where the log begins and ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The last entry that was dropped, because the tables (and with them a snapshot) have it.
    pub(super) purged: Option<LogId>,
    /// The last entry, dropped or not.
    pub(super) last: Option<LogId>,
    /// The index of the first entry that is there, or would be.
    pub(super) first: u64,
}

impl Extent {
    /// The index behind the last entry.
    pub(super) fn end(&self) -> u64 {
        next(self.last)
    }

    /// How many entries are there.
    pub(super) fn len(&self) -> u64 {
        self.end().saturating_sub(self.first)
    }
}

/// Whether these entries follow the last one, and each other, without a hole. What comes first in a log
/// that never had anything, openraft has made sure of.
pub(super) fn check_next(last: Option<LogId>, rows: &[LogRow]) -> Result<(), StoreError> {
    let first = rows.first().filter(|_| last.is_none());
    let begin = first.map_or(next(last), |first| first.log_id.index);
    for (expected, row) in (begin..).zip(rows) {
        let index = row.log_id.index;
        if index != expected {
            return Err(hole(format!("entry {index} was to be appended at {expected}")));
        }
    }
    Ok(())
}

fn next(log_id: Option<LogId>) -> u64 {
    log_id.map_or(0, |log_id| log_id.index + 1)
}

impl Tables<'_> {
    pub(super) fn set_vote(&mut self, vote: &Vote) -> Result<(), StoreError> {
        put(&mut self.meta, VOTE, vote)
    }

    pub(super) fn set_committed(&mut self, committed: &LogId) -> Result<(), StoreError> {
        put(&mut self.meta, COMMITTED, committed)
    }

    pub(super) fn extent(&self) -> Result<Extent, StoreError> {
        extent_of(&self.meta)
    }

    /// Appends entries, which must follow the last one without a hole.
    pub(super) fn append_log(&mut self, rows: &[LogRow]) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let extent = self.extent()?;
        check_next(extent.last, rows)?;
        if extent.len() == 0 {
            put(&mut self.meta, HEAD, &first.log_id.index)?;
        }
        for row in rows {
            let key = row.log_id.index.to_be_bytes();
            self.log.insert(key.as_slice(), row.sealed.as_slice())?;
        }
        put(&mut self.meta, TAIL, &last.log_id)
    }

    /// Appends what the journal has of these entries and the tables do not: those that are there, or
    /// were dropped, must be the same.
    pub(super) fn append_late(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let extent = self.extent()?;
        let there = entries.partition_point(|entry| entry.log_id.index < extent.end());
        let (there, late) = entries.split_at(there);
        for entry in there.iter().filter(|entry| entry.log_id.index >= extent.first) {
            let index = entry.log_id.index;
            if self.entry(index)?.log_id != entry.log_id {
                return Err(hole(format!(
                    "entry {index} of the log is another one in its journal"
                )));
            }
        }
        self.append_log(&late.iter().map(LogRow::of).collect::<Vec<_>>())
    }

    /// Drops the entries from `since` on: another leader has decided otherwise.
    pub(super) fn truncate_log(&mut self, since: u64) -> Result<(), StoreError> {
        let extent = self.extent()?;
        if since < extent.first {
            return Err(hole(format!("the log was to be cut at {since}, before its beginning")));
        }
        self.log.retain_in(since.to_be_bytes().as_slice().., |_, _| false)?;
        if since > extent.first {
            let entry = self.entry(since - 1)?;
            put(&mut self.meta, TAIL, &entry.log_id)
        } else {
            self.no_entries()
        }
    }

    /// Drops the entries up to `upto`, which the tables have.
    pub(super) fn purge_log(&mut self, upto: &LogId) -> Result<(), StoreError> {
        let extent = self.extent()?;
        if extent.purged >= Some(*upto) {
            return Ok(());
        }
        self.log.retain_in(..=upto.index.to_be_bytes().as_slice(), |_, _| false)?;
        put(&mut self.meta, PURGED, upto)?;
        if extent.end() <= upto.index + 1 {
            return self.no_entries();
        }
        put(&mut self.meta, HEAD, &(upto.index + 1))
    }

    fn no_entries(&mut self) -> Result<(), StoreError> {
        self.meta.remove(HEAD)?;
        self.meta.remove(TAIL)?;
        Ok(())
    }

    fn entry(&self, index: u64) -> Result<Entry, StoreError> {
        get(&self.log, &index.to_be_bytes())?
            .ok_or_else(|| hole(format!("entry {index} of the log is missing")))
    }
}

pub(super) fn vote(transaction: &ReadTransaction) -> Result<Option<Vote>, StoreError> {
    get(&transaction.open_table(META)?, VOTE)
}

pub(super) fn committed(transaction: &ReadTransaction) -> Result<Option<LogId>, StoreError> {
    get(&transaction.open_table(META)?, COMMITTED)
}

pub(super) fn extent(transaction: &ReadTransaction) -> Result<Extent, StoreError> {
    extent_of(&transaction.open_table(META)?)
}

fn extent_of(
    meta: &impl ReadableTable<&'static [u8], &'static [u8]>,
) -> Result<Extent, StoreError> {
    let purged: Option<LogId> = get(meta, PURGED)?;
    let tail: Option<LogId> = get(meta, TAIL)?;
    let head: Option<u64> = get(meta, HEAD)?;
    let behind = next(purged);
    let whole = match (head, tail) {
        (None, None) => true,
        (Some(head), Some(tail)) => head <= tail.index && (head == behind || purged.is_none()),
        _ => false,
    };
    if !whole {
        return Err(hole("the log does not begin or end where it should".into()));
    }
    Ok(Extent { purged, last: tail.or(purged), first: head.unwrap_or(behind) })
}

/// The entries of this range as far as the log has them, at most `limit` bytes of them but at
/// least one. Within the log there is no hole, or this is an error.
pub(super) fn entries(
    transaction: &ReadTransaction,
    range: impl RangeBounds<u64>,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let extent = extent(transaction)?;
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    let (start, end) = (start.max(extent.first), end.min(extent.end()));
    let log = transaction.open_table(LOG)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for index in start..end {
        let key = index.to_be_bytes();
        let row = log.get(key.as_slice())?;
        let row = row.ok_or_else(|| hole(format!("entry {index} of the log is missing")))?;
        bytes += row.value().len();
        if bytes > limit && !entries.is_empty() {
            break;
        }
        let entry = Entry::unseal(&key, row.value())?;
        if entry.log_id.index != index {
            return Err(hole(format!("entry {index} of the log is another one")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn hole(what: String) -> StoreError {
    Corrupt::new(what).into()
}
