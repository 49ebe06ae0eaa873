//! Reads a whole catalogue and holds its parts against each other: every row whole, every key a
//! key, every record listed under its content, and nothing listed that is not there.

use depot_protocol::{Digest, ServerName};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::fault::{Corrupt, StoreError};
use super::log_tables;
use super::record::{Record, Version};
use super::rows::{Row, Server};
use super::tables::{self, CONTENTS, LOG, RECORDS, REMOVED, SERVERS, TOMBSTONES};

/// What a walk has found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// So many files.
    pub records: u64,
    /// The last command applied.
    pub applied: u64,
}

/// Reads everything; the first thing that is wrong ends it. A file from before there was a log has
/// none, and no tombstones.
pub(super) fn walk(transaction: &ReadTransaction) -> Result<Walked, StoreError> {
    tables::identity(transaction)?;
    tables::start_number(transaction)?;
    let applied = tables::applied(transaction)?;
    let records = transaction.open_table(RECORDS)?;
    let contents = transaction.open_table(CONTENTS)?;
    let mut count = 0_u64;
    for row in records.iter()? {
        let (key, row) = row?;
        let (namespace, name) = tables::split_record_key(key.value())?;
        let record = Record::unseal(key.value(), row.value())?;
        if record.version == Version(0) || record.version > Version(applied) {
            return Err(corrupt(format!("a file of {namespace:?} has a version yet to come")));
        }
        let listed = tables::content_key(&record.digest, &namespace, name.as_str());
        if contents.get(listed.as_slice())?.is_none() {
            return Err(corrupt(format!("a file of {namespace:?} is not under its content")));
        }
        count += 1;
    }
    let mut listed = 0_u64;
    for row in contents.iter()? {
        row?;
        listed += 1;
    }
    if [records.len()?, contents.len()?, listed] != [count; 3] {
        return Err(corrupt(format!("{count} files, and {listed} listed under their content")));
    }
    for row in transaction.open_table(SERVERS)?.iter()? {
        let (key, row) = row?;
        let name =
            std::str::from_utf8(key.value()).map_err(|_| corrupt("a server's name is no text"))?;
        ServerName::parse(name).map_err(|_| corrupt("a server's name is none"))?;
        Server::unseal(key.value(), row.value())?;
    }
    if tables::progress(transaction)?.is_some() {
        walk_tombstones(transaction, applied)?;
        walk_log(transaction)?;
    }
    Ok(Walked { records: count, applied })
}

fn walk_tombstones(transaction: &ReadTransaction, applied: u64) -> Result<(), StoreError> {
    tables::founders(transaction)?;
    let floor = tables::floor(transaction)?;
    let records = transaction.open_table(RECORDS)?;
    let tombstones = transaction.open_table(TOMBSTONES)?;
    let removed = transaction.open_table(REMOVED)?;
    let mut count = 0_u64;
    for row in removed.iter()? {
        let (index, row) = row?;
        let number = tables::split_index(index.value())?;
        let key = Vec::<u8>::unseal(index.value(), row.value())?;
        tables::split_record_key(&key)?;
        if tables::get(&tombstones, &key)? != Some(number)
            || records.get(key.as_slice())?.is_some()
            || number <= floor
            || number > applied
        {
            return Err(corrupt(format!("the removal by command {number} contradicts the files")));
        }
        count += 1;
    }
    if tombstones.len()? != count {
        return Err(corrupt("there are more tombstones than removals"));
    }
    Ok(())
}

fn walk_log(transaction: &ReadTransaction) -> Result<(), StoreError> {
    log_tables::vote(transaction)?;
    log_tables::committed(transaction)?;
    let extent = log_tables::extent(transaction)?;
    let mut last = extent.purged;
    for index in extent.first..extent.end() {
        // One at a time: the log may be larger than the memory.
        let entry = log_tables::entries(transaction, index..=index, 0)?.pop();
        let log_id = entry.map(|entry| entry.log_id);
        if log_id <= last {
            return Err(corrupt(format!("entry {index} of the log is older than the one before")));
        }
        last = log_id;
    }
    if last != extent.last || transaction.open_table(LOG)?.len()? != extent.len() {
        return Err(corrupt("the log does not end where it should"));
    }
    Ok(())
}

fn corrupt(what: impl Into<String>) -> StoreError {
    Corrupt::new(what).into()
}

/// The digest right behind this one; none behind the last.
pub(super) fn successor(digest: &Digest) -> Option<[u8; 32]> {
    let mut bytes = *digest.as_bytes();
    for byte in bytes.iter_mut().rev() {
        let (next, carried) = byte.overflowing_add(1);
        *byte = next;
        if !carried {
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests;
