//! The catalogue by consensus, for one server as for many: a depot of one is the only voter of its
//! group, and so its leader.
//!
//! [`RaftCatalogue::start`] puts it together: openraft on the store's log and tables (`storage`),
//! its way to the others (`network`), and the tasks that propose (`propose`), read (`read`) and
//! look after the members (`members`). All of them end when `stop` is cancelled, what was accepted
//! answered first; the tracker is done when nothing uses the store any more.
//!
//! After a fault of the store nothing is answered: in production the process is gone by then.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use depot_protocol::ServerName;
use openraft::error::{InitializeError, RaftError};
use openraft::{Config, Raft, SnapshotPolicy};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::command::{Applied, Command};
use super::consensus::{LogId, Member, Types, Vote, node_id};
use super::events::{Event, Events};
use super::fault::StoreError;
use super::log_rows::Founders;
use super::network::Network;
use super::peers::Peers;
use super::propose::{self, BATCH_MAX, Proposal};
use super::quorum::{Metrics, PATIENCE, Quorum, is_alone, leads};
use super::read::{self, Asking, WAITING_MAX, Waiting};
use super::storage::{Log, Machine, Shared};
use super::store::Store;
use super::view::{ReadError, View};
use super::{Catalogue, Freshness, ProposeError, log_tables, members, tables};
use crate::cluster::links::Links;
use crate::seams::{Blocking, Seams};

/// A leader's heartbeat. It is blocked while an entry is synced, so this is far above a sync.
const HEARTBEAT: u64 = 250;
/// Elections begin between these, each server in a window of its own: two that draw the same would
/// stand against each other again and again (openraft 0.9 draws once in a process).
const ELECTION: std::ops::Range<u64> = 1_500..3_000;
/// How wide a window is, unless there are too many. openraft waits for its leader's lease before
/// that, which is the window's end: so of a few servers one stands within 5 s, before anybody is
/// told that there is no majority.
const WINDOW: u64 = 200;
/// A depot of one is ready within this, or does not start: its log may want to be applied again.
const READY: Duration = Duration::from_secs(600);

/// How much of the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// After so many entries the oldest are dropped.
    pub drop_every: u64,
    /// So many are kept for servers that lag; one that lags more gets a snapshot. More than are
    /// written while a snapshot is on its way, or one would follow the other.
    pub keep: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits { drop_every: 4_096, keep: 8_192 }
    }
}

/// The catalogue cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The consensus does not run.
    #[error("the catalogue's consensus does not start: {0}")]
    Consensus(String),
}

/// The catalogue of one server of a cluster, or of a depot of one.
#[derive(Debug)]
pub struct RaftCatalogue {
    pub(super) inner: Arc<Inner>,
    queue: mpsc::Sender<Proposal>,
    readers: mpsc::Sender<Waiting>,
}

/// What its tasks share.
pub(super) struct Inner {
    pub(super) store: Arc<Store>,
    pub(super) blocking: Arc<dyn Blocking>,
    pub(super) raft: Raft<Types>,
    pub(super) peers: Option<Arc<dyn Peers>>,
    pub(super) me: u64,
    pub(super) quorum: Arc<Quorum>,
    pub(super) began: Began,
    /// Who waits for this server's word as the leader.
    pub(super) rounds: mpsc::Sender<Asking>,
    /// Counts those who use the store.
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// Where this server stood when it started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    pub(super) vote: Vote,
    pub(super) last: u64,
}

impl RaftCatalogue {
    /// Starts it. A depot of one is ready when this returns: it leads, and shows all that was ever
    /// answered. `links`: the way to the other servers; none where there are none. `stop` must not
    /// be cancelled before all that may still propose has ended, for whoever comes later is
    /// refused.
    pub async fn start(
        store: impl Into<Arc<Store>>,
        links: Option<Arc<Links>>,
        seams: &Seams,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Event>), StartError> {
        let peers = links.map(|links| links as Arc<dyn Peers>);
        Self::start_with(store, peers, seams, tracker, stop, LogLimits::default()).await
    }

