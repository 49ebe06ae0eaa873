//! The configuration as resolved: what one server runs with, and every default.
//!
//! **Invariant:** the defaults of the configuration file stand in the `Default`s of this file and
//! nowhere else; `config/depot.toml` repeats them for the reader, and a test compares the two.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use depot_protocol::ServerName;

use super::members::Server;
use super::secret::Secret;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The name of a server that runs without a configuration file.
pub const NAME_ALONE: &str = "alone";

/// All that one server needs to know to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Its name in the cluster.
    pub server: ServerName,
    /// Where it takes clients; port 0 is any free one.
    pub listen: SocketAddr,
    /// The folder that holds its payloads and its catalogue; absolute.
    pub data: PathBuf,
    /// Every server of the cluster in the file's order, this one among them; at least one.
    pub members: Vec<Server>,
    /// What the servers agree on.
    pub cluster: ClusterSettings,
    /// The key that the servers share; none where there is one server alone.
    pub secret: Option<Secret>,
    /// Further keys that are taken from other servers while the key changes.
    pub also_accept: Vec<Secret>,
    /// How many copies a deposit waits for.
    pub ack: Ack,
    /// What one client, one connection or all of them may take. Read again on SIGHUP.
    pub limits: Limits,
    /// How files are taken in.
    pub deposit: DepositSettings,
    /// How payloads are kept on disk.
    pub volume: VolumeSettings,
    /// How the catalogue is kept.
    pub catalogue: CatalogueSettings,
}

impl Settings {
    /// A depot of one on this machine alone: 127.0.0.1, every setting at its default.
    #[must_use]
    pub fn alone(port: u16, data: PathBuf) -> Settings {
        let name = ServerName::parse(NAME_ALONE).expect("the name keeps the rule of names");
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let data = absolute(&data);
        let me = Server {
            name: name.clone(),
            address: listen,
            peer: None,
            http: None,
            data: data.clone(),
            zone: None,
            capacity: None,
            witness: false,
            line: 0,
        };
        Settings {
            server: name,
            listen,
            data,
            members: vec![me],
            cluster: ClusterSettings::default(),
            secret: None,
            also_accept: Vec::new(),
            ack: Ack::default(),
            limits: Limits::default(),
            deposit: DepositSettings::default(),
            volume: VolumeSettings::default(),
            catalogue: CatalogueSettings::default(),
        }
    }
}

/// What one client, one connection or all of them may take: `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A connection on which no request has begun for this long is closed.
    pub idle: Duration,
    /// A header ends within this time of its first byte.
    pub header: Duration,
    /// The time in which a payload brings at least `payload_min` bytes.
    pub payload_stall: Duration,
    /// The bytes that a payload brings in any `payload_stall`.
    pub payload_min: u64,
    /// A client takes its answers within this time.
    pub write_stall: Duration,
    /// Connections at once; the descriptors that the process may open can lower it.
    pub connections: usize,
    /// Connections at once from one address; not counted on loopback.
    pub connections_per_address: usize,
    /// Deposits and recovers at once of one client.
    pub transfers_per_client: usize,
    /// First connections, and answers "no such file", per address and second; more are delayed.
    pub unknown_per_second: u32,
    /// How long requests under way may take to finish once the server was asked to stop.
    pub shutdown: Duration,
    /// How long a connection is read on after an answer that closes it.
    pub drain_time: Duration,
    /// How many bytes are read on after an answer that closes a connection.
    pub drain_size: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            idle: MINUTE,
            header: 10 * SECOND,
            payload_stall: 30 * SECOND,
            payload_min: KIB,
            write_stall: 30 * SECOND,
            connections: 10_000,
            connections_per_address: 256,
            transfers_per_client: 64,
            unknown_per_second: 1_000,
            shutdown: 30 * SECOND,
            drain_time: 2 * SECOND,
            drain_size: 64 * MIB,
        }
    }
}

/// How files are taken in: `[deposit]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositSettings {
    /// The memory of all transfer buffers together, in bytes.
    pub memory: u64,
    /// The largest file that is taken, in bytes.
    pub max_size: u64,
    /// An upload's progress is made durable each time that it has brought this many bytes.
    pub checkpoint: u64,
    /// How long the part of an upload that was cut is kept.
    pub part_lifetime: Duration,
}

impl Default for DepositSettings {
    fn default() -> DepositSettings {
        DepositSettings {
            memory: 64 * MIB,
            max_size: 16 * TIB,
            checkpoint: 256 * MIB,
            part_lifetime: DAY,
        }
    }
}

