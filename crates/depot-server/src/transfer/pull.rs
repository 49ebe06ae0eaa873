//! Pulling a payload from one holder, from any offset on.

use std::time::Duration;

use bytes::Bytes;

use super::message::{self, Message};
use super::{TransferError, ended, out_of_step};
use crate::cluster::Conversation;

/// A pull under way. Dropped, the connection is closed.
pub struct Pull {
    /// There until the stream has ended.
    conversation: Option<Conversation>,
    missing: u64,
}

impl Pull {
    pub(super) fn new(conversation: Conversation, missing: u64) -> Self {
        Pull { conversation: Some(conversation), missing }
    }

    /// The next piece, which the holder has verified; `None` at the end, which comes behind exactly
    /// as many bytes as were asked for. Cancelling loses nothing.
    pub async fn next(&mut self, within: Duration) -> Result<Option<Bytes>, TransferError> {
        let Some(conversation) = &mut self.conversation else { return Ok(None) };
        match message::receive(conversation, within).await? {
            Message::Data(piece) if !piece.is_empty() && piece.len() as u64 <= self.missing => {
                self.missing -= piece.len() as u64;
                Ok(Some(piece))
            }
            Message::End { .. } if self.missing == 0 => {
                if let Some(conversation) = self.conversation.take() {
                    conversation.finish();
                }
                Ok(None)
            }
            answer @ Message::Refused(_) => {
                let conversation = self.conversation.take();
                Err(conversation.map_or_else(
                    || out_of_step(&answer, "nothing"),
                    |conversation| ended(conversation, answer.clone(), "a piece"),
                ))
            }
            other => {
                let due = format!("a piece of the {} bytes that are missing", self.missing);
                Err(out_of_step(&other, &due))
            }
        }
    }
}
