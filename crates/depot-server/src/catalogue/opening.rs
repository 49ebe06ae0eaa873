//! How a catalogue's file comes to be, and how it is opened: founded once, whole and durable, and at
//! each start looked at before it is trusted. What is in doubt is refused and left as it is.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use depot_protocol::ServerName;
use redb::{Builder, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::backend::{Backend, Fuse};
use super::consensus::Entry;
use super::fault::{Corrupt, StoreError};
use super::log_journal::{self, LogJournal};
use super::log_rows::{Founders, Progress};
use super::log_tables;
use super::overlay::Overlay;
use super::record::Incarnation;
use super::rows::{Identity, Server};
use super::store::{Store, catching, transact};
use super::tables::{self, EPOCH, META, Tables, get};
use super::{header, migrate, walk};
use crate::seams::{Disk, DiskFile, disk::OpenMode};

/// Whose catalogue is to be founded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// The cluster, and the server of it that keeps the file.
    pub identity: Identity,
    /// All servers of the cluster, the same on each: they are its first voters. Nobody, on a server
    /// that is to be admitted to a cluster that is there already: it waits to be told.
    pub members: Vec<(ServerName, Incarnation)>,
}

impl Founding {
    /// Of a depot of one.
    pub fn alone(identity: Identity) -> Self {
        let members = vec![(identity.server.clone(), identity.incarnation)];
        Founding { identity, members }
    }
}

/// How a catalogue is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// The memory of the page cache, in bytes.
    pub cache: usize,
    /// A file up to this size, in bytes, is checked whole before it is opened.
    pub check_on_open: u64,
    /// So many bytes of the log's newest entries are durable in the journal alone, at most.
    pub journal: u64,
}

/// The catalogue can't be opened. Nothing of it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error("there is no catalogue: catalogue/catalogue.redb is missing")]
    Missing,
    /// It is not whole. It is left as it is.
    #[error(
        "the catalogue is damaged ({what}); catalogue/catalogue.redb was not changed: \
         restore it from a backup"
    )]
    Damaged {
        /// In what way.
        what: String,
    },
    /// A catalogue was to be founded where one is in use.
    #[error("there is a catalogue already, with {changes} changes in it; it was not replaced")]
    Occupied {
        /// How many commands were applied to it.
        changes: u64,
    },
    /// The disk failed.
    #[error("catalogue/catalogue.redb cannot be used")]
    Io(#[source] io::Error),
}

impl OpenError {
    /// Whether the catalogue itself is at fault, not the disk under it.
    pub fn is_damage(&self) -> bool {
        !matches!(self, OpenError::Io(_))
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => OpenError::Missing,
            io::ErrorKind::UnexpectedEof => OpenError::Damaged { what: "it was cut short".into() },
            _ => OpenError::Io(error),
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            error if error.is_corruption() => OpenError::Damaged { what: error.what() },
            StoreError::Database(redb::Error::Io(error)) => OpenError::Io(error),
            error => OpenError::Io(io::Error::other(error)),
        }
    }
}

fn folder() -> &'static Path {
    Path::new("catalogue")
}

fn database() -> &'static Path {
    Path::new("catalogue/catalogue.redb")
}

fn journal() -> &'static Path {
    Path::new("catalogue/journal")
}

fn unfinished() -> &'static Path {
    Path::new("catalogue/founding.redb")
}

