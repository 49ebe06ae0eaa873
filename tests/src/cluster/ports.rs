//! Ports for servers that must be named before they are listened on: below the range from which
//! the system gives out its own, in a block that no other test process has, and free right now.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Where the blocks begin: above the ports that services are known by.
const FIRST: u16 = 12_000;
/// How many ports a test process has.
const BLOCK: u16 = 400;

/// Ports of this process, each given out in turn.
struct Block {
    ports: Range<u16>,
    next: u16,
    /// Locked as long as this process runs.
    _lock: File,
}

/// An address of this machine that nobody listens on, and that nobody else is told of soon. Unlike a
/// port that the system gave out and took back, no connection that begins meanwhile can get it.
pub fn free_address() -> SocketAddr {
    static OURS: OnceLock<Mutex<Block>> = OnceLock::new();
    let ours = OURS.get_or_init(|| Mutex::new(Block::take()));
    let port = ours.lock().unwrap_or_else(PoisonError::into_inner).free();
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Block {
    /// The first block that no other process has locked.
    fn take() -> Self {
        let locks = std::env::temp_dir().join("depot-tests-ports");
        fs::create_dir_all(&locks).expect("a temporary folder");
        let end = first_ephemeral();
        let blocks = (FIRST..).step_by(usize::from(BLOCK)).take_while(|first| first + BLOCK <= end);
        let block = |first| Self::lock(&locks, first);
        blocks.into_iter().find_map(block).expect("a block of ports that is not in use")
    }

    fn lock(locks: &Path, first: u16) -> Option<Self> {
        let lock = File::create(locks.join(first.to_string())).expect("a lock file");
        lock.try_lock().is_ok().then(|| Self {
            ports: first..first + BLOCK,
            next: first,
            _lock: lock,
        })
    }

    fn free(&mut self) -> u16 {
        for _ in self.ports.clone() {
            let port = self.next;
            self.next = if port + 1 < self.ports.end { port + 1 } else { self.ports.start };
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
        panic!("all ports of {:?} are in use", self.ports)
    }
}

/// The first port that the system gives out by itself.
fn first_ephemeral() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux");
    range.split_whitespace().next().and_then(|first| first.parse().ok()).expect("two ports")
}
