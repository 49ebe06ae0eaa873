//! The conversation as a server sees it: where it stands, what may come next, and what becomes of
//! the connection after a refusal.
//!
//! [`ServerCodec`](crate::ServerCodec) takes every step through [`Phase::after`]; a session asks
//! [`after_refusal`] and [`after_bad_head`].

use crate::limits::{HASH_LINE_MAX, SKIP_LIMIT};
use crate::refusal::ErrorCode;
use crate::requests::{BadHead, HeadFault};

/// What is still to come of the deposit that is being received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// Bytes of payload.
    pub payload: u64,
    /// Whether a hash line follows them.
    pub hash_line: bool,
}

impl Owed {
    /// Nothing is to come.
    pub const NOTHING: Owed = Owed { payload: 0, hash_line: false };

    /// The most bytes that this can be.
    #[must_use]
    pub fn bytes(self) -> u64 {
        let line =
            if self.hash_line { u64::try_from(HASH_LINE_MAX).unwrap_or(u64::MAX) } else { 0 };
        self.payload.saturating_add(line)
    }

    /// The same after so many bytes of payload, if there are as many.
    fn less(self, bytes: u64) -> Option<Owed> {
        Some(Owed { payload: self.payload.checked_sub(bytes)?, ..self })
    }
}

/// Where the conversation stands: what the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A header, or a clean end.
    Head,
    /// A deposit's payload.
    Payload(Owed),
    /// The hash line after a payload.
    HashLine,
    /// What is still owed of a refused deposit: read and dropped.
    Skipping(Owed),
    /// Nothing any more: whatever comes is ignored.
    Closed,
}

/// What happens in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A header behind which the next header comes, good or refused.
    Request,
    /// A deposit's header, good or with a bad name, and what it owes.
    Deposit(Owed),
    /// So many bytes of payload.
    Bytes(u64),
    /// The payload is complete.
    PayloadEnd,
    /// The hash line.
    HashLine,
    /// The rest of the deposit is not wanted.
    Skip,
    /// The last word: `encerrar`, a line that can't be read, or the client's end.
    Last,
}

/// Something happened that has no place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} has no place in {phase:?}")]
pub struct OutOfTurn {
    /// Where the conversation stood.
    pub phase: Phase,
    /// What happened.
    pub event: Event,
}

impl Phase {
    /// The whole conversation: where it stands after this.
    ///
    /// # Errors
    /// What has no place in this phase.
    pub fn after(self, event: Event) -> Result<Phase, OutOfTurn> {
        let out_of_turn = OutOfTurn { phase: self, event };
        match (self, event) {
            (Phase::Head, Event::Request) => Ok(Phase::Head),
            (Phase::Head, Event::Deposit(owed)) => Ok(Phase::Payload(owed)),
            (Phase::Payload(owed), Event::Bytes(bytes)) => {
                owed.less(bytes).map(Phase::Payload).ok_or(out_of_turn)
            }
            (Phase::Payload(Owed { payload: 0, hash_line: true }), Event::PayloadEnd) => {
                Ok(Phase::HashLine)
            }
            (Phase::Payload(Owed { payload: 0, hash_line: false }), Event::PayloadEnd)
            | (Phase::HashLine, Event::HashLine)
            | (Phase::Skipping(Owed { payload: 0, hash_line: true }), Event::HashLine)
            | (Phase::Head, Event::Skip) => Ok(Phase::Head),
            (Phase::Payload(owed) | Phase::Skipping(owed), Event::Skip) => Ok(skipping(owed)),
            (Phase::HashLine, Event::Skip) => Ok(skipping(Owed { payload: 0, hash_line: true })),
            (Phase::Skipping(owed), Event::Bytes(bytes)) => {
                owed.less(bytes).map(skipping).ok_or(out_of_turn)
            }
            (_, Event::Last) | (Phase::Closed, Event::Skip) => Ok(Phase::Closed),
            _ => Err(out_of_turn),
        }
    }

    /// What is still to come of the current deposit.
    #[must_use]
    pub fn owed(self) -> Owed {
        match self {
            Phase::Payload(owed) | Phase::Skipping(owed) => owed,
            Phase::HashLine => Owed { payload: 0, hash_line: true },
            Phase::Head | Phase::Closed => Owed::NOTHING,
        }
    }
}

/// Dropping that, or done with it where it is nothing.
fn skipping(owed: Owed) -> Phase {
    match owed {
        Owed::NOTHING => Phase::Head,
        owed => Phase::Skipping(owed),
    }
}

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next header is read.
    Stays,
    /// What is still owed is read and dropped ([`ServerCodec::skip`](crate::ServerCodec::skip)),
    /// then the next header is read.
    SkipThenStays,
    /// The sending side is shut down, what still comes is read and dropped for a while, and the
    /// connection is closed.
    Closes,
}

/// What becomes of the connection after a request was refused with this code, `owed` being what is
/// still to come of it at the time of the answer.
///
/// `limite_excedido` because of too many connections always closes; that is for its sender to
/// know, since the code alone does not tell.
#[must_use]
pub fn after_refusal(owed: Owed, code: ErrorCode) -> After {
    match (code, owed) {
        (
            ErrorCode::HeaderInvalid
            | ErrorCode::MessageIncomplete
            | ErrorCode::TimedOut
            | ErrorCode::ShuttingDown,
            _,
        ) => After::Closes,
        (_, Owed::NOTHING) => After::Stays,
        (_, owed) if owed.bytes() <= SKIP_LIMIT => After::SkipThenStays,
        _ => After::Closes,
    }
}

/// What becomes of the connection after a line that is no request was refused.
#[must_use]
pub fn after_bad_head(bad: &BadHead) -> After {
    match bad.then {
        HeadFault::Closes => After::Closes,
        then => after_refusal(then.owed(), bad.refusal.code),
    }
}
