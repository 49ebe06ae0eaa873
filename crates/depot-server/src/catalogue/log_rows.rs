//! The rows of the log: its entries, the vote, places in the log, and how far the tables have come.
//! Sealed like all rows (`rows`), in structures of our own, so that neither a later openraft nor a
//! later program reads them otherwise.

use std::collections::{BTreeMap, BTreeSet};

use depot_protocol::ServerName;
use openraft::{EntryPayload, Membership};
use serde::{Deserialize, Serialize};

use super::consensus::{Entry, LogId, Member, StoredMembership, Vote};
use super::record::Incarnation;
use super::rows::{Row, server_name};
use super::stored::{StoredCommand, load_command, store_command};

type Rule = &'static str;

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct StoredLogId {
    term: u64,
    node: u64,
    index: u64,
}

impl Row for LogId {
    type Stored = StoredLogId;

    fn store(&self) -> StoredLogId {
        let leader = self.leader_id;
        StoredLogId { term: leader.term, node: leader.node_id, index: self.index }
    }

    fn load(stored: StoredLogId) -> Result<Self, Rule> {
        let leader = openraft::CommittedLeaderId::new(stored.term, stored.node);
        Ok(LogId::new(leader, stored.index))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredVote {
    term: u64,
    node: u64,
    committed: bool,
}

impl Row for Vote {
    type Stored = StoredVote;

    fn store(&self) -> StoredVote {
        let leader = self.leader_id;
        StoredVote { term: leader.term, node: leader.node_id, committed: self.committed }
    }

    fn load(stored: StoredVote) -> Result<Self, Rule> {
        let vote = Vote::new(stored.term, stored.node);
        Ok(Vote { committed: stored.committed, ..vote })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredMembers {
    /// One set of voters; two while one replaces the other.
    voters: Vec<Vec<u64>>,
    nodes: Vec<(u64, StoredMember)>,
}

#[derive(Serialize, Deserialize)]
struct StoredMember {
    name: String,
    incarnation: u64,
}

fn store_members(membership: &Membership<u64, Member>) -> StoredMembers {
    let voters = membership.get_joint_config().iter();
    let node = |(id, member): (&u64, &Member)| {
        (*id, StoredMember { name: member.name.clone(), incarnation: member.incarnation })
    };
    StoredMembers {
        voters: voters.map(|set| set.iter().copied().collect()).collect(),
        nodes: membership.nodes().map(node).collect(),
    }
}

fn load_members(stored: StoredMembers) -> Membership<u64, Member> {
    let node = |(id, member): (u64, StoredMember)| {
        (id, Member { name: member.name, incarnation: member.incarnation })
    };
    let voters: Vec<BTreeSet<u64>> =
        stored.voters.into_iter().map(|set| set.into_iter().collect()).collect();
    let nodes: BTreeMap<u64, Member> = stored.nodes.into_iter().map(node).collect();
    Membership::new(voters, nodes)
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredEntry {
    log_id: StoredLogId,
    payload: StoredPayload,
}

#[derive(Serialize, Deserialize)]
enum StoredPayload {
    Blank,
    Commands(Vec<StoredCommand>),
    Members(StoredMembers),
}

impl Row for Entry {
    type Stored = StoredEntry;

    fn store(&self) -> StoredEntry {
        let payload = match &self.payload {
            EntryPayload::Blank => StoredPayload::Blank,
            EntryPayload::Normal(commands) => {
                StoredPayload::Commands(commands.iter().map(store_command).collect())
            }
            EntryPayload::Membership(members) => StoredPayload::Members(store_members(members)),
        };
        StoredEntry { log_id: self.log_id.store(), payload }
    }

    fn load(stored: StoredEntry) -> Result<Self, Rule> {
        let payload = match stored.payload {
            StoredPayload::Blank => EntryPayload::Blank,
            StoredPayload::Commands(commands) => {
                let commands = commands.into_iter().map(load_command);
                EntryPayload::Normal(commands.collect::<Result<_, _>>()?)
            }
            StoredPayload::Members(members) => EntryPayload::Membership(load_members(members)),
        };
        Ok(Entry { log_id: LogId::load(stored.log_id)?, payload })
    }
}

/// How far the tables have come: the last entry applied, and the members as of the last one that
/// changed them. Written in the same transaction as what was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) log_id: Option<LogId>,
    pub(super) members: StoredMembership,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredProgress {
    log_id: Option<StoredLogId>,
    members_at: Option<StoredLogId>,
    members: StoredMembers,
}

impl Row for Progress {
    type Stored = StoredProgress;

    fn store(&self) -> StoredProgress {
        StoredProgress {
            log_id: self.log_id.as_ref().map(Row::store),
            members_at: self.members.log_id().as_ref().map(Row::store),
            members: store_members(self.members.membership()),
        }
    }

    fn load(stored: StoredProgress) -> Result<Self, Rule> {
        let members_at = stored.members_at.map(LogId::load).transpose()?;
        Ok(Progress {
            log_id: stored.log_id.map(LogId::load).transpose()?,
            members: StoredMembership::new(members_at, load_members(stored.members)),
        })
    }
}

/// The servers that the cluster was founded with, each in its first life; nobody on a server that
/// was admitted later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Founders(pub(super) Vec<(ServerName, Incarnation)>);

impl Row for Founders {
    type Stored = Vec<(String, u64)>;

    fn store(&self) -> Self::Stored {
        self.0.iter().map(|(name, life)| (name.as_str().to_owned(), life.0)).collect()
    }

    fn load(stored: Self::Stored) -> Result<Self, Rule> {
        let founder = |(name, life): (String, u64)| Ok((server_name(&name)?, Incarnation(life)));
        Ok(Founders(stored.into_iter().map(founder).collect::<Result<_, Rule>>()?))
    }
}

#[cfg(test)]
mod tests;
