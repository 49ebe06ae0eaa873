//! The messages, each one frame: a byte that tells its kind, then what goes with it in postcard;
//! behind `Data` the raw bytes of a piece, behind `Whole` those of a payload and its hash, behind
//! `Batch` those of several, one behind another.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::{Digest, ServerName};
use serde::{Deserialize, Serialize};

use super::TransferError;
use crate::catalogue::{Incarnation, Receipt, SweepNumber};
use crate::cluster::{Conversation, LinkError};

/// The kind of a piece of payload.
pub(super) const DATA: u8 = 0;
/// The kind of a whole payload.
pub(super) const WHOLE: u8 = 1;
/// The bytes of a hash.
const HASH: usize = 32;

/// Why a peer does not do what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum No {
    /// Its volume is full.
    #[error("it has no room")]
    Full,
    /// Its volume takes nothing after a disk fault.
    #[error("its volume is read-only after a disk fault")]
    ReadOnly,
    /// Something does not work there now; its log has more.
    #[error("it has a fault of its own")]
    Fault,
    /// The bytes that came don't have the hash that came, or are not as many as announced.
    #[error("the bytes that it received do not have the hash")]
    WrongHash,
    /// It has no copy.
    #[error("it has no copy")]
    Absent,
    /// Its copy is bad.
    #[error("its copy is bad")]
    Bad,
    /// It holds no payloads.
    #[error("it is a witness and holds no payloads")]
    Witness,
}

/// What is said.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Message {
    Data(Bytes),
    Whole {
        payload: Bytes,
        digest: Digest,
    },
    Push {
        size: u64,
    },
    End {
        digest: Digest,
    },
    Abort,
    Vouch {
        digest: Digest,
        size: u64,
    },
    Pull {
        digest: Digest,
        size: u64,
        offset: u64,
        most: u32,
    },
    Ready {
        most: u32,
    },
    Receipt(Receipt),
    Refused(No),
    /// Payloads of these sizes, each with its hash behind it, in `raw`.
    Batch {
        sizes: Vec<u32>,
        raw: Bytes,
    },
    /// What became of each payload of a batch.
    Receipts(Vec<Result<Receipt, No>>),
}

/// A message as it is sent, less raw bytes. The place of a variant is the kind that is sent, so
/// none is ever moved.
#[derive(Serialize, Deserialize)]
enum Head {
    Data,
    Whole,
    Push { size: u64 },
    End { digest: [u8; HASH] },
    Abort,
    Vouch { digest: [u8; HASH], size: u64 },
    Pull { digest: [u8; HASH], size: u64, offset: u64, most: u32 },
    Ready { most: u32 },
    Receipt(WireReceipt),
    Refused(No),
    Batch { sizes: Vec<u32> },
    Receipts(Vec<Result<WireReceipt, No>>),
}

#[derive(Serialize, Deserialize)]
struct WireReceipt {
    server: String,
    incarnation: u64,
    sweep: u64,
}

impl WireReceipt {
    fn of(receipt: &Receipt) -> Self {
        WireReceipt {
            server: receipt.server.as_str().to_owned(),
            incarnation: receipt.incarnation.0,
            sweep: receipt.sweep.0,
        }
    }

    fn parse(self) -> Result<Receipt, Unknown> {
        Ok(Receipt {
            server: ServerName::parse(&self.server).map_err(|_| Unknown)?,
            incarnation: Incarnation(self.incarnation),
            sweep: SweepNumber(self.sweep),
        })
    }
}

