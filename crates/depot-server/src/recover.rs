//! A recover: from the catalogue's record to verified bytes.
//!
//! Every byte handed out was held against its checksum first. A copy found bad goes into
//! quarantine; the client is told `copia_indisponivel` if nothing was sent yet, and is cut short
//! otherwise: right bytes or a cut, never wrong bytes.

use std::sync::Arc;

use bytes::Bytes;
use depot_protocol::{Answer, Digest, ErrorCode, FileSize, Recover, Refusal};
use tokio::sync::oneshot;

use crate::buffers::{LARGE, Lease};
use crate::catalogue::{Freshness, ReadError};
use crate::depot::{Depot, unknown_file};
use crate::seams::blocking;
use crate::volume::layout::CHUNK;
use crate::volume::{Blob, BlobError};

/// A file on its way out.
pub struct Reading {
    /// The answer's header.
    pub head: Answer,
    size: u64,
    /// Up to where pieces were handed out.
    offset: u64,
    ahead: Option<oneshot::Receiver<Piece>>,
    ready: Option<Piece>,
    lease: Option<Lease>,
}

type Piece = (Result<Bytes, BlobError>, Blob);

/// The copy went bad, or the server is going down, in the middle.
#[derive(Debug)]
pub struct Cut;

/// What the first look at record and copy finds, in one blocking job.
enum Look {
    Unknown,
    NoCopy { why: String },
    PastEnd,
    Found { size: FileSize, hash: Digest, first: Piece },
}

/// Opens a file of this client, and reads its first piece.
pub async fn recover(depot: &Depot, request: &Recover) -> Result<Reading, Refusal> {
    let view = depot.view().await?;
    let local = view.freshness() == Freshness::Local;
    let namespace = depot.namespace(&request.client);
    let (name, offset) = (request.name.clone(), request.offset());
    let custody = Arc::clone(&depot.custody);
    let look = move || -> Result<Look, ReadError> {
        let Some(record) = view.get(&namespace, &name)? else { return Ok(Look::Unknown) };
        if offset > record.size.get() {
            return Ok(Look::PastEnd);
        }
        let size = record.size.get();
        let opened = custody.volume.open_blob(&record.digest, size).and_then(|blob| {
            let Some(mut blob) = blob else { return Ok(None) };
            let first = blob.read(offset, CHUNK as usize)?;
            Ok(Some((Ok(first), blob)))
        });
        Ok(match opened {
            Ok(Some(first)) => Look::Found { size: record.size, hash: record.digest, first },
            Ok(None) => Look::NoCopy { why: "it is not in the volume".into() },
            Err(error) => {
                condemn(&custody.volume, &record.digest, size);
                Look::NoCopy { why: error.to_string() }
            }
        })
    };
    let look = depot.run(look).await?.map_err(|error| depot.unreadable(&error))?;
    match look {
        Look::Unknown => Err(unknown_file(local)),
        Look::PastEnd => Err(Refusal::new(
            ErrorCode::OffsetInvalid,
            "the offset is past the end of the file; stat tells its size",
        )),
        Look::NoCopy { why } => {
            tracing::error!(why, "a recover found no good copy");
            Err(Refusal::new(
                ErrorCode::CopyUnavailable,
                "the file is known, but no server with a good copy can be reached now; try later",
            ))
        }
        Look::Found { size, hash, first } => {
            let head = Answer::Recovering { size, hash, local };
            let (size, ready) = (size.get(), Some(first));
            Ok(Reading { head, size, offset, ahead: None, ready, lease: None })
        }
    }
}

impl Reading {
    /// The next verified piece; none at the end. While the caller sends it, the one after is read.
    pub async fn next(&mut self, depot: &Depot) -> Result<Option<Bytes>, Cut> {
        if self.offset >= self.size {
            return Ok(None);
        }
        let (piece, blob) = match (self.ready.take(), self.ahead.take()) {
            (Some(ready), _) => ready,
            (None, Some(ahead)) => ahead.await.map_err(|_| Cut)?,
            (None, None) => return Err(Cut),
        };
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                tracing::error!(%error, offset = self.offset, "a copy went bad in the middle of a recover");
                let custody = Arc::clone(&depot.custody);
                let (digest, size) = (*blob.digest(), blob.size());
                // The client is cut first: reading the blob whole may take a while.
                let condemn = move || condemn(&custody.volume, &digest, size);
                drop(blocking::start(&depot.seams.blocking, condemn));
                return Err(Cut);
            }
        };
        self.offset += piece.len() as u64;
        if self.offset < self.size {
            self.ahead = Some(self.read_ahead(depot, blob));
        }
        Ok(Some(piece))
    }

    fn read_ahead(&mut self, depot: &Depot, mut blob: Blob) -> oneshot::Receiver<Piece> {
        self.lease = self.lease.take().or_else(|| depot.buffers.try_lease());
        let most = if self.lease.is_some() { LARGE } else { CHUNK as usize };
        let offset = self.offset;
        blocking::start(&depot.seams.blocking, move || (blob.read(offset, most), blob))
    }
}

fn condemn(volume: &crate::volume::Volume, digest: &Digest, size: u64) {
    if let Err(error) = volume.condemn(digest, size) {
        tracing::error!(blob = %digest, %error, "cannot put a bad copy into quarantine");
    }
}
