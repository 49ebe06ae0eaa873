//! Recovering to a writer: what has gone there can't be taken back.

use bytes::Bytes;
use depot_protocol::{Digest, FileName};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::Error;
use crate::blocking::blocking;
use crate::pool::Attempts;
use crate::recover::pump::{Sink, pump};
use crate::recover::{GOT_ON, Head, Recovered, Wanted, ask};

/// Recovers to a writer, from the byte after the last one written after each cut.
pub(crate) async fn writer(
    wanted: Wanted<'_>,
    name: &FileName,
    writer: impl AsyncWrite + Send + Unpin,
) -> Result<Recovered, Error> {
    let mut sink = WriterSink { writer, written: 0, hash: Some(Sha256::new()) };
    let done = tries(wanted, name, &mut sink).await;
    wanted.progress.end(name);
    done
}

async fn tries<W: AsyncWrite + Send + Unpin>(
    wanted: Wanted<'_>,
    name: &FileName,
    sink: &mut WriterSink<W>,
) -> Result<Recovered, Error> {
    let mut attempts = Attempts::new(wanted.pool);
    let (mut first, mut best) = (None, 0);
    let (head, offset) = loop {
        let offset = sink.written;
        match once(wanted, &mut attempts, name, sink, &mut first).await {
            Ok(head) => break (head, offset),
            Err(error) => {
                if sink.written >= best + GOT_ON {
                    best = sink.written;
                    attempts.got_on();
                }
                attempts.after(error, |error| wanted.progress.retrying(name, error)).await?;
            }
        }
    };
    sink.writer.flush().await.map_err(Error::Writer)?;
    let hash = sink.hash.take().unwrap_or_default().finalize();
    if Digest::from_bytes(hash.into()) != head.hash {
        return Err(Error::HashMismatch);
    }
    Ok(head.recovered(offset))
}

async fn once<W: AsyncWrite + Send + Unpin>(
    wanted: Wanted<'_>,
    attempts: &mut Attempts<'_>,
    name: &FileName,
    sink: &mut WriterSink<W>,
    first: &mut Option<Head>,
) -> Result<Head, Error> {
    let mut connection = attempts.connection().await?;
    let asked = ask(&mut connection, wanted, name, sink.written).await;
    let head = match asked {
        // The content is shorter now than what has come of it.
        Err(Error::Refused(refusal))
            if sink.written > 0 && refusal.code == depot_protocol::ErrorCode::OffsetInvalid =>
        {
            return Err(Error::Replaced);
        }
        asked => asked?,
    };
    if !first.get_or_insert(head).is_of_the_same(&head) {
        return Err(Error::Replaced);
    }
    wanted.progress.begin(name, head.size.get(), sink.written);
    pump(&mut connection.receiving, sink, |bytes| wanted.progress.advance(name, bytes)).await?;
    wanted.pool.keep(connection);
    Ok(head)
}

struct WriterSink<W> {
    writer: W,
    written: u64,
    /// On loan while a piece is hashed.
    hash: Option<Sha256>,
}

impl<W: AsyncWrite + Send + Unpin> Sink for WriterSink<W> {
    async fn take(&mut self, chunks: Vec<Bytes>) -> Result<(), Error> {
        let (mut hash, hashed) = (self.hash.take().unwrap_or_default(), chunks.clone());
        let hash = blocking(move || {
            hashed.iter().for_each(|chunk| hash.update(chunk));
            hash
        });
        for chunk in chunks {
            self.writer.write_all(&chunk).await.map_err(Error::Writer)?;
            self.written += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        }
        self.hash = Some(hash.await);
        Ok(())
    }
}
