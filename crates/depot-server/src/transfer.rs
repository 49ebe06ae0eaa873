//! One blob between two servers: pushed to a peer while it arrives, vouched for, pulled from a
//! holder. This end asks ([`Transfer`], and on it [`Courier`]); the other end is [`TransferService`].
//!
//! ```text
//! push    Push{size}                       Ready{most} | Refused      before any byte is sent
//!         Data.. Data.. End{digest}        Receipt | Refused          the hash is always last
//!         Data.. Abort                     (nothing)
//! whole   Whole{bytes, digest}             Receipt | Refused          a small payload, in one frame
//! batch   Batch{(bytes, digest)..}         Receipts{Receipt | Refused..}   several, likewise
//! vouch   Vouch{digest, size}              Receipt | Refused
//! pull    Pull{digest, size, offset, most} Data.. Data.. End | Refused
//! ```
//!
//! Whoever is pushed to stores bytes that it has hashed itself, and passes them on to nobody. A
//! receipt is given only after the copy was synced under its name. Whoever is pulled from verifies
//! each chunk before it sends it, and says so where it can't go on: a stream ends with `End` or is
//! not whole. After anything that has no place here the connection is closed.

mod arrivals;
mod courier;
mod fetch;
mod message;
mod outbox;
mod pull;
mod push;
mod serve;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::{Digest, ServerName};

use crate::catalogue::Receipt;
use crate::cluster::members::Member;
use crate::cluster::{Conversation, LinkError, Links, Service};
use crate::tasks::Tasks;
pub use arrivals::Arrivals;
pub use courier::{Added, Courier, File};
pub use fetch::FetchError;
use message::Message;
pub use message::No;
use outbox::Outbox;
pub use pull::Pull;
pub use push::Push;
pub use serve::TransferService;

/// A payload up to this size goes to a peer in one frame, once it is here and its hash is right.
pub const WHOLE_MAX: u64 = 64 * 1024;
/// How long a peer may take to make a connection, and to say whether it takes a payload.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long a peer may take to look for a copy.
const VOUCH_WITHIN: Duration = Duration::from_secs(10);
/// How long a peer may take to sync a copy and name it.
const RECEIPT_WITHIN: Duration = Duration::from_secs(45);

/// A transfer did not come to its end; another server may do.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The connection to the peer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The peer's own word.
    #[error("the peer refuses: {0}")]
    Refused(No),
    /// The peer says what has no place there.
    #[error("the peer is out of step: {0}")]
    OutOfStep(String),
}

/// Asks other servers for transfers.
#[derive(Clone)]
pub struct Transfer {
    links: Option<Arc<Links>>,
    outbox: Option<Arc<Outbox>>,
}

impl Transfer {
    /// Over these connections; none in a depot of one.
    pub fn new(links: Option<Arc<Links>>, tasks: &Tasks) -> Self {
        let outbox = links.clone().map(|links| Outbox::new(links, tasks.clone()));
        Transfer { links, outbox }
    }

    /// Whether a peer answers its pings.
    pub fn is_up(&self, peer: &ServerName) -> bool {
        self.links.as_ref().is_some_and(|links| links.is_up(peer))
    }

    /// Who can be expected to take a payload of this size: up, and with room as last told.
    pub fn fit(&self, size: u64) -> impl Fn(&Member) -> bool + use<> {
        let states = self.links.iter().flat_map(|links| links.states());
        let room: BTreeMap<_, _> =
            states.map(|peer| (peer.name, if peer.up { peer.free } else { None })).collect();
        move |member| room.get(&member.name).is_some_and(|free| *free >= Some(size))
    }

    /// Begins to push a payload to a peer, which has said that it takes it.
    pub async fn push(&self, peer: &ServerName, size: u64) -> Result<Push, TransferError> {
        let question = Message::Push { size };
        let mut conversation = self.open(peer, &question, READY_WITHIN).await?;
        match message::receive(&mut conversation, READY_WITHIN).await? {
            Message::Ready { most } if most > 0 => {
                Ok(Push::new(conversation, peer.clone(), most as usize))
            }
            other => Err(ended(conversation, other, "an answer to Push")),
        }
    }

    /// Pushes a small payload whole, with others that go there at the same time.
    pub async fn whole(
        &self,
        peer: &ServerName,
        payload: Bytes,
        digest: &Digest,
    ) -> Result<Receipt, TransferError> {
        let outbox = self.outbox.as_ref().ok_or_else(alone)?;
        outbox.push(peer, payload, digest).await
    }

    /// Has a peer look for a copy of this content and vouch for it. `None`: it has none.
    pub async fn vouch(
        &self,
        peer: &ServerName,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<Receipt>, TransferError> {
        let question = Message::Vouch { digest: *digest, size }.encode();
        let answer = self.links()?.ask(peer, Service::Transfer, &[&question], VOUCH_WITHIN).await?;
        match receipt_of(peer, Message::parse(answer)?) {
            Ok(receipt) => Ok(Some(receipt)),
            Err(TransferError::Refused(No::Absent | No::Bad)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins to pull a payload from a holder, from `offset` on, in frames of at most `most` bytes.
    pub async fn pull(
        &self,
        peer: &ServerName,
        blob: (Digest, u64),
        offset: u64,
        most: usize,
        within: Duration,
    ) -> Result<Pull, TransferError> {
        let (digest, size) = blob;
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let question = Message::Pull { digest, size, offset, most };
        Ok(Pull::new(self.open(peer, &question, within).await?, size - offset))
    }

    async fn open(
        &self,
        peer: &ServerName,
        question: &Message,
        within: Duration,
    ) -> Result<Conversation, TransferError> {
        let links = self.links()?;
        Ok(links.open(peer, Service::Transfer, &[&question.encode()], within).await?)
    }

    fn links(&self) -> Result<&Links, LinkError> {
        self.links.as_deref().ok_or_else(alone)
    }
}

fn alone() -> LinkError {
    LinkError::Unreachable(io::Error::new(io::ErrorKind::NotFound, "a depot of one"))
}

/// A receipt of this peer's; nobody's but its own is taken from it.
fn receipt_of(peer: &ServerName, answer: Message) -> Result<Receipt, TransferError> {
    match answer {
        Message::Receipt(receipt) => own_receipt(peer, receipt),
        Message::Refused(no) => Err(TransferError::Refused(no)),
        other => Err(out_of_step(&other, "a receipt")),
    }
}

fn own_receipt(peer: &ServerName, receipt: Receipt) -> Result<Receipt, TransferError> {
    match receipt.server == *peer {
        true => Ok(receipt),
        false => Err(out_of_step(&Message::Receipt(receipt), "a receipt of its own")),
    }
}

/// What an answer means that is not the hoped for one. A refusal is an end by protocol.
fn ended(conversation: Conversation, answer: Message, due: &str) -> TransferError {
    match answer {
        Message::Refused(no) => {
            conversation.finish();
            TransferError::Refused(no)
        }
        other => out_of_step(&other, due),
    }
}

fn out_of_step(message: &Message, due: &str) -> TransferError {
    TransferError::OutOfStep(format!("it sent {message:?} where {due} was due"))
}
