//! What the server needs of the world, as small traits: disk, network, clock, randomness and the
//! running of blocking work. In production each is a thin skin over the operating system
//! ([`Seams::system`]); in tests each has a twin that can fail, stand still or lose what was not
//! synced, so that a whole server runs in one deterministic process.

pub mod blocking;
pub mod clock;
pub mod disk;
pub mod entropy;
pub mod network;
pub mod system_disk;

use std::sync::Arc;

pub use blocking::Blocking;
pub use clock::Clock;
pub use disk::{Disk, DiskFile};
pub use entropy::Entropy;
pub use network::Network;

/// The world as one server sees it. The disk is not here: each data folder has its own.
#[derive(Clone)]
pub struct Seams {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where blocking work runs.
    pub blocking: Arc<dyn Blocking>,
    /// Sockets.
    pub network: Arc<dyn Network>,
    /// Ends the process at once, without unwinding, when going on could lose data. The twin in
    /// tests records the call and returns; whoever calls it must then never answer again.
    pub abort: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Seams {
    /// The operating system's own clock, randomness, threads and sockets.
    pub fn system() -> Self {
        Seams {
            clock: Arc::new(clock::SystemClock::start()),
            entropy: Arc::new(entropy::SystemEntropy),
            blocking: Arc::new(blocking::ThreadPool),
            network: Arc::new(network::Tcp),
            abort: Arc::new(|why| {
                tracing::error!(why, "aborting: going on could lose data");
                std::process::abort()
            }),
        }
    }
}

impl std::fmt::Debug for Seams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seams")
    }
}
