//! What a server needs to move copies between itself and its peers, in one hand; and how a copy
//! that was made comes to be listed by its record.

use std::sync::Arc;

use depot_protocol::{Digest, FileName};

use super::{Arrivals, Transfer};
use crate::buffers::Buffers;
use crate::catalogue::command::AddCopy;
use crate::catalogue::{Command, Namespace, Outcome, ProposeError, Receipt, Version};
use crate::custody::Custody;
use crate::seams::Seams;

/// How often a copy is proposed anew because its record or a sweep number moved meanwhile.
const TRIES: usize = 64;

/// Moves copies.
#[derive(Clone)]
pub struct Courier {
    /// To and from others.
    pub transfer: Transfer,
    /// This server's volume, and the catalogue.
    pub custody: Arc<Custody>,
    /// The world.
    pub seams: Seams,
    /// Memory for transfers.
    pub buffers: Buffers,
    /// What peers are pushing to this server now.
    pub arrivals: Arrivals,
}

/// A file whose record is to list one more copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Whose.
    pub namespace: Namespace,
    /// Under which name.
    pub name: FileName,
    /// The content that was copied.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// What came of a copy that was to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// The record lists it.
    Listed,
    /// Nobody needs it any more: the file is gone or has another content, or the server that had
    /// the copy has not.
    Needless,
}

impl Courier {
    /// Has a file's record list the copy that this receipt is for. `version` is the record's as it
    /// was known last; another one that still has the content does as well.
    pub async fn add_copy(
        &self,
        file: &File,
        mut version: Version,
        mut receipt: Receipt,
    ) -> Result<Added, ProposeError> {
        for _ in 0..TRIES {
            let command = Command::AddCopy(AddCopy {
                namespace: file.namespace,
                name: file.name.clone(),
                version,
                receipt: receipt.clone(),
            });
            match self.custody.catalogue.propose(command).await?.outcome {
                Outcome::Done(_) => return Ok(Added::Listed),
                Outcome::Moved { current: Some(record) } if record.digest == file.digest => {
                    version = record.version;
                }
                Outcome::StaleReceipt { .. } => {
                    let fresh = self.vouch_again(file.digest, file.size, &receipt).await;
                    let Some(fresh) = fresh else { return Ok(Added::Needless) };
                    receipt = fresh;
                }
                _ => return Ok(Added::Needless),
            }
        }
        Ok(Added::Needless)
    }

    /// A sweep came since this receipt was given: asks that server for a fresh one.
    pub async fn vouch_again(&self, digest: Digest, size: u64, stale: &Receipt) -> Option<Receipt> {
        if stale.server == self.custody.home.identity().server {
            return self.vouch_here(digest, size).await;
        }
        match self.transfer.vouch(&stale.server, &digest, size).await {
            Ok(fresh) => fresh,
            Err(error) => {
                tracing::warn!(server = %stale.server, %error, "cannot ask for a fresh receipt");
                None
            }
        }
    }

    async fn vouch_here(&self, digest: Digest, size: u64) -> Option<Receipt> {
        match self.custody.vouch(digest, size).await {
            Ok(Ok(sealed)) => sealed.map(|sealed| self.custody.receipt(&sealed)),
            Ok(Err(error)) => {
                tracing::error!(blob = %digest, %error, "cannot vouch for a copy again");
                None
            }
            Err(error) => {
                tracing::warn!(blob = %digest, %error, "cannot vouch for a copy again");
                None
            }
        }
    }
}
