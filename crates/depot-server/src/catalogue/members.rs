//! Who belongs to the cluster: what an operator asks for, and what the leader sees to.
//!
//! A server comes in, or comes back after it lost its disk, by [`RaftCatalogue::admit`]: from there
//! on it has a new life, whose node learns. When it has caught up, whoever leads makes it a voter
//! and in the same change takes out the node of its earlier life.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use depot_protocol::ServerName;
use openraft::ChangeMembers;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::command::{Admit, Command, Outcome};
use super::consensus::{Member, node_id};
use super::fault::{Corrupt, StoreError};
use super::propose::TRY;
use super::quorum::{Metrics, leads};
use super::raft::{Inner, RaftCatalogue};
use super::record::Incarnation;
use super::view::ReadError;
use super::{Catalogue, Freshness, ProposeError};
use crate::seams::blocking;

/// How often the leader looks after the learners.
const LOOK: Duration = Duration::from_secs(1);
/// A learner this close behind, in entries, has caught up.
const CLOSE: u64 = 64;

/// A server was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// Only the leader admits.
    #[error("another server leads{}", .leader.as_ref().map_or(String::new(), |leader| format!(": ask {leader}")))]
    NotLeader {
        /// The one to ask, where it is known.
        leader: Option<ServerName>,
    },
    /// The change was not made, or nobody knows: then asking again goes on where it stopped.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The catalogue can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The server is being admitted by somebody else.
    #[error("another change of this server's life came first; look, and ask again")]
    Moved,
    /// The new life was begun, and its node was not added: asking again begins another one.
    #[error("the members cannot be changed now: {0}")]
    Members(String),
}

/// How the cluster stands, as this server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The leader's term.
    pub term: u64,
    /// Who leads, if anybody is known to.
    pub leader: Option<ServerName>,
    /// The last entry applied here.
    pub applied: Option<u64>,
    /// The last entry in this server's log.
    pub last_log: Option<u64>,
    /// Those that belong to it, in the order of their names.
    pub members: Vec<MemberStatus>,
}

/// One life of a server that belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its name.
    pub server: String,
    /// Its life.
    pub incarnation: Incarnation,
    /// Whether it votes; otherwise it is still catching up.
    pub votes: bool,
    /// How many entries of the leader's log it is behind; known to the leader only.
    pub behind: Option<u64>,
}

impl RaftCatalogue {
    /// Begins a new life of a server: its first, or one in the place of the life whose disk is
    /// lost. Only on the leader. When this returns, the server may be founded in that life, with no
    /// members, and started: it is brought up to date and then made a voter.
    pub async fn admit(&self, server: &ServerName) -> Result<Incarnation, AdmitError> {
        let metrics = self.inner.raft.metrics().borrow().clone();
        if !leads(&metrics) {
            let leader = self.inner.leader(&metrics).map(|(_, leader)| leader);
            return Err(AdmitError::NotLeader { leader });
        }
        let view = self.view().await?;
        if view.freshness() != Freshness::Linearizable {
            return Err(ProposeError::NoQuorum.into());
        }
        let asked = server.clone();
        let read = move || view.incarnation(&asked);
        let now =
            blocking::run(&self.inner.blocking, read).await.map_err(|_| ReadError::Down)??;
        let incarnation = Incarnation(now.map_or(1, |now| now.0 + 1));
        let admit = Command::Admit(Admit { server: server.clone(), incarnation });
        match self.propose(admit).await?.outcome {
            Outcome::Admitted => {}
            _ => return Err(AdmitError::Moved),
        }
        let node = node_id(&self.inner.store.identity().cluster, server, incarnation);
        let member = Member::of(server, incarnation);
        match timeout(TRY, self.inner.raft.add_learner(node, member, false)).await {
            Ok(Ok(_)) => Ok(incarnation),
            Ok(Err(error)) => Err(AdmitError::Members(error.to_string())),
            Err(_) => Err(ProposeError::Unknown.into()),
        }
    }

    /// How the cluster stands, as this server sees it.
    pub fn status(&self) -> Status {
        let metrics = self.inner.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let server = |node| membership.get_node(&node).and_then(Member::server);
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let mut members: Vec<_> = membership
            .nodes()
            .map(|(node, member)| MemberStatus {
                server: member.name.clone(),
                incarnation: Incarnation(member.incarnation),
                votes: voters.contains(node),
                behind: behind(&metrics, *node),
            })
            .collect();
        members.sort_by(|a, b| (&a.server, a.incarnation).cmp(&(&b.server, b.incarnation)));
        Status {
            term: metrics.current_term,
            leader: metrics.current_leader.and_then(server),
            applied: metrics.last_applied.map(|applied| applied.index),
            last_log: metrics.last_log_index,
            members,
        }
    }
}

/// How far a node is behind, where this one leads.
fn behind(metrics: &Metrics, node: u64) -> Option<u64> {
    let replicated = metrics.replication.as_ref()?.get(&node)?;
    let end = metrics.last_log_index.map_or(0, |last| last + 1);
    Some(end.saturating_sub(replicated.map_or(0, |log_id| log_id.index + 1)))
}

