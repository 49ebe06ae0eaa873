//! A recover: from the catalogue's record to verified bytes, out of this server's copy or, through
//! it, of another's (`source`).
//!
//! Every byte handed out was held against its checksum first, by the server whose copy it is of. A
//! copy found bad goes into quarantine, and the stream goes on from another at the same place; the
//! client notices nothing while there is one. Where there is none it is told `copia_indisponivel`
//! if nothing was sent yet, and is cut short otherwise: right bytes or a cut, never wrong bytes.

mod check;
mod source;

use std::sync::Arc;

use bytes::Bytes;
use depot_protocol::{Answer, Digest, ErrorCode, FileSize, Recover, Refusal, ServerName};

use crate::catalogue::{Freshness, ReadError, Record};
use crate::depot::{Depot, unknown_file};
use crate::volume::layout::CHUNK;
use source::{Copies, LocalPiece, Source};

/// A file on its way out.
pub struct Reading {
    /// The answer's header.
    pub head: Answer,
    source: Source,
}

/// No copy can be gone on with, or the server is going down, in the middle.
#[derive(Debug)]
pub struct Cut;

/// What the first look at record and copy finds, in one blocking job.
enum Look {
    Unknown,
    PastEnd,
    Found { size: FileSize, hash: Digest, holders: Vec<ServerName>, local: Option<LocalPiece> },
}

/// Opens a file of this client, and reads its first piece.
pub async fn recover(depot: &Depot, request: &Recover) -> Result<Reading, Refusal> {
    let view = depot.view().await?;
    let local = view.freshness() == Freshness::Local;
    let namespace = depot.namespace(&request.client);
    let (name, offset) = (request.name.clone(), request.offset());
    let (custody, me) = (Arc::clone(&depot.custody), depot.members.me().clone());
    let look = move || -> Result<Look, ReadError> {
        let Some(record) = view.get(&namespace, &name)? else { return Ok(Look::Unknown) };
        let (size, hash) = (record.size, record.digest);
        if offset > size.get() {
            return Ok(Look::PastEnd);
        }
        let volume = &custody.volume;
        // A copy that this server has left has others in its place: its space comes back.
        let found = match record.lists(&me) {
            true => volume.open_blob(&hash, size.get()),
            false => volume.open_blob_outside_trash(&hash, size.get()),
        };
        let local = match found {
            Ok(Some(mut blob)) => Some((blob.read(offset, CHUNK as usize), blob)),
            Ok(None) => {
                if record.held_by(&me) {
                    tracing::error!(blob = %hash, "this server's copy is not here");
                    custody.condemn(hash);
                }
                None
            }
            Err(error) => {
                tracing::error!(blob = %hash, %error, "this server's copy is bad");
                custody.condemn(hash);
                None
            }
        };
        Ok(Look::Found { size, hash, holders: holders(&record, &me), local })
    };
    let look = depot.run(look).await?.map_err(|error| depot.unreadable(&error))?;
    match look {
        Look::Unknown => Err(unknown_file(local)),
        Look::PastEnd => Err(Refusal::new(
            ErrorCode::OffsetInvalid,
            "the offset is past the end of the file; stat tells its size",
        )),
        Look::Found { size, hash, holders, local: copy } => {
            let copies = Copies { local: copy, holders };
            let mut source = Source::new(depot, (hash, size.get()), offset, copies);
            source.begin(depot).await.map_err(|Cut| no_copy())?;
            Ok(Reading { head: Answer::Recovering { size, hash, local }, source })
        }
    }
}

impl Reading {
    /// The next verified piece; none at the end. While the caller sends it, the one after is read.
    pub async fn next(&mut self, depot: &Depot) -> Result<Option<Bytes>, Cut> {
        self.source.next(depot).await
    }
}

/// The other servers that have a copy, those that have proven it first: one that shall have it may
/// have it already.
fn holders(record: &Record, me: &ServerName) -> Vec<ServerName> {
    let mut holders: Vec<ServerName> = record.confirmed().map(|(name, _)| name.clone()).collect();
    let wanted = record.servers().filter(|name| !record.held_by(name)).cloned();
    holders.extend(wanted.collect::<Vec<_>>());
    holders.retain(|name| name != me);
    holders
}

fn no_copy() -> Refusal {
    Refusal::new(
        ErrorCode::CopyUnavailable,
        "the file is known, but no server with a good copy can be reached now; try later",
    )
}
