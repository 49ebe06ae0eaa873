//! A local file that is deposited: what it must be, and that it stays what it was.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use depot_protocol::{Digest, FileSize};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::blocking::blocking;
use crate::connection::PIECE;
use crate::deposit::upload::Pieces;

/// The largest file that is read whole before it is sent, in bytes.
pub(crate) const SMALL_MAX: u64 = 64 << 10;

/// How long after a change of a file another one may leave its times as they are: a tick of the
/// system's clock, which is 10 ms at most, and as much again.
const TICK: Duration = Duration::from_millis(20);

/// The same where times have no fractions of a second.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// How often a file may change while it is waited for; then it is one that does not rest.
const CHANGES_MAX: u32 = 10;

/// A file that is open.
pub(crate) enum Opened {
    /// All of it, and its hash.
    Small(Bytes, Digest),
    /// Too much to hold.
    Large(Source),
}

/// A regular file, open, and what it was when it was opened.
#[derive(Clone)]
pub(crate) struct Source {
    path: PathBuf,
    file: Arc<File>,
    stamp: Stamp,
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Time,
    changed: Time,
}

/// Seconds since 1970, and nanoseconds.
type Time = (i64, i64);

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// How long it takes from now until every change shows in it. Right after one, another gets the
    /// same times, and where the size stays nothing tells that it was there. One of the future shows
    /// every change, until the clock comes to it.
    fn settles_in(&self, now: Duration) -> Option<Duration> {
        let coarse = (self.modified.1, self.changed.1) == (0, 0);
        let tick = if coarse { COARSE_TICK } else { TICK };
        let now = nanos_of(now);
        let settles_in = |(seconds, nanos): Time| {
            let time = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            let left = u64::try_from(time - now + nanos_of(tick)).ok()?;
            Some(Duration::from_nanos(left)).filter(|left| !left.is_zero() && *left <= 2 * tick)
        };
        settles_in(self.modified).max(settles_in(self.changed))
    }
}

fn nanos_of(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

/// The clock that files are stamped by.
fn now() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "no other clock is that of the files")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What the file is, once every change from now on would show in that.
fn settled(path: &Path, file: &File, now: impl Fn() -> Duration) -> Result<Metadata, Error> {
    for _ in 0..=CHANGES_MAX {
        let metadata = file.metadata().map_err(|source| Error::io(path, source))?;
        match Stamp::of(&metadata).settles_in(now()) {
            None => return Ok(metadata),
            Some(left) => sleep(left),
        }
    }
    Err(Error::Changed(path.to_owned()))
}

/// Opens a regular file and reads it if it is small. Blocks; a pipe is not waited for, but a file
/// that was written to just now for a moment.
pub(crate) fn open(path: &Path) -> Result<Opened, Error> {
    let failed = |source: io::Error| Error::io(path, source);
    // Looked at before it is opened, which alone can do something to a device or a pipe.
    regular(path, &path.metadata().map_err(failed)?)?;
    let mut options = OpenOptions::new();
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let file = options.read(true).custom_flags(flags).open(path).map_err(failed)?;
    regular(path, &file.metadata().map_err(failed)?)?;
    let metadata = settled(path, &file, now)?;
    let stamp = Stamp::of(&metadata);
    let source = Source { path: path.to_owned(), file: Arc::new(file), stamp };
    let what = "a file that does not tell its size";
    if stamp.size == 0 && source.reaches_past_its_end()? {
        return Err(Error::NotAFile { path: path.to_owned(), what });
    }
    if stamp.size > SMALL_MAX {
        return Ok(Opened::Large(source));
    }
    let bytes = source.read(0, usize::try_from(stamp.size).unwrap_or_default())?;
    source.is_unchanged()?;
    let hash = Digest::from_bytes(Sha256::digest(&bytes).into());
    Ok(Opened::Small(bytes, hash))
}

fn regular(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(Error::NotAFile { path: path.to_owned(), what })
}

impl Source {
    /// The size it had when it was opened.
    pub(crate) fn size(&self) -> FileSize {
        FileSize::new(self.stamp.size).unwrap_or(FileSize::ZERO)
    }

