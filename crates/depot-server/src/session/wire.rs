//! A connection's bytes: read with a limit on every wait, written likewise, decoded by the
//! protocol's codec. Nothing is read before what was answered is sent.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use depot_protocol::{Answer, Digest, Incoming, Owed, Refusal, ServerCodec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{Decoder, Encoder};
use tokio_util::sync::CancellationToken;

use crate::buffers::{Buffers, LARGE, Lease, Lent, SMALL};
use crate::config::Limits;
use crate::deposit::{Interrupted, Payload};
use crate::seams::network::Stream;

/// The first read of a header: what an idle connection holds.
const HEAD: usize = 2048;
/// Answers are gathered up to this size before they are sent.
const GATHER: usize = 16 * 1024;
/// A read this small is a trickle: it needs no large buffer.
const TRICKLE: usize = 4 * 1024;

/// The connection is of no more use, and nobody is there to be told.
#[derive(Debug)]
pub(super) struct Broken;

/// What came of waiting for the next message.
#[derive(Debug)]
pub(super) enum Heard {
    /// Something of the protocol.
    Said(Incoming),
    /// The client has ended, between two messages.
    End,
    /// No request has begun for too long.
    Idle,
    /// A message began and did not go on.
    TimedOut,
    /// The server stops.
    Stopping,
}

/// A connection.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    codec: ServerCodec,
    inbox: BytesMut,
    outbox: BytesMut,
    limits: Arc<Limits>,
    stopped: CancellationToken,
    /// The client has closed its sending side.
    ended: bool,
    /// When the line that is being waited for must have ended.
    line_due: Option<Instant>,
    stall: Stall,
    buffers: Buffers,
    lease: Option<Lease>,
    lent: Lent,
}

/// Watches that a payload brings its least in every window in which the server was reading.
#[derive(Debug, Default)]
struct Stall {
    due: Option<Instant>,
    brought: u64,
    /// Since when the server has not been reading.
    paused: Option<Instant>,
}

impl Wire {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        limits: Arc<Limits>,
        buffers: Buffers,
        stopped: CancellationToken,
    ) -> Self {
        Wire {
            stream,
            codec: ServerCodec::new(),
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            limits,
            stopped,
            ended: false,
            line_due: None,
            stall: Stall::default(),
            buffers,
            lease: None,
            lent: Lent::default(),
        }
    }

    /// The next message. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Heard, Broken> {
        let mut idle_due = None;
        loop {
            if let Some(incoming) = self.decode()? {
                return Ok(Heard::Said(incoming));
            }
            if self.ended {
                return Ok(Heard::End);
            }
            self.flush().await?;
            let skipping = self.codec.owed() != Owed::NOTHING;
            let due = match (self.line_due(), skipping) {
                (Some(due), _) => due,
                (None, true) => self.stall.due(&self.limits),
                (None, false) => *idle_due.get_or_insert(Instant::now() + self.limits.idle),
            };
            match timeout_at(due, self.read()).await {
                Ok(read) => {
                    let read = read?;
                    if skipping {
                        self.stall.bring(read, &self.limits);
                    }
                }
                // It has had its answer already.
                Err(_late) if skipping => return Err(Broken),
                Err(_late) if self.line_due.is_some() => return Ok(Heard::TimedOut),
                Err(_late) => return Ok(Heard::Idle),
            }
        }
    }

    /// What is still to come of the current deposit.
    pub(super) fn owed(&self) -> Owed {
        self.codec.owed()
    }

    /// Drops the rest of the current deposit as it comes.
    pub(super) fn skip(&mut self) {
        self.stall = Stall::default();
        self.codec.skip();
    }

    /// A payload begins.
    pub(super) fn begin_transfer(&mut self) {
        self.stall = Stall::default();
    }

    /// The payload is over: what was taken for it is given back.
    pub(super) fn end_transfer(&mut self) {
        self.give_back();
    }

    /// An answer, to be sent with the next flush.
    pub(super) fn queue(&mut self, answer: &Answer) {
        // Encoding an answer into memory has no way to fail.
        drop(self.codec.encode(answer, &mut self.outbox));
    }

    pub(super) async fn flush_if_large(&mut self) -> Result<(), Broken> {
        if self.outbox.len() > GATHER { self.flush().await } else { Ok(()) }
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        while !self.outbox.is_empty() {
            // Straight from the outbox: cancelled, what is unsent is still there, in its order.
            let write = self.stream.write_buf(&mut self.outbox);
            taken(timeout(self.limits.write_stall, write).await)?;
        }
        if self.outbox.capacity() > TRICKLE {
            self.outbox = BytesMut::new();
        }
        Ok(())
    }

    /// Sends a piece of a file, behind what is queued.
    pub(super) async fn send(&mut self, mut piece: Bytes) -> Result<(), Broken> {
        if piece.len() <= TRICKLE {
            self.outbox.extend_from_slice(&piece);
            return self.flush_if_large().await;
        }
        self.flush().await?;
        while piece.has_remaining() {
            let write = self.stream.write_buf(&mut piece);
            taken(timeout(self.limits.write_stall, write).await)?;
        }
        Ok(())
    }

    /// Sends what is queued and closes in a way that it arrives: shuts the sending side, reads on
    /// until the client ends, for a while.
    pub(super) async fn close(mut self) {
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() || self.ended {
            return;
        }
        let mut drained = self.inbox.len() as u64;
        self.inbox = BytesMut::new();
        let drain = async {
            while drained < self.limits.drain_size {
                self.inbox.clear();
                self.inbox.reserve(SMALL);
                match self.stream.read_buf(&mut self.inbox).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => drained += read as u64,
                }
            }
        };
        if timeout(self.limits.drain_time, drain).await.is_err() {
            tracing::debug!("the client did not end");
        }
    }

    fn decode(&mut self) -> Result<Option<Incoming>, Broken> {
        let decoded = match self.ended {
            false => self.codec.decode(&mut self.inbox),
            true => self.codec.decode_eof(&mut self.inbox),
        };
        match decoded {
            Ok(Some(incoming)) => {
                self.line_due = None;
                Ok(Some(incoming))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                tracing::error!(%error, "the conversation is out of step");
                Err(Broken)
            }
        }
    }

    /// Until when the line that has begun must end: counted from its first byte, or, for a hash
    /// line, from the last byte before it.
    fn line_due(&mut self) -> Option<Instant> {
        if !self.codec.mid_line(&self.inbox) {
            self.line_due = None;
            return None;
        }
        Some(*self.line_due.get_or_insert_with(|| Instant::now() + self.limits.header))
    }

    /// Reads what there is.
    async fn read(&mut self) -> Result<usize, Broken> {
        let payload = self.codec.owed().payload;
        self.make_room(payload);
        let room = self.inbox.capacity() - self.inbox.len();
        match self.stream.read_buf(&mut self.inbox).await {
            Ok(0) => {
                self.ended = true;
                Ok(0)
            }
            Ok(read) => {
                if read < TRICKLE {
                    self.give_back();
                } else if read == room && payload > SMALL as u64 && self.lease.is_none() {
                    self.lease = self.buffers.try_lease();
                }
                Ok(read)
            }
            Err(error) => {
                tracing::debug!(%error, "cannot read from the client");
                Err(Broken)
            }
        }
    }

    /// Room for the next read: little for a header, as much as there is memory for a payload.
    fn make_room(&mut self, payload: u64) {
        let room = self.inbox.capacity() - self.inbox.len();
        if payload == 0 {
            self.give_back();
        }
        let (least, piece) = match (payload, &self.lease) {
            (0, _) => (1, HEAD),
            (_, None) => (TRICKLE, SMALL),
            (_, Some(_)) => (SMALL, LARGE),
        };
        if self.inbox.is_empty() && room > 2 * piece {
            self.inbox = BytesMut::with_capacity(piece); // a large one goes back with its lease
        } else if room < least && !self.inbox.try_reclaim(piece) {
            match self.inbox.is_empty() && self.lease.is_some() {
                true => self.lent.exchange(&mut self.inbox, piece),
                false => self.inbox.reserve(piece),
            }
        }
    }

    fn give_back(&mut self) {
        self.lease = None;
        self.lent.clear();
    }

    /// Waits for the next part of a deposit that is being received.
    async fn next_part(&mut self) -> Result<Incoming, Interrupted> {
        loop {
            if let Some(incoming) = self.decode().map_err(|_| Interrupted::Broken)? {
                return Ok(incoming);
            }
            if self.ended {
                return Err(Interrupted::Incomplete);
            }
            self.flush().await.map_err(|_| Interrupted::Broken)?;
            let due = match self.line_due() {
                Some(due) => due,
                None => self.stall.due(&self.limits),
            };
            let stopped = self.stopped.clone();
            tokio::select! {
                () = stopped.cancelled() => return Err(Interrupted::Stopping),
                read = timeout_at(due, self.read()) => match read {
                    Ok(read) => {
                        let read = read.map_err(|_| Interrupted::Broken)?;
                        self.stall.bring(read, &self.limits);
                    }
                    Err(_late) => return Err(Interrupted::TimedOut),
                },
            }
        }
    }
}