/// Sees to the learners as long as this server leads, and to the consensus itself: if it has ended
/// though nobody stopped it, the server ends too.
pub(super) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = stop.cancelled() => return,
        }
        let metrics = inner.raft.metrics().borrow().clone();
        if let Err(error) = &metrics.running_state {
            if !stop.is_cancelled() {
                let what = format!("the consensus has ended: {error}");
                inner.store.fail(&StoreError::Corrupt(Corrupt::new(what)));
            }
            return;
        }
        let Some(change) = next_change(&metrics).filter(|_| leads(&metrics)) else { continue };
        match timeout(TRY, inner.raft.change_membership(change, false)).await {
            Ok(Ok(_)) => tracing::info!("the members have changed"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot change the members"),
            Err(_) => tracing::warn!("it takes long to change the members"),
        }
    }
}

/// What is to be changed in who belongs to the cluster, if anything: a server's last life votes
/// once it has caught up, in the place of its earlier one; an earlier life that never came to vote
/// goes. One by one, so that a majority of those who vote has always caught up.
fn next_change(metrics: &Metrics) -> Option<ChangeMembers<u64, Member>> {
    let membership = metrics.membership_config.membership();
    if let [_, .., last] = &membership.get_joint_config()[..] {
        // openraft leaves the second half of a change to whoever began it, who may have gone.
        return Some(ChangeMembers::ReplaceAllVoters(last.clone()));
    }
    let lives: BTreeMap<u64, &Member> = membership.nodes().map(|(node, it)| (*node, it)).collect();
    let superseded = |node: &u64| {
        let Some(member) = lives.get(node) else { return false };
        lives.values().any(|it| it.name == member.name && it.incarnation > member.incarnation)
    };
    let (old, new): (BTreeSet<u64>, BTreeSet<u64>) = membership.learner_ids().partition(superseded);
    if !old.is_empty() {
        return Some(ChangeMembers::RemoveNodes(old));
    }
    // One that has acknowledged nothing may not even be founded, however short the log.
    let heard = |node: &u64| metrics.replication.as_ref()?.get(node)?.as_ref();
    let close = |node: &u64| behind(metrics, *node).is_some_and(|behind| behind <= CLOSE);
    let ready = |node: &u64| heard(node).is_some() && close(node);
    let learner = new.into_iter().find(ready)?;
    let name = &lives.get(&learner)?.name;
    let same = |node: &u64| lives.get(node).is_some_and(|member| member.name == *name);
    let mut voters: BTreeSet<u64> = membership.voter_ids().filter(|node| !same(node)).collect();
    voters.insert(learner);
    Some(ChangeMembers::ReplaceAllVoters(voters))
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, LogId, Membership, RaftMetrics, StoredMembership};

    use super::*;

    const NODES: [(u64, &str, u64); 4] = [(1, "a", 1), (2, "b", 1), (3, "c", 1), (22, "b", 2)];

    fn log_id(index: u64) -> LogId<u64> {
        LogId::new(CommittedLeaderId::new(1, 1), index)
    }

    /// Ten entries; `b` has lost its disk, and its second life has acknowledged so many of them.
    fn metrics(voters: &[&[u64]], second: Option<u64>) -> Metrics {
        let member = |(node, name, life): (u64, &str, u64)| {
            (node, Member::of(&ServerName::parse(name).unwrap(), Incarnation(life)))
        };
        let nodes: BTreeMap<u64, Member> = NODES.into_iter().map(member).collect();
        let voters = voters.iter().map(|config| config.iter().copied().collect()).collect();
        let membership = Arc::new(StoredMembership::new(None, Membership::new(voters, nodes)));
        let mut metrics: Metrics = RaftMetrics::new_initial(1);
        metrics.last_log_index = Some(9);
        metrics.membership_config = membership;
        metrics.replication = Some(BTreeMap::from([(22, second.map(log_id))]));
        metrics
    }

    fn voters(change: Option<ChangeMembers<u64, Member>>) -> Option<Vec<u64>> {
        change.map(|change| match change {
            ChangeMembers::ReplaceAllVoters(voters) => voters.into_iter().collect(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_life_that_has_caught_up_votes_in_the_place_of_the_earlier_one() {
        assert_eq!(voters(next_change(&metrics(&[&[1, 2, 3]], Some(9)))), Some(vec![1, 3, 22]));
    }

    #[test]
    fn one_that_has_acknowledged_nothing_does_not_vote_however_short_the_log() {
        assert_eq!(voters(next_change(&metrics(&[&[1, 2, 3]], None))), None);
    }

    /// Whoever began it was stopped, or leads no more.
    #[test]
    fn a_change_that_was_left_halfway_is_finished() {
        let halfway = metrics(&[&[1, 2, 3], &[1, 3, 22]], Some(9));
        assert_eq!(voters(next_change(&halfway)), Some(vec![1, 3, 22]));
    }
}
