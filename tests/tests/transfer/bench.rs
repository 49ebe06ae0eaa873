//! Servers that are a volume, a catalogue of their own and a door for transfers; `a` takes clients.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::{
    Announced, Answer, ClientId, Deposit, Digest, FileName, FileSize, Prepare, Recover, Refusal,
    ReplicaCount, ServerName,
};
use depot_server::buffers::Buffers;
use depot_server::catalogue::command::{Admit, Put, Remove};
use depot_server::catalogue::{
    Catalogue, Command, Event, Founding, Identity, Incarnation, Namespace, OperationId, Outcome,
    RaftCatalogue, Receipt, Record, Store, StoreSettings, Version,
};
use depot_server::cluster::members::{Member, Members};
use depot_server::cluster::{Door, Keys, LinkIdentity, Links, Serve, Service, Starts, listen};
use depot_server::config::{Ack, Settings, VolumeSettings};
use depot_server::custody::Custody;
use depot_server::deposit::{self, DepositError, Interrupted, Payload};
use depot_server::depot::{Depot, READERS, STRAGGLERS};
use depot_server::home::{self, Found};
use depot_server::lingering::Lingering;
use depot_server::recover;
use depot_server::repair::heal::Healer;
use depot_server::seams::{Network, Seams, blocking};
use depot_server::tasks::Tasks;
use depot_server::transfer::{Arrivals, Courier, Transfer, TransferService};
use depot_server::turns::Turns;
use depot_server::uploads::Uploads;
use depot_server::volume::{Seal, Sealed, Verdict, Volume};
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::memory_disk::MemoryDisk;
use depot_tests::twins::network::MemoryNetwork;
use depot_tests::twins::seams;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, mpsc};

use crate::stand_ins::{Forgetful, Moody, Slow};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const CLUSTER: [u8; 16] = [7; 16];
const SECRET: &[u8] = b"the secret of this cluster, 32 b";

/// The servers of a cluster, and the network between them.
#[derive(Clone)]
pub(crate) struct Site {
    names: Vec<&'static str>,
    network: MemoryNetwork,
    pub(crate) ack: Ack,
}

