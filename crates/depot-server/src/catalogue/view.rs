//! The catalogue as it was at one moment: what `Catalogue::view` gives and everybody reads from.
//!
//! Every method reads the disk and may block: call them through the
//! [`Blocking`](crate::seams::Blocking) seam. A row that makes no sense is an error, never an
//! absent row. A `View` keeps the pages of its moment from being used again, so it is not for
//! keeping.

use std::ops::Bound;
use std::sync::Arc;

use depot_protocol::{Digest, FileName, ServerName};
use redb::{ReadTransaction, ReadableTable};

use super::Freshness;
use super::fault::{Corrupt, StoreError};
use super::record::{Incarnation, Namespace, Record, SweepNumber};
use super::rows::{Row, Server};
use super::standing::{Servers, Standing};
use super::store::Store;
use super::tables::{self, CONTENTS, RECORDS, SERVERS};
use super::walk::{self, Walked};

/// The catalogue could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What lies there makes no sense. The rest may well be whole.
    #[error("the catalogue is damaged: {what}")]
    Corrupt {
        /// In what way.
        what: String,
    },
    /// The catalogue has stopped after a fault; the server is about to end.
    #[error("the catalogue has stopped after a fault")]
    Down,
}

/// What [`View::wanted_by`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The files that want a copy on that server, and of which content.
    pub files: Vec<(Namespace, FileName, Digest)>,
    /// Where to go on, if there may be more.
    pub last: Option<(Namespace, FileName)>,
}

/// What [`View::page`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Files, of all clients.
    pub files: Vec<(Namespace, FileName, Record)>,
    /// Where to go on, if there may be more.
    pub last: Option<(Namespace, FileName)>,
}

/// A consistent snapshot of the catalogue.
pub struct View {
    store: Arc<Store>,
    transaction: ReadTransaction,
    freshness: Freshness,
}

impl View {
    pub(super) fn new(
        store: Arc<Store>,
        transaction: ReadTransaction,
        freshness: Freshness,
    ) -> Self {
        View { store, transaction, freshness }
    }

    /// How much it may lag.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The last command that it shows.
    pub fn applied(&self) -> Result<u64, ReadError> {
        self.store.reading(|| tables::applied(&self.transaction))
    }

    /// A file.
    pub fn get(&self, namespace: &Namespace, name: &FileName) -> Result<Option<Record>, ReadError> {
        self.store.reading(|| {
            let records = self.transaction.open_table(RECORDS)?;
            tables::get(&records, &tables::record_key(namespace, name.as_str()))
        })
    }

    /// At most `limit` files of a client in the byte order of their names, those behind `after`
    /// (which need not be a name; empty is before all), and whether there are more. The cost is
    /// that of the page, whatever the size of the catalogue.
    pub fn list(
        &self,
        namespace: &Namespace,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<(FileName, Record)>, bool), ReadError> {
        self.store.reading(|| {
            let records = self.transaction.open_table(RECORDS)?;
            let mut page = Vec::new();
            for row in records.range::<&[u8]>(behind(&tables::record_key(namespace, after)))? {
                let (key, row) = row?;
                if !key.value().starts_with(namespace.as_bytes()) {
                    break;
                }
                if page.len() == limit {
                    return Ok((page, true));
                }
                let (_, name) = tables::split_record_key(key.value())?;
                page.push((name, Record::unseal(key.value(), row.value())?));
            }
            Ok((page, false))
        })
    }

    /// Any one file of this client with this content.
    pub fn with_content(
        &self,
        namespace: &Namespace,
        digest: &Digest,
    ) -> Result<Option<Record>, ReadError> {
        self.store.reading(|| {
            let contents = self.transaction.open_table(CONTENTS)?;
            let prefix = tables::content_key(digest, namespace, "");
            let Some(row) = contents.range::<&[u8]>(behind(&prefix))?.next().transpose()? else {
                return Ok(None);
            };
            let key = row.0.value();
            if !key.starts_with(&prefix) {
                return Ok(None);
            }
            self.listed(digest, key).map(Some)
        })
    }

    /// Whether any record lists this content on this server, confirmed or wanted: if so, the
    /// server must not let go of it.
    pub fn lists_blob(&self, digest: &Digest, server: &ServerName) -> Result<bool, ReadError> {
        self.any_with(digest, |record| record.lists(server))
    }

