//! The client's side: requests out, answers in.

use std::collections::VecDeque;
use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::{Taken, count, take_line, take_up_to};
use crate::answers::{Answer, AnswerHead, BadAnswer, Expecting, ListItem, ServerState};
use crate::limits::PIPELINE_MAX;
use crate::requests::Request;
use crate::types::{Digest, FileSize};

/// What a server sends, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A whole answer; of a recover only a refusal.
    Answer(Answer),
    /// A recover's header; the bytes from the offset asked for come next.
    RecoverHead {
        /// The whole file's size.
        size: FileSize,
        /// The whole file's hash, to be checked after the last byte.
        hash: Digest,
        /// Whether it is from what one server has, without a majority.
        local: bool,
    },
    /// Some of a file's bytes, never empty.
    Payload(Bytes),
    /// The file's bytes are complete, also where there were none.
    PayloadEnd,
}

/// Too many answers are outstanding: read some first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{PIPELINE_MAX} answers are outstanding; read some before asking more")]
pub struct PipelineFull;

/// Encodes requests, decodes answers.
///
/// It must be told of each request sent what to expect ([`ClientCodec::expect`], with
/// [`Request::expecting`]), since the answers do not say what they answer; the encoder does not
/// do that, because sending and receiving halves usually hold a codec each.
#[derive(Debug, Default)]
pub struct ClientCodec {
    expected: VecDeque<Expecting>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    List {
        left: usize,
        items: Vec<ListItem>,
        more: bool,
        local: bool,
    },
    Servers {
        left: usize,
        servers: Vec<ServerState>,
    },
    Payload {
        remaining: u64,
    },
}

impl ClientCodec {
    /// At the start of a connection.
    #[must_use]
    pub fn new() -> ClientCodec {
        ClientCodec::default()
    }

    /// Another request was sent, or is about to be; its answer comes after those expected so far.
    ///
    /// # Errors
    /// As many as can be remembered are outstanding.
    pub fn expect(&mut self, expecting: Expecting) -> Result<(), PipelineFull> {
        if self.expected.len() >= PIPELINE_MAX {
            return Err(PipelineFull);
        }
        self.expected.push_back(expecting);
        Ok(())
    }

    /// How many answers are expected that have not begun.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.expected.len()
    }

    /// Whether an answer has begun and is not complete, `buf` being the undecoded bytes.
    #[must_use]
    pub fn mid_answer(&self, buf: &[u8]) -> bool {
        !buf.is_empty() || !matches!(self.state, State::Head)
    }

    fn head(&mut self, line: &[u8]) -> Result<Option<Reply>, BadAnswer> {
        let expecting = self.expected.pop_front();
        let head = match expecting {
            Some(expecting) => AnswerHead::parse(line, expecting)?,
            None => AnswerHead::parse_unasked(line)?,
        };
        match (head, expecting) {
            (AnswerHead::Whole(answer), _) => Ok(Some(Reply::Answer(answer))),
            (
                AnswerHead::Recovering { size, hash, local },
                Some(Expecting::Recovering { offset }),
            ) => {
                self.state = State::Payload { remaining: size.get().saturating_sub(offset) };
                Ok(Some(Reply::RecoverHead { size, hash, local }))
            }
            (AnswerHead::List { items: left, more, local }, _) => {
                self.state = State::List { left, items: Vec::new(), more, local };
                Ok(None)
            }
            (AnswerHead::State { items: left }, _) => {
                self.state = State::Servers { left, servers: Vec::new() };
                Ok(None)
            }
            (AnswerHead::Recovering { .. }, expecting) => {
                Err(BadAnswer(format!("a file came, expected was {expecting:?}")))
            }
        }
    }

    /// A line of the answer that has begun.
    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, BadAnswer> {
        match &mut self.state {
            State::List { left, items, .. } => {
                let item = ListItem::parse(line)?;
                if items.last().is_some_and(|before| before.name >= item.name) {
                    return Err(BadAnswer("the names are not in their order".to_owned()));
                }
                items.push(item);
                *left = left.saturating_sub(1);
                Ok(None)
            }
            State::Servers { left, servers } => {
                servers.push(ServerState::parse(line)?);
                *left = left.saturating_sub(1);
                Ok(None)
            }
            State::Head | State::Payload { .. } => self.head(line),
        }
    }

    /// The answer of many lines, if its last has come.
    fn complete(&mut self) -> Option<Reply> {
        let answer = match &mut self.state {
            State::List { left: 0, items, more, local } => {
                Answer::List { items: std::mem::take(items), more: *more, local: *local }
            }
            State::Servers { left: 0, servers } => {
                Answer::State { servers: std::mem::take(servers) }
            }
            State::Payload { remaining: 0 } => {
                self.state = State::Head;
                return Some(Reply::PayloadEnd);
            }
            _ => return None,
        };
        self.state = State::Head;
        Some(Reply::Answer(answer))
    }
}

fn invalid(bad: BadAnswer) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, bad)
}

impl Decoder for ClientCodec {
    type Item = Reply;
    type Error = io::Error;

    /// # Errors
    /// `InvalidData` for what is no answer to what was asked; nothing sensible comes after that.
    fn decode(&mut self, buf: &mut BytesMut) -> io::Result<Option<Reply>> {
        loop {
            if let Some(reply) = self.complete() {
                return Ok(Some(reply));
            }
            if let State::Payload { remaining } = &mut self.state {
                if buf.is_empty() {
                    return Ok(None);
                }
                let chunk = take_up_to(buf, *remaining).freeze();
                *remaining = remaining.saturating_sub(count(&chunk));
                return Ok(Some(Reply::Payload(chunk)));
            }
            let told = match take_line(buf) {
                Taken::Line(line) => self.line(&line).map_err(invalid)?,
                Taken::Part => return Ok(None),
                Taken::TooLong => {
                    return Err(invalid(BadAnswer("a line of more than 4096 bytes".to_owned())));
                }
            };
            if told.is_some() {
                return Ok(told);
            }
        }
    }

    /// # Errors
    /// As `decode`; `UnexpectedEof` for an end inside an answer. An end between two answers is
    /// clean even where some are [outstanding](ClientCodec::outstanding).
    fn decode_eof(&mut self, buf: &mut BytesMut) -> io::Result<Option<Reply>> {
        match self.decode(buf)? {
            Some(reply) => Ok(Some(reply)),
            None if self.mid_answer(buf) => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Ok(None),
        }
    }
}

impl Encoder<Request> for ClientCodec {
    type Error = io::Error;

    fn encode(&mut self, request: Request, dst: &mut BytesMut) -> io::Result<()> {
        self.encode(&request, dst)
    }
}

impl Encoder<&Request> for ClientCodec {
    type Error = io::Error;

    fn encode(&mut self, request: &Request, dst: &mut BytesMut) -> io::Result<()> {
        dst.put_slice(request.render().as_bytes());
        dst.put_u8(b'\n');
        Ok(())
    }
}
