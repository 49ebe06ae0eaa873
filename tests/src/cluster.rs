//! A cluster of real `depot-server` processes on one machine: one file, a data folder for each,
//! started, founded, killed, paused, cut off from each other and started again.
//!
//! A server is known by its number: 0 is `a`, 1 is `b`. [`Cluster::of`] says how the cluster is to
//! be ([`Blueprint`]); dropping it kills all, and where a test failed the logs of all are printed,
//! those of servers killed before among them.

mod alive;
mod asking;
mod blueprint;
mod network;
mod operator;
mod ports;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{Folder, Raw, Refusal, Server, Setup};
pub use blueprint::Blueprint;
pub use operator::Told;
pub use ports::free_address;

/// The longest that a deposit may take after its last byte, and as much for a busy machine.
const ANSWER: Duration = Duration::from_secs(120);

/// Servers that know each other.
#[derive(Debug)]
pub struct Cluster {
    home: Arc<TempDir>,
    members: Vec<blueprint::Member>,
    /// Those that run.
    servers: Vec<Option<Server>>,
    /// The logs of those that ended, with who it was.
    past: Vec<(String, String)>,
    network: Option<network::Network>,
    /// Whether servers are started with the file in which the others are proxies.
    proxied: bool,
    _alive: alive::Alive,
}

impl Cluster {
    /// So many servers, all equal, with all defaults.
    pub fn of(servers: usize) -> Blueprint {
        Blueprint::of(servers)
    }

    /// Three servers that tests share while they run at the same time: for stories that leave all
    /// servers as they were and have clients of their own.
    #[track_caller]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::of(3).start());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    fn new(
        home: Arc<TempDir>,
        members: Vec<blueprint::Member>,
        network: Option<network::Network>,
        alive: alive::Alive,
    ) -> Self {
        let servers = members.iter().map(|_| None).collect();
        Self { home, members, servers, past: Vec::new(), network, proxied: false, _alive: alive }
    }
}

/// What is where.
impl Cluster {
    /// How many servers there are, running or not.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// The numbers of the servers that take clients, running or not.
    pub fn holders(&self) -> Vec<usize> {
        (0..self.size()).filter(|&server| !self.members[server].witness).collect()
    }

    /// The name of a server.
    pub fn name(&self, server: usize) -> &str {
        &self.members[server].name
    }

    /// Where a server takes clients.
    pub fn address(&self, server: usize) -> SocketAddr {
        self.members[server].address
    }

    /// Where a server takes other servers.
    pub fn peer_address(&self, server: usize) -> SocketAddr {
        self.members[server].peer
    }

    /// A running server.
    #[track_caller]
    pub fn server(&self, server: usize) -> &Server {
        self.servers[server].as_ref().expect("it runs")
    }

    /// Whether it was started, and not killed or stopped by the test.
    pub fn runs(&self, server: usize) -> bool {
        self.servers[server].is_some()
    }

    /// The data folder of a server.
    pub fn folder(&self, server: usize) -> Folder {
        Folder::new(self.home.path().join(self.name(server)))
    }

    /// A folder for a test's own files, which no server uses.
    pub fn aside(&self) -> PathBuf {
        let aside = self.home.path().join("aside");
        fs::create_dir_all(&aside).expect("a folder");
        aside
    }

    /// The cluster's one file.
    pub fn config(&self) -> PathBuf {
        self.home.path().join("depot.toml")
    }

    /// Another file, made from the cluster's.
    pub fn another_config(&self, name: &str, change: impl FnOnce(String) -> String) -> PathBuf {
        let text = fs::read_to_string(self.config()).expect("the cluster's file");
        let path = self.home.path().join(name).with_extension("toml");
        blueprint::write_private(&path, &change(text));
        path
    }

    /// A client's connection to a server, patient enough for a deposit's answer.
    #[track_caller]
    pub fn raw(&self, server: usize) -> Raw {
        Raw::connect(self.address(server)).patient_for(ANSWER)
    }

    /// Runs `depot-server COMMAND --config FILE ARGUMENTS` with the cluster's file.
    #[track_caller]
    pub fn operator(&self, words: &[&str]) -> Told {
        self.operator_with(&self.config(), words)
    }

    /// The same with another file.
    #[track_caller]
    pub fn operator_with(&self, config: &Path, words: &[&str]) -> Told {
        operator::run(config, words)
    }
}

/// What happens to servers.
impl Cluster {
    fn setup(&self, server: usize, config: Option<&Path>) -> Setup {
        let own = || self.home.path().join(self.name(server)).with_extension("toml");
        let usual = || if self.proxied { own() } else { self.config() };
        let config = config.map_or_else(usual, Path::to_owned);
        let data = self.home.path().join(self.name(server));
        Setup::of_cluster(&self.home, data, &config, self.name(server))
    }

