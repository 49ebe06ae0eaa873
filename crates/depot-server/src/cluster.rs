//! The other servers: who they are ([`members`]), which come next for a copy ([`placement`]), and
//! what is said with them on the peer port.
//!
//! **On the wire** (no TLS yet, DESIGN.md): frames ([`wire`]), first those of the [`handshake`], in
//! which each end proves that it knows the cluster's secret, then one conversation after the other.
//! A conversation begins with a frame whose first byte names a [`Service`]; whatever follows is
//! that service's own. Only the end that dialled begins conversations.
//!
//! **Dialling**: [`Links`] keeps connections to every other server, asks over them, and pings each
//! server to know who is up. An [`operator`] dials without being a server.
//! **Taking**: [`listen`] at a [`Door`], which hands each conversation to the one who [`Serve`]s it.
//! **Who is who**: both have the same [`LinkIdentity`], and both write into [`Starts`] how often
//! each server was started, so that a disk that was rolled back is known (RELIABILITY.md, C13).

pub mod conversation;
pub mod door;
pub mod handshake;
pub mod identity;
mod link;
pub mod links;
pub mod members;
pub mod operator;
pub mod placement;
pub mod starts;
pub mod wire;

pub use conversation::{Conversation, LinkError, Peer, Serve, Service};
pub use door::{Door, listen};
pub use handshake::{Class, Fingerprint, Proven};
pub use identity::{ClusterId, Keys, LinkIdentity};
pub use link::PeerState;
pub use links::Links;
pub use starts::{KeepStarts, StartSeen, Starts};