impl Site {
    pub(crate) fn of(names: &[&'static str]) -> Self {
        let network = MemoryNetwork::new(256 << 10);
        Site { names: names.to_vec(), network, ack: Ack::Majority }
    }

    fn members(&self, me: &str) -> Arc<Members> {
        let mut settings = Settings::alone(0, "/".into());
        let alone = settings.members.remove(0);
        settings.server = name(me);
        settings.members = self.names.iter().map(|of| member(&alone, of)).collect();
        Arc::new(Members::of(&settings))
    }

    /// A server with a volume.
    pub(crate) async fn server(&self, me: &'static str) -> Server {
        self.start(me, None, true).await
    }

    /// One that does not hear what its catalogue tells.
    pub(crate) async fn deaf(&self, me: &'static str) -> Server {
        self.start(me, None, false).await
    }

    /// A server with a volume that takes its time before it answers anything.
    pub(crate) async fn slow(&self, me: &'static str, delay: Duration) -> Server {
        let slow = Arc::new(Slow { delay, behind: Mutex::default() });
        let server = self.start(me, Some(slow.clone()), true).await;
        let service = TransferService::new(server.depot.courier.clone(), &server.depot.members);
        *slow.behind.lock().unwrap() = Some(Arc::new(service));
        server
    }

    /// One that answers transfers as it is told.
    pub(crate) async fn peer(&self, me: &'static str, serve: Arc<dyn Serve>) -> Server {
        self.start(me, Some(serve), true).await
    }

    async fn start(&self, me: &'static str, serve: Option<Arc<dyn Serve>>, hears: bool) -> Server {
        let disk = MemoryDisk::new();
        let network: Arc<dyn Network> = Arc::new(self.network.clone());
        let seed = u64::from(me.as_bytes()[0]);
        let (seams, _) = seams(Arc::new(TokioClock::start()), Arc::clone(&network), seed);
        let (members, tasks) = (self.members(me), Tasks::default());
        let (custody, catalogue, events) = custody(&seams, &disk, me, &self.names, &tasks).await;
        let start = Arc::new(AtomicU64::new(1));
        let starts = Starts::load(1, start, 7, Arc::new(Forgetful), Arc::clone(&seams.blocking));
        let identity = LinkIdentity {
            cluster: Some(CLUSTER),
            keys: Some(Keys::new(SECRET, [])),
            starts: Arc::new(starts.unwrap()),
            free: Arc::new(|| 1 << 30),
        };
        let links = Links::new(Arc::clone(&members), identity.clone(), &seams, &tasks);
        let (buffers, changes) = (Buffers::new(64 << 20), links.changes());
        let courier = Courier {
            transfer: Transfer::new(Some(links), &tasks),
            custody: Arc::clone(&custody),
            seams: seams.clone(),
            buffers: buffers.clone(),
            arrivals: Arrivals::default(),
        };
        let healer = Healer::new(courier.clone(), name(me));
        tasks.spawn(Arc::clone(&healer).run(changes, tasks.clone()));
        if hears {
            tasks.spawn(hear(events, Arc::clone(&healer)));
        }
        let door = Door::new(Arc::clone(&members), identity, &seams);
        let own = || Arc::new(TransferService::new(courier.clone(), &members)) as Arc<dyn Serve>;
        door.set_service(Service::Transfer, serve.unwrap_or_else(own));
        let listener = network.bind(address(me)).await.unwrap();
        tasks.spawn(listen(listener, door, tasks.clone()));
        let depot = Depot {
            short: blocking::short(&seams.blocking, READERS),
            seams,
            custody,
            settings: Settings::alone(0, "/".into()).deposit,
            ack: self.ack,
            members,
            courier,
            stragglers: Arc::new(Semaphore::new(STRAGGLERS)),
            tasks,
            buffers,
            turns: Turns::new(64),
            uploads: Uploads::default(),
            lingering: Lingering::default(),
        };
        Server { depot, disk, healer, catalogue }
    }
}

/// Tells the healer what the catalogue tells.
async fn hear(mut events: mpsc::Receiver<Event>, healer: Arc<Healer>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Wanted { namespace, name, digest, cause } => {
                healer.want((namespace, name), digest, cause);
            }
            Event::LookAtAll => healer.look_at_all(),
            Event::Released(_) | Event::Lacking { .. } | Event::Surplus { .. } | Event::Servers => {
            }
        }
    }
}

fn member(alone: &Member, of: &&'static str) -> Member {
    Member { name: name(of), peer: Some(address(of)), ..alone.clone() }
}

async fn custody(
    seams: &Seams,
    disk: &MemoryDisk,
    me: &str,
    all: &[&str],
    tasks: &Tasks,
) -> (Arc<Custody>, Arc<Moody>, mpsc::Receiver<Event>) {
    let folder = Arc::new(disk.clone());
    let Found::Empty(vacant) = home::look(folder.clone(), &name(me)).unwrap() else {
        panic!("it is empty")
    };
    let whose = home::Identity { cluster: CLUSTER, server: name(me), incarnation: 1 };
    let unfounded = vacant.begin(whose, vec![name(me)]).unwrap();
    Volume::found(disk).unwrap();
    depot_server::seams::Disk::create_dir(disk, "catalogue".as_ref()).unwrap();
    let incarnation = Incarnation(1);
    let identity = Identity { cluster: CLUSTER, server: name(me), incarnation };
    Store::found(disk, Founding::alone(identity)).unwrap();
    let settings = StoreSettings { cache: 1 << 20, check_on_open: 0, journal: 64 << 10 };
    let store = Store::open(disk, &settings, false).unwrap();
    let stop = tasks.stopped().clone();
    let started = RaftCatalogue::start(store, None, seams, tasks.tracker(), stop).await;
    let (inner, events) = started.unwrap();
    let (has_quorum, refuses) = (AtomicBool::new(true), AtomicBool::new(false));
    let catalogue = Arc::new(Moody { inner, has_quorum, refuses });
    for server in all {
        let admit = Admit { server: name(server), incarnation };
        catalogue.propose(Command::Admit(admit)).await.unwrap();
    }
    let settings = VolumeSettings {
        reserve: 0,
        reserve_percent: 0,
        pack: 0,
        cached: 1 << 20,
        ..VolumeSettings::default()
    };
    let volume = Arc::new(Volume::open(folder, seams, settings).unwrap());
    let (home, trash) = (Arc::new(unfounded.founded().unwrap()), 24 * 60 * 60 * SECOND);
    let known = Arc::clone(&catalogue) as Arc<dyn Catalogue>;
    (Arc::new(Custody::new(seams.clone(), volume, known, home, trash)), catalogue, events)
}

