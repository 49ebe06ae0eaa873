//! The last step of a deposit: its copies become a record.

use std::sync::Arc;

use depot_protocol::{Answer, Deposit, Digest, FileName};
use tokio::time::Instant;

use super::fanout::{Copies, Fanout, TooFew};
use super::{DepositError, too_few_copies};
use crate::catalogue::command::Put;
use crate::catalogue::{
    Command, Namespace, OperationId, Outcome, ProposeError, ReadError, Receipt, Record, Version,
    View,
};
use crate::depot::{Depot, PROPOSE_WITHIN};
use crate::transfer::File;
use crate::uploads::UploadKey;
use crate::volume::Sealed;

/// How often a commit is proposed anew because the record or a sweep number moved meanwhile.
const TRIES: usize = 64;

/// What a deposit is about to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    /// The version of the record, 0 where there is none.
    version: Version,
    /// The last change that the view showed in which it was read.
    seen: u64,
}

impl Read {
    /// What this view has under the name.
    pub(super) fn of(
        view: &View,
        namespace: &Namespace,
        name: &FileName,
    ) -> Result<Read, ReadError> {
        let record = view.get(namespace, name)?;
        let version = record.map_or(Version(0), |record| record.version);
        Ok(Read { version, seen: view.applied()? })
    }
}

/// A copy on this server's disk that no record lists yet. Dropped so, the sweeper is told.
pub(super) struct Unlisted<'d> {
    depot: &'d Depot,
    sealed: Sealed,
    listed: bool,
}

impl<'d> Unlisted<'d> {
    pub(super) fn new(depot: &'d Depot, sealed: Sealed) -> Self {
        Unlisted { depot, sealed, listed: false }
    }

    /// The copy.
    pub(super) fn copy(&self) -> &Sealed {
        &self.sealed
    }
}

impl Drop for Unlisted<'_> {
    fn drop(&mut self) {
        if !self.listed {
            self.depot.custody.let_go(self.sealed.digest());
        }
    }
}

/// A copy on this server's disk, those on others, and what is to list them.
pub(super) struct Copied<'d> {
    /// This server's copy.
    pub(super) sealed: Unlisted<'d>,
    /// The lanes to other servers; none where no replicas are wanted.
    pub(super) fanout: Option<Fanout>,
    /// What is to be replaced.
    pub(super) read: Read,
    /// Until when more receipts can be waited for.
    pub(super) until: Instant,
}

/// Puts the copies into the catalogue under the file's name.
pub(super) async fn commit(
    depot: &Depot,
    request: &Deposit,
    key: &UploadKey,
    copied: Copied<'_>,
) -> Result<Answer, DepositError> {
    let Copied { mut sealed, fanout, mut read, until } = copied;
    let operation = OperationId(depot.seams.entropy.bytes());
    let digest = sealed.copy().digest();
    let mut own = depot.custody.receipt(sealed.copy());
    for _ in 0..TRIES {
        let others = match &fanout {
            // A receipt that was good may have had to be given back.
            Some(lanes) => match lanes.enough(until).await {
                Ok(()) => lanes.copies(),
                Err(TooFew) => {
                    keep(depot, key, sealed.copy(), fanout).await?;
                    return Err(too_few_copies().into());
                }
            },
            None => Copies { receipts: Vec::new(), wanted: Vec::new() },
        };
        let mut receipts = vec![own.clone()];
        receipts.extend(others.receipts.iter().cloned());
        let put = Command::Put(Put {
            namespace: key.namespace,
            name: request.name.clone(),
            read: read.version,
            seen: read.seen,
            digest,
            size: request.size,
            replicas: request.replicas,
            deposited: depot.seams.clock.utc(),
            receipts,
            wanted: others.wanted,
            operation,
        });
        let outcome = match depot.propose_by(until + PROPOSE_WITHIN, put).await {
            Ok(outcome) => outcome,
            Err(error) => {
                if let ProposeError::NoQuorum = error {
                    keep(depot, key, sealed.copy(), fanout).await?;
                }
                return Err(depot.unproposed(&error).into());
            }
        };
        match outcome {
            Outcome::Done(record) => {
                sealed.listed = true;
                let copies = copies(depot, &record, &others.receipts).await?;
                if let Some(fanout) = fanout {
                    let (namespace, name) = (key.namespace, request.name.clone());
                    let file = File { namespace, name, digest, size: key.size };
                    fanout.committed(file, record.version, &others.receipts);
                }
                let (replicas, hash) = (record.replicas, record.digest);
                return Ok(Answer::Deposited { replicas, copies, hash });
            }
            // Another change of this name came first: this one comes after it.
            Outcome::Moved { current: Some(record) } => read.version = record.version,
            Outcome::Moved { current: None } => read = super::read(depot, key).await?,
            // A sweep came between receipt and commit: who gave it looks again.
            Outcome::StaleReceipt { server, .. } => match &fanout {
                Some(fanout) if server != own.server => fanout.vouch_again(&server, digest).await,
                _ => own = vouch_again(depot, digest, key.size, &own).await?,
            },
            Outcome::WrongIncarnation { server, current } => match &fanout {
                Some(fanout) if server != own.server => fanout.withdraw(&server),
                _ => {
                    let outcome = Outcome::WrongIncarnation { server, current };
                    return Err(depot.internal("commit a deposit", &Unexpected(outcome)).into());
                }
            },
            other => return Err(depot.internal("commit a deposit", &Unexpected(other)).into()),
        }
    }
    Err(depot.internal("commit a deposit", &TooManyTries).into())
}

/// Nothing was proposed: what the client has sent is a part again, and the lanes go on.
async fn keep(
    depot: &Depot,
    key: &UploadKey,
    sealed: &Sealed,
    fanout: Option<Fanout>,
) -> Result<(), DepositError> {
    let (volume, part, sealed) = (Arc::clone(&depot.custody.volume), key.part(), sealed.clone());
    let expires = depot.custody.now() + depot.settings.part_lifetime.as_secs();
    if let Err(error) = depot.run(move || volume.keep_sealed(&part, &sealed, expires)).await? {
        tracing::warn!(%error, "an upload that could not be listed could not be kept");
    }
    if let Some(fanout) = fanout {
        fanout.linger(depot, key);
    }
    Ok(())
}

/// `copias` of the record. One that lists others than those just proven is counted by a view.
async fn copies(depot: &Depot, record: &Record, proven: &[Receipt]) -> Result<u8, DepositError> {
    if record.confirmed().count() == proven.len() + 1 {
        return Ok(u8::try_from(proven.len()).unwrap_or(u8::MAX));
    }
    let record = record.clone();
    Ok(depot.ask(move |view| view.copies(&record)).await?)
}

async fn vouch_again(
    depot: &Depot,
    digest: Digest,
    size: u64,
    stale: &Receipt,
) -> Result<Receipt, DepositError> {
    let fresh = depot.courier.vouch_again(digest, size, stale).await;
    fresh.ok_or_else(|| depot.internal("vouch for a copy again", &SweptAway).into())
}

#[derive(Debug, thiserror::Error)]
#[error("the catalogue answered {0:?}")]
struct Unexpected(Outcome);

#[derive(Debug, thiserror::Error)]
#[error("its name changed {TRIES} times in the middle of the commit")]
struct TooManyTries;

#[derive(Debug, thiserror::Error)]
#[error("a sweep took the copy between its seal and its commit")]
struct SweptAway;
