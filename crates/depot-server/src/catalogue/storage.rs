//! What openraft keeps in the catalogue's file: its log and vote ([`Log`]) and the tables
//! ([`Machine`]).
//!
//! One lone command costs one sync, that of its log entry in the journal; what is applied goes with
//! the next durable transaction, and can be applied again until then. Votes are synced before they are
//! given; what is committed is noted beside what is applied, for a restart to go on from.
//!
//! A fault of the file ends the process (`Store::fail`); in a test that goes on, openraft gets an
//! error and ends, and nobody above answers any more.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use depot_protocol::ServerName;
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    AnyError, EntryPayload, LogState, OptionalSend, RaftLogReader, RaftSnapshotBuilder, Snapshot,
    SnapshotMeta, StorageIOError,
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::command::Applied;
use super::consensus::{Entry, LogId, Member, StorageError, StoredMembership, Types, Vote};
use super::events::Events;
use super::fault::StoreError;
use super::log_rows::Progress;
use super::log_tables;
use super::machine;
use super::recent::Recent;
use super::record::Incarnation;
use super::rows::Server;
use super::snapshot::{self, SnapshotData};
use super::store::Store;
use super::tables::{self, Tables};
use crate::seams::{Blocking, blocking};

/// How much of the log is handed to a replication at once, in bytes.
const READ_MAX: usize = 2 << 20;

/// The file and what its users share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) blocking: Arc<dyn Blocking>,
    /// The last entry known to be committed, as long as it is not in the file: it goes there with
    /// what is applied next, for without a sync it would be no more durable alone.
    committed: Arc<Mutex<Option<LogId>>>,
    recent: Arc<Mutex<Recent>>,
    /// Held as long as the store may be used: who waits for the tracker waits for this.
    _in_use: TaskTrackerToken,
}

impl Shared {
    pub(super) fn new(
        store: Arc<Store>,
        blocking: Arc<dyn Blocking>,
        in_use: TaskTrackerToken,
    ) -> Self {
        let (committed, recent) = Default::default();
        Shared { store, blocking, committed, recent, _in_use: in_use }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        let done = blocking::run(&self.blocking, move || work(&store)).await;
        done.unwrap_or(Err(StoreError::Down))
    }

    fn pending(&self) -> Option<LogId> {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries of the log, about `limit` bytes of them at most, out of memory or the file.
    async fn entries<R>(&self, range: R, limit: usize) -> Result<Vec<Entry>, StorageError>
    where
        R: RangeBounds<u64> + Send + 'static,
    {
        let recent = self.recent().range(&range, limit).filter(|_| !self.store.is_down());
        if let Some(entries) = recent {
            return Ok(entries);
        }
        let read = move |store: &Store| {
            store.read_log(|transaction| log_tables::entries(transaction, range, limit))
        };
        self.run(read).await.map_err(|error| reading(&error))
    }
}

fn reading(error: &StoreError) -> StorageError {
    StorageIOError::read_logs(AnyError::new(error)).into()
}

fn writing(error: &StoreError) -> StorageError {
    StorageIOError::write_logs(AnyError::new(error)).into()
}

fn applying(error: &StoreError) -> StorageError {
    StorageIOError::write_state_machine(AnyError::new(error)).into()
}

/// The log and the vote.
#[derive(Clone)]
pub(super) struct Log(pub(super) Shared);

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, StorageError>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        self.0.entries(range, usize::MAX).await
    }

    /// Some entries from `start` on, in one piece. Where the first ones were purged this is an
    /// error: entries behind a gap would be taken for the ones asked for (openraft #1795).
    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        let entries = self.0.entries(start..end, READ_MAX).await?;
        match entries.first() {
            Some(first) if first.log_id.index == start => Ok(entries),
            _ => {
                let gone = AnyError::error(format!("entry {start} is not in the log (any more)"));
                Err(StorageIOError::read_logs(gone).into())
            }
        }
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let extent = self.0.run(|store| store.read_log(log_tables::extent)).await;
        let extent = extent.map_err(|error| reading(&error))?;
        Ok(LogState { last_purged_log_id: extent.purged, last_log_id: extent.last })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        let save = move |store: &Store| store.write(|tables| tables.set_vote(&vote));
        self.0.run(save).await.map_err(|error| writing(&error))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.0.run(|store| store.read(log_tables::vote)).await.map_err(|error| reading(&error))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        *self.0.committed.lock().unwrap_or_else(PoisonError::into_inner) = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        if let Some(pending) = self.0.pending() {
            return Ok(Some(pending));
        }
        self.0.run(|store| store.read(log_tables::committed)).await.map_err(|error| reading(&error))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        flushed: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let append = move |store: &Store| store.append(&entries).map(|()| entries);
        let entries = self.0.run(append).await.map_err(|error| writing(&error))?;
        self.0.recent().append(entries);
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        self.0.recent().truncate(since.index);
        let cut = move |store: &Store| store.write(|tables| tables.truncate_log(since.index));
        self.0.run(cut).await.map_err(|error| writing(&error))
    }

    /// What is dropped is in the tables, and this transaction comes behind theirs: they are durable
    /// no later than it is.
    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        self.0.recent().purge(upto.index);
        self.0.run(move |store| store.purge(&upto)).await.map_err(|error| writing(&error))
    }
}

