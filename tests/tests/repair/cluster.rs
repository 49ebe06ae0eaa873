//! Servers `s1`, `s2`, ... of one cluster, with a client that asks any of them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use depot_protocol::Digest;
use depot_server::config::{Config, Selection};
use depot_server::node::{End, Node, Phase};
use depot_server::operator::{self, Founding, Question, Reply, Status};
use depot_server::seams::Disk;
use depot_server::volume::layout;
use depot_tests::Recovered;
use depot_tests::answer::number;
use depot_tests::content::{random_bytes, sha256};
use depot_tests::headers::{self, Deposit};
use depot_tests::in_process::{Client, Heard, ID};
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::memory_disk::MemoryDisk;
use depot_tests::twins::network::MemoryNetwork;
use depot_tests::twins::seams;
use tokio::io::DuplexStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// How long a server may be down in these stories until it is away.
pub(crate) const REPAIR_AFTER: Duration = Duration::from_secs(60);
/// Within this time of its cause a repair is done here: a look each second, and small files.
const REPAIRED: Duration = Duration::from_secs(30);
pub(crate) const CLUSTER: [u8; 16] = [7; 16];
const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A cluster.
pub(crate) struct Cluster {
    config: Config,
    network: MemoryNetwork,
    servers: Vec<Server>,
}

struct Server {
    disk: MemoryDisk,
    node: Option<Node>,
    lives: u64,
}

impl Cluster {
    /// A cluster of servers in these zones, founded, all of them up.
    pub(crate) async fn of(zones: &[&str]) -> Self {
        let server = |_| Server { disk: MemoryDisk::new(), node: None, lives: 0 };
        let mut cluster = Cluster {
            config: config(zones),
            network: MemoryNetwork::new(256 << 10),
            servers: zones.iter().map(server).collect(),
        };
        for at in 0..zones.len() {
            cluster.start(at).await;
        }
        let founders: Vec<String> =
            cluster.config.servers().iter().map(|server| server.name.to_string()).collect();
        for at in 0..zones.len() {
            let founders = founders.clone();
            let founding = Founding { cluster: CLUSTER, incarnation: 1, founders };
            assert_eq!(cluster.ask(at, Question::Found(founding)).await, Some(Reply::Founded));
        }
        sleep(10 * SECOND).await; // a leader, and everybody has seen everybody
        cluster
    }

    pub(crate) async fn start(&mut self, at: usize) {
        let name = self.config.servers()[at].name.clone();
        let settings = self.config.settings_for(&Selection { name: Some(name), port: None });
        let server = &mut self.servers[at];
        server.lives += 1;
        let (clock, network) = (Arc::new(TokioClock::start()), Arc::new(self.network.clone()));
        let (seams, _) = seams(clock, network, server.lives << 8 | at as u64);
        let disk: Arc<dyn Disk> = Arc::new(server.disk.clone());
        server.node = Some(Node::start(settings.unwrap(), disk, seams, 10_000).await.unwrap());
    }

    /// Takes the last server, which is stopped, out of the list. The others read that as they start.
    pub(crate) fn shrink(&mut self, zones: &[&str]) {
        self.config = config(zones);
        self.servers.truncate(zones.len());
    }

    /// A server that is stopped has lost its disk, and is admitted again.
    pub(crate) async fn replace(&mut self, at: usize) {
        self.start_on(at, MemoryDisk::new()).await;
        assert_eq!(self.admit(at).await, Reply::Founded);
    }

    /// A server that is stopped starts on another disk, and waits there.
    pub(crate) async fn start_on(&mut self, at: usize, disk: MemoryDisk) {
        self.servers[at].disk = disk;
        self.start(at).await;
        sleep(10 * SECOND).await; // it may have led
    }

    /// A server that waits is admitted; what it says to that.
    pub(crate) async fn admit(&self, at: usize) -> Reply {
        let server = self.config.servers()[at].name.to_string();
        for other in self.up() {
            let question = Question::Admit { server: server.clone() };
            if let Some(Reply::Admitted { incarnation }) = self.ask(other, question).await {
                let founding = Founding { cluster: CLUSTER, incarnation, founders: Vec::new() };
                return self.ask(at, Question::Found(founding)).await.expect("it answers");
            }
        }
        panic!("nobody admits it");
    }

    /// Waits for the end of a server that gives up by itself.
    pub(crate) async fn ended(&mut self, at: usize) -> End {
        let end = self.servers[at].node.as_mut().expect("it runs").ended().await;
        self.stop(at).await;
        end
    }

    /// Ends a server, at once.
    pub(crate) async fn stop(&mut self, at: usize) {
        let now = CancellationToken::new();
        now.cancel();
        self.servers[at].node.take().unwrap().stop(&now).await;
    }

    pub(crate) fn disk(&self, at: usize) -> &MemoryDisk {
        &self.servers[at].disk
    }

    fn up(&self) -> impl Iterator<Item = usize> {
        let phase = |node: &Node| *node.phase().borrow() == Phase::Serving;
        let up = move |at: &usize| self.servers[*at].node.as_ref().is_some_and(phase);
        (0..self.servers.len()).filter(up)
    }

    async fn ask(&self, at: usize, question: Question) -> Option<Reply> {
        let clock = Arc::new(TokioClock::start());
        let (seams, _) = seams(clock, Arc::new(self.network.clone()), 99);
        let server = &self.config.servers()[at];
        let asked = operator::ask(&seams, &self.config, server, &question, 10 * SECOND).await;
        asked.ok().map(|(_, reply)| reply)
    }

