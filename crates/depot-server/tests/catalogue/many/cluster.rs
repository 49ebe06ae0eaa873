//! Servers of one cluster, each on a disk in memory, in a time that passes as fast as it can.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use depot_protocol::{ClientId, Digest, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds};
use depot_server::catalogue::command::{Put, Remove};
use depot_server::catalogue::{
    Applied, Catalogue, Command, Event, Founding, Freshness, Identity, Incarnation, LogLimits,
    Namespace, OperationId, Outcome, ProposeError, RaftCatalogue, Receipt, Record, Store,
    StoreSettings, SweepNumber, Version, runtime,
};
use depot_server::seams::{Blocking, Seams};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::net::Net;
use crate::disk::{Dice, MemDisk};

pub(crate) const CLUSTER: [u8; 16] = [0xC1; 16];
/// Within this long what should come has come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

pub(crate) fn client() -> Namespace {
    Namespace::of(&CLUSTER, &ClientId::from_random([1; 16]))
}

pub(crate) fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

/// A put by somebody who has just looked, with a copy on the first server.
pub(crate) fn put(text: &str) -> Put {
    static OPERATIONS: Mutex<u128> = Mutex::new(1);
    let mut operation = OPERATIONS.lock().unwrap();
    *operation += 1;
    let receipt =
        Receipt { server: server("a"), incarnation: Incarnation(1), sweep: SweepNumber(0) };
    Put {
        namespace: client(),
        name: name(text),
        read: Version(0),
        seen: u64::MAX,
        digest: Digest::from_bytes([1; 32]),
        size: FileSize::new(10).unwrap(),
        replicas: ReplicaCount::new(0),
        deposited: UtcSeconds::new(1_000),
        receipts: vec![receipt],
        wanted: vec![],
        operation: OperationId(operation.to_be_bytes()),
    }
}

pub(crate) fn remove(text: &str, read: Version) -> Command {
    let operation = put("x").operation;
    Command::Remove(Remove { namespace: client(), name: name(text), read, operation })
}

#[derive(Debug)]
struct Inline;

impl Blocking for Inline {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// One server that runs.
pub(crate) struct Server {
    pub(crate) name: ServerName,
    pub(crate) catalogue: Arc<RaftCatalogue>,
    pub(crate) events: Receiver<Event>,
    /// Cancelled when it is killed: what it answers from there on was never answered.
    pub(crate) dead: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
    aborts: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        timeout(SOON, self.catalogue.propose(command)).await.expect("every write has its time")
    }

    pub(crate) async fn put(&self, text: &str) -> Record {
        match self.propose(Command::Put(put(text))).await.unwrap().outcome {
            Outcome::Done(record) => record,
            other => panic!("{other:?}"),
        }
    }

    /// All names that a linearizable view shows here.
    pub(crate) async fn names(&self) -> Vec<String> {
        let (names, freshness) = self.names_as_they_are().await;
        assert_eq!(freshness, Freshness::Linearizable, "on {}", self.name);
        names
    }

    pub(crate) async fn names_as_they_are(&self) -> (Vec<String>, Freshness) {
        let view = timeout(SOON, self.catalogue.view()).await.expect("no view").unwrap();
        let (page, _) = view.list(&client(), "", 10_000).unwrap();
        let names = page.iter().map(|(name, _)| name.as_str().to_owned()).collect();
        (names, view.freshness())
    }

    pub(crate) fn leads(&self) -> bool {
        self.catalogue.status().leader.as_ref() == Some(&self.name)
    }
}

/// Servers, their disks and what is between them.
pub(crate) struct Cluster {
    pub(crate) net: Net,
    pub(crate) disks: BTreeMap<ServerName, MemDisk>,
    pub(crate) running: BTreeMap<ServerName, Server>,
    limits: LogLimits,
}

impl Cluster {
    /// Founds and starts servers of these names; one of them leads when this returns.
    pub(crate) async fn of(names: &[&str]) -> Cluster {
        Cluster::with(names, LogLimits::default()).await
    }

