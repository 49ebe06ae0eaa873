//! The messages of a handshake, as bytes: postcard, then the proof.

use depot_protocol::ServerName;
use serde::{Deserialize, Serialize};

use crate::cluster::identity::{ClusterId, PROOF, Statement};
use crate::cluster::starts::StartSeen;

/// The version of what is said after the handshake.
pub const VERSION: u16 = 1;

/// What a SHA-256 over a list of servers gives.
pub type Fingerprint = [u8; 32];

pub(super) const MAGIC: [u8; 10] = *b"depot peer";
pub(super) const NONCE: usize = 32;

const DIALLER: &[u8] = b"depot peer: dialler";
const TAKER: &[u8] = b"depot peer: taker";

/// What a connection is for. Each class has its own slots, so that none can use up another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An operator's command.
    Operator = 0,
    /// A server's pings.
    Ping = 1,
    /// Small questions and answers, the catalogue's above all.
    Catalogue = 2,
    /// Payloads.
    Transfer = 3,
}

impl Class {
    fn of(role: u8) -> Option<Class> {
        let all = [Class::Operator, Class::Ping, Class::Catalogue, Class::Transfer];
        all.into_iter().find(|class| *class as u8 == role)
    }
}

/// Who is at the other end, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Its name.
    pub name: ServerName,
    /// The cluster that it belongs to; `None`: it waits to be founded or admitted.
    pub cluster: Option<ClusterId>,
    /// Its incarnation and start number.
    pub start: StartSeen,
    /// Of its list of servers; another one than the own means another list.
    pub fingerprint: Fingerprint,
}

/// The dialling end's first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) magic: [u8; 10],
    pub(super) version: u16,
    pub(super) nonce: [u8; NONCE],
}

/// The dialling end's second message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Introduction {
    pub(super) role: u8,
    /// Zeros: none.
    pub(super) cluster: ClusterId,
    /// Empty: an operator.
    pub(super) name: String,
    pub(super) start: StartSeen,
    pub(super) expects: String,
    /// The highest start that it has met of the one whom it expects.
    pub(super) met: Option<StartSeen>,
}

/// The taking end's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    Welcome {
        cluster: ClusterId,
        name: String,
        start: StartSeen,
        fingerprint: Fingerprint,
        /// The highest start that it has met of the dialling end.
        met: Option<StartSeen>,
    },
    Refused {
        cluster: ClusterId,
        name: String,
        why: String,
        met: Option<StartSeen>,
    },
}

/// What both ends have said before the message that is proven.
pub(super) struct Opening<'a> {
    pub(super) hello: &'a [u8],
    pub(super) nonce: &'a [u8],
}

impl Introduction {
    pub(super) fn class(&self) -> Option<Class> {
        Class::of(self.role)
    }

    /// What its proof is made of.
    pub(super) fn statement<'a>(
        &'a self,
        opening: &Opening<'a>,
        message: &'a [u8],
    ) -> Statement<'a> {
        Statement {
            label: DIALLER,
            role: self.role,
            cluster: &self.cluster,
            prover: &self.name,
            verifier: &self.expects,
            hello: opening.hello,
            nonce: opening.nonce,
            message,
        }
    }
}

impl Verdict {
    /// What its proof is made of: it answers this introduction.
    pub(super) fn statement<'a>(
        &'a self,
        introduction: &'a Introduction,
        opening: &Opening<'a>,
        message: &'a [u8],
    ) -> Statement<'a> {
        let (Verdict::Welcome { cluster, name, .. } | Verdict::Refused { cluster, name, .. }) =
            self;
        Statement {
            label: TAKER,
            role: introduction.role,
            cluster,
            prover: name,
            verifier: &introduction.name,
            hello: opening.hello,
            nonce: opening.nonce,
            message,
        }
    }
}

/// A message's bytes.
pub(super) fn encode<M: Serialize>(message: &M) -> Vec<u8> {
    postcard::to_stdvec(message).expect("a message is plain data")
}

/// The message that these bytes are, all of them.
pub(super) fn decode<'a, M: Deserialize<'a>>(bytes: &'a [u8]) -> Option<M> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}

/// A frame that ends with a proof, taken apart.
pub(super) fn split_proof(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    frame.split_at_checked(frame.len().checked_sub(PROOF)?)
}
