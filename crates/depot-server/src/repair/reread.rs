//! Reading a copy of this server's again, all of it: what makes one that was made a good one.

use std::sync::Arc;

use depot_protocol::Digest;

use crate::custody::Custody;
use crate::seams::{Seams, blocking};
use crate::volume::BlobError;

/// So much is read in one go: between two of them the server may stop.
const PIECE: usize = 1 << 20;

/// It can't be told now whether a copy is good.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Lost(#[from] blocking::Lost),
}

/// Whether a copy is here and good. A bad one goes into quarantine.
pub(super) async fn is_good(
    custody: &Arc<Custody>,
    seams: &Seams,
    (digest, size): (Digest, u64),
) -> Result<bool, Unread> {
    let volume = Arc::clone(&custody.volume);
    let open = move || volume.open_blob(&digest, size);
    let mut opened = blocking::run(&seams.blocking, open).await?;
    let mut read = 0;
    loop {
        let mut blob = match opened {
            Ok(Some(blob)) => blob,
            Ok(None) => return Ok(false),
            Err(error) if error.condemns() => {
                tracing::error!(blob = %digest, %error, "a copy that was made is bad");
                custody.condemn(digest, size);
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        if read == size {
            return Ok(true);
        }
        let piece = move || blob.read(read, PIECE).map(|piece| (piece.len() as u64, blob));
        opened = blocking::run(&seams.blocking, piece).await?.map(|(more, blob)| {
            read += more;
            Some(blob)
        });
    }
}
