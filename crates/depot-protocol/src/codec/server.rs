//! The server's side: requests in, answers out.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::{Taken, count, take_line, take_up_to};
use crate::answers::Answer;
use crate::conversation::{Event, Owed, Phase};
use crate::keys;
use crate::limits::HASH_LINE_MAX;
use crate::refusal::{ErrorCode, Refusal};
use crate::requests::{BadHead, HeadFault, Request};
use crate::types::Digest;

/// What a client sends, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A header.
    Request(Request),
    /// A line that is no request. Where its deposit's payload is still to come, that comes next.
    BadHead(BadHead),
    /// Some of a deposit's payload, never empty, cut wherever the network cut it.
    Payload(Bytes),
    /// The payload is complete, also an empty one. The hash line, if there is one, comes next.
    PayloadEnd,
    /// The hash line of a deposit with [`Announced::Last`](crate::Announced::Last). After one that
    /// is none, nothing more comes.
    HashLine(Result<Digest, Refusal>),
    /// The client closed its sending side inside a message: `mensagem_incompleta`. Nothing more
    /// comes.
    Cut,
}

/// Decodes requests, encodes answers. Holds no byte of its own and reserves nothing: it takes from
/// the buffer what has come.
#[derive(Debug)]
pub struct ServerCodec {
    phase: Phase,
}

impl Default for ServerCodec {
    fn default() -> ServerCodec {
        ServerCodec::new()
    }
}

impl ServerCodec {
    /// At the start of a connection.
    #[must_use]
    pub fn new() -> ServerCodec {
        ServerCodec { phase: Phase::Head }
    }

    /// Where the conversation stands: what the next byte to be decoded belongs to.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What is still to come of the current deposit.
    #[must_use]
    pub fn owed(&self) -> Owed {
        self.phase.owed()
    }

    /// Whether a line is being waited for that must end soon: a header of which `buf`, the
    /// undecoded bytes, holds the beginning, or a hash line, even where no byte of it has come.
    #[must_use]
    pub fn mid_line(&self, buf: &[u8]) -> bool {
        match self.phase {
            Phase::Head => !buf.is_empty(),
            Phase::HashLine | Phase::Skipping(Owed { payload: 0, .. }) => true,
            Phase::Payload(_) | Phase::Skipping(_) | Phase::Closed => false,
        }
    }

    /// Whether the client is inside a message, `buf` being the undecoded bytes.
    #[must_use]
    pub fn mid_message(&self, buf: &[u8]) -> bool {
        match self.phase {
            Phase::Head => !buf.is_empty(),
            Phase::Payload(_) | Phase::HashLine | Phase::Skipping(_) => true,
            Phase::Closed => false,
        }
    }

    /// From here on the rest of the current deposit, payload and hash line, is dropped as it comes,
    /// without a word; then the next header is read. Outside a deposit it does nothing.
    ///
    /// A hash line that is none breaks the form there too, and is told as a
    /// [`BadHead`](Incoming::BadHead) that closes.
    pub fn skip(&mut self) {
        // Event::Skip has a place in every phase.
        if let Ok(phase) = self.phase.after(Event::Skip) {
            self.phase = phase;
        }
    }

    fn step(&mut self, event: Event) -> io::Result<()> {
        self.phase = self.phase.after(event).map_err(io::Error::other)?;
        Ok(())
    }

    fn head(&mut self, buf: &mut BytesMut) -> io::Result<Option<Incoming>> {
        let Some(&first) = buf.first() else {
            return Ok(None);
        };
        if !keys::is_key_byte(first) {
            return self.unreadable("a header begins with a key, which is a-z and _").map(Some);
        }
        let line = match take_line(buf) {
            Taken::Line(line) => line,
            Taken::Part => return Ok(None),
            Taken::TooLong => {
                return self.unreadable("a line has at most 4096 bytes, its LF included").map(Some);
            }
        };
        match Request::parse(&line) {
            Ok(request) => {
                self.step(match &request {
                    Request::Deposit(deposit) => Event::Deposit(deposit.owed()),
                    Request::End => Event::Last,
                    _ => Event::Request,
                })?;
                Ok(Some(Incoming::Request(request)))
            }
            Err(bad) => self.bad_head(bad).map(Some),
        }
    }

    fn unreadable(&mut self, message: &str) -> io::Result<Incoming> {
        self.bad_head(BadHead::unreadable(message))
    }

    fn bad_head(&mut self, bad: BadHead) -> io::Result<Incoming> {
        self.step(match bad.then {
            HeadFault::Stays => Event::Request,
            HeadFault::Closes => Event::Last,
            HeadFault::Payload { .. } => Event::Deposit(bad.then.owed()),
        })?;
        Ok(Incoming::BadHead(bad))
    }

