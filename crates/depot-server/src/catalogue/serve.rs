//! What this server answers the others: openraft's questions, commands that a server which does not
//! lead was asked to make, and where a reader must look.
//!
//! A question that is for another node, an earlier life of this server among them, is refused. A
//! server whose file has failed answers nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use openraft::{Snapshot, SnapshotMeta};

use super::consensus::Vote;
use super::fault::StoreError;
use super::log_rows::Progress;
use super::messages::{Answer, Question};
use super::peers::{PeerError, Talk};
use super::propose::Tried;
use super::raft::{Inner, RaftCatalogue};
use super::snapshot::{self, Refused, SnapshotData};
use crate::cluster::conversation::{Conversation, LinkError, Peer, Serve};
use crate::seams::blocking;

/// How long the next frame of a snapshot may take.
const FRAME: Duration = Duration::from_secs(30);

impl RaftCatalogue {
    /// Answers one question, of which `first` is the frame. When this returns `Ok`, what was to be
    /// said was said.
    pub async fn answer(&self, first: Bytes, talk: &mut dyn Talk) -> Result<(), PeerError> {
        let _in_use = self.inner.tracker.token();
        let answer = self.inner.answer(&first, talk).await?;
        if self.inner.store.is_down() {
            return Err(PeerError::broken("this server's catalogue has stopped after a fault"));
        }
        talk.send(&answer.encode()).await
    }
}

#[async_trait]
impl Serve for RaftCatalogue {
    async fn serve(
        &self,
        _peer: &Peer,
        first: Bytes,
        conversation: &mut Conversation,
    ) -> Result<(), LinkError> {
        let answered = self.answer(first, conversation).await;
        answered.map_err(|error| LinkError::Broken(io::Error::other(error)))
    }
}

impl Inner {
    async fn answer(&self, first: &[u8], talk: &mut dyn Talk) -> Result<Answer, PeerError> {
        let (to, question) = match Question::decode(first) {
            Ok(question) => question,
            Err(corrupt) => return Ok(Answer::Refused(corrupt.to_string())),
        };
        if to != self.me {
            return Ok(Answer::Refused("this server is in another life, or another one".into()));
        }
        let failed = |error: String| PeerError::broken(error);
        Ok(match question {
            Question::Append { request, quorum } => {
                let done = self.raft.append_entries(request).await;
                let response = done.map_err(|error| failed(error.to_string()))?;
                if quorum && response.is_success() {
                    self.quorum.heard();
                }
                Answer::Appended(response)
            }
            Question::Vote(request) => {
                let voted = self.raft.vote(request).await;
                Answer::Voted(voted.map_err(|error| failed(error.to_string()))?)
            }
            Question::Propose(commands) => match self.lead(commands).await {
                Tried::Done(applied) => Answer::Proposed(applied),
                Tried::NotProposed => Answer::NotProposed,
                Tried::Unsure => Answer::Unsure,
            },
            Question::ReadIndex => match self.read_index().await {
                Some(index) => Answer::ReadIndex(index),
                None => Answer::Refused("this server does not lead a majority".into()),
            },
            Question::Snapshot { cluster, vote, progress } => {
                if cluster != self.store.identity().cluster {
                    return Ok(Answer::Refused("the snapshot is another cluster's".into()));
                }
                match self.receive(&progress, talk).await? {
                    Ok(data) => self.install(vote, progress, data).await.map_err(failed)?,
                    Err(refusal) => {
                        tracing::warn!(why = refusal, "refused a snapshot");
                        Answer::Refused(refusal)
                    }
                }
            }
        })
    }

    /// Takes in a snapshot's frames: whole, or why not.
    async fn receive(
        &self,
        announced: &Progress,
        talk: &mut dyn Talk,
    ) -> Result<Result<SnapshotData, String>, PeerError> {
        let down = |error: StoreError| PeerError::broken(error.to_string());
        let mut receiving = self.run(snapshot::receive).await.map_err(down)?;
        loop {
            let frame = tokio::select! {
                frame = talk.receive(FRAME) => frame?,
                () = self.stop.cancelled() => {
                    return Err(PeerError::broken("this server is stopping"));
                }
            };
            match frame.split_first() {
                Some((0, _)) => {
                    let taken = self.run(move |store| receiving.take(store, &frame[1..])).await;
                    match taken {
                        Ok(rest) => receiving = rest,
                        Err(Refused::Snapshot(what)) => return Ok(Err(what)),
                        Err(Refused::Store(error)) => return Err(down(error)),
                    }
                }
                Some((1, end)) => {
                    let Ok(end) = postcard::from_bytes(end) else {
                        return Ok(Err("its end cannot be decoded".into()));
                    };
                    return match receiving.finish(&end, announced) {
                        Ok(data) => Ok(Ok(data)),
                        Err(refused) => Ok(Err(refused.to_string())),
                    };
                }
                _ => return Ok(Err("a frame is of no kind that this program knows".into())),
            }
        }
    }

    async fn install(
        &self,
        vote: Vote,
        progress: Progress,
        data: SnapshotData,
    ) -> Result<Answer, String> {
        let snapshot_id = progress.log_id.map_or_else(String::new, |log_id| log_id.to_string());
        let meta = SnapshotMeta {
            last_log_id: progress.log_id,
            last_membership: progress.members,
            snapshot_id,
        };
        let snapshot = Snapshot { meta, snapshot: Box::new(data) };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
        Ok(Answer::Installed(installed.map_err(|error| error.to_string())?.vote))
    }

    async fn run<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&super::Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let store = Arc::clone(&self.store);
        let done = blocking::run(&self.blocking, move || work(&store)).await;
        done.unwrap_or_else(|_lost| Err(StoreError::Down.into()))
    }
}
