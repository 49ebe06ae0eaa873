//! A whole server within this process, on the twins of its seams: its disk can be cut, its time
//! leaps, and one seed decides all that is random.
//!
//! A server lives in [`life`]: when that returns, it is gone as after `kill -9`, its disk stays.
//! A [`Client`] talks to it, a [`Ledger`] writes down what it promised, and [`audit`] holds a
//! server to that, in a later life as a rule.
//!
//! ```
//! use depot_tests::Recovered;
//! use depot_tests::in_process::{ID, Site, life};
//! use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk};
//!
//! let disk = MemoryDisk::new();
//! life(async {
//!     let server = Site::new(1).start(&disk).await.expect("an empty disk is founded");
//!     let mut client = server.connect().await;
//!     assert!(client.deposit(ID, "a", b"bytes").await.is_done());
//! });
//! let disk = disk.crash(CrashMode::DropAll); // the power fails
//! life(async {
//!     let server = Site::new(2).start(&disk).await.expect("it comes back");
//!     let mut client = server.connect().await;
//!     assert_eq!(client.recover(ID, "a").await, Recovered::Whole(b"bytes".to_vec()));
//! });
//! ```

mod audit;
mod client;
mod ledger;
mod lives;
mod panics;
mod workload;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use depot_server::config::Settings;
use depot_server::node::{Node, StartError};
use depot_server::seams::{Disk, Network, Seams};
use tokio::io::DuplexStream;

use crate::twins::clock::TokioClock;
use crate::twins::memory_disk::MemoryDisk;
use crate::twins::network::MemoryNetwork;
use crate::twins::{AbortLog, seams};

pub use audit::{Breach, Violation, audit, left_behind};
pub use client::{Client, Heard};
pub use ledger::{Content, Ledger};
pub use lives::{cut_life, first_life, found, second_life};
pub use panics::Panics;
pub use workload::{RESUMED, Step, resumed, steps, work};

/// A client's id.
pub const ID: &str = "6f1d2a9e-54b0-4f0c-9d3e-1c2b3a4d5e6f";

/// Where a client comes from that nothing else is said of.
const FROM: &str = "127.0.0.1:40000";

/// Bytes that a connection holds each way.
const PIPE: usize = 64 * 1024;

/// Connections that the process could have open.
const DESCRIPTORS: usize = 10_000;

/// Runs a server's life, and that of its clients, in time that leaps to the next timer whenever
/// nobody has anything to do. At its end all their tasks are gone.
pub fn life<T>(story: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(story)
}

/// Lets all tasks go on until nothing but time can move them.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// How servers are started here.
#[derive(Debug, Clone)]
pub struct Site {
    /// What they run with.
    pub settings: Settings,
    seed: u64,
}

impl Site {
    /// A depot of one with every setting at its default, but that each copy has a file of its own, to
    /// be found and harmed. No two lives on one disk shall have the same seed: they would make the
    /// same names.
    pub fn new(seed: u64) -> Self {
        Site { settings: Settings::alone(7070, "/depot".into()), seed }.packing(0)
    }

    /// The same with small payloads in packs of this size.
    pub fn packing(self, size: u64) -> Self {
        self.with(|settings| settings.volume.pack = size)
    }

    /// The same with other settings.
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Starts a server; call it within a [`life`]. Where it aborts, the disk is as after a kill.
    pub async fn start(&self, disk: &MemoryDisk) -> Result<Server, StartError> {
        let network = MemoryNetwork::new(PIPE);
        let (mut seams, aborts) = self.seams(Arc::new(network.clone()));
        let (abort, cut) = (Arc::clone(&seams.abort), disk.clone());
        seams.abort = Arc::new(move |why| {
            if !cut.is_frozen() {
                abort(why);
                drop(cut.kill());
            }
        });
        let node = self.start_in(seams, Arc::new(disk.clone())).await?;
        Ok(Server { node, aborts, network })
    }

    /// The world of a server; within a simulated host too.
    pub fn seams(&self, network: Arc<dyn Network>) -> (Seams, AbortLog) {
        seams(Arc::new(TokioClock::start()), network, self.seed)
    }

    /// Starts a server on whatever disk, in this world.
    pub async fn start_in(&self, seams: Seams, disk: Arc<dyn Disk>) -> Result<Node, StartError> {
        Node::start(self.settings.clone(), disk, seams, DESCRIPTORS).await
    }
}

/// A running server, and the network that leads to it.
pub struct Server {
    node: Node,
    /// Why it would have aborted.
    pub aborts: AbortLog,
    network: MemoryNetwork,
}

impl Server {
    /// A connection.
    pub async fn connect(&self) -> Client<DuplexStream> {
        self.connect_from(FROM).await
    }

    /// A connection that comes from this address.
    pub async fn connect_from(&self, from: &str) -> Client<DuplexStream> {
        let from: SocketAddr = from.parse().expect("an address");
        let stream =
            self.network.connect(from, self.node.address().expect("it takes clients")).await;
        Client::new(stream.expect("the server listens"))
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(self) {
        self.node.stop(&Default::default()).await;
    }
}