    fn payload(&mut self, remaining: u64, buf: &mut BytesMut) -> io::Result<Option<Incoming>> {
        if remaining == 0 {
            self.step(Event::PayloadEnd)?;
            return Ok(Some(Incoming::PayloadEnd));
        }
        if buf.is_empty() {
            return Ok(None);
        }
        let chunk = take_up_to(buf, remaining).freeze();
        self.step(Event::Bytes(count(&chunk)))?;
        Ok(Some(Incoming::Payload(chunk)))
    }

    fn hash_line(&mut self, buf: &mut BytesMut) -> io::Result<Option<Incoming>> {
        match take_hash_line(buf) {
            HashLine::Part => Ok(None),
            HashLine::Whole(digest) => {
                self.step(Event::HashLine)?;
                Ok(Some(Incoming::HashLine(Ok(digest))))
            }
            HashLine::No => {
                self.step(Event::Last)?;
                Ok(Some(Incoming::HashLine(Err(Refusal::new(ErrorCode::HeaderInvalid, NO_HASH)))))
            }
        }
    }

    /// Drops what has come of the owed.
    fn drop_owed(&mut self, owed: Owed, buf: &mut BytesMut) -> io::Result<Option<Incoming>> {
        if owed.payload > 0 {
            let dropped = take_up_to(buf, owed.payload);
            self.step(Event::Bytes(count(&dropped)))?;
            return Ok(None);
        }
        match take_hash_line(buf) {
            HashLine::Part => Ok(None),
            HashLine::Whole(_) => self.step(Event::HashLine).map(|()| None),
            HashLine::No => {
                self.step(Event::Last)?;
                Ok(Some(Incoming::BadHead(BadHead::unreadable(NO_HASH))))
            }
        }
    }
}

const NO_HASH: &str = "the payload is followed by hash_arquivo: and 64 hex digits";

/// What the buffer holds of a hash line.
enum HashLine {
    Whole(Digest),
    Part,
    No,
}

/// Takes a hash line out of the buffer, or tells as soon as it can't be one.
fn take_hash_line(buf: &mut BytesMut) -> HashLine {
    let digits = keys::HASH_LINE_PREFIX.len();
    let end = digits.saturating_add(64);
    for (at, &byte) in buf.iter().enumerate().take(HASH_LINE_MAX) {
        match keys::HASH_LINE_PREFIX.get(at) {
            Some(&wanted) if byte == wanted => {}
            None if at < end && byte.is_ascii_hexdigit() => {}
            None if at == end && byte == b'\r' => {}
            // At the end, or behind the one byte that may stand there before it.
            None if at >= end && byte == b'\n' => {
                let line = buf.split_to(at);
                buf.advance(1);
                let digest = line.get(digits..end).and_then(Digest::parse_bytes);
                return digest.map_or(HashLine::No, HashLine::Whole);
            }
            _ => return HashLine::No,
        }
    }
    HashLine::Part
}

impl Decoder for ServerCodec {
    type Item = Incoming;
    type Error = io::Error;

    fn decode(&mut self, buf: &mut BytesMut) -> io::Result<Option<Incoming>> {
        loop {
            match self.phase {
                Phase::Head => return self.head(buf),
                Phase::Payload(owed) => return self.payload(owed.payload, buf),
                Phase::HashLine => return self.hash_line(buf),
                Phase::Skipping(owed) => {
                    let told = self.drop_owed(owed, buf)?;
                    if told.is_some() || self.phase == Phase::Skipping(owed) {
                        return Ok(told);
                    }
                }
                Phase::Closed => {
                    buf.clear();
                    return Ok(None);
                }
            }
        }
    }

    fn decode_eof(&mut self, buf: &mut BytesMut) -> io::Result<Option<Incoming>> {
        if let Some(incoming) = self.decode(buf)? {
            return Ok(Some(incoming));
        }
        let cut = match self.phase {
            Phase::Head => !buf.is_empty(),
            Phase::Payload(_) | Phase::HashLine => true,
            // What was skipped has had its answer.
            Phase::Skipping(_) | Phase::Closed => false,
        };
        self.step(Event::Last)?;
        buf.clear();
        Ok(cut.then_some(Incoming::Cut))
    }
}

impl Encoder<Answer> for ServerCodec {
    type Error = io::Error;

    fn encode(&mut self, answer: Answer, dst: &mut BytesMut) -> io::Result<()> {
        answer.encode(dst);
        Ok(())
    }
}

impl Encoder<&Answer> for ServerCodec {
    type Error = io::Error;

    fn encode(&mut self, answer: &Answer, dst: &mut BytesMut) -> io::Result<()> {
        answer.encode(dst);
        Ok(())
    }
}
