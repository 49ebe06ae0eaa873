//! The catalogue's file while it is in use: written in durable transactions, and given up at the
//! first fault. (`opening` founds and opens it.)
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
//!   log is written without a sync: the log entry that it came from is durable already, in a journal
//!   (`log_journal`), and goes into the tables no later than with that commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::Freshness;
use super::backend::Fuse;
use super::consensus::{Entry, LogId};
use super::fault::{StoreError, panic_text};
use super::log_journal::LogJournal;
use super::log_tables::{self, LogRow};
use super::tables::{EPOCH, META, Tables, put};
use super::view::{ReadError, View};

pub use super::opening::{Founding, OpenError, StoreSettings};
pub use super::rows::Identity;

/// So many bytes of the log wait in memory to be laid into the tables at once, at most.
const LAID_AT_ONCE: usize = 1 << 20;

type Abort = Arc<dyn Fn(&str) + Send + Sync>;

/// An open catalogue file.
pub struct Store {
    pub(super) database: Database,
    pub(super) identity: Identity,
    pub(super) start_number: Arc<AtomicU64>,
    /// Blown by the first fault: from then on nothing is written and nothing answered.
    pub(super) fuse: Fuse,
    /// How a running server ends; not set while it starts.
    pub(super) abort: OnceLock<Abort>,
    /// Held by whoever makes something durable or changes the log: what is laid into the tables and
    /// written into the journal stands in both in the same order as the tables' durable transactions.
    pub(super) journal: Mutex<LogJournal>,
    pub(super) transactions: AtomicU64,
    /// How many snapshots were begun to be received: only the last one may go on.
    pub(super) transfers: AtomicU64,
}

impl Store {
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

    /// How often something was made durable since it was opened.
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

    /// Appends entries to the log. The journal makes them durable, and they are laid into the tables
    /// with others, later; where it has no room, a durable transaction does both. After any error
    /// nobody knows, and the process ends.
    pub(super) fn append(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut journal = lock(&self.journal);
        let rows: Vec<_> = entries.iter().map(LogRow::of).collect();
        let Some(record) = journal.record(&rows) else {
            return self
                .commit(journal, |transaction| Tables::open(transaction)?.append_log(&rows));
        };
        let last = match journal.unlaid().last() {
            Some(last) => Some(last.log_id),
            None => self.read(log_tables::extent)?.last,
        };
        log_tables::check_next(last, &rows)
            .and_then(|()| Ok(journal.write(record, rows).map_err(redb::StorageError::from)?))
            .inspect_err(|error| self.fail(error))?;
        self.transactions.fetch_add(1, Ordering::SeqCst);
        if journal.unlaid_bytes() > LAID_AT_ONCE { self.lay(&mut journal) } else { Ok(()) }
    }

    /// Drops the entries up to this one, which the tables have: durable with the next durable
    /// transaction, as theirs are.
    pub(super) fn purge(&self, upto: &LogId) -> Result<(), StoreError> {
        let mut journal = lock(&self.journal);
        self.lay(&mut journal)?;
        self.write_soon(|tables| tables.purge_log(upto))
    }

    /// Reads the log. Any fault ends the process.
    pub(super) fn read_log<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.lay(&mut lock(&self.journal))?;
        self.read(read)
    }

    /// Lays into the tables what only the journal has.
    fn lay(&self, journal: &mut LogJournal) -> Result<(), StoreError> {
        if !journal.unlaid().is_empty() {
            self.write_soon(|tables| tables.append_log(journal.unlaid()))?;
            journal.laid();
        }
        Ok(())
    }

    /// One durable transaction, with all that was written before it. When it returns `Ok`, what
    /// `change` wrote is synced; after any error, nobody knows, and the process ends.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transact(|transaction| change(&mut Tables::open(transaction)?))
    }

    /// The same, for those that open the tables themselves.
    pub(super) fn transact<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.commit(lock(&self.journal), change)
    }

    fn commit<T>(
        &self,
        mut journal: MutexGuard<'_, LogJournal>,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let epoch = journal.epoch() + 1;
        let written = self.guarded(Durability::Immediate, |transaction| {
            Tables::open(transaction)?.append_log(journal.unlaid())?;
            let changed = change(transaction)?;
            put(&mut transaction.open_table(META)?, EPOCH, &epoch)?;
            Ok(changed)
        })?;
        journal.laid();
        journal.restart();
        self.transactions.fetch_add(1, Ordering::SeqCst);
        Ok(written)
    }

    /// One transaction that later ones see at once, and that the next durable one makes durable.
    /// For what the log can restore. An error ends the process as well.
    pub(super) fn write_soon<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transact_soon(|transaction| change(&mut Tables::open(transaction)?))
    }

    /// The same, for those that open the tables themselves.
    pub(super) fn transact_soon<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.guarded(Durability::None, change)
    }

    fn guarded<T>(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let work = || catching(|| transact(&self.database, durability, change));
        self.check().and_then(|()| work()).inspect_err(|error| self.fail(error))
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

/// A journal that a panic left behind is not gone on with: the panic was a fault, and blew the fuse.
fn lock(journal: &Mutex<LogJournal>) -> MutexGuard<'_, LogJournal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs what calls redb: a panic is an error like any other.
pub(super) fn catching<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic))))
}

pub(super) fn transact<T>(
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