pub(crate) fn name(of: &str) -> ServerName {
    ServerName::parse(of).unwrap()
}

fn address(of: &str) -> SocketAddr {
    ([127, 0, 0, 1], 7000 + u16::from(of.as_bytes()[0])).into()
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) depot: Depot,
    pub(crate) disk: MemoryDisk,
    pub(crate) healer: Arc<Healer>,
    pub(crate) catalogue: Arc<Moody>,
}

impl Server {
    pub(crate) fn transfer(&self) -> &Transfer {
        &self.depot.courier.transfer
    }

    pub(crate) fn volume(&self) -> &Arc<Volume> {
        &self.depot.custody.volume
    }

    pub(crate) async fn until_up(&self, peers: &[&str]) {
        for peer in peers {
            while !self.transfer().is_up(&name(peer)) {
                tokio::time::sleep(SECOND / 10).await;
            }
        }
    }

    /// Whether it has a good copy of this.
    pub(crate) fn holds(&self, content: &[u8]) -> bool {
        self.volume().condemn(&digest(content)).is_ok_and(|verdict| verdict == Verdict::Good)
    }

    /// How many files it has in its staging folder.
    pub(crate) fn staged(&self) -> usize {
        let files = self.disk.paths().into_iter();
        files.filter(|path| path.parent() == Some("volume/staging".as_ref())).count()
    }

    /// Puts a copy into its volume.
    pub(crate) fn put(&self, content: &[u8]) -> Sealed {
        let mut staging = self.volume().stage(content.len() as u64).unwrap();
        staging.append(content).unwrap();
        match staging.seal(&digest(content)).unwrap() {
            Seal::Done(sealed) => sealed,
            Seal::WrongHash => panic!("the hash is right"),
        }
    }

    /// Flips a bit of its copy.
    pub(crate) fn rot(&self, content: &[u8], at: usize) {
        let path = depot_server::volume::layout::blob(&digest(content));
        assert!(self.disk.flip(path, at, 0).unwrap());
    }

    /// Makes a record of a copy that this server has, for the client of these tests.
    pub(crate) async fn record(&self, file: &str, content: &[u8], wanted: &[&str]) -> Record {
        let receipt = self.receipt("a");
        self.record_of(file, content, vec![receipt], wanted).await
    }

    /// A receipt of a server that has never swept.
    pub(crate) fn receipt(&self, of: &str) -> Receipt {
        Receipt { server: name(of), incarnation: Incarnation(1), sweep: Default::default() }
    }

    pub(crate) async fn record_of(
        &self,
        file: &str,
        content: &[u8],
        receipts: Vec<Receipt>,
        wanted: &[&str],
    ) -> Record {
        let put = Put {
            namespace: self.depot.namespace(&client()),
            name: FileName::parse(file).unwrap(),
            read: Version(0),
            seen: 0,
            digest: digest(content),
            size: size(content),
            replicas: ReplicaCount::new(2),
            deposited: self.depot.seams.clock.utc(),
            receipts,
            wanted: wanted.iter().map(|server| name(server)).collect(),
            operation: OperationId(self.depot.seams.entropy.bytes()),
        };
        match self.change(Command::Put(put)).await {
            Outcome::Done(record) => record,
            other => panic!("{other:?}"),
        }
    }

    /// Makes a change in this server's own catalogue.
    pub(crate) async fn change(&self, command: Command) -> Outcome {
        self.depot.custody.catalogue.propose(command).await.unwrap().outcome
    }

    pub(crate) async fn remove(&self, file: &str, record: &Record) {
        let remove = Remove {
            namespace: self.depot.namespace(&client()),
            name: FileName::parse(file).unwrap(),
            read: record.version,
            operation: OperationId(self.depot.seams.entropy.bytes()),
        };
        assert_eq!(self.change(Command::Remove(remove)).await, Outcome::Removed);
    }

    pub(crate) async fn look(&self, file: &str) -> Option<Record> {
        let view = self.depot.custody.catalogue.view().await.unwrap();
        let namespace: Namespace = self.depot.namespace(&client());
        view.get(&namespace, &FileName::parse(file).unwrap()).unwrap()
    }

