//! What openraft is told about the catalogue: its types, and who is who.
//!
//! A log entry holds a batch of commands, and applying it returns what came of each. A node is one
//! life of a server: its id is a hash of the server's name and incarnation, so that a server that
//! lost its disk comes back as somebody else, whom no vote of the earlier life binds (the openraft
//! FAQ shows what the same id could lose). The log knows servers by name and incarnation only;
//! where a name is found is the configuration's to say.

use depot_protocol::ServerName;
use openraft::impls::OneshotResponder;
use sha2::{Digest as _, Sha256};

use super::command::{Applied, Command};
use super::record::Incarnation;
use super::runtime::Runtime;
use super::snapshot::SnapshotData;

openraft::declare_raft_types!(
    /// The catalogue's consensus.
    pub Types:
        D = Vec<Command>,
        R = Vec<Applied>,
        NodeId = u64,
        Node = Member,
        Entry = openraft::Entry<Types>,
        SnapshotData = SnapshotData,
        AsyncRuntime = Runtime,
        Responder = OneshotResponder<Types>,
);

pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Entry = openraft::Entry<Types>;
pub(super) type StoredMembership = openraft::StoredMembership<u64, Member>;
pub(super) type StorageError = openraft::StorageError<u64>;

/// One life of a server, as the log knows it. The incarnation stands in it so that a server that
/// is given the log from its beginning learns the lives that the founding began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The server's name; empty only in openraft's own tests.
    pub name: String,
    /// Its life.
    pub incarnation: u64,
}

impl Member {
    pub(super) fn of(server: &ServerName, incarnation: Incarnation) -> Self {
        Member { name: server.as_str().to_owned(), incarnation: incarnation.0 }
    }

    pub(super) fn server(&self) -> Option<ServerName> {
        ServerName::parse(&self.name).ok()
    }
}

/// The node that one life of a server is: the first 8 bytes of
/// SHA-256("depot node 1" || cluster id || name || incarnation, big endian).
pub fn node_id(cluster: &[u8; 16], server: &ServerName, incarnation: Incarnation) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"depot node 1");
    hash.update(cluster);
    hash.update(server.as_str().as_bytes());
    hash.update(incarnation.0.to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}
