//! A depot's catalogue and the words to ask it in, for the stories beside this file.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use depot_protocol::{ClientId, Digest, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds};
use depot_server::catalogue::command::{Put, Remove, SetReplicas, Sweep};
use depot_server::catalogue::{
    Applied, Catalogue, Command, Event, Founding, Identity, Incarnation, Namespace, OperationId,
    Outcome, RaftCatalogue, ReadError, Receipt, Record, StartError, Store, StoreSettings,
    SweepNumber, Version, View,
};
use depot_server::seams::{Blocking, Disk, Seams};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After this long an answer is not late but missing.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const CLUSTER: [u8; 16] = [0xC1; 16];
/// Checked whole before each open.
pub(crate) const CHECKED: StoreSettings =
    StoreSettings { cache: 1 << 20, check_on_open: u64::MAX, journal: 64 << 10 };
/// Taken as it is.
pub(crate) const UNCHECKED: StoreSettings =
    StoreSettings { cache: 1 << 20, check_on_open: 0, journal: 64 << 10 };

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

pub(crate) fn identity() -> Identity {
    Identity { cluster: CLUSTER, server: server("a"), incarnation: Incarnation(7) }
}

pub(crate) fn founding() -> Founding {
    Founding::alone(identity())
}

pub(crate) fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

/// The namespace of the nth client.
pub(crate) fn client(n: u8) -> Namespace {
    Namespace::of(&CLUSTER, &ClientId::from_random([n; 16]))
}

/// The nth content.
pub(crate) fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

pub(crate) fn receipt(sweep: u64) -> Receipt {
    Receipt { server: server("a"), incarnation: Incarnation(7), sweep: SweepNumber(sweep) }
}

/// The first put of a name by client 0, of content 1, each time another request, by somebody who
/// has just looked.
pub(crate) fn put(text: &str) -> Put {
    static OPERATIONS: Mutex<u128> = Mutex::new(1 << 64);
    let mut operation = OPERATIONS.lock().unwrap();
    *operation += 1;
    Put {
        namespace: client(0),
        name: name(text),
        read: Version(0),
        seen: u64::MAX,
        digest: digest(1),
        size: FileSize::new(10).unwrap(),
        replicas: ReplicaCount::new(0),
        deposited: UtcSeconds::new(1_000),
        receipts: vec![receipt(0)],
        wanted: vec![],
        operation: OperationId(operation.to_be_bytes()),
    }
}

pub(crate) fn remove(of: &Put, read: Version) -> Command {
    let (namespace, name) = (of.namespace, of.name.clone());
    Command::Remove(Remove { namespace, name, read, operation: put("x").operation })
}

pub(crate) fn set_replicas(of: &Put, read: Version, replicas: u8) -> Command {
    let (namespace, name) = (of.namespace, of.name.clone());
    let (replicas, operation) = (ReplicaCount::new(replicas), put("x").operation);
    let wanted = vec![];
    Command::SetReplicas(SetReplicas { namespace, name, read, replicas, wanted, operation })
}

pub(crate) fn sweep(number: u64) -> Command {
    Command::Sweep(Sweep { server: server("a"), number: SweepNumber(number) })
}

/// A founded catalogue on this disk.
pub(crate) fn found(disk: &dyn Disk) {
    Store::found(disk, founding()).unwrap();
}

/// Runs blocking work where it is asked for.
#[derive(Debug)]
struct Inline;

impl Blocking for Inline {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// The system's seams, with blocking work run where it is asked for.
pub(crate) fn inline() -> Seams {
    Seams { blocking: Arc::new(Inline), ..Seams::system() }
}

/// A running catalogue.
pub(crate) struct World {
    pub(crate) catalogue: Arc<RaftCatalogue>,
    pub(crate) store: Arc<Store>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) events: Receiver<Event>,
    aborts: Arc<Mutex<Vec<String>>>,
}

/// A catalogue that did not start, and why the process would have ended.
#[derive(Debug)]
pub(crate) struct NotStarted {
    pub(crate) error: StartError,
    pub(crate) aborts: Vec<String>,
}

impl World {
    /// Blocking work runs inline: one order of events.
    pub(crate) async fn start(store: Store) -> World {
        World::start_on(store, inline()).await.unwrap()
    }

    pub(crate) async fn start_on(store: Store, seams: Seams) -> Result<World, NotStarted> {
        let aborts = Arc::new(Mutex::new(vec![]));
        let log = aborts.clone();
        let abort = Arc::new(move |why: &str| log.lock().unwrap().push(why.to_owned()));
        let (store, tasks) = (Arc::new(store), TaskTracker::new());
        let stop = CancellationToken::new();
        let seams = Seams { abort, ..seams };
        let start = RaftCatalogue::start(store.clone(), None, &seams, &tasks, stop.clone());
        match start.await {
            Ok((catalogue, events)) => Ok(World { catalogue, store, stop, tasks, events, aborts }),
            Err(error) => {
                tasks.close();
                tokio::time::timeout(PATIENCE, tasks.wait()).await.unwrap();
                let aborts = aborts.lock().unwrap().clone();
                Err(NotStarted { error, aborts })
            }
        }
    }

    /// The answer, which must come.
    pub(crate) async fn propose(&self, command: Command) -> Applied {
        let answer = tokio::time::timeout(PATIENCE, self.catalogue.propose(command)).await;
        answer.unwrap_or_else(|_| panic!("no answer; aborted: {:?}", self.aborts())).unwrap()
    }

    /// What comes of a command.
    pub(crate) async fn outcome(&self, command: Command) -> Outcome {
        self.propose(command).await.outcome
    }

    /// A put that must be done.
    pub(crate) async fn put(&self, put: &Put) -> Record {
        match self.outcome(Command::Put(put.clone())).await {
            Outcome::Done(record) => record,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn view(&self) -> View {
        self.catalogue.view().await.unwrap()
    }

    /// Everything that the clients 0 to 3 have.
    pub(crate) async fn all(&self) -> Vec<(u8, FileName, Record)> {
        self.try_all().await.unwrap()
    }

    /// The same, where it can be read.
    pub(crate) async fn try_all(&self) -> Result<Vec<(u8, FileName, Record)>, ReadError> {
        let view = self.catalogue.view().await?;
        let mut all = vec![];
        for n in 0..4 {
            let (page, more) = view.list(&client(n), "", 10_000)?;
            assert!(!more);
            all.extend(page.into_iter().map(|(name, record)| (n, name, record)));
        }
        Ok(all)
    }

    /// Why the process would have ended.
    pub(crate) fn aborts(&self) -> Vec<String> {
        self.aborts.lock().unwrap().clone()
    }

    /// Stops it and closes the file as a server does that is told to stop.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.unwrap();
    }
}
