//! Three servers that are a catalogue and its links.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use depot_protocol::{ClientId, Digest, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds};
use depot_server::catalogue::command::Put;
use depot_server::catalogue::{
    Catalogue, Command, Event, Founding, Freshness, Identity, Incarnation, LogLimits, Namespace,
    OperationId, Outcome, RaftCatalogue, Receipt, Store, StoreSettings, SweepNumber, Version,
    runtime,
};
use depot_server::cluster::members::{Member, Members};
use depot_server::cluster::{
    Door, KeepStarts, Keys, LinkIdentity, Links, Service, StartSeen, Starts, listen,
};
use depot_server::config::Settings;
use depot_server::seams::network::Tcp;
use depot_server::seams::{Disk, Network, Seams};
use depot_server::tasks::Tasks;
use depot_tests::free_address;
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::memory_disk::MemoryDisk;
use depot_tests::twins::network::MemoryNetwork;
use depot_tests::twins::seams;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const CLUSTER: [u8; 16] = [7; 16];
const NAMES: [&str; 3] = ["a", "b", "c"];
const SOON: Duration = Duration::from_secs(60);

/// Three servers, of which some run.
pub(crate) struct Site {
    network: Arc<dyn Network>,
    /// On threads and with the system's clock, or all of it in one thread.
    real: bool,
    places: BTreeMap<&'static str, SocketAddr>,
    disks: BTreeMap<&'static str, MemoryDisk>,
    starts: u64,
    limits: LogLimits,
    running: BTreeMap<&'static str, Server>,
}

struct Server {
    catalogue: Arc<RaftCatalogue>,
    events: Mutex<Receiver<Event>>,
    tasks: Tasks,
}

impl Site {
    /// Over real sockets.
    pub(crate) fn over_tcp(limits: LogLimits) -> Self {
        let places = NAMES.map(|name| (name, free_address())).into();
        Site::over(Arc::new(Tcp), true, places, limits)
    }

    pub(crate) fn in_memory(limits: LogLimits) -> Self {
        runtime::seed(Some(11));
        let place = |n: u16| SocketAddr::from(([127, 0, 0, 1], 7101 + n));
        let places = NAMES.into_iter().zip((0..).map(place)).collect();
        Site::over(Arc::new(MemoryNetwork::new(64 << 10)), false, places, limits)
    }

    fn over(
        network: Arc<dyn Network>,
        real: bool,
        places: BTreeMap<&'static str, SocketAddr>,
        limits: LogLimits,
    ) -> Self {
        let members: Vec<_> = NAMES.map(|name| (server(name), Incarnation(1))).to_vec();
        let disk = |name| {
            let (disk, members) = (MemoryDisk::new(), members.clone());
            disk.create_dir(Path::new("catalogue")).unwrap();
            let identity =
                Identity { cluster: CLUSTER, server: server(name), incarnation: Incarnation(1) };
            Store::found(&disk, Founding { identity, members }).unwrap();
            (name, disk)
        };
        let (disks, running) = (NAMES.map(disk).into(), BTreeMap::new());
        Site { network, real, places, disks, starts: 0, limits, running }
    }

    pub(crate) async fn start_all(&mut self) {
        for name in NAMES {
            self.start(name).await;
        }
        self.leader().await;
    }

    pub(crate) async fn start(&mut self, name: &'static str) {
        self.starts += 1;
        let (twins, _) = seams(Arc::new(TokioClock::start()), self.network.clone(), self.starts);
        let seams = match self.real {
            true => Seams { network: self.network.clone(), ..Seams::system() },
            false => twins,
        };
        let start = Arc::new(AtomicU64::new(self.starts));
        let kept = Arc::new(Forgets);
        let starts = Starts::load(1, start, 7, kept, seams.blocking.clone()).unwrap();
        let identity = LinkIdentity {
            cluster: Some(CLUSTER),
            keys: Some(Keys::new(b"the secret of this cluster, 32 b", [])),
            starts: Arc::new(starts),
            free: Arc::new(|| 0),
        };
        let (members, tasks) = (self.members(name), Tasks::default());
        let door = Door::new(Arc::clone(&members), identity.clone(), &seams);
        let listener = self.network.bind(self.places[name]).await.unwrap();
        tasks.spawn(listen(listener, Arc::clone(&door), tasks.clone()));
        let links = Links::new(members, identity, &seams, &tasks);
        let settings = StoreSettings { cache: 1 << 20, check_on_open: u64::MAX, journal: 64 << 10 };
        let store = Store::open(&self.disks[name], &settings, false).unwrap();
        let (tracker, stop) = (tasks.tracker().clone(), tasks.stopping().clone());
        let started =
            RaftCatalogue::start_with(store, Some(links), &seams, &tracker, stop, self.limits);
        let (catalogue, events) = started.await.unwrap();
        door.set_service(Service::Catalogue, Arc::clone(&catalogue) as _);
        self.running.insert(name, Server { catalogue, events: Mutex::new(events), tasks });
    }

