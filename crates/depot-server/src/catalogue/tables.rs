//! Where the catalogue's rows lie: redb tables of one file, keys and values plain bytes.
//!
//! | table        | key                                  | value                                      |
//! |--------------|--------------------------------------|--------------------------------------------|
//! | `meta`       | a name, see below                    | one row each                               |
//! | `records`    | namespace (32 bytes), name           | a [`Record`]                               |
//! | `contents`   | digest (32), namespace (32), name    | nothing                                    |
//! | `servers`    | server name                          | its incarnation, sweep number, whether away |
//! | `tombstones` | namespace (32), name                 | the command that removed it                |
//! | `removed`    | that command (8, big endian)         | the key in `tombstones`                    |
//! | `log`        | index (8, big endian)                | an entry of the log (`log_tables`)         |
//! | `incoming`   | a number (8, big endian)             | a frame of a snapshot on its way (`snapshot`) |
//!
//! Of `meta`, `applied` (how many commands were applied), `floor` (up to which command tombstones
//! were given up) and `progress` (up to which entry of the log) belong to what all servers share,
//! as do the tables up to `removed`. `identity`, `start` (the start number), `founders`, `vote`,
//! `committed`, `purged`, `head`, `tail` and `epoch` are this server's own and never leave it.
//!
//! Values are sealed rows (`rows`). Keys are at most 32 + 32 + 1,024 bytes and sort bytewise, so
//! that "the names of a client", "the names of a client with this content" and "the records with
//! this content" are ranges. Each record has exactly one row in `contents`, each tombstone exactly
//! one in `removed`: both are changed only here, together.

use std::ops::Bound;

use depot_protocol::{Digest, FileName, ServerName};
use redb::{
    ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};

use super::fault::{Corrupt, StoreError};
use super::log_rows::{Founders, Progress};
use super::record::{Namespace, Record};
use super::rows::{Identity, Row, Server};

pub(super) type Bytes = &'static [u8];
type Definition = TableDefinition<'static, Bytes, Bytes>;

pub(super) const META: Definition = TableDefinition::new("meta");
pub(super) const RECORDS: Definition = TableDefinition::new("records");
pub(super) const CONTENTS: TableDefinition<'static, Bytes, ()> = TableDefinition::new("contents");
pub(super) const SERVERS: Definition = TableDefinition::new("servers");
pub(super) const TOMBSTONES: Definition = TableDefinition::new("tombstones");
pub(super) const REMOVED: Definition = TableDefinition::new("removed");
pub(super) const LOG: Definition = TableDefinition::new("log");
pub(super) const INCOMING: Definition = TableDefinition::new("incoming");

const IDENTITY: &[u8] = b"identity";
const START: &[u8] = b"start";
const FOUNDERS: &[u8] = b"founders";
pub(super) const APPLIED: &[u8] = b"applied";
pub(super) const FLOOR: &[u8] = b"floor";
pub(super) const PROGRESS: &[u8] = b"progress";
/// Counts the durable transactions; what the log's journal has belongs to one (`log_journal`).
pub(super) const EPOCH: &[u8] = b"epoch";

/// The tables within one write transaction.
pub(super) struct Tables<'t> {
    pub(super) meta: Table<'t, Bytes, Bytes>,
    records: Table<'t, Bytes, Bytes>,
    contents: Table<'t, Bytes, ()>,
    servers: Table<'t, Bytes, Bytes>,
    tombstones: Table<'t, Bytes, Bytes>,
    removed: Table<'t, Bytes, Bytes>,
    pub(super) log: Table<'t, Bytes, Bytes>,
}