/// The tables.
pub(super) struct Machine {
    pub(super) shared: Shared,
    pub(super) server: ServerName,
    pub(super) events: Events,
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let progress = self.shared.run(|store| store.read(tables::progress)).await;
        let progress = progress.map_err(|error| reading(&error))?.unwrap_or_default();
        Ok((progress.log_id, progress.members))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Applied>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let committed = self.shared.pending();
        let apply = move |store: &Store| {
            store.write_soon(|tables| {
                let mut changes = machine::Changes::default();
                let mut progress = tables.progress()?.unwrap_or_default();
                let applied = entries.iter().map(|entry| {
                    progress.log_id = Some(entry.log_id);
                    apply(tables, entry, &mut progress, &mut changes)
                });
                let applied = applied.collect::<Result<Vec<_>, _>>()?;
                tables.set_progress(&progress)?;
                committed.map_or(Ok(()), |committed| tables.set_committed(&committed))?;
                Ok((applied, changes))
            })
        };
        let done = self.shared.run(apply).await;
        let (applied, changes) = done.map_err(|error| applying(&error))?;
        self.events.tell(&self.server, &changes);
        Ok(applied)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder(self.shared.clone())
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        let begin = |store: &Store| snapshot::begin(store);
        let begun = self.shared.run(begin).await.map_err(|error| writing(&error))?;
        Ok(Box::new(begun))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, Member>,
        data: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        let progress = Progress { log_id: meta.last_log_id, members: meta.last_membership.clone() };
        let install = move |store: &Store| snapshot::install(store, *data, &progress);
        self.shared.run(install).await.map_err(|error| applying(&error))?;
        self.events.tell_all();
        Ok(())
    }

    /// A snapshot is the tables as they are when it is asked for; there is no other.
    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let snapshot = take(&self.shared).await?;
        Ok(snapshot.meta.last_log_id.is_some().then_some(snapshot))
    }
}

fn apply(
    tables: &mut Tables<'_>,
    entry: &Entry,
    progress: &mut Progress,
    changes: &mut machine::Changes,
) -> Result<Vec<Applied>, StoreError> {
    match &entry.payload {
        EntryPayload::Blank => Ok(Vec::new()),
        EntryPayload::Normal(commands) => machine::apply_all(tables, commands, changes),
        EntryPayload::Membership(members) => {
            for (_, member) in members.nodes() {
                admit_founder(tables, member)?;
            }
            progress.members = StoredMembership::new(Some(entry.log_id), members.clone());
            Ok(Vec::new())
        }
    }
}

/// A member without a row is one of the founders, on a server that was not there when the cluster
/// was founded: all others began with these rows.
fn admit_founder(tables: &mut Tables<'_>, member: &Member) -> Result<(), StoreError> {
    let Some(server) = member.server() else { return Ok(()) };
    if tables.server(&server)?.is_none() {
        tables.set_server(&server, Server::new(Incarnation(member.incarnation)))?;
    }
    Ok(())
}

/// Takes snapshots.
pub(super) struct Builder(Shared);

impl RaftSnapshotBuilder<Types> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        take(&self.0).await
    }
}

async fn take(shared: &Shared) -> Result<Snapshot<Types>, StorageError> {
    let store = Arc::clone(&shared.store);
    let taken = shared.run(move |_| snapshot::take(&store)).await;
    let (progress, data) = taken.map_err(|error| reading(&error))?;
    let snapshot_id = progress.log_id.map_or_else(String::new, |log_id| log_id.to_string());
    let meta = SnapshotMeta {
        last_log_id: progress.log_id,
        last_membership: progress.members,
        snapshot_id,
    };
    Ok(Snapshot { meta, snapshot: Box::new(data) })
}

#[cfg(test)]
mod tests;
