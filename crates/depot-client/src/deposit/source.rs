//! A local file that is deposited: what it must be, and that it stays what it was.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Opens a regular file and reads it if it is small. Blocks; a pipe is not waited for.
pub(crate) fn open(path: &Path) -> Result<Opened, Error> {
    let failed = |source: io::Error| Error::io(path, source);
    // Looked at before it is opened, which alone can do something to a device or a pipe.
    regular(path, &path.metadata().map_err(failed)?)?;
    let mut options = OpenOptions::new();
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let file = options.read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    regular(path, &metadata)?;
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
