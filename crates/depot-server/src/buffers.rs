//! The memory that transfers may use: one pool, bounded by configuration.
//!
//! A transfer that moves bytes in bulk takes a [`Lease`] and reads and writes in large pieces;
//! where the pool is used up it goes on in small ones, slower, and waits for nobody. So memory is
//! bounded by `[deposit] memory`, plus at most 192 KiB for a transfer without a lease and a few
//! KiB for a connection without a transfer. A deposit with replicas keeps at most 640 KiB more for
//! its lanes, and each lane the piece that it sends. A page of a list has a small pool of its
//! own, and so have large payloads on their way past the page cache (8 MiB). Large buffers are used
//! again within a transfer ([`Lent`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What one transfer holds at most under a lease, in bytes.
pub const LEASE: u64 = 2 * 1024 * 1024;
/// The size of a piece under a lease; at most [`IN_FLIGHT`] of them are under way.
pub const LARGE: usize = 256 * 1024;
/// The size of a piece without one.
pub const SMALL: usize = 16 * 1024;
/// How many pieces of one transfer wait for the disk; as many may be with it, one is being read.
pub const IN_FLIGHT: usize = 3;
/// How many buffers a transfer lends: as many as it has pieces under way.
const LENT_MAX: usize = 2 * IN_FLIGHT + 1;
/// How many pages of lists are made and sent at once; each may be 2 MiB.
const PAGES: usize = 8;
/// How long a list waits for its turn.
const PAGE_PATIENCE: Duration = Duration::from_secs(10);

/// How many pieces of a transfer between servers wait for the disk.
pub fn pieces(lease: &Option<Lease>) -> usize {
    if lease.is_some() { IN_FLIGHT } else { 1 }
}

/// The pool.
#[derive(Debug, Clone)]
pub struct Buffers {
    leases: Arc<Semaphore>,
    pages: Arc<Semaphore>,
}

/// The large buffers of one transfer or connection whose bytes others still have (the disk, the
/// hash, a socket), to be used again after that: to ask for new ones costs the kernel a page fault
/// for each 4 KiB.
#[derive(Debug, Default)]
pub struct Lent(Vec<BytesMut>);

/// The right to use [`LEASE`] bytes until it is dropped.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Buffers {
    /// A pool of `memory` bytes, at least one lease.
    pub fn new(memory: u64) -> Self {
        let leases = usize::try_from(memory / LEASE).unwrap_or(usize::MAX);
        let leases = leases.clamp(1, Semaphore::MAX_PERMITS);
        Buffers { leases: Arc::new(Semaphore::new(leases)), pages: Arc::new(Semaphore::new(PAGES)) }
    }

    /// A lease, if there is one now.
    pub fn try_lease(&self) -> Option<Lease> {
        // Only an empty pool refuses: it is never closed.
        Arc::clone(&self.leases).try_acquire_owned().map(Lease).ok()
    }

    /// The right to hold a page of a list, first come, first served; `None` where others keep it
    /// for too long.
    pub async fn page(&self) -> Option<Lease> {
        let page = timeout(PAGE_PATIENCE, Arc::clone(&self.pages).acquire_owned()).await;
        page.map(|page| Lease(page.expect("the pool is never closed"))).ok()
    }
}

impl Lent {
    /// An empty buffer with room for this many bytes: one that has come back, or a new one.
    pub fn take(&mut self, room: usize) -> BytesMut {
        let back = self.0.iter_mut().position(|buffer| buffer.try_reclaim(room));
        back.map(|at| self.0.swap_remove(at)).unwrap_or_else(|| BytesMut::with_capacity(room))
    }

    /// Lends a buffer to those who have its bytes. What is unread in it is dropped.
    pub fn keep(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        if self.0.len() == LENT_MAX {
            self.0.remove(0);
        }
        self.0.push(buffer);
    }

    /// Lends the buffer that is being read, and goes on with another one, with its unread bytes
    /// and room for so many more.
    pub fn exchange(&mut self, buffer: &mut BytesMut, room: usize) {
        let mut next = self.take(buffer.len() + room);
        next.extend_from_slice(buffer);
        self.keep(std::mem::replace(buffer, next));
    }

    /// Forgets them: their memory goes when those who have it drop it.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Fills a buffer of `lent` and lends it to whoever has the bytes.
    fn piece(lent: &mut Lent, with: u8) -> Bytes {
        let mut buffer = lent.take(LARGE);
        buffer.resize(LARGE, with);
        let piece = buffer.split().freeze();
        lent.keep(buffer);
        piece
    }

    #[test]
    fn a_buffer_is_used_again_when_nobody_has_its_bytes_and_not_before() {
        let mut lent = Lent::default();
        let (first, second) = (piece(&mut lent, 1), piece(&mut lent, 2));
        assert!(first.iter().all(|byte| *byte == 1), "the first piece is still somebody's");
        let was = first.as_ptr();
        let part = first.slice(LARGE - 1..);
        drop(first);
        assert_ne!(piece(&mut lent, 3).as_ptr(), was, "a part of it is still somebody's");
        assert_eq!(part, [1][..]);
        drop(part);
        let third = [piece(&mut lent, 4), piece(&mut lent, 5)];
        assert!(third.iter().any(|piece| piece.as_ptr() == was));
        assert!(second.iter().all(|byte| *byte == 2));
    }

    #[test]
    fn what_is_unread_goes_along_into_the_next_buffer() {
        let mut lent = Lent::default();
        let mut buffer = lent.take(LARGE);
        buffer.resize(LARGE, 1);
        let piece = buffer.split_to(LARGE - 3).freeze();
        lent.exchange(&mut buffer, LARGE);
        assert_eq!(buffer, [1, 1, 1][..]);
        assert!(buffer.capacity() >= LARGE + 3);
        drop(buffer);
        let was = piece.as_ptr();
        drop(piece);
        assert_eq!(lent.take(LARGE).as_ptr(), was);
    }

    #[test]
    fn no_more_buffers_are_kept_than_a_transfer_has_pieces() {
        let mut lent = Lent::default();
        let pieces: Vec<_> = (0..3 * LENT_MAX).map(|_| piece(&mut lent, 0)).collect();
        drop(pieces);
        assert_eq!(lent.0.len(), LENT_MAX);
    }
}
