//! What the lanes of a deposit send: its payload, as it arrives.
//!
//! A lane that keeps up gets each piece in the memory that it came in. What is written and older
//! than a last piece is let go: a lane that lags, or begins late, reads it back from the staged
//! file. So no lane holds up another, and memory does not grow with the file. A small
//! payload is gathered whole instead: it goes out in one message, once its hash is right.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use depot_protocol::Digest;
use tokio::sync::watch;

use crate::buffers::{Buffers, LARGE, Lease};
use crate::seams::{Seams, blocking};
use crate::transfer::WHOLE_MAX;
use crate::volume::layout::CHUNK;
use crate::volume::{Blob, BlobError, StagedReader, Volume};

/// Of what is written already, so much stays for lanes that are only a little behind, and at most
/// one piece more.
const RECENT_BYTES: usize = LARGE / 2;
/// And no more pieces than that, however small.
const RECENT_PIECES: usize = 64;

/// A payload for lanes to send.
pub(super) struct Feed {
    size: u64,
    memory: Mutex<Memory>,
    back: Back,
    progress: watch::Sender<Progress>,
}

/// What is in memory of it.
enum Memory {
    /// All that has come of a small one.
    Whole(BytesMut),
    /// The last pieces.
    Recent(Recent),
}

/// Consecutive pieces.
struct Recent {
    pieces: VecDeque<Bytes>,
    /// The first one's place in the payload.
    from: u64,
    bytes: usize,
    /// Up to where the payload is written: what lies before can be read back.
    written: u64,
}

/// Where the rest of it is read back from.
#[derive(Clone)]
enum Back {
    /// A small one: all of it is in memory.
    Nowhere,
    Staged(StagedReader),
    /// It was deposited before, and lies in the volume.
    Sealed(Arc<Volume>, Digest),
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    arrived: u64,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More comes, or its hash is not known yet.
    Open,
    /// It is whole, and this is its hash.
    Right(Digest),
    /// Nobody is to have it.
    GivenUp,
}

impl Feed {
    /// A payload of `size` bytes that arrives. `held` of them lie in the staged file already.
    pub(super) fn arriving(size: u64, held: u64, back: Option<StagedReader>) -> Self {
        let (memory, back) = match back {
            None => (Memory::Whole(BytesMut::new()), Back::Nowhere),
            Some(reader) => {
                let recent =
                    Recent { pieces: VecDeque::new(), from: held, bytes: 0, written: held };
                (Memory::Recent(recent), Back::Staged(reader))
            }
        };
        Feed::new(size, memory, back, Progress { arrived: held, end: End::Open })
    }

    /// Whether a payload, of which so much is held, is gathered whole; then it needs no reader.
    pub(super) fn gathers(size: u64, held: u64) -> bool {
        size <= WHOLE_MAX && held == 0
    }

    /// A payload that lies in the volume.
    pub(super) fn sealed(volume: Arc<Volume>, digest: Digest, size: u64) -> Self {
        let recent = Recent { pieces: VecDeque::new(), from: size, bytes: 0, written: size };
        let progress = Progress { arrived: size, end: End::Right(digest) };
        Feed::new(size, Memory::Recent(recent), Back::Sealed(volume, digest), progress)
    }

    fn new(size: u64, memory: Memory, back: Back, progress: Progress) -> Self {
        Feed { size, memory: Mutex::new(memory), back, progress: watch::Sender::new(progress) }
    }

    /// The size of the whole payload.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How much of it has arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.progress.borrow().arrived
    }

    /// A piece has arrived.
    pub(super) fn push(&self, piece: &Bytes) {
        match &mut *lock(&self.memory) {
            Memory::Whole(whole) => whole.extend_from_slice(piece),
            Memory::Recent(recent) => recent.push(piece.clone()),
        }
        self.progress.send_modify(|progress| progress.arrived += piece.len() as u64);
    }

    /// The payload is written up to here.
    pub(super) fn written(&self, upto: u64) {
        if let Memory::Recent(recent) = &mut *lock(&self.memory) {
            recent.written = upto;
            recent.let_go();
        }
    }

    /// All of it has arrived, and this is its hash.
    pub(super) fn right(&self, digest: Digest) {
        self.end(End::Right(digest));
    }

    /// It did not come whole, has another hash, or is not to be listed: peers keep nothing of it.
    pub(super) fn give_up(&self) {
        self.end(End::GivenUp);
    }

    fn end(&self, end: End) {
        self.progress.send_if_modified(|progress| {
            let changes = progress.end != End::GivenUp;
            progress.end = if changes { end } else { progress.end };
            changes
        });
    }

    /// Its hash, where it is known that it is here whole.
    pub(super) fn hash(&self) -> Option<Digest> {
        match self.progress.borrow().end {
            End::Right(digest) => Some(digest),
            End::Open | End::GivenUp => None,
        }
    }

    /// Waits until it is here whole, which tells its hash; `None` when it is given up.
    pub(super) async fn whole(&self) -> Option<Digest> {
        let mut progress = self.progress.subscribe();
        let ended = progress.wait_for(|progress| progress.end != End::Open).await;
        match ended.expect("the sender is this feed's").end {
            End::Right(digest) => Some(digest),
            End::Open | End::GivenUp => None,
        }
    }

    /// Waits until it is given up.
    pub(super) async fn given_up(&self) {
        let mut progress = self.progress.subscribe();
        let ended = progress.wait_for(|progress| progress.end == End::GivenUp).await;
        drop(ended.expect("the sender is this feed's"));
    }

    /// The copy in the volume that it is read back from, if it is.
    pub(super) fn copy(&self) -> Option<Digest> {
        match &self.back {
            Back::Sealed(_, digest) => Some(*digest),
            Back::Nowhere | Back::Staged(_) => None,
        }
    }

    /// Whether it is gathered whole.
    pub(super) fn is_gathered(&self) -> bool {
        matches!(self.back, Back::Nowhere)
    }

    /// What there is of a payload that is gathered.
    pub(super) fn gathered(&self) -> Bytes {
        match &*lock(&self.memory) {
            Memory::Whole(whole) => Bytes::copy_from_slice(whole),
            Memory::Recent(_) => Bytes::new(),
        }
    }

    /// Reads it from its first byte on.
    pub(super) fn cursor(self: &Arc<Self>, seams: &Seams, buffers: &Buffers) -> Cursor {
        Cursor {
            progress: self.progress.subscribe(),
            feed: Arc::clone(self),
            at: 0,
            seams: seams.clone(),
            buffers: buffers.clone(),
            blob: None,
            lease: None,
        }
    }
}