    /// So many bytes from there on; fewer are a change. Blocks.
    fn read(&self, at: u64, size: usize) -> Result<Bytes, Error> {
        let mut bytes = vec![0; size];
        match self.file.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(bytes.into()),
            Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::Changed(self.path.clone()))
            }
            Err(source) => Err(Error::io(&self.path, source)),
        }
    }

    fn reaches_past_its_end(&self) -> Result<bool, Error> {
        let more = self.file.read_at(&mut [0], self.stamp.size);
        Ok(more.map_err(|source| Error::io(&self.path, source))? > 0)
    }

    /// Checks that it is still what it was when it was opened. Blocks.
    fn is_unchanged(&self) -> Result<(), Error> {
        let now = self.file.metadata().map_err(|source| Error::io(&self.path, source))?;
        if Stamp::of(&now) != self.stamp || self.reaches_past_its_end()? {
            return Err(Error::Changed(self.path.clone()));
        }
        Ok(())
    }
}

/// A file's beginning that need not be read again, and its hash so far.
#[derive(Clone, Default)]
pub(crate) struct Prefix {
    size: u64,
    hash: Sha256,
}

impl Prefix {
    /// The prefix of that size, read on from this one where it is shorter.
    pub(crate) async fn reaching(self, size: u64, source: &Source) -> Result<Prefix, Error> {
        let start = if self.size <= size { self } else { Prefix::default() };
        let mut pieces = FilePieces { source, at: start.size, end: size, hash: Some(start.hash) };
        while pieces.next().await?.is_some() {}
        Ok(Prefix { size, hash: pieces.hash.unwrap_or_default() })
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Its hash.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }

    /// What comes after it.
    pub(crate) fn rest<'a>(&self, source: &'a Source) -> FilePieces<'a> {
        let (at, end) = (self.size, source.stamp.size);
        FilePieces { source, at, end, hash: Some(self.hash.clone()) }
    }
}

/// A file's bytes, piece by piece, hashed as they are read.
pub(crate) struct FilePieces<'a> {
    source: &'a Source,
    at: u64,
    end: u64,
    /// On loan while a piece is read.
    hash: Option<Sha256>,
}

impl Pieces for FilePieces<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let (source, at, size) = (self.source.clone(), self.at, left.min(PIECE));
        let mut hash = self.hash.take().unwrap_or_default();
        let (read, hash) = blocking(move || {
            let read = source.read(at, size);
            if let Ok(bytes) = &read {
                hash.update(bytes);
            }
            (read, hash)
        })
        .await;
        self.hash = Some(hash);
        let bytes = read?;
        self.at = self.at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(Some(bytes))
    }

    async fn finish(&mut self) -> Result<Digest, Error> {
        let source = self.source.clone();
        blocking(move || source.is_unchanged()).await?;
        let hash = self.hash.take().unwrap_or_default();
        Ok(Digest::from_bytes(hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// How long a file of these times, in nanoseconds, is waited for at 1,000 s, in milliseconds.
    fn waited(modified: i64, changed: i64) -> u128 {
        let time = |nanos: i64| (nanos / SECOND, nanos % SECOND);
        let stamp = Stamp { size: 1, modified: time(modified), changed: time(changed) };
        stamp.settles_in(Duration::from_secs(1000)).unwrap_or_default().as_millis()
    }

    #[test]
    fn what_has_just_changed_is_waited_for() {
        let (now, ms) = (1000 * SECOND, SECOND / 1000);
        assert_eq!(waited(now - 5 * ms, now - 5 * ms), 15);
        assert_eq!(waited(7, now - 5 * ms), 15, "its time of writing was set");
        assert_eq!(waited(now - 20 * ms, now - 20 * ms), 0);
        assert_eq!(waited(now - SECOND + 1, now - SECOND + 1), 0);
        // Where times have no fractions, a second is a moment.
        assert_eq!(waited(now - SECOND, now - SECOND), 1000);
        assert_eq!(waited(now - 2 * SECOND, now - 2 * SECOND), 0);
        // Nobody waits for the year 2100.
        assert_eq!(waited(now + 100 * SECOND + 1, now - 20 * ms), 0);
        assert_eq!(waited(now + 100 * SECOND + 1, now - 5 * ms), 15);
    }

    #[test]
    fn no_byte_is_read_before_a_change_would_show() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(open(&path), Ok(Opened::Small(..))));
        let written = path.metadata().unwrap().modified().unwrap();
        assert!(written.elapsed().unwrap() >= TICK);
    }

    #[test]
    fn a_file_that_does_not_rest_is_one_that_changes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let written = metadata.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        let just_now = || written + Duration::from_millis(19);
        let settled = settled(file.path(), file.as_file(), just_now);
        assert!(matches!(settled, Err(Error::Changed(_))), "{settled:?}");
    }
}
