//! The configuration as written: one field for each key that a file may hold.
//!
//! What is left out stays `None` here; the defaults are those of the resolved settings.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::secret::Secret;
use super::settings::Ack;
use super::values::{Address, Count, Label, Name, Secrets, Size, Time};

/// A key that may be left out.
pub(super) type Key<T> = Option<Spanned<T>>;

/// A whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) cluster: Cluster,
    #[serde(default)]
    pub(super) deposit: Deposit,
    #[serde(default)]
    pub(super) volume: Volume,
    #[serde(default)]
    pub(super) catalogue: Catalogue,
    #[serde(default)]
    pub(super) limits: Limits,
    /// One table for each server, this one among them.
    #[serde(default)]
    pub(super) server: Vec<Spanned<Server>>,
}

/// `[cluster]`: what the servers agree on.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cluster {
    /// What the operator calls the cluster.
    pub(super) name: Key<Label>,
    /// What servers prove to each other that they belong together with.
    pub(super) secret: Key<Secret>,
    /// A file that holds the secret instead.
    pub(super) secret_file: Key<PathBuf>,
    /// Further secrets that are taken, while the secret changes from server to server.
    pub(super) also_accept: Secrets,
    /// A server that was away this long is replaced as a holder.
    pub(super) repair_after: Key<Time>,
    /// The same where few copies are left.
    pub(super) repair_after_last: Key<Time>,
    /// Whether addresses off loopback are accepted without TLS.
    pub(super) insecure: Option<bool>,
}

/// `[deposit]`: how files are taken in.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Deposit {
    /// How many copies a deposit waits for.
    pub(super) ack: Option<Ack>,
    /// Memory of the transfer buffers.
    pub(super) memory: Key<Size>,
    /// The largest file.
    pub(super) max_size: Key<Size>,
    /// Bytes between two syncs of an upload.
    pub(super) checkpoint: Key<Size>,
    /// How long a cut upload is kept.
    pub(super) part_lifetime: Key<Time>,
}

/// `[volume]`: how payloads are kept on disk.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Volume {
    /// How long a payload lies in quarantine before it is deleted.
    pub(super) trash: Key<Time>,
    /// Bytes that are left free.
    pub(super) reserve: Key<Size>,
    /// Percent of the disk that is left free.
    pub(super) reserve_percent: Key<Count>,
    /// The size of a pack.
    pub(super) pack: Key<Size>,
    /// The largest payload that goes through the page cache.
    pub(super) cached: Key<Size>,
    /// The time in which every copy is read again.
    pub(super) scrub: Key<Time>,
    /// The time after which new copies are read again.
    pub(super) scrub_fresh: Key<Time>,
}

/// `[catalogue]`: how the catalogue is kept.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Catalogue {
    /// Memory of its page cache.
    pub(super) cache: Key<Size>,
    /// Up to this size it is checked whole at each start.
    pub(super) check_on_open: Key<Size>,
    /// How much is durable by the journal of the log alone.
    pub(super) journal: Key<Size>,
}

/// `[limits]`: what clients and connections may take.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Silence between requests.
    pub(super) idle: Key<Time>,
    /// From a header's first byte to its last.
    pub(super) header: Key<Time>,
    /// The time in which a payload brings `payload_min`.
    pub(super) payload_stall: Key<Time>,
    /// What a payload brings in any `payload_stall`.
    pub(super) payload_min: Key<Size>,
    /// A client takes its answers within this time.
    pub(super) write_stall: Key<Time>,
    /// Connections at once.
    pub(super) connections: Key<Count>,
    /// Connections at once from one address off loopback.
    pub(super) connections_per_address: Key<Count>,
    /// Deposits and recovers at once of one client.
    pub(super) transfers_per_client: Key<Count>,
    /// New ids and unknown names per address and second.
    pub(super) unknown_per_second: Key<Count>,
    /// Time to finish when asked to stop.
    pub(super) shutdown: Key<Time>,
    /// Time to read on after an answer that closes.
    pub(super) drain_time: Key<Time>,
    /// Bytes to read on after an answer that closes.
    pub(super) drain_size: Key<Size>,
}

/// `[[server]]`: one server.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// Its name.
    pub(super) name: Spanned<Name>,
    /// Where it takes clients.
    pub(super) address: Spanned<Address>,
    /// Where it takes other servers.
    pub(super) peer: Key<Address>,
    /// Where it answers about its health.
    pub(super) http: Key<Address>,
    /// Its folder.
    pub(super) data: Spanned<PathBuf>,
    /// Where it stands; copies are spread over zones.
    pub(super) zone: Key<Label>,
    /// How much it takes.
    pub(super) capacity: Key<Size>,
    /// Whether it votes only and holds no payloads.
    pub(super) witness: Option<bool>,
}

/// One address of a server, and where it stands.
pub(super) struct End {
    /// Its key.
    pub(super) key: &'static str,
    /// The address.
    pub(super) socket: SocketAddr,
    /// Its place in the file.
    pub(super) span: Range<usize>,
}

impl Server {
    /// Its addresses.
    pub(super) fn ends(&self) -> impl Iterator<Item = End> {
        let all = [
            ("address", Some(&self.address)),
            ("peer", self.peer.as_ref()),
            ("http", self.http.as_ref()),
        ];
        all.into_iter().filter_map(|(key, address)| {
            let address = address?;
            Some(End { key, socket: address.get_ref().0, span: address.span() })
        })
    }
}

impl End {
    /// The IP address, an IPv4 one that is written as IPv6 as what it is.
    pub(super) fn host(&self) -> IpAddr {
        self.socket.ip().to_canonical()
    }
}
