//! Frames: a head of four bytes, then as many bytes of body as the head says, at most
//! [`FRAME_MAX`].
//!
//! ```text
//! head = u32, little-endian: the body's length; its highest bit set: the body is a refusal (text)
//! ```
//!
//! A frame goes out in one write. One that comes in is handed out where it lies in the read buffer;
//! memory for it is taken as its bytes arrive, never because a head announces them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::buffers::Lent;
use crate::seams::network::Stream;

/// The longest body of a frame: a piece of 4 MiB and what is said about it.
pub const FRAME_MAX: usize = (4 << 20) + (64 << 10);

/// The bytes of a head.
const HEAD: usize = 4;
/// Set in a head: what follows is why the other end refuses.
const REFUSAL: u32 = 1 << 31;
/// The longest text of a refusal.
const REFUSAL_MAX: usize = 512;
/// A read of which nothing is known takes this much, and so much memory holds an idle connection.
const READ: usize = 4 << 10;
/// How much memory is taken at once for the body of a frame (a transfer's piece and what goes with
/// it); more, when as much has arrived.
const GROW: usize = (256 + 16) << 10;
/// Parts up to this size are copied together to be sent; longer ones are sent where they lie.
const GATHER: usize = 8 << 10;

/// What came in.
#[derive(Debug)]
pub(super) enum Frame {
    /// What the other end says.
    Said(Bytes),
    /// Why it takes no question now; it has given none to any service.
    Refused(String),
}

/// A connection that speaks in frames.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    inbox: BytesMut,
    lent: Lent,
    /// A frame was begun to be sent and not finished: nothing can follow it.
    cut: bool,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Wire { stream, inbox: BytesMut::new(), lent: Lent::default(), cut: false }
    }

    /// Sends the parts as one frame. Where nothing of it is taken for `stall`: `TimedOut`. Dropped
    /// or failed in the middle, it leaves a connection on which nothing more is sent.
    pub(super) async fn send(&mut self, parts: &[&[u8]], stall: Duration) -> io::Result<()> {
        self.write(0, parts, stall).await
    }

    /// Says why no question is taken.
    pub(super) async fn refuse(&mut self, why: &str, stall: Duration) -> io::Result<()> {
        let end = why.floor_char_boundary(REFUSAL_MAX);
        self.write(REFUSAL, &[&why.as_bytes()[..end]], stall).await
    }

    async fn write(&mut self, kind: u32, parts: &[&[u8]], stall: Duration) -> io::Result<()> {
        if self.cut {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "an earlier frame was cut"));
        }
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if length > FRAME_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "longer than any frame"));
        }
        let head = (length as u32 | kind).to_le_bytes();
        let frame = [&[&head[..]], parts].concat();
        self.cut = true;
        if length <= GATHER {
            self.write_all(&mut [IoSlice::new(&frame.concat())], stall).await?;
        } else {
            let mut slices: Vec<_> = frame.into_iter().map(IoSlice::new).collect();
            self.write_all(&mut slices, stall).await?;
        }
        self.cut = false;
        Ok(())
    }

    async fn write_all(
        &mut self,
        mut slices: &mut [IoSlice<'_>],
        stall: Duration,
    ) -> io::Result<()> {
        // Empty parts at the front would be taken for a write that took nothing.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let taken = timeout(stall, self.stream.write_vectored(slices)).await??;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut slices, taken);
        }
        timeout(stall, self.stream.flush()).await?
    }

    /// The next frame, of at most `most` bytes. Cancelling loses nothing.
    ///
    /// # Errors
    /// `UnexpectedEof` where the other end is gone, `InvalidData` where it announces too much.
    pub(super) async fn receive(&mut self, most: usize) -> io::Result<Frame> {
        loop {
            let missing = match self.head(most)? {
                None => HEAD - self.inbox.len(),
                Some((kind, length)) if self.inbox.len() >= HEAD + length => {
                    self.inbox.advance(HEAD);
                    let body = self.inbox.split_to(length).freeze();
                    return Ok(match kind {
                        Kind::Said => Frame::Said(body),
                        Kind::Refused => {
                            Frame::Refused(String::from_utf8_lossy(&body).into_owned())
                        }
                    });
                }
                Some((_, length)) => HEAD + length - self.inbox.len(),
            };
            self.read(missing).await?;
        }
    }

    /// Waits until something of the next frame is there.
    pub(super) async fn begun(&mut self) -> io::Result<()> {
        if self.inbox.is_empty() { self.read(HEAD).await } else { Ok(()) }
    }

    /// What the head says, where it is there.
    fn head(&self, most: usize) -> io::Result<Option<(Kind, usize)>> {
        let Some(head) = self.inbox.first_chunk::<HEAD>() else { return Ok(None) };
        let head = u32::from_le_bytes(*head);
        let (kind, most) = match head & REFUSAL {
            0 => (Kind::Said, most.min(FRAME_MAX)),
            _ => (Kind::Refused, most.min(REFUSAL_MAX)),
        };
        let length = (head & !REFUSAL) as usize;
        if length > most {
            let message = format!("a frame of {length} bytes, where {most} are the most");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Some((kind, length)))
    }

    /// Reads what there is of `missing` bytes, and perhaps a little more.
    async fn read(&mut self, missing: usize) -> io::Result<()> {
        // No more than has arrived already: an announced length alone takes no memory. And little of
        // the next frame, which would have to be moved to where there is room for all of it.
        let most = (missing + HEAD).clamp(READ, GROW.max(self.inbox.len()));
        if self.inbox.capacity() - self.inbox.len() < missing.min(READ) {
            self.make_room(most);
        }
        match self.stream.read_buf(&mut (&mut self.inbox).limit(most)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Room for so many more bytes.
    fn make_room(&mut self, room: usize) {
        let begins = self.inbox.len() <= READ;
        if room > READ && begins && !self.inbox.try_reclaim(room) {
            self.lent.exchange(&mut self.inbox, room);
        } else {
            self.inbox.reserve(room);
        }
    }

    /// Whether a conversation can begin: the last frame went out whole, nothing has come that
    /// nobody asked for, and the other end is not known to be gone.
    pub(super) fn is_fresh(&mut self) -> bool {
        if self.cut || !self.inbox.is_empty() {
            return false;
        }
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(&mut context, &mut buf).is_pending()
    }

    /// Whether a frame was begun to be sent and not finished.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Gives back the memory of large frames, between two conversations.
    pub(super) fn shrink(&mut self) {
        if self.inbox.is_empty() {
            self.inbox = BytesMut::new();
            self.lent.clear();
        }
    }
}

enum Kind {
    Said,
    Refused,
}

#[cfg(test)]
mod tests;