    /// Recovers a file; the bytes, and whether all of them came.
    pub(crate) async fn recover(
        &self,
        file: &str,
        offset: u64,
    ) -> Result<(Vec<u8>, bool), Refusal> {
        let name = FileName::parse(file).unwrap();
        let request = Recover { client: client(), offset: (offset > 0).then_some(offset), name };
        let mut reading = recover::recover(&self.depot, &request).await?;
        let mut bytes = Vec::new();
        loop {
            match reading.next(&self.depot).await {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => return Ok((bytes, true)),
                Err(recover::Cut) => return Ok((bytes, false)),
            }
        }
    }

    /// Deposits a content at once.
    pub(crate) async fn deposit(&self, file: &str, content: &[u8], replicas: u8) -> Done {
        let (client, mut upload) = upload(content);
        let pieces = content.chunks(100_000).map(Bytes::copy_from_slice);
        let send = async {
            for piece in pieces {
                client.send(Some(piece)).await.unwrap();
            }
            client.send(None).await.unwrap();
            std::future::pending().await
        };
        tokio::select! {
            done = self.deposit_of(file, content, replicas, 0, &mut upload) => done,
            () = send => unreachable!(),
        }
    }

    /// Deposits a content that need not be sent.
    pub(crate) async fn deposit_held(&self, file: &str, content: &[u8], replicas: u8) -> Done {
        let (client, mut upload) = upload(content);
        client.send(None).await.unwrap();
        self.deposit_of(file, content, replicas, content.len() as u64, &mut upload).await
    }

    /// What `preparar` answers: how much is held.
    pub(crate) async fn prepare(&self, file: &str, content: &[u8]) -> Result<u64, String> {
        let request = Prepare {
            client: client(),
            replicas: ReplicaCount::new(0),
            size: size(content),
            hash: Announced::Known(digest(content)),
            name: FileName::parse(file).unwrap(),
        };
        match deposit::prepare(&self.depot, &request).await {
            Ok(Answer::Prepared { offset, .. }) => Ok(offset),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.code.to_string()),
        }
    }

    /// Deposits what comes through this upload.
    pub(crate) async fn deposit_of(
        &self,
        file: &str,
        content: &[u8],
        replicas: u8,
        offset: u64,
        upload: &mut Upload,
    ) -> Done {
        let request = Deposit {
            client: client(),
            replicas: ReplicaCount::new(replicas),
            size: size(content),
            hash: Announced::Known(digest(content)),
            offset: (offset > 0).then_some(offset),
            name: FileName::parse(file).unwrap(),
        };
        match deposit::deposit(&self.depot, &request, upload).await {
            Ok(Answer::Deposited { copies, .. }) => Done::Copies(copies),
            Ok(other) => panic!("{other:?}"),
            Err(DepositError::Refused(refusal)) => Done::Refused(refusal.code.to_string()),
            Err(DepositError::Interrupted(interrupted)) => Done::Interrupted(interrupted),
        }
    }
}

/// What came of a deposit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Copies(u8),
    Refused(String),
    Interrupted(Interrupted),
}

/// A payload as a test sends it; `None` ends it, and its sender going breaks it.
pub(crate) struct Upload {
    pieces: mpsc::Receiver<Option<Bytes>>,
    digest: Digest,
}

/// An upload of this content, and where to send it.
pub(crate) fn upload(content: &[u8]) -> (mpsc::Sender<Option<Bytes>>, Upload) {
    let (client, pieces) = mpsc::channel(1);
    (client, Upload { pieces, digest: digest(content) })
}

impl Payload for Upload {
    async fn next(&mut self) -> Result<Option<Bytes>, Interrupted> {
        self.pieces.recv().await.ok_or(Interrupted::Broken)
    }

    async fn hash_line(&mut self) -> Result<Result<Digest, Refusal>, Interrupted> {
        Ok(Ok(self.digest))
    }
}

pub(crate) fn client() -> ClientId {
    ClientId::from_random([9; 16])
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

fn size(content: &[u8]) -> FileSize {
    FileSize::new(content.len() as u64).unwrap()
}

/// Bytes that repeat nowhere near a chunk's length.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(at) >> 7) as u8 ^ at as u8).collect()
}