impl<'t> Tables<'t> {
    /// Opens them; they are made where they don't exist, which is when a catalogue is founded.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Tables {
            meta: transaction.open_table(META)?,
            records: transaction.open_table(RECORDS)?,
            contents: transaction.open_table(CONTENTS)?,
            servers: transaction.open_table(SERVERS)?,
            tombstones: transaction.open_table(TOMBSTONES)?,
            removed: transaction.open_table(REMOVED)?,
            log: transaction.open_table(LOG)?,
        })
    }

    /// Empties what all servers share.
    pub(super) fn clear_shared(&mut self) -> Result<(), StoreError> {
        for key in [APPLIED, FLOOR, PROGRESS] {
            self.meta.remove(key)?;
        }
        self.contents.retain(|_, ()| false)?;
        for table in [&mut self.records, &mut self.servers, &mut self.tombstones, &mut self.removed]
        {
            table.retain(|_, _| false)?;
        }
        Ok(())
    }

    pub(super) fn set_identity(&mut self, identity: &Identity) -> Result<(), StoreError> {
        put(&mut self.meta, IDENTITY, identity)
    }

    pub(super) fn applied(&self) -> Result<u64, StoreError> {
        number(&self.meta, APPLIED)
    }

    pub(super) fn set_applied(&mut self, index: u64) -> Result<(), StoreError> {
        put(&mut self.meta, APPLIED, &index)
    }

    /// Up to which command tombstones were given up.
    pub(super) fn floor(&self) -> Result<u64, StoreError> {
        number(&self.meta, FLOOR)
    }

    pub(super) fn set_floor(&mut self, index: u64) -> Result<(), StoreError> {
        put(&mut self.meta, FLOOR, &index)
    }

    pub(super) fn progress(&self) -> Result<Option<Progress>, StoreError> {
        get(&self.meta, PROGRESS)
    }

    pub(super) fn set_progress(&mut self, progress: &Progress) -> Result<(), StoreError> {
        put(&mut self.meta, PROGRESS, progress)
    }

    pub(super) fn set_founders(&mut self, founders: &Founders) -> Result<(), StoreError> {
        put(&mut self.meta, FOUNDERS, founders)
    }

    pub(super) fn start_number(&self) -> Result<u64, StoreError> {
        number(&self.meta, START)
    }

    pub(super) fn set_start_number(&mut self, number: u64) -> Result<(), StoreError> {
        put(&mut self.meta, START, &number)
    }

    pub(super) fn server(&self, name: &ServerName) -> Result<Option<Server>, StoreError> {
        server(&self.servers, name)
    }

    pub(super) fn set_server(&mut self, name: &ServerName, to: Server) -> Result<(), StoreError> {
        put(&mut self.servers, name.as_str().as_bytes(), &to)
    }

    pub(super) fn record(
        &self,
        namespace: &Namespace,
        name: &FileName,
    ) -> Result<Option<Record>, StoreError> {
        get(&self.records, &record_key(namespace, name.as_str()))
    }

    /// The command that removed this name, as far as that is remembered.
    pub(super) fn tombstone(
        &self,
        namespace: &Namespace,
        name: &FileName,
    ) -> Result<Option<u64>, StoreError> {
        get(&self.tombstones, &record_key(namespace, name.as_str()))
    }

    /// Remembers that this command removed this name, and of all names the last `keep`.
    pub(super) fn bury(
        &mut self,
        namespace: &Namespace,
        name: &FileName,
        index: u64,
        keep: u64,
    ) -> Result<(), StoreError> {
        let key = record_key(namespace, name.as_str());
        put(&mut self.tombstones, &key, &index)?;
        put(&mut self.removed, &index.to_be_bytes(), &key)?;
        while self.removed.len()? > keep {
            let Some((oldest, key)) = self.oldest_grave()? else { break };
            self.removed.remove(oldest.to_be_bytes().as_slice())?;
            self.tombstones.remove(key.as_slice())?;
            self.set_floor(oldest)?;
        }
        Ok(())
    }

    fn oldest_grave(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let Some((index, row)) = self.removed.first()? else { return Ok(None) };
        let key = Row::unseal(index.value(), row.value())?;
        Ok(Some((split_index(index.value())?, key)))
    }

    fn unbury(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let index: Option<u64> = get(&self.tombstones, key)?;
        if let Some(index) = index {
            self.tombstones.remove(key)?;
            self.removed.remove(index.to_be_bytes().as_slice())?;
        }
        Ok(())
    }

    /// The first files with this content behind `after` (none: from the first one on), of all
    /// clients, at most so many.
    pub(super) fn files_with(
        &self,
        digest: &Digest,
        after: Option<&(Namespace, FileName)>,
        most: usize,
    ) -> Result<Vec<(Namespace, FileName)>, StoreError> {
        let from = match after {
            Some((namespace, name)) => content_key(digest, namespace, name.as_str()),
            None => digest.as_bytes().to_vec(), // before every key that has more in it
        };
        let behind = (Bound::Excluded(from.as_slice()), Bound::Unbounded);
        let mut files = Vec::new();
        for row in self.contents.range::<&[u8]>(behind)?.take(most) {
            let (key, _) = row?;
            if !key.value().starts_with(digest.as_bytes()) {
                break;
            }
            let (_, namespace, name) = split_content_key(key.value())?;
            files.push((namespace, name));
        }
        Ok(files)
    }

    /// Puts `record` in the place of `before`, which is what lies there now.
    pub(super) fn put_record(
        &mut self,
        namespace: &Namespace,
        name: &FileName,
        before: Option<&Record>,
        record: &Record,
    ) -> Result<(), StoreError> {
        let key = record_key(namespace, name.as_str());
        put(&mut self.records, &key, record)?;
        if before.is_none() {
            self.unbury(&key)?;
        }
        if let Some(before) = before.filter(|before| before.digest != record.digest) {
            self.contents
                .remove(content_key(&before.digest, namespace, name.as_str()).as_slice())?;
        }
        self.contents
            .insert(content_key(&record.digest, namespace, name.as_str()).as_slice(), ())?;
        Ok(())
    }

    /// Removes `before`, which is what lies there now.
    pub(super) fn remove_record(
        &mut self,
        namespace: &Namespace,
        name: &FileName,
        before: &Record,
    ) -> Result<(), StoreError> {
        self.records.remove(record_key(namespace, name.as_str()).as_slice())?;
        self.contents.remove(content_key(&before.digest, namespace, name.as_str()).as_slice())?;
        Ok(())
    }
}

