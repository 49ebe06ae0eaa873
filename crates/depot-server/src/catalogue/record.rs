//! What the catalogue says of one file: the words that commands carry, tables keep (in the form
//! that `rows` gives them) and views return.

use std::fmt;

use depot_protocol::{ClientId, Digest, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds};
use sha2::{Digest as _, Sha256};

/// A client's own space of names: SHA-256("depot namespace 1" || cluster id || the id's 16 bytes).
/// Ids themselves never reach a disk, a peer or a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace([u8; 32]);

impl Namespace {
    /// The namespace of `client` in the cluster with this id.
    pub fn of(cluster: &[u8; 16], client: &ClientId) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"depot namespace 1");
        hash.update(cluster);
        hash.update(client.as_bytes());
        Namespace(hash.finalize().into())
    }

    /// One read back from where its bytes were written.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Namespace(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A file of it, as placement knows it.
    pub fn key(&self, name: &FileName) -> Vec<u8> {
        [self.as_bytes(), name.as_str().as_bytes()].concat()
    }
}

/// The first four bytes, enough to follow one client through a log.
impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Which change of the catalogue made a record what it is: the place of that change in the order
/// of all. 0 stands for no record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Who asked for a change: random, drawn once for each request, the same in each repetition of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub [u8; 16]);

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Which life of a server: a server that lost its disk comes back under a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// How many sweeps a server has proposed. A receipt is good as long as its number is current.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepNumber(pub u64);

/// A server's word that it has a synced copy, good until its next sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Who gives it.
    pub server: ServerName,
    /// In which life.
    pub incarnation: Incarnation,
    /// Under which sweep.
    pub sweep: SweepNumber,
}

/// Who a holder is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HolderId {
    /// A server of the cluster.
    Server(ServerName),
    /// A client that keeps copies for others; counted nowhere.
    Guest([u8; 16]),
}

/// What is known of a holder's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderState {
    /// It shall have one.
    Wanted,
    /// It has proven one.
    Confirmed {
        /// In this life.
        incarnation: Incarnation,
    },
}

/// Somebody who has a copy of a file, or shall have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub who: HolderId,
    /// Whether the copy is there.
    pub state: HolderState,
}

/// One file of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The change that made it what it is.
    pub version: Version,
    /// Its content.
    pub digest: Digest,
    /// Its size.
    pub size: FileSize,
    /// On how many other servers its depositor wants copies.
    pub replicas: ReplicaCount,
    /// When this content was deposited under this name. Displayed, never compared.
    pub deposited: UtcSeconds,
    /// Who has it or shall have it, each once.
    pub holders: Vec<Holder>,
    /// The request that made it what it is.
    pub operation: OperationId,
}

impl Record {
    /// The servers that have proven a copy, each with the life in which it did.
    pub fn confirmed(&self) -> impl Iterator<Item = (&ServerName, Incarnation)> {
        self.holders.iter().filter_map(|holder| match (&holder.who, holder.state) {
            (HolderId::Server(server), HolderState::Confirmed { incarnation }) => {
                Some((server, incarnation))
            }
            _ => None,
        })
    }

    /// The servers that have a copy or shall have one.
    pub fn servers(&self) -> impl Iterator<Item = &ServerName> {
        self.holders.iter().filter_map(|holder| match &holder.who {
            HolderId::Server(server) => Some(server),
            HolderId::Guest(_) => None,
        })
    }

    /// Whether this server has proven a copy, in whichever life.
    pub fn held_by(&self, server: &ServerName) -> bool {
        self.confirmed().any(|(holder, _)| holder == server)
    }

    /// Whether this server shall have a copy and has not proven one.
    pub fn wants(&self, server: &ServerName) -> bool {
        self.holder(server).is_some_and(|holder| holder.state == HolderState::Wanted)
    }

    /// Whether this server has a copy or shall have one: then it must not let go of it.
    pub fn lists(&self, server: &ServerName) -> bool {
        self.holder(server).is_some()
    }

    fn holder(&self, server: &ServerName) -> Option<&Holder> {
        let named =
            |holder: &&Holder| matches!(&holder.who, HolderId::Server(who) if who == server);
        self.holders.iter().find(named)
    }
}

#[cfg(test)]
mod tests;
