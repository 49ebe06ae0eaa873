//! Reads a whole catalogue and holds its parts against each other: every row whole, every key a
//! key, every record listed under its content, and nothing listed that is not there.

use depot_protocol::{Digest, ServerName};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::fault::{Corrupt, StoreError};
use super::record::{Record, Version};
use super::rows::{Row, Server};
use super::tables::{self, CONTENTS, RECORDS, SERVERS};

/// What a walk has found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// So many files.
    pub records: u64,
    /// The last command applied.
    pub applied: u64,
}

/// Reads everything; the first thing that is wrong ends it.
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
    Ok(Walked { records: count, applied })
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
