//! One conversation over a connection, its errors, and who answers it at the other end.

use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use depot_protocol::ServerName;
use tokio::time::timeout;

use super::link::Place;
use super::wire::{FRAME_MAX, Frame, Wire};

/// How long a write may be stalled, unless said otherwise.
pub const STALL: Duration = Duration::from_secs(5);

/// Who takes a conversation: the first byte of the frame that begins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Consensus, and what a follower asks of the leader.
    Catalogue = 1,
    /// Payloads.
    Transfer = 2,
    /// `init`, `status` and the other commands.
    Operator = 3,
}

impl Service {
    pub(super) fn of(byte: u8) -> Option<Service> {
        let all = [Service::Catalogue, Service::Transfer, Service::Operator];
        all.into_iter().find(|service| *service as u8 == byte)
    }
}

/// Who is on the other end, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// A server's name; `None`: an operator.
    pub name: Option<ServerName>,
    /// That server's incarnation; an operator's is 0.
    pub incarnation: u64,
}

/// What goes wrong between two servers.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no connection to it, or no free one came in time. Nothing was sent.
    #[error("cannot reach it")]
    Unreachable(#[source] io::Error),
    /// It did not prove that it is one of ours, or did not take our proof. Nothing was sent.
    #[error("{0}")]
    NotProven(String),
    /// It is one of ours and takes no question: it says why. No service of it has seen anything.
    #[error("refused: {0}")]
    Refused(String),
    /// The connection broke; the other end has perhaps received what was sent.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// The other end took or gave nothing for too long; it has perhaps received what was sent.
    #[error("no answer in time")]
    TimedOut,
}

impl LinkError {
    /// Whether it is certain that no service of the other end has seen anything of the question:
    /// it can be asked again, or of another one, with no harm.
    #[must_use]
    pub fn unsent(&self) -> bool {
        match self {
            LinkError::Unreachable(_) | LinkError::NotProven(_) | LinkError::Refused(_) => true,
            LinkError::Broken(_) | LinkError::TimedOut => false,
        }
    }

    /// What became of a frame that was under way.
    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => LinkError::TimedOut,
            _ => LinkError::Broken(error),
        }
    }
}

/// One connection, in the middle of one conversation. Dropped without [`Conversation::finish`], the
/// connection is closed: the other end sees that as a conversation that was cut.
pub struct Conversation {
    wire: Wire,
    stall: Duration,
    /// A frame was waited for and has not come: it may still come.
    owed: bool,
    /// Where the connection goes back to; none at the end that was dialled.
    place: Option<Place>,
}

impl Conversation {
    pub(super) fn new(wire: Wire, place: Option<Place>) -> Self {
        Conversation { wire, stall: STALL, owed: false, place }
    }

    /// Sends the parts as one frame, in one write and uncopied where they are long. At most
    /// [`FRAME_MAX`] bytes in all. A send that fails, or whose future is dropped, leaves a
    /// connection that is good for nothing more.
    ///
    /// # Errors
    /// `TimedOut` where the other end took nothing of it for [`STALL`], or what was set;
    /// `Broken` where the connection is gone.
    pub async fn send(&mut self, parts: &[&[u8]]) -> Result<(), LinkError> {
        self.wire.send(parts, self.stall).await.map_err(LinkError::of)
    }

    /// The next frame, as it lies in the read buffer: keeping a small one keeps all of that memory.
    /// Dropping the future loses nothing: the frame is then the next one that is received. But a
    /// conversation that still waits for a frame is not kept by [`Conversation::finish`].
    ///
    /// # Errors
    /// `TimedOut` where it has not come, whole, `within` that time; `Broken` where the connection is
    /// gone, or more was announced than a frame can have; `Refused` in place of the first answer,
    /// where the other end has no such service or is stopping.
    pub async fn receive(&mut self, within: Duration) -> Result<Bytes, LinkError> {
        self.owed = true;
        let came = timeout(within, self.wire.receive(FRAME_MAX)).await;
        match came.map_err(|_late| LinkError::TimedOut)?.map_err(LinkError::of)? {
            Frame::Said(body) => {
                self.owed = false;
                Ok(body)
            }
            Frame::Refused(why) => Err(LinkError::Refused(why)),
        }
    }

    /// How long a write may be stalled from now on, within this conversation.
    pub fn set_stall(&mut self, stall: Duration) {
        self.stall = stall;
    }

    /// The conversation came to its end by its protocol: the connection is kept for the next one.
    pub fn finish(mut self) {
        if self.is_whole()
            && let Some(place) = self.place.take()
        {
            place.keep(self.wire);
        }
    }

    /// Whether nothing is under way that a next conversation would stumble over.
    pub(super) fn is_whole(&self) -> bool {
        !self.owed && !self.wire.is_cut()
    }

    /// The connection, at the end that was dialled.
    pub(super) fn into_wire(self) -> Wire {
        self.wire
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("whole", &self.is_whole()).finish_non_exhaustive()
    }
}

/// Takes one service's conversations.
#[async_trait]
pub trait Serve: Send + Sync {
    /// One conversation that a peer began; `first` is its first frame without the byte that names
    /// the service. `Ok`: it came to its end by protocol, and the connection is kept for the next;
    /// after an error it is closed. Every wait in it is this service's to bound: when the server
    /// stops, it may finish, until its future is dropped.
    async fn serve(
        &self,
        peer: &Peer,
        first: Bytes,
        conversation: &mut Conversation,
    ) -> Result<(), LinkError>;
}
