//! A reader's bytes: read once and never again.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use depot_protocol::{Announced, Deposit, Digest, FileName, FileSize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::blocking::blocking;
use crate::connection::PIECE;
use crate::deposit::Wanted;
use crate::deposit::small::{self, Small};
use crate::deposit::source::SMALL_MAX;
use crate::deposit::upload::{Pieces, upload};
use crate::pool::Attempts;
use crate::{Deposited, Error};

/// How long a reader that has given all its bytes may take to say that it has no more: less than
/// the 10 s in which the hash line must follow.
const END: Duration = Duration::from_secs(2);

/// Deposits what a reader has.
pub(crate) async fn reader(
    wanted: Wanted<'_>,
    reader: impl AsyncRead + Send + Unpin,
    size: FileSize,
    name: &FileName,
) -> Result<Deposited, Error> {
    let mut pieces = ReaderPieces { reader, left: size.get(), hash: Some(Sha256::new()) };
    if size.get() <= SMALL_MAX {
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await? {
            bytes.extend_from_slice(&piece);
        }
        let hash = pieces.finish().await?;
        let (path, name, bytes) = (std::path::PathBuf::new(), name.clone(), bytes.freeze());
        return small::one(wanted, Small { path, name, bytes, hash }).await;
    }
    let done = large(wanted, pieces, size, name).await;
    wanted.progress.end(name);
    done
}

/// Finds a connection, with all tries that there are, and sends once.
async fn large<R: AsyncRead + Send + Unpin>(
    wanted: Wanted<'_>,
    mut pieces: ReaderPieces<R>,
    size: FileSize,
    name: &FileName,
) -> Result<Deposited, Error> {
    let mut attempts = Attempts::new(wanted.pool);
    let mut connection = loop {
        match attempts.connection().await {
            Ok(connection) => break connection,
            Err(error) => {
                attempts.after(error, |error| wanted.progress.retrying(name, error)).await?;
            }
        }
    };
    let deposit = Deposit {
        client: wanted.pool.id,
        replicas: wanted.replicas,
        size,
        hash: Announced::Last,
        offset: None,
        name: name.clone(),
    };
    wanted.progress.begin(name, size.get(), 0);
    let advance = |bytes| wanted.progress.advance(name, bytes);
    let done = upload(&mut connection, &deposit, &mut pieces, advance, &mut None).await?;
    wanted.pool.keep(connection);
    Ok(done)
}

struct ReaderPieces<R> {
    reader: R,
    left: u64,
    /// On loan while a piece is hashed.
    hash: Option<Sha256>,
}

impl<R: AsyncRead + Send + Unpin> Pieces for ReaderPieces<R> {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
        if most == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(most);
        let mut reader = (&mut self.reader).take(self.left);
        while piece.len() < most {
            if reader.read_buf(&mut piece).await.map_err(Error::Reader)? == 0 {
                let early = format!("it ended {} bytes early", self.left - count(&piece));
                return Err(Error::Reader(io::Error::new(io::ErrorKind::UnexpectedEof, early)));
            }
        }
        let (piece, mut hash) = (piece.freeze(), self.hash.take().unwrap_or_default());
        let hashed = piece.clone();
        let hash = blocking(move || {
            hash.update(&hashed);
            hash
        });
        self.hash = Some(hash.await);
        self.left -= count(&piece);
        Ok(Some(piece))
    }

    async fn finish(&mut self) -> Result<Digest, Error> {
        match timeout(END, self.reader.read(&mut [0])).await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(_)) => {
                let more = io::Error::new(io::ErrorKind::InvalidData, "it has more bytes");
                return Err(Error::Reader(more));
            }
            Ok(Err(failed)) => return Err(Error::Reader(failed)),
        }
        let hash = self.hash.take().unwrap_or_default();
        Ok(Digest::from_bytes(hash.finalize().into()))
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