impl Store {
    /// Founds a catalogue in the folder `catalogue/`, which the caller has made and synced into its
    /// parent. When this returns, the catalogue is durable and whole. What an earlier founding left,
    /// whole or not, is replaced; a catalogue to which a command was applied is not.
    pub fn found(disk: &dyn Disk, founding: Founding) -> Result<(), OpenError> {
        let settings = StoreSettings { cache: 1 << 20, check_on_open: u64::MAX, journal: 0 };
        match Store::open(disk, &settings, true) {
            Err(OpenError::Missing) => {}
            Err(error) => return Err(error),
            Ok(store) => store.check_unused()?,
        }
        match disk.remove_file(unfinished()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let file = disk.open(unfinished(), OpenMode::CreateNew).map_err(OpenError::Io)?;
        create(file, &founding)?;
        disk.rename(unfinished(), database()).map_err(OpenError::Io)?;
        disk.sync_dir(folder()).map_err(OpenError::Io)
    }

    /// Opens the catalogue. One of at most `check_on_open` bytes, or any if `check` says so (as
    /// after an abort), is first read whole and held against its checksums; of a larger one only
    /// the front. Neither changes it. Whatever is in doubt is `Damaged`; nothing is ever repaired
    /// or cut.
    pub fn open(disk: &dyn Disk, settings: &StoreSettings, check: bool) -> Result<Self, OpenError> {
        let file = disk.open(database(), OpenMode::Read)?;
        if let Some(what) = header::fault(&*file)? {
            return Err(OpenError::Damaged { what });
        }
        let whole = check || file.size()? <= settings.check_on_open;
        let look = if whole { Look::Whole } else { Look::Front };
        let epoch = match look_at(file, settings.cache, look) {
            // The last commit does not tell which pages are free, and redb is to find out: it may,
            // if all the rest is whole.
            Err(StoreError::Database(redb::Error::RepairAborted)) => {
                let file = disk.open(database(), OpenMode::Read)?;
                look_at(file, settings.cache, Look::Whole)?
            }
            other => other?,
        };
        // Before redb opens it: that changes a file that has grown since its last commit.
        let (journal, late) = open_journal(disk, settings.journal, epoch)?;
        Ok(Store::start(disk, settings, journal, late)?)
    }

    fn start(
        disk: &dyn Disk,
        settings: &StoreSettings,
        journal: LogJournal,
        late: Option<Vec<Entry>>,
    ) -> Result<Self, StoreError> {
        let file = disk.open(database(), OpenMode::Write).map_err(redb::StorageError::from)?;
        // What a killed process wrote and did not sync is what is opened: it must stay.
        file.sync().map_err(redb::StorageError::from)?;
        let fuse = Fuse::default();
        let backend = Backend::new(file, fuse.clone());
        let open =
            || Ok(Builder::new().set_cache_size(settings.cache).create_with_backend(backend)?);
        let database = catching(open)?;
        let read = || {
            let transaction = database.begin_read()?;
            let migrated = tables::progress(&transaction)?.is_some();
            Ok((tables::identity(&transaction)?, tables::start_number(&transaction)?, migrated))
        };
        // Without a fuse the database would be tidied up as it is closed.
        let (identity, start_number, migrated) = catching(read).inspect_err(|_| fuse.blow())?;
        let (abort, transactions) = (OnceLock::new(), AtomicU64::new(0));
        let start_number = Arc::new(AtomicU64::new(start_number));
        let transfers = AtomicU64::new(0);
        let journal = Mutex::new(journal);
        let store = Store {
            database,
            identity,
            start_number,
            fuse,
            abort,
            journal,
            transactions,
            transfers,
        };
        if !migrated {
            store.write(|tables| migrate::from_first_release(tables, &store.identity))?;
        } else if late.as_ref().is_none_or(|late| !late.is_empty()) {
            store.write(|tables| tables.append_late(&late.unwrap_or_default()))?;
        }
        Ok(store)
    }

    /// Whether no server has started on it: none was applied to it, logged or voted for.
    fn check_unused(&self) -> Result<(), OpenError> {
        let read = |transaction: &ReadTransaction| {
            let logged = log_tables::extent(transaction)?.last.is_some();
            let voted = log_tables::vote(transaction)?.is_some();
            Ok((tables::applied(transaction)?, logged || voted))
        };
        match self.read(read)? {
            (0, false) => Ok(()),
            (changes, _) => Err(OpenError::Occupied { changes }),
        }
    }
}

/// Opens the journal of a catalogue of this epoch, and says what of it the tables may lack. One that
/// never had a journal gets one: `None`.
fn open_journal(
    disk: &dyn Disk,
    room: u64,
    epoch: Option<u64>,
) -> Result<(LogJournal, Option<Vec<Entry>>), StoreError> {
    let file = match (disk.open(journal(), OpenMode::Write), epoch) {
        (Err(error), None) if error.kind() == io::ErrorKind::NotFound => {
            disk.open(journal(), OpenMode::CreateNew)
        }
        (Err(error), Some(_)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Corrupt::new("catalogue/journal is missing").into());
        }
        (file, _) => file,
    };
    let file = file.map_err(redb::StorageError::from)?;
    if epoch.is_none() {
        // Whatever it has belongs to another catalogue.
        let empty = file.set_size(0).and_then(|()| file.sync());
        empty.and_then(|()| disk.sync_dir(folder())).map_err(redb::StorageError::from)?;
    }
    let late = epoch.map(|epoch| log_journal::entries(&*file, epoch)).transpose()?;
    Ok((LogJournal::new(file, room, epoch.unwrap_or_default()), late))
}

/// Writes a new catalogue into an empty file, whole and synced.
fn create(file: Box<dyn DiskFile>, founding: &Founding) -> Result<(), OpenError> {
    let fill = |transaction: &WriteTransaction| {
        let mut tables = Tables::open(transaction)?;
        tables.set_identity(&founding.identity)?;
        tables.set_founders(&Founders(founding.members.clone()))?;
        tables.set_applied(0)?;
        tables.set_floor(0)?;
        tables.set_progress(&Progress::default())?;
        tables.set_start_number(0)?;
        for (server, incarnation) in &founding.members {
            let server_row = Server::new(*incarnation);
            tables.set_server(server, server_row)?;
        }
        Ok(())
    };
    let work = || {
        let backend = Backend::new(file, Fuse::default());
        let database = Builder::new().create_with_backend(backend)?;
        transact(&database, Durability::Immediate, fill)?;
        Ok(database.close()?)
    };
    Ok(catching(work)?)
}

/// How much of a file is looked at before it is opened.
#[derive(Clone, Copy)]
enum Look {
    /// Every page and row, held against its checksum.
    Whole,
    /// What opening reads.
    Front,
}

/// Opens a file without changing it, and says what epoch its tables are of.
fn look_at(file: Box<dyn DiskFile>, cache: usize, look: Look) -> Result<Option<u64>, StoreError> {
    let overlay = Overlay::new(file).map_err(redb::StorageError::from)?;
    catching(move || {
        let mut builder = Builder::new();
        builder.set_cache_size(cache);
        match look {
            Look::Whole => builder.set_check_integrity_on_open(true),
            Look::Front => builder.set_repair_callback(redb::RepairSession::abort),
        };
        let database = builder.create_with_backend(overlay)?;
        let transaction = database.begin_read()?;
        match look {
            Look::Whole => drop(walk::walk(&transaction)?),
            Look::Front => {
                tables::identity(&transaction)?;
                tables::start_number(&transaction)?;
                tables::progress(&transaction)?;
            }
        }
        get(&transaction.open_table(META)?, EPOCH)
    })
}

#[cfg(test)]
mod tests;