impl Message {
    /// A message, less raw bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let bytes = |digest: &Digest| *digest.as_bytes();
        let head = match self {
            Message::Data(_) => Head::Data,
            Message::Whole { .. } => Head::Whole,
            Message::Push { size } => Head::Push { size: *size },
            Message::End { digest } => Head::End { digest: bytes(digest) },
            Message::Abort => Head::Abort,
            Message::Vouch { digest, size } => Head::Vouch { digest: bytes(digest), size: *size },
            Message::Pull { digest, size, offset, most } => {
                Head::Pull { digest: bytes(digest), size: *size, offset: *offset, most: *most }
            }
            Message::Ready { most } => Head::Ready { most: *most },
            Message::Receipt(receipt) => Head::Receipt(WireReceipt::of(receipt)),
            Message::Refused(no) => Head::Refused(*no),
            Message::Batch { sizes, .. } => Head::Batch { sizes: sizes.clone() },
            Message::Receipts(answers) => {
                let answer = |answer: &Result<Receipt, No>| match answer {
                    Ok(receipt) => Ok(WireReceipt::of(receipt)),
                    Err(no) => Err(*no),
                };
                Head::Receipts(answers.iter().map(answer).collect())
            }
        };
        postcard::to_stdvec(&head).expect("numbers and strings encode into memory")
    }

    /// What a frame says.
    pub(super) fn parse(frame: Bytes) -> Result<Message, Unknown> {
        let (head, rest) = postcard::take_from_bytes(&frame).map_err(|_| Unknown)?;
        let raw = frame.slice(frame.len() - rest.len()..);
        let message = match head {
            Head::Data => return Ok(Message::Data(raw)),
            Head::Whole => {
                let (_, digest) = raw.split_last_chunk::<HASH>().ok_or(Unknown)?;
                let digest = Digest::from_bytes(*digest);
                return Ok(Message::Whole { payload: raw.slice(..raw.len() - HASH), digest });
            }
            Head::Push { size } => Message::Push { size },
            Head::End { digest } => Message::End { digest: Digest::from_bytes(digest) },
            Head::Abort => Message::Abort,
            Head::Vouch { digest, size } => {
                Message::Vouch { digest: Digest::from_bytes(digest), size }
            }
            Head::Pull { digest, size, offset, most } if offset <= size && most > 0 => {
                Message::Pull { digest: Digest::from_bytes(digest), size, offset, most }
            }
            Head::Pull { .. } => return Err(Unknown),
            Head::Ready { most } => Message::Ready { most },
            Head::Receipt(receipt) => Message::Receipt(receipt.parse()?),
            Head::Batch { sizes } => {
                let each = sizes.iter().map(|size| *size as usize + HASH);
                return match each.sum::<usize>() == raw.len() {
                    true => Ok(Message::Batch { sizes, raw }),
                    false => Err(Unknown),
                };
            }
            Head::Receipts(answers) => {
                let parse = |answer: Result<WireReceipt, No>| match answer {
                    Ok(receipt) => receipt.parse().map(Ok),
                    Err(no) => Ok(Err(no)),
                };
                Message::Receipts(answers.into_iter().map(parse).collect::<Result<_, _>>()?)
            }
            Head::Refused(no) => Message::Refused(no),
        };
        if raw.is_empty() { Ok(message) } else { Err(Unknown) }
    }
}

/// The payloads of a batch, each with the hash that came with it.
pub(super) fn payloads(sizes: Vec<u32>, mut raw: Bytes) -> impl Iterator<Item = (Bytes, Digest)> {
    sizes.into_iter().map_while(move |size| {
        let payload = raw.split_to(size as usize);
        let digest = Digest::from_bytes(*raw.split_to(HASH).first_chunk()?);
        Some((payload, digest))
    })
}

/// The next message of a conversation.
pub(super) async fn receive(
    conversation: &mut Conversation,
    within: Duration,
) -> Result<Message, TransferError> {
    Ok(Message::parse(conversation.receive(within).await?)?)
}

/// Sends a message that has no raw bytes.
pub(super) async fn send(
    conversation: &mut Conversation,
    message: &Message,
) -> Result<(), LinkError> {
    conversation.send(&[&message.encode()]).await
}

/// A frame that is none of the messages.
#[derive(Debug)]
pub(super) struct Unknown;

impl From<Unknown> for TransferError {
    fn from(_: Unknown) -> Self {
        TransferError::OutOfStep("it sent what is no message".into())
    }
}