    pub(crate) async fn status(&self, at: usize) -> Status {
        match self.ask(at, Question::Status).await {
            Some(Reply::Status(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn client(&self, at: usize) -> Client<DuplexStream> {
        let to = self.config.servers()[at].address;
        Client::new(self.network.connect(FROM, to).await.unwrap())
    }

    /// Deposits a file of `size` bytes through a server; its bytes.
    pub(crate) async fn deposit(&self, at: usize, file: &str, size: usize, r: usize) -> Vec<u8> {
        let bytes = random_bytes(file.len() as u64 ^ u64::from(file.as_bytes()[0]), size);
        let mut client = self.client(at).await;
        client.send_line(Deposit::of(ID, file, &bytes).replicas(r).header()).await;
        client.send(&bytes).await;
        let heard = client.hear().await;
        assert!(heard.is_done(), "{heard:?}");
        bytes
    }

    /// Deposits so many files with two replicas, each through the server that is said.
    pub(crate) async fn deposit_many(
        &self,
        count: usize,
        through: impl Fn(usize) -> usize,
    ) -> Vec<(Vec<u8>, String)> {
        let mut files = Vec::new();
        for n in 0..count {
            let file = format!("{n} file");
            files.push((self.deposit(through(n), &file, 1_000 + n, 2).await, file));
        }
        files
    }

    pub(crate) async fn set_replicas(&self, at: usize, file: &str, r: usize) {
        let heard = self.client(at).await.ask(headers::set_replicas(ID, r, file)).await;
        assert!(heard.is_done(), "{heard:?}");
    }

    pub(crate) async fn recovers(&self, at: usize, file: &str, bytes: &[u8]) {
        let recovered = self.client(at).await.recover(ID, file).await;
        assert!(recovered == Recovered::Whole(bytes.to_vec()), "{file} through s{}", at + 1);
    }

    /// `copias` of a file as this server tells it.
    pub(crate) async fn copies(&self, at: usize, file: &str) -> usize {
        match self.client(at).await.ask(headers::stat(ID, file)).await {
            Heard::Line(line) if line.starts_with("resultado:1|") => number(&line, "copias"),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until every server that is up tells so many copies, and that for good; all the time no
    /// server tells of more than there are good ones on servers that are up or went a moment ago.
    pub(crate) async fn until_copies(&self, file: &str, bytes: &[u8], copies: usize) {
        self.until_copies_within(file, bytes, copies, REPAIRED).await;
    }

    pub(crate) async fn until_copies_within(
        &self,
        file: &str,
        bytes: &[u8],
        copies: usize,
        within: Duration,
    ) {
        let mut seen = Vec::new();
        for _ in 0..within.as_millis() / 250 {
            seen.clear();
            for at in self.up() {
                // One may come, or go, while the question is answered.
                let before = self.holders(bytes).len();
                let told = self.copies(at, file).await;
                let good = before.max(self.holders(bytes).len());
                assert!(told < good.max(1), "{told} replicas told of {file}, {good} good copies");
                seen.push(told);
            }
            if seen.iter().all(|told| *told == copies) {
                return;
            }
            sleep(SECOND / 4).await;
        }
        panic!("{file} has {seen:?} replicas, not {copies}");
    }

    /// Which servers have a copy of these bytes on their disk, whole or not, up or not.
    pub(crate) fn holders(&self, bytes: &[u8]) -> Vec<usize> {
        let path = layout::blob(&digest(bytes));
        let has = |at: &usize| self.disk(*at).read(&path).is_ok();
        (0..self.servers.len()).filter(has).collect()
    }

    /// Waits until so many servers hold a copy, and until none of the others has one in its trash.
    pub(crate) async fn until_holders(&self, bytes: &[u8], count: usize) -> Vec<usize> {
        let hash = sha256(bytes);
        for _ in 0..200 {
            let trashed = |at: usize| {
                let paths = self.disk(at).paths().into_iter();
                paths.filter(|path| path.to_string_lossy().contains(&hash)).count()
            };
            let files: usize = (0..self.servers.len()).map(trashed).sum();
            if self.holders(bytes).len() == count && files == count {
                return self.holders(bytes);
            }
            sleep(SECOND).await;
        }
        panic!("{:?} hold a copy, not {count}", self.holders(bytes));
    }
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::parse(&sha256(bytes)).unwrap()
}

fn config(zones: &[&str]) -> Config {
    let mut text = format!(
        "[cluster]\nsecret = \"fifty bytes that only the servers of the tests know..\"\n\
         repair_after = \"{}s\"\nrepair_after_last = \"20s\"\n[volume]\ntrash = \"10s\"\npack = \"0 B\"\n",
        REPAIR_AFTER.as_secs()
    );
    for (at, zone) in zones.iter().enumerate() {
        let n = at + 1;
        writeln!(
            text,
            "[[server]]\nname = \"s{n}\"\naddress = \"127.0.0.1:70{n:02}\"\n\
             peer = \"127.0.0.1:71{n:02}\"\ndata = \"s{n}\"\nzone = \"{zone}\""
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("depot.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    Config::load(&path).unwrap_or_else(|error| panic!("{error}")).config
}
