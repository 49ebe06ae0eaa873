//! The catalogue of a depot of one: its only server is the majority.
//!
//! Commands wait in a short queue. One task takes all that wait, applies them in one durable
//! transaction and then answers each: a lone command goes at once, and under load many share the
//! two syncs of a commit. After a fault nothing is answered any more, since nobody knows what of
//! the transaction is on disk; in production the process is gone by then.

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::command::{Applied, Command};
use super::store::Store;
use super::view::{ReadError, View};
use super::{Catalogue, Freshness, ProposeError, machine};
use crate::seams::{Blocking, Seams, blocking};

/// The most commands in one transaction, and in the queue.
const BATCH_MAX: usize = 1024;

/// The catalogue of a depot of one.
#[derive(Debug)]
pub struct SoloCatalogue {
    store: Arc<Store>,
    queue: mpsc::Sender<Proposal>,
}

#[derive(Debug)]
struct Proposal {
    command: Command,
    answer: oneshot::Sender<Applied>,
}

impl SoloCatalogue {
    /// Starts the task that applies commands. It ends, with everything accepted applied and
    /// answered, when `stop` is cancelled or the catalogue is dropped; `stop` must not be cancelled
    /// before all that may still propose has ended, for whoever comes later is refused.
    pub fn start(
        store: impl Into<Arc<Store>>,
        seams: &Seams,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let store = store.into();
        store.arm(Arc::clone(&seams.abort));
        let (queue, proposals) = mpsc::channel(BATCH_MAX);
        let blocking = Arc::clone(&seams.blocking);
        drop(tracker.spawn(run(Arc::clone(&store), blocking, proposals, stop)));
        SoloCatalogue { store, queue }
    }

    /// The file that it keeps.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }
}

#[async_trait]
impl Catalogue for SoloCatalogue {
    async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        let (answer, answered) = oneshot::channel();
        if self.queue.send(Proposal { command, answer }).await.is_err() && !self.store.is_down() {
            return Err(ProposeError::NoQuorum); // the server is stopping: it was not proposed
        }
        match answered.await {
            Ok(applied) => Ok(applied),
            // The catalogue is down and the process about to end: any answer would be a lie.
            Err(_) => pending().await,
        }
    }

    async fn view(&self) -> Result<View, ReadError> {
        self.store.view(Freshness::Linearizable)
    }
}

async fn run(
    store: Arc<Store>,
    blocking: Arc<dyn Blocking>,
    mut proposals: mpsc::Receiver<Proposal>,
    stop: CancellationToken,
) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            _ = proposals.recv_many(&mut batch, BATCH_MAX) => {}
            // What was accepted is still received; then comes nothing more.
            () = stop.cancelled(), if !proposals.is_closed() => {
                proposals.close();
                continue;
            }
        }
        if batch.is_empty() {
            return;
        }
        let (commands, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|proposal| (proposal.command, proposal.answer)).unzip();
        let store = Arc::clone(&store);
        let apply = move || store.write(|tables| machine::apply_all(tables, &commands));
        // An error has ended the process already, or is about to: nobody is answered.
        let Ok(Ok(applied)) = blocking::run(&blocking, apply).await else { return };
        for (answer, applied) in answers.into_iter().zip(applied) {
            // Who asked may have gone; the change stands.
            drop(answer.send(applied));
        }
    }
}
