//! How commands come into the log.
//!
//! Commands wait in a short queue. One task takes all that wait and has them proposed as one entry:
//! a lone command goes at once, and under load many share the syncs of one commit (openraft 0.9
//! commits one entry at a time, whatever is in it). A server that does not lead sends the batch to
//! the one that does.
//!
//! **What is certain.** `NoQuorum` says that nothing was proposed, so it is said only where no
//! leader was reached, where the way there says that nothing was sent, or where a leader says that
//! it did not begin. A failure after that leaves it open: openraft's own "not the leader" too, for
//! an entry that it dropped may stand in another server's log. Then the same commands are proposed
//! again until time is over, which is harmless, since they carry what they have read and which
//! request they are; and a refusal that the first try itself may have caused is told as `Unknown`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::ProposeError;
use super::command::{Applied, Command, Outcome};
use super::messages::{Answer, Question};
use super::quorum::{PATIENCE, leads};
use super::raft::Inner;
use super::read::AGAIN;

/// The most commands in one entry, and in the queue.
pub(super) const BATCH_MAX: usize = 1024;
/// The most bytes in one entry, by the commands' own estimate.
const BATCH_BYTES: usize = 1 << 20;
/// One try.
pub(super) const TRY: Duration = Duration::from_secs(3);
/// All tries of what may have been proposed.
const TRIES: Duration = Duration::from_secs(9);

/// Somebody who waits for what comes of a command.
pub(super) struct Proposal {
    pub(super) command: Command,
    pub(super) since: Instant,
    pub(super) answer: Asker,
}

/// What came of one try.
pub(super) enum Tried {
    Done(Vec<Applied>),
    /// Certain: nothing was proposed.
    NotProposed,
    /// It may have been.
    Unsure,
}

/// Proposes what comes in, until the server stops; what was accepted by then is still proposed.
pub(super) async fn run(
    inner: Arc<Inner>,
    mut proposals: mpsc::Receiver<Proposal>,
    stop: CancellationToken,
) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let mut came = Vec::new();
            tokio::select! {
                biased;
                _ = proposals.recv_many(&mut came, BATCH_MAX) => {}
                // What was accepted is still received; then comes nothing more.
                () = stop.cancelled(), if !proposals.is_closed() => {
                    proposals.close();
                    continue;
                }
            }
            waiting.extend(came);
        }
        if waiting.is_empty() {
            return;
        }
        let (commands, answers): (Vec<_>, Vec<_>) = batch(&mut waiting).into_iter().unzip();
        if commands.is_empty() {
            continue;
        }
        let outcomes = inner.submit(commands, &stop).await;
        if inner.store.is_down() {
            return; // the process is about to end: any answer would be a lie
        }
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            drop(answer.send(outcome)); // who asked may have gone; the change stands
        }
    }
}

type Outcomes = Vec<Result<Applied, ProposeError>>;
type Asker = oneshot::Sender<Result<Applied, ProposeError>>;

/// The next entry's commands, out of those that wait; who has waited too long is refused.
fn batch(waiting: &mut VecDeque<Proposal>) -> Vec<(Command, Asker)> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(next) = waiting.front() {
        bytes += next.command.weight();
        if bytes > BATCH_BYTES && !batch.is_empty() {
            break;
        }
        let Some(Proposal { command, since, answer }) = waiting.pop_front() else { break };
        if since.elapsed() < PATIENCE {
            batch.push((command, answer));
        } else {
            drop(answer.send(Err(ProposeError::NoQuorum))); // it was never proposed
        }
    }
    batch
}

impl Inner {
    /// Has commands proposed, here or by whoever leads, as often as it takes.
    async fn submit(&self, commands: Vec<Command>, stop: &CancellationToken) -> Outcomes {
        let all = |error| vec![Err(error); commands.len()];
        let begun = Instant::now();
        let mut unsure = false;
        loop {
            match self.try_once(&commands).await {
                Tried::Done(applied) if applied.len() == commands.len() => {
                    let told = |applied| if unsure { again(applied) } else { Ok(applied) };
                    return applied.into_iter().map(told).collect();
                }
                Tried::Done(_) | Tried::Unsure => unsure = true,
                Tried::NotProposed => {}
            }
            let given_up = stop.is_cancelled() || self.store.is_down();
            if !unsure && (given_up || begun.elapsed() >= PATIENCE || !self.has_quorum()) {
                return all(ProposeError::NoQuorum);
            }
            if given_up || begun.elapsed() >= TRIES {
                return all(ProposeError::Unknown);
            }
            sleep(AGAIN).await;
        }
    }

    async fn try_once(&self, commands: &[Command]) -> Tried {
        let metrics = self.raft.metrics().borrow().clone();
        if leads(&metrics) {
            return self.lead(commands.to_vec()).await;
        }
        let Some((leader, server)) = self.leader(&metrics) else { return Tried::NotProposed };
        let Some(peers) = &self.peers else { return Tried::NotProposed };
        let frame = Question::Propose(commands.to_vec()).encode(leader);
        match peers.ask(&server, &frame, TRY + AGAIN).await {
            Err(error) if error.unsent => Tried::NotProposed,
            Err(_) => Tried::Unsure,
            Ok(answer) => match Answer::decode(&answer) {
                Ok(Answer::Proposed(applied)) => Tried::Done(applied),
                Ok(Answer::NotProposed) => Tried::NotProposed,
                _ => Tried::Unsure,
            },
        }
    }

    /// Proposes commands as the leader. That it leads, and has somebody to lead, is checked before;
    /// whatever goes wrong after that has perhaps been written into a log.
    pub(super) async fn lead(&self, commands: Vec<Command>) -> Tried {
        if !leads(&self.raft.metrics().borrow()) || !self.has_quorum() {
            return Tried::NotProposed;
        }
        match timeout(TRY, self.raft.client_write(commands)).await {
            Ok(Ok(written)) => Tried::Done(written.data),
            Ok(Err(_)) | Err(_) => Tried::Unsure,
        }
    }
}

/// What a later try tells: where it was refused because something had changed, that may have been
/// the first one's own doing.
fn again(applied: Applied) -> Result<Applied, ProposeError> {
    match applied.outcome {
        Outcome::Moved { .. } | Outcome::Absent | Outcome::SweepOutOfTurn { .. } => {
            Err(ProposeError::Unknown)
        }
        _ => Ok(applied),
    }
}