impl Recent {
    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
        self.let_go();
    }

    /// Lets go of what is written and older than the last ones.
    fn let_go(&mut self) {
        while let Some(oldest) = self.pieces.front() {
            let (length, end) = (oldest.len(), self.from + oldest.len() as u64);
            let enough = self.bytes - length >= RECENT_BYTES || self.pieces.len() > RECENT_PIECES;
            if end > self.written || !enough {
                return;
            }
            (self.from, self.bytes) = (end, self.bytes - length);
            self.pieces.pop_front();
        }
    }

    /// The bytes at this place, as far as one piece has them.
    fn get(&self, at: u64, most: usize) -> Option<Bytes> {
        let mut skip = usize::try_from(at.checked_sub(self.from)?).ok()?;
        for piece in &self.pieces {
            if let Some(rest) = piece.len().checked_sub(skip).filter(|rest| *rest > 0) {
                return Some(piece.slice(skip..skip + rest.min(most)));
            }
            skip -= piece.len();
        }
        None
    }
}

/// One lane's place in a feed.
pub(super) struct Cursor {
    feed: Arc<Feed>,
    at: u64,
    progress: watch::Receiver<Progress>,
    seams: Seams,
    buffers: Buffers,
    /// Open while this lane reads back from the volume.
    blob: Option<Blob>,
    /// Held while this lane reads back.
    lease: Option<Lease>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Piece(Bytes),
    /// It has had all of it; this is the hash.
    End(Digest),
    GivenUp,
}

/// The payload can't be read back here.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotRead {
    #[error("a staged payload cannot be read back")]
    Staged(#[source] io::Error),
    #[error(transparent)]
    Sealed(#[from] BlobError),
    #[error("a copy is gone from the volume")]
    Gone,
    #[error(transparent)]
    Lost(#[from] blocking::Lost),
}

impl CannotRead {
    /// Whether it speaks against a copy in the volume.
    pub(super) fn condemns(&self) -> bool {
        match self {
            CannotRead::Sealed(error) => error.condemns(),
            CannotRead::Gone => true,
            CannotRead::Staged(_) | CannotRead::Lost(_) => false,
        }
    }
}

impl Cursor {
    /// The next piece, of at most `most` bytes; waits for it to arrive. Cancelling loses nothing
    /// but what was being read back.
    pub(super) async fn next(&mut self, most: usize) -> Result<Next, CannotRead> {
        loop {
            let Progress { arrived, end } = *self.progress.borrow_and_update();
            match end {
                End::GivenUp => return Ok(Next::GivenUp),
                End::Right(digest) if self.at == arrived => return Ok(Next::End(digest)),
                _ if self.at < arrived => {
                    let piece = self.piece(most).await?;
                    self.at += piece.len() as u64;
                    return Ok(Next::Piece(piece));
                }
                End::Right(_) | End::Open => {
                    drop(self.progress.changed().await); // the sender is the feed's
                }
            }
        }
    }

    async fn piece(&mut self, most: usize) -> Result<Bytes, CannotRead> {
        let recent = match &*lock(&self.feed.memory) {
            Memory::Whole(whole) => whole.get(self.at as usize..).map(Bytes::copy_from_slice),
            Memory::Recent(recent) => recent.get(self.at, most),
        };
        if let Some(piece) = recent {
            (self.lease, self.blob) = (None, None);
            return Ok(piece);
        }
        self.lease = self.lease.take().or_else(|| self.buffers.try_lease());
        let most = most.min(if self.lease.is_some() { LARGE } else { CHUNK as usize });
        let (at, size, back) = (self.at, self.feed.size, self.feed.back.clone());
        let blob = self.blob.take();
        let read = move || match back {
            Back::Nowhere => Err(CannotRead::Gone),
            Back::Staged(reader) => Ok((reader.read(at, most).map_err(CannotRead::Staged)?, None)),
            Back::Sealed(volume, digest) => {
                let opened = match blob {
                    Some(blob) => Some(blob),
                    None => volume.open_blob(&digest, size)?,
                };
                let mut blob = opened.ok_or(CannotRead::Gone)?;
                let piece = blob.read(at, most)?;
                let longest = piece.len().min(most);
                Ok((piece.slice(..longest), Some(blob)))
            }
        };
        let (piece, blob) = blocking::run(&self.seams.blocking, read).await??;
        self.blob = blob;
        if piece.is_empty() { Err(CannotRead::Gone) } else { Ok(piece) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what a test cannot set up fails it")]
mod tests;
