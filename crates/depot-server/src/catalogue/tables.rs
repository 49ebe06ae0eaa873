//! Where the catalogue's rows lie: four redb tables, keys and values plain bytes.
//!
//! | table      | key                                  | value                                      |
//! |------------|--------------------------------------|--------------------------------------------|
//! | `meta`     | `identity`, `applied`, `start`       | whose file this is; the last command applied; the start number |
//! | `records`  | namespace (32 bytes), name           | a [`Record`]                               |
//! | `contents` | digest (32), namespace (32), name    | nothing                                    |
//! | `servers`  | server name                          | its incarnation and sweep number           |
//!
//! Values are sealed rows (`rows`). Keys are at most 32 + 32 + 1,024 bytes and sort bytewise, so
//! that "the names of a client", "the names of a client with this content" and "the records with
//! this content" are ranges. Each record has exactly one row in `contents`: both are changed only
//! here, together.

use depot_protocol::{Digest, FileName, ServerName};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::fault::{Corrupt, StoreError};
use super::record::{Namespace, Record};
use super::rows::{Identity, Row, Server};

type Bytes = &'static [u8];

pub(super) const META: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("meta");
pub(super) const RECORDS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("records");
pub(super) const CONTENTS: TableDefinition<'_, Bytes, ()> = TableDefinition::new("contents");
pub(super) const SERVERS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("servers");

const IDENTITY: &[u8] = b"identity";
const APPLIED: &[u8] = b"applied";
const START: &[u8] = b"start";

/// The tables within one write transaction.
pub(super) struct Tables<'t> {
    meta: Table<'t, Bytes, Bytes>,
    records: Table<'t, Bytes, Bytes>,
    contents: Table<'t, Bytes, ()>,
    servers: Table<'t, Bytes, Bytes>,
}

impl<'t> Tables<'t> {
    /// Opens them; they are made where they don't exist, which is when a catalogue is founded.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Tables {
            meta: transaction.open_table(META)?,
            records: transaction.open_table(RECORDS)?,
            contents: transaction.open_table(CONTENTS)?,
            servers: transaction.open_table(SERVERS)?,
        })
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

    /// Puts `record` in the place of `before`, which is what lies there now.
    pub(super) fn put_record(
        &mut self,
        namespace: &Namespace,
        name: &FileName,
        before: Option<&Record>,
        record: &Record,
    ) -> Result<(), StoreError> {
        put(&mut self.records, &record_key(namespace, name.as_str()), record)?;
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

/// The start number.
pub(super) fn start_number(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    number(&transaction.open_table(META)?, START)
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

fn number(meta: &impl ReadableTable<Bytes, Bytes>, key: &'static [u8]) -> Result<u64, StoreError> {
    get(meta, key)?.ok_or_else(|| missing(&String::from_utf8_lossy(key)))
}

fn put<T: Row>(
    table: &mut Table<'_, Bytes, Bytes>,
    key: &[u8],
    value: &T,
) -> Result<(), StoreError> {
    table.insert(key, value.seal(key).as_slice())?;
    Ok(())
}

fn missing(what: &str) -> StoreError {
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

/// The parts of a key in `contents`.
pub(super) fn split_content_key(key: &[u8]) -> Result<(Digest, Namespace, FileName), Corrupt> {
    let (digest, rest) =
        key.split_first_chunk().ok_or_else(|| Corrupt::new("a key of contents is cut short"))?;
    let (namespace, name) = split_record_key(rest)?;
    Ok((Digest::from_bytes(*digest), namespace, name))
}
