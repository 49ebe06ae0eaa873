use depot_protocol::ServerName;
use openraft::storage::RaftLogStorageExt;
use openraft::testing::{StoreBuilder, Suite};
use openraft::{CommittedLeaderId, RaftLogReader};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;
use crate::catalogue::store::{Founding, Identity, StoreSettings};
use crate::seams::Disk;
use crate::seams::blocking::Blocking;
use crate::seams::system_disk::SystemDisk;

#[derive(Debug)]
struct Inline;

impl Blocking for Inline {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

fn server() -> ServerName {
    ServerName::parse("a").unwrap()
}

fn founded() -> (TempDir, SystemDisk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(folder.path()).unwrap();
    disk.create_dir("catalogue".as_ref()).unwrap();
    let identity = Identity { cluster: [1; 16], server: server(), incarnation: Incarnation(1) };
    Store::found(&disk, Founding { identity, members: vec![] }).unwrap();
    (folder, disk)
}

/// All entries are read from the file.
fn open(disk: &SystemDisk) -> (Log, Machine) {
    let (log, machine) = open_in_memory(disk);
    *log.0.recent() = Recent::with_room(0);
    (log, machine)
}

fn open_in_memory(disk: &SystemDisk) -> (Log, Machine) {
    let settings = StoreSettings { cache: 1 << 20, check_on_open: u64::MAX, journal: 64 << 10 };
    let store = Arc::new(Store::open(disk, &settings, false).unwrap());
    let shared = Shared::new(store, Arc::new(Inline), TaskTracker::new().token());
    let (events, _) = Events::channel();
    (Log(shared.clone()), Machine { shared, server: server(), events })
}

/// The suite appends entries that were purged, and over entries that are there, which openraft never
/// does: it leaves them out, and cuts first. So here that is done for it; the log itself would take
/// it for damage.
struct CutsFirst(Log);

impl RaftLogReader<Types> for CutsFirst {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, StorageError>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.0.try_get_log_entries(range).await
    }
}

impl RaftLogStorage<Types> for CutsFirst {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        self.0.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Log {
        self.0.get_log_reader().await
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.0.save_vote(vote).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.0.read_vote().await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.0.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        self.0.read_committed().await
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
        let state = self.0.get_log_state().await?;
        let (purged, last) = (state.last_purged_log_id, state.last_log_id);
        let new = entries.into_iter().filter(|entry| Some(entry.log_id) > purged);
        let entries: Vec<_> = new.collect();
        if let Some(first) = entries.first().filter(|first| Some(first.log_id) <= last) {
            self.0.truncate(first.log_id).await?;
        }
        self.0.append(entries, flushed).await
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        self.0.truncate(since).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        self.0.purge(upto).await
    }
}

struct Builds {
    in_memory: bool,
}

impl StoreBuilder<Types, CutsFirst, Machine, TempDir> for Builds {
    async fn build(&self) -> Result<(TempDir, CutsFirst, Machine), StorageError> {
        let (folder, disk) = founded();
        let open = if self.in_memory { open_in_memory } else { open };
        let (log, machine) = open(&disk);
        Ok((folder, CutsFirst(log), machine))
    }
}

fn entry(index: u64) -> Entry {
    Entry { log_id: log_id(index), payload: EntryPayload::Blank }
}

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, 9), index)
}

async fn append(log: &mut Log, indices: std::ops::Range<u64>) {
    log.blocking_append(indices.map(entry)).await.unwrap();
}

fn transactions(log: &Log) -> u64 {
    log.0.store.transactions()
}

#[test]
fn openrafts_own_suite_passes() {
    Suite::test_all(Builds { in_memory: true }).unwrap();
}

#[test]
fn it_passes_likewise_where_all_is_read_from_the_file() {
    Suite::test_all(Builds { in_memory: false }).unwrap();
}

#[tokio::test]
async fn pitfall_7_a_reader_never_returns_a_gap() {
    let (_folder, disk) = founded();
    let (mut log, _) = open(&disk);
    append(&mut log, 0..8).await;
    log.purge(log_id(3)).await.unwrap();
    // What was purged is not there, and nothing else is handed out in its place.
    assert!(log.limited_get_log_entries(2, 6).await.is_err());
    assert!(log.limited_get_log_entries(8, 9).await.is_err());
    assert_eq!(log.limited_get_log_entries(4, 6).await.unwrap().len(), 2);
    assert_eq!(log.try_get_log_entries(0..100).await.unwrap().len(), 4);
    // A row that is lost in the middle, or at the end, is damage.
    for lost in [5_u64, 7] {
        let (_folder, disk) = founded();
        let (mut log, _) = open(&disk);
        append(&mut log, 0..8).await;
        let remove = |tables: &mut Tables<'_>| {
            tables.log.remove(lost.to_be_bytes().as_slice())?;
            Ok(())
        };
        log.0.store.write(remove).unwrap();
        assert!(log.try_get_log_entries(0..8).await.is_err(), "{lost}");
        assert!(log.0.store.is_down());
    }
}

