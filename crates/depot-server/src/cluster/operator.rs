//! Commands to servers from one who is none: `init`, `status` and the like. Whoever knows the
//! cluster's secret may command.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::conversation::{Conversation, LinkError, Service};
use super::handshake::{Dialler, Proven, call};
use super::identity::Keys;
use super::members::Member;
use crate::seams::Seams;

/// Dials a server and begins a conversation with its [`Service::Operator`]; whom it met tells the
/// server's cluster (none: not founded) and the fingerprint of its list. All `within` that time, and
/// the handshake within 5 s.
///
/// # Errors
/// See [`LinkError::unsent`].
pub async fn open(
    seams: &Seams,
    keys: &Keys,
    server: &Member,
    first: &[&[u8]],
    within: Duration,
) -> Result<(Proven, Conversation), LinkError> {
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "it has no `peer` address");
    let address = server.peer.ok_or_else(|| LinkError::Unreachable(nowhere()))?;
    let opening = async {
        let (wire, proven) = call(seams, address, &Dialler::Operator, &server.name, keys).await?;
        let mut conversation = Conversation::new(wire, None);
        let service = [Service::Operator as u8];
        conversation.send(&[&[&service[..]], first].concat()).await?;
        Ok((proven, conversation))
    };
    timeout(within, opening).await.unwrap_or(Err(LinkError::TimedOut))
}