/// Whose file this is.
pub(super) fn identity(transaction: &ReadTransaction) -> Result<Identity, StoreError> {
    get(&transaction.open_table(META)?, IDENTITY)?.ok_or_else(|| missing("identity"))
}

/// The last command applied.
pub(super) fn applied(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    number(&transaction.open_table(META)?, APPLIED)
}

/// Up to which command tombstones were given up.
pub(super) fn floor(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    number(&transaction.open_table(META)?, FLOOR)
}

/// The start number.
pub(super) fn start_number(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    number(&transaction.open_table(META)?, START)
}

/// The servers that the cluster was founded with.
pub(super) fn founders(transaction: &ReadTransaction) -> Result<Founders, StoreError> {
    get(&transaction.open_table(META)?, FOUNDERS)?.ok_or_else(|| missing("founders"))
}

/// How far the tables have come in the log; none in a file from before there was a log.
pub(super) fn progress(transaction: &ReadTransaction) -> Result<Option<Progress>, StoreError> {
    let progress = get(&transaction.open_table(META)?, PROGRESS)?;
    if progress.is_none() {
        match transaction.open_table(LOG) {
            Err(redb::TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Err(missing("progress")),
        }
    }
    Ok(progress)
}

/// A server's row.
pub(super) fn server(
    servers: &impl ReadableTable<Bytes, Bytes>,
    name: &ServerName,
) -> Result<Option<Server>, StoreError> {
    get(servers, name.as_str().as_bytes())
}

/// The value of the row under `key`.
pub(super) fn get<T: Row>(
    table: &impl ReadableTable<Bytes, Bytes>,
    key: &[u8],
) -> Result<Option<T>, StoreError> {
    let row = table.get(key)?;
    Ok(row.map(|row| T::unseal(key, row.value())).transpose()?)
}

pub(super) fn number(
    meta: &impl ReadableTable<Bytes, Bytes>,
    key: &'static [u8],
) -> Result<u64, StoreError> {
    get(meta, key)?.ok_or_else(|| missing(&String::from_utf8_lossy(key)))
}

pub(super) fn put<T: Row>(
    table: &mut Table<'_, Bytes, Bytes>,
    key: &[u8],
    value: &T,
) -> Result<(), StoreError> {
    table.insert(key, value.seal(key).as_slice())?;
    Ok(())
}

pub(super) fn missing(what: &str) -> StoreError {
    Corrupt::new(format!("the row {what:?} of the table meta is missing")).into()
}

/// The key in `records`; also, with the name cut short or not a name at all, a place between keys.
pub(super) fn record_key(namespace: &Namespace, name: &str) -> Vec<u8> {
    [namespace.as_bytes(), name.as_bytes()].concat()
}

/// The key in `contents`.
pub(super) fn content_key(digest: &Digest, namespace: &Namespace, name: &str) -> Vec<u8> {
    [digest.as_bytes(), namespace.as_bytes(), name.as_bytes()].concat()
}

/// The parts of a key in `records`.
pub(super) fn split_record_key(key: &[u8]) -> Result<(Namespace, FileName), Corrupt> {
    let (namespace, name) =
        key.split_first_chunk().ok_or_else(|| Corrupt::new("a key of records is cut short"))?;
    let name = std::str::from_utf8(name).map_err(|_| Corrupt::new("a file's name is no text"))?;
    let name = FileName::parse(name).map_err(|_| Corrupt::new("a file's name is none"))?;
    Ok((Namespace::from_bytes(*namespace), name))
}

/// The server that a key of `servers` is.
pub(super) fn split_server_key(key: &[u8]) -> Result<ServerName, Corrupt> {
    let name = std::str::from_utf8(key).map_err(|_| Corrupt::new("a server's name is no text"))?;
    ServerName::parse(name).map_err(|_| Corrupt::new("a server's name is none"))
}

/// The number that a key of `log`, `removed` or `incoming` is.
pub(super) fn split_index(key: &[u8]) -> Result<u64, Corrupt> {
    let bytes = key.try_into().map_err(|_| Corrupt::new("a key that is a number is cut short"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The parts of a key in `contents`.
pub(super) fn split_content_key(key: &[u8]) -> Result<(Digest, Namespace, FileName), Corrupt> {
    let (digest, rest) =
        key.split_first_chunk().ok_or_else(|| Corrupt::new("a key of contents is cut short"))?;
    let (namespace, name) = split_record_key(rest)?;
    Ok((Digest::from_bytes(*digest), namespace, name))
}