/// Payloads are told by their length.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Message::Whole { payload, .. } => write!(f, "Whole({} bytes)", payload.len()),
            Message::Push { size } => write!(f, "Push({size} bytes)"),
            Message::End { .. } => write!(f, "End"),
            Message::Abort => write!(f, "Abort"),
            Message::Vouch { .. } => write!(f, "Vouch"),
            Message::Pull { offset, .. } => write!(f, "Pull(from {offset})"),
            Message::Ready { .. } => write!(f, "Ready"),
            Message::Receipt(receipt) => write!(f, "Receipt({})", receipt.server),
            Message::Refused(no) => write!(f, "Refused({no:?})"),
            Message::Batch { sizes, .. } => write!(f, "Batch({} payloads)", sizes.len()),
            Message::Receipts(answers) => write!(f, "Receipts({})", answers.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Message> {
        let digest = Digest::from_bytes([7; 32]);
        let server = ServerName::parse("a").expect("a name");
        vec![
            Message::Push { size: 1 },
            Message::End { digest },
            Message::Abort,
            Message::Vouch { digest, size: 2 },
            Message::Pull { digest, size: 9, offset: 3, most: 4 },
            Message::Ready { most: 5 },
            Message::Receipt(Receipt {
                server,
                incarnation: Incarnation(6),
                sweep: SweepNumber(7),
            }),
            Message::Refused(No::Witness),
            Message::Batch { sizes: vec![], raw: Bytes::new() },
            Message::Receipts(vec![Err(No::Full)]),
        ]
    }

    /// A server of yesterday must understand one of tomorrow: this pins the kinds.
    #[test]
    fn every_message_is_read_back_and_has_its_kind() {
        for (message, kind) in all().into_iter().zip(2..) {
            let frame = message.encode();
            assert_eq!(frame.first(), Some(&kind), "{message:?}");
            let read = Message::parse(frame.into()).ok();
            assert_eq!(read, Some(message));
        }
        let data = Message::parse(Bytes::from_static(b"\0piece")).ok();
        assert_eq!(data, Some(Message::Data(Bytes::from_static(b"piece"))));
        let whole = [&[WHOLE], &b"depot"[..], &[7; 32]].concat();
        let digest = Digest::from_bytes([7; 32]);
        let payload = Bytes::from_static(b"depot");
        assert_eq!(Message::parse(whole.into()).ok(), Some(Message::Whole { payload, digest }));
        assert_eq!([DATA, WHOLE], [0, 1]);
        let raw = Bytes::from([&b"depot"[..], &[7; 32], b"!", &[8; 32]].concat());
        let batch = Message::Batch { sizes: vec![5, 1], raw: raw.clone() };
        let frame = Bytes::from([&batch.encode(), &raw[..]].concat());
        let Ok(Message::Batch { sizes, raw }) = Message::parse(frame.clone()) else {
            panic!("no batch")
        };
        let other = Digest::from_bytes([8; 32]);
        let read: Vec<_> = payloads(sizes, raw).collect();
        assert_eq!(
            read,
            [(Bytes::from_static(b"depot"), digest), (Bytes::from_static(b"!"), other)]
        );
        for end in 0..frame.len() {
            assert!(Message::parse(frame.slice(..end)).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn what_is_cut_or_goes_on_behind_its_end_is_no_message() {
        for message in all() {
            let frame = message.encode();
            for end in 0..frame.len() {
                assert!(Message::parse(frame[..end].to_vec().into()).is_err(), "{message:?}");
            }
            assert!(Message::parse([frame, vec![0]].concat().into()).is_err(), "{message:?}");
        }
        assert!(Message::parse(vec![WHOLE; HASH].into()).is_err(), "a hash is 32 bytes");
        assert!(Message::parse(vec![12].into()).is_err(), "a kind that is none");
        let past = Message::Pull { digest: Digest::EMPTY, size: 1, offset: 2, most: 1 };
        assert!(Message::parse(past.encode().into()).is_err(), "an offset past the end");
    }
}