    /// Whether this holds of any record with this content.
    fn any_with(
        &self,
        digest: &Digest,
        holds: impl Fn(&Record) -> bool,
    ) -> Result<bool, ReadError> {
        self.store.reading(|| {
            let contents = self.transaction.open_table(CONTENTS)?;
            for row in contents.range::<&[u8]>(behind(digest.as_bytes()))? {
                let (key, _) = row?;
                if !key.value().starts_with(digest.as_bytes()) {
                    break;
                }
                if holds(&self.listed(digest, key.value())?) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// At most `limit` contents that records list, each once, in byte order, those behind `after`
    /// (none: from the start), and whether there are more.
    pub fn contents(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<(Vec<Digest>, bool), ReadError> {
        self.store.reading(|| {
            let contents = self.transaction.open_table(CONTENTS)?;
            let mut page = Vec::new();
            let mut from = match after {
                Some(after) => walk::successor(after),
                None => Some([0; 32]),
            };
            while let Some(start) = from {
                let Some(row) = contents.range(start.as_slice()..)?.next().transpose()? else {
                    break;
                };
                if page.len() == limit {
                    return Ok((page, true));
                }
                let (digest, _, _) = tables::split_content_key(row.0.value())?;
                page.push(digest);
                from = walk::successor(&digest);
            }
            Ok((page, false))
        })
    }

    /// A server's current sweep number; 0 where the server is not known.
    pub fn sweep_number(&self, server: &ServerName) -> Result<SweepNumber, ReadError> {
        Ok(self.server(server)?.map(|server| server.sweep).unwrap_or_default())
    }

    /// A server's current life; none where the server is not known.
    pub fn incarnation(&self, server: &ServerName) -> Result<Option<Incarnation>, ReadError> {
        Ok(self.server(server)?.map(|server| server.incarnation))
    }

    /// `copias`: how many servers that are not away have proven a copy in their present life, less
    /// one, not below 0.
    pub fn copies(&self, record: &Record) -> Result<u8, ReadError> {
        self.store.reading(|| {
            let servers = self.transaction.open_table(SERVERS)?;
            let mut copies = 0_usize;
            for (server, incarnation) in record.confirmed() {
                let now = tables::server(&servers, server)?;
                copies += usize::from(now.is_some_and(|now| now.counts(incarnation)));
            }
            Ok(u8::try_from(copies.saturating_sub(1)).unwrap_or(u8::MAX))
        })
    }

    /// Looks at the `limit` files behind `after` (none: from the first on), of all clients: those
    /// that list this server as wanted, and the last one that was looked at if there are more.
    pub fn wanted_by(
        &self,
        server: &ServerName,
        after: Option<&(Namespace, FileName)>,
        limit: usize,
    ) -> Result<Wanted, ReadError> {
        self.store.reading(|| {
            let records = self.transaction.open_table(RECORDS)?;
            let after = after.map(|(namespace, name)| tables::record_key(namespace, name.as_str()));
            let mut wanted = Wanted { files: Vec::new(), last: None };
            let rows = records.range::<&[u8]>(behind(after.as_deref().unwrap_or_default()))?;
            for (looked, row) in (1..).zip(rows) {
                let (key, row) = row?;
                let (namespace, name) = tables::split_record_key(key.value())?;
                let record = Record::unseal(key.value(), row.value())?;
                if record.wants(server) {
                    wanted.files.push((namespace, name.clone(), record.digest));
                }
                if looked == limit {
                    wanted.last = Some((namespace, name));
                    break;
                }
            }
            Ok(wanted)
        })
    }

    /// The `limit` files behind `after` (none: from the first on), of all clients.
    pub fn page(
        &self,
        after: Option<&(Namespace, FileName)>,
        limit: usize,
    ) -> Result<Page, ReadError> {
        self.store.reading(|| {
            let records = self.transaction.open_table(RECORDS)?;
            let after = after.map(|(namespace, name)| tables::record_key(namespace, name.as_str()));
            let rows = records.range::<&[u8]>(behind(after.as_deref().unwrap_or_default()))?;
            let mut page = Page { files: Vec::new(), last: None };
            for row in rows.take(limit) {
                let (key, row) = row?;
                let (namespace, name) = tables::split_record_key(key.value())?;
                page.files.push((namespace, name, Record::unseal(key.value(), row.value())?));
            }
            if page.files.len() == limit {
                page.last =
                    page.files.last().map(|(namespace, name, _)| (*namespace, name.clone()));
            }
            Ok(page)
        })
    }

    /// Whether any record lists this content as confirmed on this server in this life.
    pub fn counts_blob(
        &self,
        digest: &Digest,
        (server, life): (&ServerName, Incarnation),
    ) -> Result<bool, ReadError> {
        self.any_with(digest, |record| record.confirmed().any(|holder| holder == (server, life)))
    }

    /// All servers.
    pub fn servers(&self) -> Result<Servers, ReadError> {
        self.store.reading(|| {
            let servers = self.transaction.open_table(SERVERS)?;
            let mut all = Servers::default();
            for row in servers.iter()? {
                let (key, row) = row?;
                let name = tables::split_server_key(key.value())?;
                let Server { incarnation, away, .. } = Server::unseal(key.value(), row.value())?;
                all.0.insert(name, Standing { incarnation, away });
            }
            Ok(all)
        })
    }

    /// Reads every row and holds records and contents against each other: the nightly check.
    pub fn verify(&self) -> Result<Walked, ReadError> {
        self.store.reading(|| walk::walk(&self.transaction))
    }

    fn server(&self, name: &ServerName) -> Result<Option<Server>, ReadError> {
        self.store.reading(|| tables::server(&self.transaction.open_table(SERVERS)?, name))
    }

    /// The record behind a row of `contents`. Without one the tables contradict each other.
    fn listed(&self, digest: &Digest, content_key: &[u8]) -> Result<Record, StoreError> {
        let (_, namespace, name) = tables::split_content_key(content_key)?;
        let records = self.transaction.open_table(RECORDS)?;
        let record: Option<Record> =
            tables::get(&records, &tables::record_key(&namespace, name.as_str()))?;
        let record = record.filter(|record| record.digest == *digest);
        record.ok_or_else(|| {
            Corrupt::new(format!("contents names a file of {namespace:?} that is not there")).into()
        })
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("freshness", &self.freshness).finish_non_exhaustive()
    }
}

/// Every key behind this one.
fn behind(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Excluded(key), Bound::Unbounded)
}
