//! Linearizable reads through any server: ReadIndex, shared by all who wait.
//!
//! One round is under way at a time; who comes while it is waits for the next one, since only a
//! round that begins after a reader came may speak for it. The leader of a round makes sure that it
//! still leads, by a heartbeat to a majority, which the rounds of all servers share in the same way,
//! and names the entry up to which the tables must have come: what was committed when it was asked,
//! and in any case the first entry of its own term, which a new leader must have committed before it
//! knows what was. A round that does not come to its end within 5 s makes local views; after 5 s
//! without a majority nobody waits at all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Freshness;
use super::messages::{Answer, Question};
use super::quorum::{PATIENCE, leads};
use super::raft::Inner;

/// How many wait for a round.
pub(super) const WAITING_MAX: usize = 1024;
/// One try of a round.
const TRY: Duration = Duration::from_secs(1);
/// How long until the next try. Never at once: a peer that refuses connections does that in no time,
/// and each try itself changes openraft's metrics, so that waiting for those would be a busy loop.
pub(super) const AGAIN: Duration = Duration::from_millis(25);

/// Somebody who waits for a round.
pub(super) type Waiting = oneshot::Sender<Freshness>;
/// A round that waits for its leader's word.
pub(super) type Asking = oneshot::Sender<Option<u64>>;

/// Runs rounds for those who wait, until the server stops.
pub(super) async fn run(
    inner: Arc<Inner>,
    mut waiting: mpsc::Receiver<Waiting>,
    stop: CancellationToken,
) {
    loop {
        let mut readers = Vec::new();
        tokio::select! {
            count = waiting.recv_many(&mut readers, WAITING_MAX) => if count == 0 { return },
            () = stop.cancelled() => return,
        }
        let freshness = tokio::select! {
            freshness = inner.round() => freshness,
            () = stop.cancelled() => Freshness::Local,
        };
        for reader in readers {
            let _gone = reader.send(freshness); // who does not wait any more needs none
        }
    }
}

/// As the leader, makes sure that it leads and says up to where the tables must have come, for all
/// rounds that wait.
pub(super) async fn lead(
    inner: Arc<Inner>,
    mut rounds: mpsc::Receiver<Asking>,
    stop: CancellationToken,
) {
    loop {
        let mut asking = Vec::new();
        tokio::select! {
            count = rounds.recv_many(&mut asking, WAITING_MAX) => if count == 0 { return },
            () = stop.cancelled() => return,
        }
        let index = tokio::select! {
            index = timeout(TRY, inner.confirm()) => index.unwrap_or(None),
            () = stop.cancelled() => None,
        };
        for round in asking {
            let _gone = round.send(index); // its time was over
        }
    }
}

impl Inner {
    async fn round(&self) -> Freshness {
        let deadline = Instant::now() + PATIENCE;
        let round = async {
            let mut metrics = self.raft.metrics();
            while self.has_quorum() {
                if let Ok(Some(index)) = timeout(TRY, self.ask_read_index()).await {
                    let come = |now: &super::quorum::Metrics| {
                        now.last_applied.is_some_and(|applied| applied.index >= index)
                    };
                    let caught_up = metrics.wait_for(come).await.is_ok();
                    return if caught_up { Freshness::Linearizable } else { Freshness::Local };
                }
                sleep(AGAIN).await;
            }
            Freshness::Local
        };
        timeout_at(deadline, round).await.unwrap_or(Freshness::Local)
    }

    /// The index up to which the tables must have come, from whoever leads.
    async fn ask_read_index(&self) -> Option<u64> {
        let metrics = self.raft.metrics().borrow().clone();
        if leads(&metrics) {
            return self.read_index().await;
        }
        let (leader, server) = self.leader(&metrics)?;
        let frame = Question::ReadIndex.encode(leader);
        let answer = self.peers.as_ref()?.ask(&server, &frame, TRY).await.ok()?;
        match Answer::decode(&answer) {
            Ok(Answer::ReadIndex(index)) => Some(index),
            _ => None,
        }
    }

    /// The same, where this server leads.
    pub(super) async fn read_index(&self) -> Option<u64> {
        let (tell, told) = oneshot::channel();
        self.rounds.send(tell).await.ok()?;
        told.await.ok()?
    }

    /// A leader that was restarted leads on without a new term, and may not know yet of all that it
    /// had committed before: its whole log of then counts.
    async fn confirm(&self) -> Option<u64> {
        let (log_id, _) = self.raft.get_read_log_id().await.ok()?;
        let index = log_id.map_or(0, |log_id| log_id.index);
        let led_before = self.raft.metrics().borrow().vote == self.began.vote;
        Some(if led_before { index.max(self.began.last) } else { index })
    }
}