    pub(crate) async fn stop(&mut self, name: &'static str) {
        let server = self.running.remove(name).unwrap();
        server.tasks.stop(SOON, &CancellationToken::new()).await;
    }

    fn members(&self, me: &str) -> Arc<Members> {
        let mut settings = Settings::alone(0, "/".into());
        let alone = settings.members.remove(0);
        settings.server = server(me);
        let member = |(name, peer): (&&str, &SocketAddr)| Member {
            name: server(name),
            peer: Some(*peer),
            ..alone.clone()
        };
        settings.members = self.places.iter().map(member).collect();
        Arc::new(Members::of(&settings))
    }

    pub(crate) fn catalogue(&self, name: &str) -> &Arc<RaftCatalogue> {
        &self.running[name].catalogue
    }

    /// Whom a majority takes for the leader.
    pub(crate) async fn leader(&self) -> &'static str {
        let begun = Instant::now();
        loop {
            let told = |running: &Server| running.catalogue.status().leader;
            for name in self.running.keys() {
                let so = self.running.values().filter(|it| told(it) == Some(server(name)));
                if so.count() >= 2 && self.running[name].catalogue.has_quorum() {
                    return name;
                }
            }
            assert!(begun.elapsed() < SOON, "nobody leads");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn put(&self, through: &str, text: &str) {
        let put = Command::Put(put(text));
        let applied = timeout(SOON, self.catalogue(through).propose(put)).await.unwrap();
        let outcome = applied.unwrap().outcome;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }

    /// What a linearizable view shows there, as soon as there is one.
    pub(crate) async fn names(&self, on: &str) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let view = timeout(SOON, self.catalogue(on).view()).await.unwrap().unwrap();
            if view.freshness() == Freshness::Linearizable {
                let (page, _) = view.list(&client(), "", 1000).unwrap();
                return page.iter().map(|(name, _)| name.as_str().to_owned()).collect();
            }
            assert!(begun.elapsed() < SOON, "no linearizable view on {on}");
        }
    }

    pub(crate) fn event(&self, on: &str) -> Option<Event> {
        self.running[on].events.lock().unwrap().try_recv().ok()
    }
}

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn client() -> Namespace {
    Namespace::of(&CLUSTER, &ClientId::from_random([1; 16]))
}

fn put(text: &str) -> Put {
    let receipt =
        Receipt { server: server("a"), incarnation: Incarnation(1), sweep: SweepNumber(0) };
    let mut operation = [0; 16];
    operation[..text.len().min(16)].copy_from_slice(&text.as_bytes()[..text.len().min(16)]);
    Put {
        namespace: client(),
        name: FileName::parse(text).unwrap(),
        read: Version(0),
        seen: u64::MAX,
        digest: Digest::from_bytes([1; 32]),
        size: FileSize::new(10).unwrap(),
        replicas: ReplicaCount::new(0),
        deposited: UtcSeconds::new(1_000),
        receipts: vec![receipt],
        wanted: vec![],
        operation: OperationId(operation),
    }
}

/// Each server here is started with a number of its own: there is nothing to keep.
struct Forgets;

impl KeepStarts for Forgets {
    fn load(&self) -> std::io::Result<Vec<(ServerName, StartSeen)>> {
        Ok(Vec::new())
    }

    fn store(&self, _: &ServerName, _: StartSeen) -> std::io::Result<()> {
        Ok(())
    }
}
