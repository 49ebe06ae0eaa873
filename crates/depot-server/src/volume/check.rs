//! Reading a copy whole, piece by piece, against its checksums and its hash; and what becomes of
//! one that is bad: quarantine, where a person may look at it and no reader does.
//!
//! **A disk that gives nothing takes no copy away.** Where many can't be read within a short time the
//! volume is suspect, and while it is, what can't be read stays where it is: the scrub says whether
//! it was a few copies or the disk. Wrong bytes speak against their copy alone.
//!
//! **Nothing is judged by one look.** What a reader found bad is read once more, under the hash's
//! lock, where no good copy can take its place meanwhile; and a disk that can't be asked (no
//! descriptors, a folder that is gone) condemns nothing.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use depot_protocol::Digest;
use sha2::{Digest as _, Sha256};

use super::{Blob, BlobError, Volume, layout, lock};
use crate::seams::disk::OpenMode;

/// Pieces in which a copy is read where nobody waits in between.
const PIECE: usize = 1 << 20;
/// So many copies that can't be read within a minute are no longer a matter of single copies.
pub const MANY: usize = 16;
/// See [`MANY`].
const WITHIN: Duration = Duration::from_secs(60);

/// What a copy that somebody complained of turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is here, and was not found bad this time.
    Good,
    /// It was bad, and went into quarantine; where it could not, the volume is suspect.
    Bad,
    /// The disk does not give it. It stays where it is, as the volume is suspect, and can't be
    /// counted on.
    Unreadable,
    /// There is none, and the folder that it would lie in is there and can be read.
    Absent,
}

/// A copy that is being read whole.
#[derive(Debug)]
pub struct Check {
    blob: Blob,
    at: u64,
    hash: Sha256,
}

impl Check {
    fn new(blob: Blob) -> Self {
        Check { blob, at: 0, hash: Sha256::new() }
    }

    /// How far it was read and found good: where an error of the next step lies.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Reads at most `most` bytes on, rounded up to whole chunks. `None`: that was all, and it is
    /// good.
    pub fn step(mut self, most: usize) -> Result<Option<Self>, BlobError> {
        let piece = self.blob.read(self.at, most)?;
        self.hash.update(&piece);
        self.at += piece.len() as u64;
        if self.at < self.blob.size() {
            return Ok(Some(self));
        }
        // Checksums are those of whoever wrote the file; the hash is what was asked for.
        match self.hash.finalize()[..] == self.blob.digest().as_bytes()[..] {
            true => Ok(None),
            false => Err(BlobError::Corrupt("its bytes do not have its hash")),
        }
    }
}

impl Volume {
    /// Begins to read a copy whole. `None`: it is not here.
    pub fn check(&self, digest: &Digest) -> Result<Option<Check>, BlobError> {
        Ok(self.find(digest)?.map(Check::new))
    }

    /// A reader found this copy bad, or not here: it is read again, whole, from a fresh start, and
    /// judged by that.
    pub fn condemn(&self, digest: &Digest) -> io::Result<Verdict> {
        let mut next = match self.check(digest) {
            Ok(Some(check)) => Some(check),
            Ok(None) | Err(_) => return self.condemn_at(digest, 0),
        };
        while let Some(check) = next {
            let at = check.at();
            next = match check.step(PIECE) {
                Ok(next) => next,
                Err(_) => return self.condemn_at(digest, at),
            };
        }
        Ok(Verdict::Good)
    }

    /// The same for a copy that was read up to `at` and was bad there. It may have been replaced by
    /// a good one meanwhile, so what lies there now is asked again, where nothing can replace it.
    pub fn condemn_at(&self, digest: &Digest, at: u64) -> io::Result<Verdict> {
        self.judge(digest, at, |source| self.doubts_the_disk(source))
    }

    /// The scrub found this copy unreadable and most others good: it is no matter of the disk. Read
    /// again, and into quarantine if that can't be done this time either.
    pub fn set_aside(&self, digest: &Digest) -> io::Result<Verdict> {
        self.judge(digest, 0, |_| false)
    }

    fn judge(
        &self,
        digest: &Digest,
        at: u64,
        stays: impl FnOnce(io::Error) -> bool,
    ) -> io::Result<Verdict> {
        let _lock = self.lock(digest);
        let again = match self.find(digest) {
            Ok(None) => return self.look_for(digest),
            Ok(Some(blob)) => look_again(blob, at),
            Err(error) => Err(error),
        };
        match again {
            Ok(()) => Ok(Verdict::Good),
            Err(error) if !error.condemns() => Err(io::Error::other(error)),
            Err(error) => {
                if let BlobError::Unreadable(source) = error
                    && stays(source)
                {
                    return Ok(Verdict::Unreadable);
                }
                self.quarantine_bad(digest);
                Ok(Verdict::Bad)
            }
        }
    }

    /// Whether what can't be read is for the scrub to judge: the volume is suspect, or becomes it by
    /// this copy.
    fn doubts_the_disk(&self, source: io::Error) -> bool {
        if self.faults() > 0 {
            return true;
        }
        let now = self.clock.uptime();
        let many = {
            let mut unread = lock(&self.unread);
            unread.retain(|at| now.saturating_sub(*at) < WITHIN);
            unread.push_back(now);
            unread.len() >= MANY
        };
        if many {
            self.failed("read many copies", source);
        }
        many
    }

    /// It is bad, and must not be counted, whether or not it can be moved.
    fn quarantine_bad(&self, digest: &Digest) {
        let to = self.quarantined(digest);
        let moved = match self.packs.set_aside(digest, &to) {
            Ok(true) => Ok(()),
            Ok(false) => self.quarantine(digest),
            Err(error) => Err(error),
        };
        match moved {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // it was, before
            Err(error) => {
                let error = self.failed("put a bad copy into quarantine", error);
                tracing::error!(blob = %digest, %error, "a bad copy stays where it is");
            }
        }
    }

    /// A copy does not lie in its place: perhaps it does in the trash. That it is nowhere is said
    /// only of a volume that is there: its marker, and the folder. Under the hash's lock.
    fn look_for(&self, digest: &Digest) -> io::Result<Verdict> {
        if self.restore_locked(digest)? {
            return Ok(Verdict::Good);
        }
        self.disk.open(&layout::blobs().join("MARKER"), OpenMode::Read)?;
        self.disk.list(&layout::shard_of(digest))?;
        Ok(Verdict::Absent)
    }

    /// Where a bad copy is kept.
    fn quarantined(&self, digest: &Digest) -> PathBuf {
        let random: String = self.entropy.bytes::<4>().iter().map(|b| format!("{b:02x}")).collect();
        layout::quarantine().join(format!("{digest}.{random}"))
    }

    /// Moves whatever lies at a hash's path out of the way. Under the hash's lock.
    pub(super) fn quarantine(&self, digest: &Digest) -> io::Result<()> {
        let to = self.quarantined(digest);
        tracing::error!(blob = %digest, to = %to.display(), "a copy is bad and goes into quarantine");
        self.disk.rename(&layout::blob(digest), &to)?;
        self.disk.sync_dir(&layout::quarantine())?;
        self.disk.sync_dir(&layout::shard_of(digest))
    }
}

/// Reads where a copy was bad; all of it where no checksum was, so that it must have been the hash.
fn look_again(mut blob: Blob, at: u64) -> Result<(), BlobError> {
    let read = blob.read(at, PIECE)?.len() as u64;
    if at + read < blob.size() {
        return Ok(());
    }
    let mut next = Some(Check::new(blob));
    while let Some(check) = next {
        next = check.step(PIECE)?;
    }
    Ok(())
}
