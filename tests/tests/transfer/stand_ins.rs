//! Parts of a server that behave as a test wants them to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use depot_protocol::ServerName;
use depot_server::catalogue::{
    Applied, Catalogue, Command, ProposeError, RaftCatalogue, ReadError, View,
};
use depot_server::cluster::{Conversation, KeepStarts, LinkError, Peer, Serve, StartSeen};
use depot_server::transfer::TransferService;

/// Answers late.
pub(crate) struct Slow {
    pub(crate) delay: Duration,
    pub(crate) behind: Mutex<Option<Arc<TransferService>>>,
}

#[async_trait]
impl Serve for Slow {
    async fn serve(
        &self,
        peer: &Peer,
        first: Bytes,
        with: &mut Conversation,
    ) -> Result<(), LinkError> {
        tokio::time::sleep(self.delay).await;
        let service = self.behind.lock().unwrap().clone().unwrap();
        service.serve(peer, first, with).await
    }
}

/// A catalogue that can be made to reach no majority.
pub(crate) struct Moody {
    pub(crate) inner: Arc<RaftCatalogue>,
    /// What it says of its majority.
    pub(crate) has_quorum: AtomicBool,
    /// Whether it refuses the next proposal.
    pub(crate) refuses: AtomicBool,
}

#[async_trait]
impl Catalogue for Moody {
    async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        match self.refuses.swap(false, Ordering::SeqCst) {
            true => Err(ProposeError::NoQuorum),
            false => self.inner.propose(command).await,
        }
    }

    async fn view(&self) -> Result<View, ReadError> {
        self.inner.view().await
    }

    fn leads(&self) -> bool {
        self.inner.leads()
    }

    fn has_quorum(&self) -> bool {
        self.has_quorum.load(Ordering::SeqCst)
    }
}

/// Remembers no starts.
pub(crate) struct Forgetful;

impl KeepStarts for Forgetful {
    fn load(&self) -> std::io::Result<Vec<(ServerName, StartSeen)>> {
        Ok(Vec::new())
    }

    fn store(&self, _: &ServerName, _: StartSeen) -> std::io::Result<()> {
        Ok(())
    }
}