#[tokio::test]
async fn an_entry_that_leaves_a_hole_is_not_appended() {
    let (_folder, disk) = founded();
    let (mut log, _) = open(&disk);
    append(&mut log, 0..2).await;
    assert!(log.blocking_append([entry(3)]).await.is_err());
    assert!(log.0.store.is_down());
}

#[tokio::test]
async fn pitfall_4_only_the_log_and_the_vote_cost_a_sync() {
    let (_folder, disk) = founded();
    let (mut log, mut machine) = open(&disk);
    let before = transactions(&log);
    append(&mut log, 0..2).await;
    log.save_vote(&Vote::new(1, 9)).await.unwrap();
    assert_eq!(transactions(&log), before + 2);
    log.save_committed(Some(log_id(1))).await.unwrap();
    machine.apply([entry(0), entry(1)]).await.unwrap();
    log.purge(log_id(0)).await.unwrap();
    drop(machine.get_current_snapshot().await.unwrap().unwrap());
    assert_eq!(transactions(&log), before + 2);
    append(&mut log, 2..3).await;
    drop((log, machine));
    let (mut log, mut machine) = open(&disk);
    assert_eq!(machine.applied_state().await.unwrap().0, Some(log_id(1)));
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1)));
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(1, 9)));
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(0)), Some(log_id(2))));
}

/// A folder as a server that is killed now leaves it.
fn killed(folder: &TempDir) -> (TempDir, SystemDisk) {
    let copy = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(copy.path()).unwrap();
    disk.create_dir("catalogue".as_ref()).unwrap();
    for file in std::fs::read_dir(folder.path().join("catalogue")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join("catalogue").join(file.file_name())).unwrap();
    }
    (copy, disk)
}

/// Everything that can be asked of a log.
async fn whole(log: &mut Log) -> (LogState<Types>, Option<Vote>, Vec<LogId>) {
    let entries = log.try_get_log_entries(0..u64::MAX).await.unwrap();
    let state = log.get_log_state().await.unwrap();
    (state, log.read_vote().await.unwrap(), entries.iter().map(|entry| entry.log_id).collect())
}

/// Appended, cut, appended otherwise, voted, purged, a journal's room full of it: whenever the server
/// is killed, all of it is there, and nothing of what was cut.
#[tokio::test]
async fn a_killed_server_has_the_log_that_it_had() {
    let (folder, disk) = founded();
    let (mut log, _) = open(&disk);
    let mut end = 0;
    for round in 0..40_u64 {
        let term = 1 + round / 7;
        let of = |index| Entry {
            log_id: LogId::new(CommittedLeaderId::new(term, 9), index),
            payload: EntryPayload::Blank,
        };
        match round % 7 {
            3 => log.save_vote(&Vote::new(term, 9)).await.unwrap(),
            5 => {
                end -= 2;
                log.truncate(of(end).log_id).await.unwrap();
            }
            6 if round > 20 => {
                let first = log.try_get_log_entries(0..u64::MAX).await.unwrap()[0].log_id;
                log.purge(first).await.unwrap();
            }
            _ => {
                let more = end..end + 1 + round % 3;
                end = more.end;
                log.blocking_append(more.map(of)).await.unwrap();
            }
        }
        let (_copy, disk) = killed(&folder);
        // What was purged is in the tables, and comes back as long as they are not durable.
        let (mut after, _) = open(&disk);
        let (now, then) = (whole(&mut log).await, whole(&mut after).await);
        assert_eq!((now.0.last_log_id, now.1), (then.0.last_log_id, then.1), "round {round}");
        assert!(then.2.ends_with(&now.2), "round {round}: {now:?}, {then:?}");
        // And a second time, after a start that died at once.
        let (_copy, disk) = killed(&_copy);
        assert_eq!(whole(&mut open(&disk).0).await.2, then.2);
    }
}

#[tokio::test]
async fn large_entries_are_read_a_few_at_a_time() {
    let (_folder, disk) = founded();
    let (mut log, _) = open(&disk);
    let name = depot_protocol::FileName::parse(&"x".repeat(1000)).unwrap();
    let namespace = crate::catalogue::Namespace::from_bytes([1; 32]);
    let operation = crate::catalogue::OperationId([1; 16]);
    let read = crate::catalogue::Version(1);
    let remove = crate::catalogue::command::Remove { namespace, name, read, operation };
    let commands = vec![crate::catalogue::Command::Remove(remove); 900];
    let large =
        |index| Entry { log_id: log_id(index), payload: EntryPayload::Normal(commands.clone()) };
    log.blocking_append((0..5).map(large)).await.unwrap();
    assert_eq!(log.limited_get_log_entries(0, 5).await.unwrap().len(), 2);
    assert_eq!(log.limited_get_log_entries(4, 5).await.unwrap().len(), 1);
}