    pub(crate) async fn with(names: &[&str], limits: LogLimits) -> Cluster {
        runtime::seed(Some(7));
        let (net, disks) = (Net::default(), BTreeMap::new());
        let mut cluster = Cluster { net, disks, running: BTreeMap::new(), limits };
        let members: Vec<_> = names.iter().map(|name| (server(name), Incarnation(1))).collect();
        for (name, incarnation) in &members {
            cluster.found(name, *incarnation, members.clone());
            cluster.start(name).await;
        }
        cluster.leader().await;
        cluster
    }

    /// A new disk for this server, in this life.
    pub(crate) fn found(
        &mut self,
        name: &ServerName,
        incarnation: Incarnation,
        members: Vec<(ServerName, Incarnation)>,
    ) {
        let identity = Identity { cluster: CLUSTER, server: name.clone(), incarnation };
        let disk = MemDisk::default();
        Store::found(&disk, Founding { identity, members }).unwrap();
        self.disks.insert(name.clone(), disk);
    }

    pub(crate) async fn start(&mut self, name: &ServerName) {
        let settings = StoreSettings { cache: 1 << 20, check_on_open: u64::MAX, journal: 64 << 10 };
        let store = Store::open(&self.disks[name], &settings, false).unwrap();
        let aborts = Arc::new(Mutex::new(vec![]));
        let log = Arc::clone(&aborts);
        let abort = Arc::new(move |why: &str| log.lock().unwrap().push(why.to_owned()));
        let seams = Seams { abort, blocking: Arc::new(Inline), ..Seams::system() };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let dead = CancellationToken::new();
        let (peers, until) = (Some(self.net.of(name, &dead)), stop.clone());
        let start = RaftCatalogue::start_with(store, peers, &seams, &tasks, until, self.limits);
        let (catalogue, events) = start.await.unwrap();
        self.net.join(name, &catalogue, &dead);
        let name = name.clone();
        let server = Server { name: name.clone(), catalogue, events, dead, stop, tasks, aborts };
        self.running.insert(name, server);
    }

    /// Kills a server: its disk holds what was written.
    pub(crate) async fn kill(&mut self, name: &ServerName) {
        self.end(name, MemDisk::after_kill).await;
    }

    /// Takes a server's power: its disk holds what was synced, and some of the rest.
    pub(crate) async fn cut_power(&mut self, name: &ServerName, dice: &mut Dice) {
        self.end(name, |disk| disk.after_power_cut(dice)).await;
    }

    async fn end(&mut self, name: &ServerName, left: impl FnOnce(&MemDisk) -> MemDisk) {
        let server = self.running.remove(name).unwrap();
        assert!(server.aborts.lock().unwrap().is_empty(), "{:?}", server.aborts);
        server.dead.cancel();
        let left = left(&self.disks[name]);
        self.net.leave(name);
        server.stop.cancel();
        server.tasks.close();
        timeout(SOON, server.tasks.wait()).await.expect("it does not end");
        self.disks.insert(name.clone(), left);
    }

    pub(crate) fn server(&self, name: &str) -> &Server {
        &self.running[&server(name)]
    }

    /// The one that leads a majority of all.
    pub(crate) async fn leader(&self) -> &Server {
        let begun = Instant::now();
        loop {
            let mut leading: Vec<_> = self.running.values().filter(|it| it.leads()).collect();
            leading.retain(|leader| {
                let followers = self
                    .running
                    .values()
                    .filter(|other| other.catalogue.status().leader.as_ref() == Some(&leader.name));
                followers.count() * 2 > self.disks.len()
            });
            if let [leader] = leading[..] {
                return leader;
            }
            assert!(begun.elapsed() < SOON, "nobody leads");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn followers(&self) -> Vec<&Server> {
        let leader = self.leader().await.name.clone();
        self.running.values().filter(|server| server.name != leader).collect()
    }

    /// Until this holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Cluster) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < 3 * SOON, "{what}: {:?}", self.statuses());
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn statuses(&self) -> Vec<depot_server::catalogue::members::Status> {
        self.running.values().map(|server| server.catalogue.status()).collect()
    }
}