/// What came of a write: some bytes were taken, or the connection is of no more use.
fn taken(
    written: Result<std::io::Result<usize>, tokio::time::error::Elapsed>,
) -> Result<(), Broken> {
    match written {
        Ok(Ok(1..)) => Ok(()),
        Ok(Ok(0)) => Err(Broken),
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot write to the client");
            Err(Broken)
        }
        Err(_late) => {
            tracing::info!("a client took nothing of its answer for too long");
            Err(Broken)
        }
    }
}

impl Payload for Wire {
    async fn next(&mut self) -> Result<Option<Bytes>, Interrupted> {
        self.stall.resume();
        match self.next_part().await? {
            Incoming::Payload(piece) => {
                self.stall.pause();
                Ok(Some(piece))
            }
            Incoming::PayloadEnd => Ok(None),
            Incoming::Cut => Err(Interrupted::Incomplete),
            other => {
                tracing::error!(?other, "a payload was interrupted by what cannot come in it");
                Err(Interrupted::Broken)
            }
        }
    }

    async fn hash_line(&mut self) -> Result<Result<Digest, Refusal>, Interrupted> {
        match self.next_part().await? {
            Incoming::HashLine(digest) => Ok(digest),
            Incoming::Cut => Err(Interrupted::Incomplete),
            other => {
                tracing::error!(?other, "something came where a hash line had to");
                Err(Interrupted::Broken)
            }
        }
    }
}

impl Stall {
    fn due(&mut self, limits: &Limits) -> Instant {
        *self.due.get_or_insert_with(|| Instant::now() + limits.payload_stall)
    }

    fn bring(&mut self, bytes: usize, limits: &Limits) {
        self.brought += bytes as u64;
        if self.brought >= limits.payload_min {
            *self = Stall { due: Some(Instant::now() + limits.payload_stall), ..Stall::default() };
        }
    }

    fn pause(&mut self) {
        self.paused = Some(Instant::now());
    }

    fn resume(&mut self) {
        if let (Some(paused), Some(due)) = (self.paused.take(), &mut self.due) {
            *due += paused.elapsed();
        }
    }
}
