//! The catalogue's file: founded once, opened and checked at each start, written in durable
//! transactions, and given up at the first fault.
//!
//! What is built on, as read in redb 4.6's source:
//!
//! * A commit with two-phase commit writes the pages and the inactive one of two commit slots,
//!   syncs, flips one bit that makes that slot the current one, and syncs again. When `commit`
//!   returns, both syncs have. A crash before the flip leaves the commit before.
//! * A file whose last commit was two-phase is opened by its current slot alone. If that slot does
//!   not have its checksum, or a check finds a page under it that does not, redb says `Corrupted`;
//!   it goes back to the older slot only for one-phase commits, which are never made here.
//! * `quick_repair` puts the allocator's state into each commit, so that a file left by a crash
//!   opens at once. Then redb reads few pages, and holds none of them against its checksum: a file
//!   damaged outside redb shows late, or as a panic. Hence the check before the open, on an
//!   `overlay` that leaves the file as it is; and panics are faults here, not the end of a thread.
//! * The bit that tells the current slot, and the layout, have no checksum: see `header`.
//! * After a failed read, write or sync redb refuses everything (`PreviousIo`), and closing the
//!   database then writes nothing. Closing an unharmed one commits once more, to cut the file.
//! * redb never syncs the directory of a file that it makes: founding does.
//! * A commit with `Durability::None` writes nothing: its pages wait in memory, later transactions
//!   see them, two-phase commit and quick repair mean nothing to it, and the next durable commit
//!   makes all that came before it durable with itself, or none of it. So what is applied from the
//!   log is written without a sync: the log entry that it came from is durable already, and after a
//!   crash the two are never seen in another order than they were written in.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use depot_protocol::ServerName;
use redb::{Builder, Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::Freshness;
use super::backend::{Backend, Fuse};
use super::fault::{StoreError, panic_text};
use super::log_rows::{Founders, Progress};
use super::log_tables;
use super::overlay::Overlay;
use super::record::{Incarnation, SweepNumber};
use super::rows::Server;
use super::tables::{self, Tables};
use super::view::{ReadError, View};
use super::{header, migrate, walk};
use crate::seams::{Disk, DiskFile, disk::OpenMode};

pub use super::rows::Identity;

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

fn unfinished() -> &'static Path {
    Path::new("catalogue/founding.redb")
}

type Abort = Arc<dyn Fn(&str) + Send + Sync>;

/// An open catalogue file.
pub struct Store {
    database: Database,
    identity: Identity,
    start_number: Arc<AtomicU64>,
    /// Blown by the first fault: from then on nothing is written and nothing answered.
    fuse: Fuse,
    /// How a running server ends; not set while it starts.
    abort: OnceLock<Abort>,
    transactions: AtomicU64,
    /// How many snapshots were begun to be received: only the last one may go on.
    pub(super) transfers: AtomicU64,
}

impl Store {
    /// Founds a catalogue in the folder `catalogue/`, which the caller has made and synced into its
    /// parent. When this returns, the catalogue is durable and whole. What an earlier founding left,
    /// whole or not, is replaced; a catalogue to which a command was applied is not.
    pub fn found(disk: &dyn Disk, founding: Founding) -> Result<(), OpenError> {
        let settings = StoreSettings { cache: 1 << 20, check_on_open: u64::MAX };
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
        match look_at(file, settings.cache, look) {
            // The last commit does not tell which pages are free, and redb is to find out: it may,
            // if all the rest is whole.
            Err(StoreError::Database(redb::Error::RepairAborted)) => {
                let file = disk.open(database(), OpenMode::Read)?;
                look_at(file, settings.cache, Look::Whole)?;
            }
            other => other?,
        }
        Ok(Store::start(disk, settings.cache)?)
    }

    fn start(disk: &dyn Disk, cache: usize) -> Result<Self, StoreError> {
        let file = disk.open(database(), OpenMode::Write).map_err(redb::StorageError::from)?;
        // What a killed process wrote and did not sync is what is opened: it must stay.
        file.sync().map_err(redb::StorageError::from)?;
        let fuse = Fuse::default();
        let backend = Backend::new(file, fuse.clone());
        let open = || Ok(Builder::new().set_cache_size(cache).create_with_backend(backend)?);
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
        let store =
            Store { database, identity, start_number, fuse, abort, transactions, transfers };
        if !migrated {
            store.write(|tables| migrate::from_first_release(tables, &store.identity))?;
        }
        Ok(store)
    }

