//! openraft's way to the other nodes: its questions over [`Peers`].
//!
//! Whatever keeps a peer from answering is `Unreachable`, so that openraft waits before it tries
//! again; as `Network` it would try at once, for ever. Entries that don't fit into a frame are
//! `PayloadTooLarge`, and fewer come the next time. A server whose file has failed says nothing.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use depot_protocol::ServerName;
use openraft::error::{
    Fatal, PayloadTooLarge, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetwork, RaftNetworkFactory, Snapshot, StorageIOError};
use tokio::sync::watch;

use super::consensus::{Member, Types, Vote};
use super::log_rows::Progress;
use super::messages::{Answer, Question};
use super::peers::{FRAME_MAX, PeerError, Peers};
use super::quorum::{self, Metrics};
use super::snapshot::{Next, Sending, SnapshotData};
use super::storage::Shared;
use crate::seams::blocking;

/// How long a peer that did not answer is left alone.
const BACKOFF: Duration = Duration::from_millis(200);
/// How long a peer may take to put a snapshot in place.
const INSTALL: Duration = Duration::from_secs(600);
const OPEN: Duration = Duration::from_secs(2);

type RpcError = RPCError<u64, Member, RaftError<u64>>;
type SendError = StreamingError<Types, Fatal<u64>>;

/// Makes a client for each node.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) shared: Shared,
    pub(super) peers: Option<Arc<dyn Peers>>,
    /// openraft's state, once it runs.
    pub(super) metrics: Arc<OnceLock<watch::Receiver<Metrics>>>,
}

/// The way to one node.
pub(super) struct Client {
    network: Network,
    target: u64,
    server: Option<ServerName>,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, node: &Member) -> Client {
        Client { network: self.clone(), target, server: node.server() }
    }
}

impl Client {
    fn way(&self) -> Result<(&Arc<dyn Peers>, &ServerName), PeerError> {
        if self.network.shared.store.is_down() {
            return Err(PeerError::unsent("this server's catalogue has stopped after a fault"));
        }
        let way = self.network.peers.as_ref().zip(self.server.as_ref());
        way.ok_or_else(|| PeerError::unsent("this server is alone"))
    }

    async fn ask(&self, frame: &[u8], within: Duration) -> Result<Answer, PeerError> {
        let (peers, server) = self.way()?;
        let answer = peers.ask(server, frame, within).await?;
        Answer::decode(&answer).map_err(|corrupt| PeerError::broken(corrupt.to_string()))
    }

    fn leads_majority(&self) -> bool {
        let metrics = self.network.metrics.get();
        metrics.is_some_and(|metrics| quorum::leads_majority(&metrics.borrow()))
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot<Types>,
    ) -> Result<SnapshotResponse<u64>, SendError> {
        let unreachable = |error: PeerError| StreamingError::Unreachable(Unreachable::new(&error));
        let SnapshotData::Taken(taken) = *snapshot.snapshot else {
            return Err(unreachable(PeerError::unsent("the snapshot was not taken here")));
        };
        let progress =
            Progress { log_id: snapshot.meta.last_log_id, members: snapshot.meta.last_membership };
        let cluster = self.network.shared.store.identity().cluster;
        let first = Question::Snapshot { cluster, vote, progress }.encode(self.target);
        let (peers, server) = self.way().map_err(unreachable)?;
        let mut talk = peers.open(server, &first, OPEN).await.map_err(unreachable)?;
        let mut sending = Sending::new(taken);
        loop {
            let next = blocking::run(&self.network.shared.blocking, move || sending.next()).await;
            let next = next.unwrap_or(Err(super::StoreError::Down));
            let (rest, next) = next.map_err(|error| {
                StreamingError::StorageError(
                    StorageIOError::read_snapshot(None, openraft::AnyError::new(&error)).into(),
                )
            })?;
            sending = rest;
            match next {
                Next::Frame(frame) => {
                    let framed = [&[0], frame.as_slice()].concat();
                    talk.send(&framed).await.map_err(unreachable)?;
                }
                Next::End(end) => {
                    let end = postcard::to_extend(&end, vec![1]).expect("numbers encode");
                    talk.send(&end).await.map_err(unreachable)?;
                    break;
                }
            }
        }
        let answer = talk.receive(INSTALL).await.map_err(unreachable)?;
        match Answer::decode(&answer) {
            Ok(Answer::Installed(vote)) => {
                talk.finish();
                Ok(SnapshotResponse::new(vote))
            }
            other => Err(unreachable(unexpected(other))),
        }
    }
}

fn unexpected(answer: Result<Answer, impl std::fmt::Display>) -> PeerError {
    match answer {
        Ok(Answer::Refused(why)) => PeerError::broken(format!("the peer refuses: {why}")),
        Ok(answer) => PeerError::broken(format!("the peer answered {answer:?}")),
        Err(error) => PeerError::broken(error.to_string()),
    }
}

fn unreachable(error: &PeerError) -> RpcError {
    RPCError::Unreachable(Unreachable::new(error))
}

impl RaftNetwork<Types> for Client {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RpcError> {
        let entries = request.entries.len() as u64;
        let quorum = self.leads_majority();
        let frame = Question::Append { request, quorum }.encode(self.target);
        if frame.len() > FRAME_MAX && entries > 1 {
            return Err(PayloadTooLarge::new_entries_hint(entries / 2).into());
        }
        match self.ask(&frame, option.hard_ttl()).await {
            Ok(Answer::Appended(response)) => Ok(response),
            Ok(other) => Err(unreachable(&unexpected(Ok::<_, PeerError>(other)))),
            Err(error) => Err(unreachable(&error)),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RpcError> {
        let frame = Question::Vote(request).encode(self.target);
        match self.ask(&frame, option.hard_ttl()).await {
            Ok(Answer::Voted(response)) => Ok(response),
            Ok(other) => Err(unreachable(&unexpected(Ok::<_, PeerError>(other)))),
            Err(error) => Err(unreachable(&error)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, SendError> {
        tokio::select! {
            sent = self.send_snapshot(vote, snapshot) => sent,
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