    /// The same over another way to the others, and with limits of the log that are not the usual
    /// ones.
    pub async fn start_with(
        store: impl Into<Arc<Store>>,
        peers: Option<Arc<dyn Peers>>,
        seams: &Seams,
        tracker: &TaskTracker,
        stop: CancellationToken,
        limits: LogLimits,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Event>), StartError> {
        let store = store.into();
        store.arm(Arc::clone(&seams.abort));
        let blocking = Arc::clone(&seams.blocking);
        let shared = Shared::new(Arc::clone(&store), Arc::clone(&blocking), tracker.token());
        let begin = shared.run(look).await?;
        let identity = store.identity();
        let me = node_id(&identity.cluster, &identity.server, identity.incarnation);
        let config = config(me, &begin, &limits);
        let (events, heard) = Events::channel();
        let server = identity.server.clone();
        let machine = Machine { shared: shared.clone(), server, events };
        let quorum = Arc::new(Quorum::new());
        let network =
            Network { shared: shared.clone(), peers: peers.clone(), metrics: Arc::default() };
        let metrics = Arc::clone(&network.metrics);
        let raft = Raft::new(me, Arc::new(config), network, Log(shared), machine).await;
        let raft = raft.map_err(|error| StartError::Consensus(error.to_string()))?;
        drop(metrics.set(raft.metrics())); // nobody else sets it
        let began = begin.began;
        let (tracker, stop) = (tracker.clone(), stop);
        let (rounds, asking) = mpsc::channel(WAITING_MAX);
        let inner =
            Inner { store, blocking, raft, peers, me, quorum, began, rounds, tracker, stop };
        let inner = Arc::new(inner);
        let begun = inner.begin(begin, &limits).await;
        if let Err(error) = begun {
            inner.shut_down().await;
            return Err(error);
        }
        Ok((RaftCatalogue::run(inner, asking), heard))
    }

    /// Starts its tasks.
    fn run(inner: Arc<Inner>, asking: mpsc::Receiver<Asking>) -> Arc<Self> {
        let (tracker, stop) = (inner.tracker.clone(), inner.stop.clone());
        let (queue, proposals) = mpsc::channel(BATCH_MAX);
        let (readers, waiting) = mpsc::channel(WAITING_MAX);
        let proposer = {
            let (inner, stop) = (Arc::clone(&inner), stop.clone());
            async move {
                propose::run(Arc::clone(&inner), proposals, stop.clone()).await;
                // After a fault it ends at once, and openraft with it.
                inner.shut_down().await;
            }
        };
        drop(tracker.spawn(proposer));
        drop(tracker.spawn(read::run(Arc::clone(&inner), waiting, stop.clone())));
        drop(tracker.spawn(read::lead(Arc::clone(&inner), asking, stop.clone())));
        drop(tracker.spawn(members::run(Arc::clone(&inner), stop)));
        Arc::new(RaftCatalogue { inner, queue, readers })
    }

    /// The file that it keeps.
    pub fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }
}

#[async_trait]
impl Catalogue for RaftCatalogue {
    async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        let (answer, answered) = oneshot::channel();
        let proposal = Proposal { command, since: Instant::now(), answer };
        let queued = timeout(PATIENCE, self.queue.send(proposal)).await;
        if !matches!(queued, Ok(Ok(()))) && !self.inner.store.is_down() {
            return Err(ProposeError::NoQuorum); // too many wait, or the server is stopping
        }
        match answered.await {
            Ok(outcome) => outcome,
            // The catalogue is down and the process about to end: any answer would be a lie.
            Err(_) => pending().await,
        }
    }

    async fn view(&self) -> Result<View, ReadError> {
        if self.inner.is_alone() {
            return self.inner.store.view(Freshness::Linearizable);
        }
        let (tell, told) = oneshot::channel();
        let freshness = match self.readers.send(tell).await {
            Ok(()) => told.await.unwrap_or(Freshness::Local),
            Err(_) => Freshness::Local, // the server is stopping
        };
        self.inner.store.view(freshness)
    }

    fn leads(&self) -> bool {
        !self.inner.store.is_down() && leads(&self.inner.raft.metrics().borrow())
    }

    fn has_quorum(&self) -> bool {
        self.inner.has_quorum()
    }
}

/// What the file says at the start.
struct Begin {
    began: Began,
    /// Whether it has never taken part.
    pristine: bool,
    founders: Founders,
    /// Those that vote, as of the last entry applied; the founders, where there is none yet.
    voters: Vec<u64>,
    /// How much of the log is there.
    logged: u64,
}