/// How payloads are kept on disk: `[volume]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSettings {
    /// How long a copy that no record lists any more lies in the trash.
    pub trash: Duration,
    /// Bytes of the file system that deposits leave free.
    pub reserve: u64,
    /// Percent of the file system that deposits leave free; the larger of the two counts.
    pub reserve_percent: u8,
    /// About how many bytes of small payloads lie in one file, a pack; 0: each has a file of its own.
    pub pack: u64,
    /// Up to how many bytes a payload is written through the page cache, 1 MiB at least; larger ones
    /// go past it.
    pub cached: u64,
    /// The running time in which every copy is read again.
    pub scrub: Duration,
    /// The running time after which what was deposited since the last time is read again.
    pub scrub_fresh: Duration,
}

impl Default for VolumeSettings {
    fn default() -> VolumeSettings {
        VolumeSettings {
            trash: DAY,
            reserve: 64 * MIB,
            reserve_percent: 1,
            pack: 64 * MIB,
            cached: 8 * MIB,
            scrub: 7 * DAY,
            scrub_fresh: DAY / 2,
        }
    }
}

/// How the catalogue is kept: `[catalogue]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueSettings {
    /// The memory of its page cache, in bytes.
    pub cache: usize,
    /// A catalogue up to this size is checked whole at each start.
    pub check_on_open: u64,
    /// So many bytes of its newest changes are durable in the journal of its log alone, at most; 0:
    /// each is a durable transaction of its tables.
    pub journal: u64,
}

impl Default for CatalogueSettings {
    fn default() -> CatalogueSettings {
        CatalogueSettings { cache: 16 << 20, check_on_open: 256 * MIB, journal: 4 * MIB }
    }
}

/// The servers of a cluster and what they agree on: `[cluster]`, less its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// What the operator calls the cluster.
    pub name: Option<String>,
    /// A server that was away this long is replaced as a holder.
    pub repair_after: Duration,
    /// The same for a holder of the last copy but one.
    pub repair_after_last: Duration,
    /// Whether addresses off loopback are accepted without TLS.
    pub insecure: bool,
}

impl Default for ClusterSettings {
    fn default() -> ClusterSettings {
        ClusterSettings {
            name: None,
            repair_after: 10 * MINUTE,
            repair_after_last: MINUTE,
            insecure: false,
        }
    }
}

/// How many durable copies a deposit waits for before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// A majority of the copies that were asked for.
    #[default]
    Majority,
    /// All copies that were asked for.
    All,
}

/// Ranges that the values of the file are held to, and why nothing outside them makes sense.
pub(super) mod range {
    use std::ops::RangeInclusive;
    use std::time::Duration;

    use super::{DAY, GIB, KIB, MIB, SECOND, TIB};

    /// What is waited for on a connection: not so short that no network could keep to it.
    pub(crate) const WAIT: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;
    /// How long things are kept, or a server is waited for.
    pub(crate) const KEEP: RangeInclusive<Duration> =
        SECOND..=Duration::from_secs(3650 * 24 * 60 * 60);
    /// Bytes per stall: more than none, or the limit would mean nothing.
    pub(crate) const TRICKLE: RangeInclusive<u64> = 1..=GIB;
    /// Connections, transfers and the like: at least one, or nobody is served.
    pub(crate) const COUNT: RangeInclusive<u64> = 1..=1_000_000;
    /// What is read and dropped: at least what a client has in flight.
    pub(crate) const DRAIN: RangeInclusive<u64> = 64 * KIB..=GIB;
    /// Pools of memory: at least a few buffers, at most what a machine could hold.
    pub(crate) const MEMORY: RangeInclusive<u64> = MIB..=TIB;
    /// Steps between syncs: one buffer, or syncing is all that is done.
    pub(crate) const STEP: RangeInclusive<u64> = 256 * KIB..=TIB;
    /// Sizes of files: up to the wire's largest.
    pub(crate) const FILE: RangeInclusive<u64> = 1..=i64::MAX as u64;
    /// Sizes of which none is a choice too.
    pub(crate) const ROOM: RangeInclusive<u64> = 0..=i64::MAX as u64;
    /// Percent of a disk kept free.
    pub(crate) const PERCENT: RangeInclusive<u64> = 0..=90;
}

/// The path from the root; as it is where the working folder cannot be told.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