    /// Whose catalogue it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The start number: an older copy of the file has a lower one.
    pub fn start_number(&self) -> u64 {
        self.start_number.load(Ordering::SeqCst)
    }

    /// The same, as it is at any time: synced before it stands here.
    pub fn start_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.start_number)
    }

    /// Raises the start number to `number`, durably; a lower one changes nothing. Blocks. After an
    /// error the store is down: a starting server must end, a running one is ended by this.
    pub fn raise_start_number(&self, number: u64) -> Result<(), StoreError> {
        let raised = self.write(|tables| {
            let raised = number.max(tables.start_number()?);
            tables.set_start_number(raised)?;
            Ok(raised)
        })?;
        self.start_number.fetch_max(raised, Ordering::SeqCst);
        Ok(())
    }

    /// How many durable transactions were made since it was opened.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::SeqCst)
    }

    /// From now on a fault ends the process.
    pub(super) fn arm(&self, abort: Abort) {
        // Set twice, the first one stays: both end the same process.
        drop(self.abort.set(abort));
    }

    /// Whether a fault has ended all writing and answering.
    pub(super) fn is_down(&self) -> bool {
        self.fuse.is_blown()
    }

    /// One durable transaction, with all that was written before it. When it returns `Ok`, what
    /// `change` wrote is synced; after any error, nobody knows, and the process ends.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transact(Durability::Immediate, |transaction| change(&mut Tables::open(transaction)?))
    }

    /// One transaction that later ones see at once, and that the next durable one makes durable.
    /// For what the log can restore. An error ends the process as well.
    pub(super) fn write_soon<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transact(Durability::None, |transaction| change(&mut Tables::open(transaction)?))
    }

    /// The same, for those that open the tables themselves.
    pub(super) fn transact<T>(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let work = || catching(|| transact(&self.database, durability, change));
        let written = self.check().and_then(|()| work());
        match &written {
            Ok(_) if matches!(durability, Durability::Immediate) => {
                self.transactions.fetch_add(1, Ordering::SeqCst);
            }
            Ok(_) => {}
            Err(error) => self.fail(error),
        }
        written
    }

    /// Reads what the consensus cannot do without: any fault ends the process.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let read = || catching(|| read(&self.database.begin_read()?));
        self.check().and_then(|()| read()).inspect_err(|error| self.fail(error))
    }

    /// The tables as they are now, for as long as they are wanted so.
    pub(super) fn snapshot(&self) -> Result<ReadTransaction, StoreError> {
        self.check()?;
        catching(|| Ok(self.database.begin_read()?)).inspect_err(|error| self.fail(error))
    }

    /// Something read. Damage is told and logged; a fault of the disk ends the process.
    pub(super) fn reading<T>(
        &self,
        read: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, ReadError> {
        match self.check().and_then(|()| catching(read)) {
            Ok(value) => Ok(value),
            Err(error) if error.is_corruption() && !self.is_down() => {
                tracing::error!(what = error.what(), "read the catalogue");
                Err(ReadError::Corrupt { what: error.what() })
            }
            Err(error) => {
                self.fail(&error);
                Err(ReadError::Down)
            }
        }
    }

    /// A snapshot of what is committed.
    pub(super) fn view(self: &Arc<Self>, freshness: Freshness) -> Result<View, ReadError> {
        let transaction = self.reading(|| Ok(self.database.begin_read()?))?;
        Ok(View::new(Arc::clone(self), transaction, freshness))
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

    /// The file may have failed where redb does not say so.
    fn check(&self) -> Result<(), StoreError> {
        if self.is_down() { Err(StoreError::Down) } else { Ok(()) }
    }

    /// Nothing is written or answered from here on.
    pub(super) fn fail(&self, error: &StoreError) {
        if matches!(error, StoreError::Down) && self.is_down() {
            return; // told already
        }
        self.fuse.blow();
        let why = format!("the catalogue stops: {}", error.what());
        tracing::error!("{why}");
        if let Some(abort) = self.abort.get() {
            abort(&why);
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Runs what calls redb: a panic is an error like any other.
fn catching<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic))))
}

fn transact<T>(
    database: &Database,
    durability: Durability,
    change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    let changed = change(&transaction)?;
    transaction.commit()?;
    Ok(changed)
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
            let server_row = Server { incarnation: *incarnation, sweep: SweepNumber(0) };
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

/// Opens a file without changing it.
fn look_at(file: Box<dyn DiskFile>, cache: usize, look: Look) -> Result<(), StoreError> {
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
        Ok(())
    })
}

#[cfg(test)]
mod tests;
