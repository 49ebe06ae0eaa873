//! What an operator asks a server over the peer port, and how: `init`, `status`, `admit` and
//! `scrub` of the command line on the one side, `node` on the other. Whoever knows the cluster's secret is an
//! operator.
//!
//! A question and its reply are one frame each, in postcard's encoding. The enumerations are the
//! format: variants and fields are only ever added at the end.

use std::time::Duration;

use depot_protocol::ServerName;
use serde::{Deserialize, Serialize};

use crate::cluster::{self, Keys, LinkError, Proven};
use crate::config::{Config, Server};
use crate::seams::Seams;

/// How long a server may take to be reached and to prove itself.
pub const REACH_WITHIN: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// The empty folder is to become this cluster's.
    Found(Founding),
    /// How it is.
    Status,
    /// A server is to come into the cluster, in a new life of its own; to the leader.
    Admit {
        /// Its name.
        server: String,
    },
    /// Every copy is to be read again now.
    Scrub,
}

/// Of which cluster a folder is to become a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// The life of that server.
    pub incarnation: u64,
    /// Who founds the cluster together; none where it is there already.
    pub founders: Vec<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To `Found`: durable.
    Founded,
    /// To `Status`.
    Status(Box<Status>),
    /// To `Admit`: it is in the catalogue, under this incarnation.
    Admitted {
        /// The life to found its folder with.
        incarnation: u64,
    },
    /// Only the leader can do that: ask this server, if it is known which it is.
    Elsewhere {
        /// The leader's name.
        leader: Option<String>,
    },
    /// It is not done, and why.
    Refused(String),
    /// To `Scrub`: it is begun; `Status` tells how far it is.
    Scrubbing,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// For how many seconds this process runs.
    pub uptime: u64,
    /// The catalogue; none while it waits.
    pub catalogue: Option<CatalogueStatus>,
    /// The other servers as it sees them.
    pub peers: Vec<PeerStatus>,
    /// Bytes that may still be stored.
    pub room: u64,
    /// Whether the volume is read-only after a disk fault.
    pub suspect: bool,
    /// What is done for its copies; none in a depot of one, or while it waits.
    pub repair: Option<RepairStatus>,
    /// How far its copies were read again; none while it waits.
    pub scrub: Option<ScrubStatus>,
    /// Of the copies that it shall have and has not, those that are known for the longest time: at
    /// most 20.
    pub missing: Vec<MissingCopy>,
}

/// A copy that a server shall have and has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingCopy {
    /// Its hash.
    pub digest: String,
    /// Why it shall have it.
    pub why: Why,
    /// For how many seconds it knows that.
    pub since: u64,
    /// Whether it fetches it now.
    pub running: bool,
    /// How often it has tried in vain.
    pub attempts: u32,
    /// Why the last time; at most 200 bytes.
    pub failure: Option<String>,
}

/// Why a server shall have a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// A deposit, or a change of its replicas, wanted it and did not bring it.
    Deposit,
    /// Too few copies of others count: servers are away, or lost theirs.
    Lacking,
    /// The copy that was here was bad.
    Bad,
    /// The copy that was here is gone.
    Gone,
    /// A record wanted it when all were looked at.
    Found,
}

/// What a server does for copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairStatus {
    /// How many copies it shall have and has not, as far as it knows.
    pub missing: u64,
    /// Whether there are more than it knows.
    pub more: bool,
    /// How many of them it fetches now.
    pub running: u64,
    /// How many it has made since it started.
    pub healed: u64,
    /// How many records lacked copies when all were last looked at; told by the leader only.
    pub lacking: Option<u64>,
}

/// The catalogue as one server sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueStatus {
    /// Who leads, if it is known.
    pub leader: Option<String>,
    /// The term of the last election.
    pub term: u64,
    /// Whether a majority was reached in the last seconds.
    pub quorum: bool,
    /// The last entry of the log that is applied here.
    pub applied: u64,
    /// Who belongs to it.
    pub members: Vec<MemberStatus>,
}

/// One life of a server that belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its name.
    pub server: String,
    /// Its life.
    pub incarnation: u64,
    /// Whether it votes; else it is still catching up.
    pub votes: bool,
}

/// Another server as one server sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Whether it answers.
    pub up: bool,
    /// For how many seconds that is so.
    pub since: u64,
    /// Why it is not up.
    pub why: Option<String>,
    /// Bytes that may still be stored there, as last told.
    pub room: Option<u64>,
}

/// How far a server has read its copies again. Times are in seconds of its running time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubStatus {
    /// How many rounds over all copies were finished.
    pub rounds: u64,
    /// The shard, of 256, that the round is at.
    pub shard: u8,
    /// How long ago it began.
    pub began: u64,
    /// How long ago new copies were read for the last time.
    pub fresh: u64,
    /// The shard that a pass over everything is at, if there is one.
    pub pass: Option<u8>,
    /// How many copies were read since the start.
    pub read: u64,
    /// How many bad ones were found in all.
    pub bad: u64,
    /// The last of them since the start.
    pub found: Vec<BadCopy>,
}

/// A copy that was bad, or was not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadCopy {
    /// Its hash.
    pub digest: String,
    /// For how many seconds that is known.
    pub ago: u64,
}

/// Somebody has a question and no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The file has no secret to prove oneself by.
    #[error("the configuration has no secret: a depot of one has no operator's commands")]
    NoSecret,
    /// It can't be reached, or does not prove who it is.
    #[error("cannot ask the server {server}")]
    Link {
        /// Which server.
        server: ServerName,
        /// Why not.
        source: LinkError,
    },
    /// What it said is no reply.
    #[error("the server {0} runs another version: its reply makes no sense")]
    Nonsense(ServerName),
}

/// Asks one server of the file, as an operator; also tells whom it met.
///
/// # Errors
/// It can't be reached, has another secret, or answers what is no reply.
pub async fn ask(
    seams: &Seams,
    config: &Config,
    server: &Server,
    question: &Question,
    within: Duration,
) -> Result<(Proven, Reply), AskError> {
    let secret = config.secret().ok_or(AskError::NoSecret)?;
    let keys =
        Keys::new(secret.expose(), config.also_accept().iter().map(|secret| secret.expose()));
    let link = |source| AskError::Link { server: server.name.clone(), source };
    let first = encode(question);
    let first: [&[u8]; 1] = [&first];
    let opened = cluster::operator::open(seams, &keys, server, &first, REACH_WITHIN).await;
    let (proven, mut conversation) = opened.map_err(link)?;
    let reply = conversation.receive(within).await.map_err(link)?;
    conversation.finish();
    let reply =
        postcard::from_bytes(&reply).map_err(|_| AskError::Nonsense(server.name.clone()))?;
    Ok((proven, reply))
}

/// A question or a reply as it is sent.
#[must_use]
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(message).expect("numbers, strings and lists encode into memory")
}