fn look(store: &Store) -> Result<Begin, StoreError> {
    store.read(|transaction| {
        let extent = log_tables::extent(transaction)?;
        let vote = log_tables::vote(transaction)?;
        let progress = tables::progress(transaction)?.unwrap_or_default();
        let last = extent.last.map_or(0, |log_id: LogId| log_id.index);
        let founders = tables::founders(transaction)?;
        let mut voters: Vec<u64> = progress.members.voter_ids().collect();
        if voters.is_empty() {
            let cluster = &store.identity().cluster;
            let nodes = founders.0.iter().map(|(server, life)| node_id(cluster, server, *life));
            voters = nodes.collect();
        }
        Ok(Begin {
            began: Began { vote: vote.unwrap_or_default(), last },
            pristine: extent.last.is_none() && vote.is_none(),
            founders,
            voters,
            logged: extent.len(),
        })
    })
}

/// openraft's configuration for this node.
fn config(me: u64, begin: &Begin, limits: &LogLimits) -> Config {
    let (min, max) = election_window(me, &begin.voters);
    Config {
        cluster_name: "depot".into(),
        heartbeat_interval: HEARTBEAT,
        election_timeout_min: min,
        election_timeout_max: max,
        // Entries may be large: how many go at once is decided by their bytes (`storage`).
        max_payload_entries: 1_024,
        replication_lag_threshold: limits.keep,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(limits.drop_every),
        max_in_snapshot_log_to_keep: limits.keep,
        purge_batch_size: 1,
        ..Config::default()
    }
}

/// This node's share of the time in which elections begin, by its place among those who vote.
fn election_window(me: u64, voters: &[u64]) -> (u64, u64) {
    let mut voters = voters.to_vec();
    voters.push(me);
    voters.sort_unstable();
    voters.dedup();
    let place = voters.iter().position(|voter| *voter == me).unwrap_or_default() as u64;
    let width = ((ELECTION.end - ELECTION.start) / voters.len() as u64).clamp(2, WINDOW);
    let min = ELECTION.start + place * width;
    (min, min + width)
}

impl Inner {
    /// Brings it to where it can be used.
    async fn begin(&self, begin: Begin, limits: &LogLimits) -> Result<(), StartError> {
        let failed = |error: String| match self.store.is_down() {
            true => StartError::Store(StoreError::Down),
            false => StartError::Consensus(error),
        };
        let members = self.founding_members(&begin.founders);
        if begin.pristine && members.contains_key(&self.me) {
            match self.raft.initialize(members).await {
                // Another founder was faster, and this one has heard of it.
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(error) => return Err(failed(error.to_string())),
            }
        }
        if self.voters().await.map_err(failed)? == [self.me] {
            if !begin.pristine {
                let elected = self.raft.trigger().elect().await;
                elected.map_err(|error| failed(error.to_string()))?;
            }
            let ready = |now: &Metrics| {
                let applied = now.last_applied.map(|applied| applied.index);
                leads(now) && applied.is_some() && applied >= now.last_log_index
            };
            let wait = self.raft.wait(Some(READY));
            let led = wait.metrics(ready, "a depot of one leads").await;
            led.map_err(|error| failed(error.to_string()))?;
        }
        // The count of entries since the last snapshot begins anew with each start.
        if begin.logged > limits.keep + limits.drop_every {
            let upto = begin.began.last.saturating_sub(limits.keep);
            let dropped = self.raft.trigger().purge_log(upto).await;
            dropped.map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Who votes, by the last entry of the log that says so.
    async fn voters(&self) -> Result<Vec<u64>, String> {
        let ask = self.raft.with_raft_state(|state| {
            state.membership_state.effective().voter_ids().collect::<Vec<_>>()
        });
        ask.await.map_err(|error| error.to_string())
    }

    fn founding_members(&self, founders: &Founders) -> BTreeMap<u64, Member> {
        let cluster = self.store.identity().cluster;
        let member = |(server, life): &(ServerName, _)| {
            (node_id(&cluster, server, *life), Member::of(server, *life))
        };
        founders.0.iter().map(member).collect()
    }

    /// Ends openraft. What it was asked and has not answered, it answers with an error.
    pub(super) async fn shut_down(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "the consensus did not end well");
        }
    }

    pub(super) fn has_quorum(&self) -> bool {
        !self.store.is_down() && self.quorum.has(&self.raft.metrics().borrow())
    }

    /// Whether nobody else votes. Then a view needs no round: what was answered was applied here
    /// before, and no other server can have answered anything.
    fn is_alone(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        leads(&metrics) && is_alone(&metrics)
    }

    /// Who leads, if it is another server.
    pub(super) fn leader(&self, metrics: &Metrics) -> Option<(u64, ServerName)> {
        let leader = metrics.current_leader.filter(|leader| *leader != self.me)?;
        let member = metrics.membership_config.membership().get_node(&leader)?;
        Some((leader, member.server()?))
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("me", &self.me).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
