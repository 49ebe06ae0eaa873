//! How the catalogue's words lie on disk.
//!
//! Every value of every table is one sealed row: a byte that tells its format, the value in
//! postcard's encoding, and the CRC-64/NVME (little endian) of key, format byte and value. So a row
//! that rotted, was cut, or lies under another row's key is [`Corrupt`], and never taken for absent
//! or for somebody else's.
//!
//! The structures here are the format: their fields and variants are never reordered, removed or
//! inserted before others. A change gets the next format byte and a reader for the old one; the
//! tests hold the bytes of today.

use crc_fast::{CrcAlgorithm, Digest as Crc};
use depot_protocol::{Digest, FileSize, ReplicaCount, ServerName, UtcSeconds};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fault::Corrupt;
use super::record::{
    Holder, HolderId, HolderState, Incarnation, OperationId, Record, SweepNumber, Version,
};

/// The format that this program writes.
const FORMAT: u8 = 1;
const CRC_LEN: usize = 8;

/// A value that lies in the tables.
pub(super) trait Row: Sized {
    /// Its form on disk.
    type Stored: Serialize + DeserializeOwned;

    fn store(&self) -> Self::Stored;

    /// What a whole row says may still break a rule; then this tells which.
    fn load(stored: Self::Stored) -> Result<Self, &'static str>;

    /// The sealed row of this value under `key`.
    fn seal(&self, key: &[u8]) -> Vec<u8> {
        let mut row = postcard::to_extend(&self.store(), vec![FORMAT])
            .expect("numbers, strings and lists encode into memory");
        let crc = checksum(key, &row);
        row.extend_from_slice(&crc.to_le_bytes());
        row
    }

    /// The value of a sealed row under `key`.
    fn unseal(key: &[u8], row: &[u8]) -> Result<Self, Corrupt> {
        let (body, crc) =
            row.split_last_chunk::<CRC_LEN>().ok_or_else(|| Corrupt::new("a row is cut short"))?;
        if checksum(key, body) != u64::from_le_bytes(*crc) {
            return Err(Corrupt::new("a row does not have its checksum"));
        }
        let (format, encoded) = body.split_first().ok_or_else(|| Corrupt::new("a row is empty"))?;
        if *format != FORMAT {
            return Err(Corrupt::new(format!(
                "a row has format {format}, which this program does not read: \
                 start the newer program that wrote it"
            )));
        }
        let (stored, rest) = postcard::take_from_bytes(encoded)
            .map_err(|error| Corrupt::new(format!("a row cannot be decoded: {error}")))?;
        if !rest.is_empty() {
            return Err(Corrupt::new("a row goes on behind its end"));
        }
        Self::load(stored).map_err(|rule| Corrupt::new(format!("a row breaks a rule: {rule}")))
    }
}

fn checksum(key: &[u8], body: &[u8]) -> u64 {
    let mut crc = Crc::new(CrcAlgorithm::Crc64Nvme);
    crc.update(key);
    crc.update(body);
    crc.finalize()
}

/// Plain numbers of the `meta` table.
impl Row for u64 {
    type Stored = u64;

    fn store(&self) -> u64 {
        *self
    }

    fn load(stored: u64) -> Result<Self, &'static str> {
        Ok(stored)
    }
}

/// The key of another row.
impl Row for Vec<u8> {
    type Stored = Vec<u8>;

    fn store(&self) -> Vec<u8> {
        self.clone()
    }

    fn load(stored: Vec<u8>) -> Result<Self, &'static str> {
        Ok(stored)
    }
}

/// Whose catalogue a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: [u8; 16],
    /// The server of it that keeps this file.
    pub server: ServerName,
    /// The life of that server.
    pub incarnation: Incarnation,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredIdentity {
    cluster: [u8; 16],
    server: String,
    incarnation: u64,
}

impl Row for Identity {
    type Stored = StoredIdentity;

    fn store(&self) -> StoredIdentity {
        StoredIdentity {
            cluster: self.cluster,
            server: self.server.as_str().to_owned(),
            incarnation: self.incarnation.0,
        }
    }

    fn load(stored: StoredIdentity) -> Result<Self, &'static str> {
        Ok(Identity {
            cluster: stored.cluster,
            server: server_name(&stored.server)?,
            incarnation: Incarnation(stored.incarnation),
        })
    }
}

/// What the catalogue knows of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) incarnation: Incarnation,
    pub(super) sweep: SweepNumber,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredServer {
    incarnation: u64,
    sweep: u64,
}

impl Row for Server {
    type Stored = StoredServer;

    fn store(&self) -> StoredServer {
        StoredServer { incarnation: self.incarnation.0, sweep: self.sweep.0 }
    }

    fn load(stored: StoredServer) -> Result<Self, &'static str> {
        Ok(Server {
            incarnation: Incarnation(stored.incarnation),
            sweep: SweepNumber(stored.sweep),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredRecord {
    version: u64,
    digest: [u8; 32],
    size: u64,
    replicas: u8,
    deposited: u64,
    holders: Vec<StoredHolder>,
    operation: [u8; 16],
}

#[derive(Serialize, Deserialize)]
struct StoredHolder {
    who: StoredWho,
    state: StoredState,
}

#[derive(Serialize, Deserialize)]
enum StoredWho {
    Server(String),
    Guest([u8; 16]),
}

#[derive(Serialize, Deserialize)]
enum StoredState {
    Wanted,
    Confirmed { incarnation: u64 },
}

impl Row for Record {
    type Stored = StoredRecord;

    fn store(&self) -> StoredRecord {
        StoredRecord {
            version: self.version.0,
            digest: *self.digest.as_bytes(),
            size: self.size.get(),
            replicas: self.replicas.get(),
            deposited: self.deposited.get(),
            holders: self.holders.iter().map(store_holder).collect(),
            operation: self.operation.0,
        }
    }

    fn load(stored: StoredRecord) -> Result<Self, &'static str> {
        Ok(Record {
            version: Version(stored.version),
            digest: Digest::from_bytes(stored.digest),
            size: FileSize::new(stored.size).ok_or("a file's size is too large")?,
            replicas: ReplicaCount::new(stored.replicas),
            deposited: UtcSeconds::new(stored.deposited),
            holders: stored.holders.into_iter().map(load_holder).collect::<Result<_, _>>()?,
            operation: OperationId(stored.operation),
        })
    }
}

fn store_holder(holder: &Holder) -> StoredHolder {
    let who = match &holder.who {
        HolderId::Server(server) => StoredWho::Server(server.as_str().to_owned()),
        HolderId::Guest(guest) => StoredWho::Guest(*guest),
    };
    let state = match holder.state {
        HolderState::Wanted => StoredState::Wanted,
        HolderState::Confirmed { incarnation } => {
            StoredState::Confirmed { incarnation: incarnation.0 }
        }
    };
    StoredHolder { who, state }
}

fn load_holder(stored: StoredHolder) -> Result<Holder, &'static str> {
    let who = match stored.who {
        StoredWho::Server(server) => HolderId::Server(server_name(&server)?),
        StoredWho::Guest(guest) => HolderId::Guest(guest),
    };
    let state = match stored.state {
        StoredState::Wanted => HolderState::Wanted,
        StoredState::Confirmed { incarnation } => {
            HolderState::Confirmed { incarnation: Incarnation(incarnation) }
        }
    };
    Ok(Holder { who, state })
}

pub(super) fn server_name(text: &str) -> Result<ServerName, &'static str> {
    ServerName::parse(text).map_err(|_| "a server's name is none")
}

#[cfg(test)]
mod tests;
