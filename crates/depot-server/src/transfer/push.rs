//! Pushing a payload to one peer, as its bytes come.

use bytes::Bytes;
use depot_protocol::{Digest, ServerName};

use super::message::{self, DATA, Message};
use super::{RECEIPT_WITHIN, TransferError, ended, receipt_of};
use crate::catalogue::Receipt;
use crate::cluster::{Conversation, LinkError};

/// A push under way. Dropped, the connection is closed and the peer keeps nothing.
pub struct Push {
    conversation: Conversation,
    peer: ServerName,
    most: usize,
}

impl Push {
    pub(super) fn new(conversation: Conversation, peer: ServerName, most: usize) -> Self {
        Push { conversation, peer, most }
    }

    /// The largest piece that the peer takes.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Sends a piece, at most as large as the peer takes.
    pub async fn data(&mut self, piece: &Bytes) -> Result<(), LinkError> {
        self.conversation.send(&[&[DATA], piece]).await
    }

    /// Says what hash the bytes have, and waits until the peer has a durable copy.
    pub async fn end(mut self, digest: Digest) -> Result<Receipt, TransferError> {
        message::send(&mut self.conversation, &Message::End { digest }).await?;
        match message::receive(&mut self.conversation, RECEIPT_WITHIN).await? {
            answer @ Message::Receipt(_) => {
                let receipt = receipt_of(&self.peer, answer)?;
                self.conversation.finish();
                Ok(receipt)
            }
            other => Err(ended(self.conversation, other, "a receipt")),
        }
    }

    /// The payload does not come whole: the peer keeps nothing, the connection is kept.
    pub async fn abort(mut self) -> Result<(), LinkError> {
        message::send(&mut self.conversation, &Message::Abort).await?;
        self.conversation.finish();
        Ok(())
    }
}