    /// Starts a server that does not run, and waits for its line.
    #[track_caller]
    pub fn start(&mut self, server: usize) {
        let setup = self.setup(server, None);
        self.put(server, setup.start());
    }

    /// Starts a server with another file.
    #[track_caller]
    pub fn start_with(&mut self, server: usize, config: &Path) {
        let setup = self.setup(server, Some(config));
        self.put(server, setup.start());
    }

    /// Starts all that do not run, at once: none waits for another.
    #[track_caller]
    pub fn start_all(&mut self) {
        let stopped = (0..self.size()).filter(|&server| !self.runs(server)).collect::<Vec<_>>();
        let setups = stopped.iter().map(|&server| self.setup(server, None)).collect::<Vec<_>>();
        let started = thread::scope(|scope| {
            let starting = setups.iter().map(|setup| scope.spawn(|| setup.start()));
            let starting = starting.collect::<Vec<_>>();
            starting.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for (&server, started) in stopped.iter().zip(started) {
            self.put(server, started.unwrap_or_else(|_| panic!("server {server} did not start")));
        }
    }

    /// A second process that says it is the server, by a file of its own; no part of the cluster.
    #[track_caller]
    pub fn twin(&self, server: usize, config: &Path) -> Server {
        self.setup(server, Some(config)).start()
    }

    /// Its exit code, where it has ended by itself; `Some(None)` when a signal ended it.
    pub fn ended(&mut self, server: usize) -> Option<Option<i32>> {
        self.servers[server].as_mut().expect("it was started").ended()
    }

    fn put(&mut self, number: usize, server: Server) {
        assert!(!self.runs(number), "it runs already");
        self.servers[number] = Some(server);
    }

    /// Starts a server that must give up, at once or when the others have told it something.
    #[track_caller]
    pub fn refuses(&mut self, server: usize) -> Refusal {
        let mut started = match self.setup(server, None).run() {
            Ok(started) => started,
            Err(refusal) => return refusal,
        };
        let code = started.exit_code();
        Refusal { code, stderr: started.whole_log() }
    }

    #[track_caller]
    fn take(&mut self, server: usize) -> Server {
        self.servers[server].take().expect("it runs")
    }

    /// Ends a server as kill -9 does.
    #[track_caller]
    pub fn kill9(&mut self, server: usize) {
        let mut taken = self.take(server);
        taken.kill();
        self.remember(server, taken.whole_log());
    }

    /// Asks a server to stop, which it must do well.
    #[track_caller]
    pub fn stop(&mut self, server: usize) {
        let mut taken = self.take(server);
        taken.signal(Signal::SIGTERM);
        let code = taken.exit_code();
        assert_eq!(code, Some(0), "stopped as asked; log:\n{}", taken.whole_log());
        self.remember(server, taken.whole_log());
    }

    /// Waits for the end of a server that gives up by itself.
    #[track_caller]
    pub fn ends(&mut self, server: usize) -> Refusal {
        let mut taken = self.take(server);
        let code = taken.exit_code();
        let stderr = taken.whole_log();
        self.remember(server, stderr.clone());
        Refusal { code, stderr }
    }

    fn remember(&mut self, server: usize, log: String) {
        self.past.push((self.name(server).to_owned(), log));
    }

    /// A server stands still, as a machine that is frozen: its connections stay.
    #[track_caller]
    pub fn pause(&self, server: usize) {
        self.server(server).pause();
    }

    /// It goes on.
    pub fn resume(&self, server: usize) {
        self.server(server).resume();
    }
}

/// What happens to the network between servers [through proxies](Blueprint::through_proxies).
impl Cluster {
    fn network(&self) -> &network::Network {
        self.network.as_ref().expect("a cluster through proxies")
    }

    /// Two servers do not reach each other.
    pub fn cut(&self, one: usize, other: usize) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Nothing that `from` says reaches `to`.
    pub fn cut_one_way(&self, from: usize, to: usize) {
        self.network().cut(from, to);
    }

    /// A server reaches none of the others, and they do not reach it.
    pub fn isolate(&self, server: usize) {
        let others = (0..self.size()).filter(|&other| other != server);
        others.for_each(|other| self.cut(server, other));
    }

    /// What `from` says reaches `to` so much later.
    pub fn delay(&self, from: usize, to: usize, delay: Duration) {
        self.network().delay(from, to, delay);
    }

    /// Only so much of what `from` says reaches `to`.
    pub fn slow(&self, from: usize, to: usize, bytes_per_second: usize) {
        self.network().slow(from, to, bytes_per_second);
    }

    /// All reach all again, as ever.
    pub fn heal(&self) {
        self.network().heal();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            for (name, log) in &self.past {
                eprintln!("--- log of {name}, which ended before:\n{log}");
            }
        }
    }
}
