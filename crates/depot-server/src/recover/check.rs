//! The last doubt about a stream that comes from other servers: each of them has verified what it
//! sent, by its own account. So one that begins at byte 0 is hashed on the way, and its last 64 KiB
//! are withheld until the hash is right: a client never gets as many bytes as were announced of
//! anything but the file.

use std::collections::VecDeque;

use bytes::Bytes;
use depot_protocol::Digest;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use crate::seams::{Seams, blocking};

/// So many bytes at the end are withheld.
const WITHHELD: u64 = 64 * 1024;

/// A stream being checked.
pub(super) struct Check {
    seams: Seams,
    hashing: Hashing,
    /// Where the withheld bytes begin.
    open_until: u64,
    at: u64,
    withheld: VecDeque<Bytes>,
}

/// The hash of what has come so far, or the job that makes it.
enum Hashing {
    Done(Sha256),
    Running(oneshot::Receiver<Sha256>),
}

impl Check {
    /// A stream of `size` bytes that begins at its first.
    pub(super) fn new(seams: Seams, size: u64) -> Self {
        Check {
            seams,
            hashing: Hashing::Done(Sha256::new()),
            open_until: size.saturating_sub(WITHHELD),
            at: 0,
            withheld: VecDeque::new(),
        }
    }

    /// The next piece; returns what of it can be sent on now. It is hashed meanwhile.
    pub(super) async fn pass(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, blocking::Lost> {
        let hash = self.hash().await?;
        let hashed = piece.clone();
        let update = move || hash.chain_update(&hashed);
        self.hashing = Hashing::Running(blocking::start(&self.seams.blocking, update));
        let open = self.open_until.saturating_sub(self.at).min(piece.len() as u64);
        self.at += piece.len() as u64;
        let open = piece.split_to(open as usize);
        if !piece.is_empty() {
            self.withheld.push_back(piece);
        }
        Ok((!open.is_empty()).then_some(open))
    }

    /// All of it has come: what was withheld, if it has this hash.
    pub(super) async fn end(
        mut self,
        digest: &Digest,
    ) -> Result<Option<VecDeque<Bytes>>, blocking::Lost> {
        let hash = Digest::from_bytes(self.hash().await?.finalize().into());
        Ok((hash == *digest).then_some(self.withheld))
    }

    async fn hash(&mut self) -> Result<Sha256, blocking::Lost> {
        match &mut self.hashing {
            Hashing::Done(hash) => Ok(hash.clone()),
            Hashing::Running(job) => job.await.map_err(|_| blocking::Lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs pieces of these sizes through a check; what was open before the end, and what after.
    async fn run(content: &[u8], sizes: &[usize], digest: &Digest) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut check = Check::new(Seams::system(), content.len() as u64);
        let (mut open, mut rest) = (Vec::new(), content);
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*size).min(rest.len()));
            rest = later;
            let passed = check.pass(Bytes::copy_from_slice(piece)).await.expect("it runs");
            open.extend_from_slice(&passed.unwrap_or_default());
        }
        let end = check.end(digest).await.expect("it runs");
        (open, end.map(|pieces| pieces.into_iter().flatten().collect()))
    }

    #[tokio::test]
    async fn the_last_64_kib_come_only_with_the_right_hash() {
        for size in [0, 1, 65_535, 65_536, 65_537, 300_000] {
            let content: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
            let digest = Digest::from_bytes(Sha256::digest(&content).into());
            for sizes in [&[1_000_000][..], &[65_536], &[7_001, 64], &[99_999]] {
                let (open, end) = run(&content, sizes, &digest).await;
                assert_eq!(open.len(), content.len().saturating_sub(65_536), "{sizes:?}");
                assert!([open, end.expect("the hash is right")].concat() == content);
            }
            let (open, end) = run(&content, &[50_000], &Digest::from_bytes([1; 32])).await;
            assert_eq!((open.len(), end), (content.len().saturating_sub(65_536), None));
        }
    }
}
