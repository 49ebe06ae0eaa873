//! The other servers as the catalogue needs them: somebody to ask, and to tell more than fits into
//! one frame. The cluster's links are the one that counts; a test has its own, which loses what it
//! wants to lose.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use depot_protocol::ServerName;

use crate::cluster::conversation::{Conversation, LinkError, Service};
use crate::cluster::links::Links;

/// The largest frame that the catalogue sends; the links take a little more.
pub(super) const FRAME_MAX: usize = 4 << 20;

/// A peer could not be asked, or has not answered.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct PeerError {
    /// Whether it is certain that the peer has seen nothing of what was to be said.
    pub unsent: bool,
    /// What went wrong.
    pub what: String,
}

impl PeerError {
    /// It has perhaps been heard.
    pub fn broken(what: impl Into<String>) -> Self {
        PeerError { unsent: false, what: what.into() }
    }

    /// It has certainly not been heard.
    pub fn unsent(what: impl Into<String>) -> Self {
        PeerError { unsent: true, what: what.into() }
    }
}

/// This server's way to the others.
#[async_trait]
pub trait Peers: Send + Sync {
    /// One frame there, one back.
    async fn ask(
        &self,
        peer: &ServerName,
        question: &[u8],
        within: Duration,
    ) -> Result<Bytes, PeerError>;

    /// Begins a conversation of more frames.
    async fn open(
        &self,
        peer: &ServerName,
        first: &[u8],
        within: Duration,
    ) -> Result<Box<dyn Talk>, PeerError>;
}

/// One end of a conversation.
#[async_trait]
pub trait Talk: Send {
    /// Says one frame.
    async fn send(&mut self, frame: &[u8]) -> Result<(), PeerError>;

    /// Hears the next one.
    async fn receive(&mut self, within: Duration) -> Result<Bytes, PeerError>;

    /// All was said; what carried it may carry the next one. Dropped without this, it is closed.
    fn finish(self: Box<Self>);
}

impl From<LinkError> for PeerError {
    fn from(error: LinkError) -> Self {
        let unsent = error.unsent();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        PeerError { unsent, what: format!("{error}{}", cause.unwrap_or_default()) }
    }
}

#[async_trait]
impl Peers for Links {
    async fn ask(
        &self,
        peer: &ServerName,
        question: &[u8],
        within: Duration,
    ) -> Result<Bytes, PeerError> {
        Ok(Links::ask(self, peer, Service::Catalogue, &[question], within).await?)
    }

    async fn open(
        &self,
        peer: &ServerName,
        first: &[u8],
        within: Duration,
    ) -> Result<Box<dyn Talk>, PeerError> {
        Ok(Box::new(Links::open(self, peer, Service::Catalogue, &[first], within).await?))
    }
}

#[async_trait]
impl Talk for Conversation {
    async fn send(&mut self, frame: &[u8]) -> Result<(), PeerError> {
        Ok(Conversation::send(self, &[frame]).await?)
    }

    async fn receive(&mut self, within: Duration) -> Result<Bytes, PeerError> {
        Ok(Conversation::receive(self, within).await?)
    }

    fn finish(self: Box<Self>) {
        Conversation::finish(*self);
    }
}
