//! A deposit, from its header to its answer: what can be decided before a byte is read
//! (`admit`), the payload on its way to the disk (`receive`), and here the commit.
//!
//! The order is fixed: payload before pointer, pointer before answer. A done deposit's bytes are
//! synced under their hash ([`Sealed`]) before the catalogue is asked to list them, and the
//! catalogue has synced its record before the client hears of it.

mod admit;
mod receive;

use depot_protocol::{Announced, Answer, Deposit, Digest, ErrorCode, FileName, Refusal};

use crate::catalogue::command::Put;
use crate::catalogue::{
    Command, Namespace, OperationId, Outcome, ReadError, SweepNumber, Version, View,
};
use crate::depot::Depot;
use crate::uploads::UploadKey;
use crate::volume::Sealed;
use admit::Admitted;

pub use admit::{check, prepare};
pub use receive::{Interrupted, Payload};

/// How often a commit is proposed anew because the record or the sweep number moved meanwhile.
const COMMIT_TRIES: usize = 64;

/// A deposit that was not done.
#[derive(Debug)]
pub enum DepositError {
    /// The client is to be told why.
    Refused(Refusal),
    /// The payload did not come whole. What came is kept as a part.
    Interrupted(Interrupted),
}

impl From<Refusal> for DepositError {
    fn from(refusal: Refusal) -> Self {
        DepositError::Refused(refusal)
    }
}

/// Takes a deposit. When this returns an answer, the file is durable and visible; when it returns
/// an error (other than `interno` and `resultado_desconhecido`), nothing has changed.
pub async fn deposit(
    depot: &Depot,
    request: &Deposit,
    payload: &mut impl Payload,
) -> Result<Answer, DepositError> {
    let namespace = depot.namespace(&request.client);
    let key = UploadKey {
        namespace,
        name: request.name.clone(),
        hash: request.hash,
        size: request.size.get(),
    };
    let upload = depot.uploads.begin(key.clone());
    let turn = tokio::select! {
        turn = depot.turns.take(namespace) => turn,
        () = upload.cut().cancelled() => return Err(DepositError::Interrupted(Interrupted::Cut)),
    };
    let received = match admit::admit(depot, request, &key, upload.cut()).await? {
        Admitted::Stage(staging) => {
            receive::receive(depot, *staging, &key, upload.cut(), payload).await?
        }
        Admitted::Held(sealed) => {
            if let Some(_more) = payload.next().await.map_err(DepositError::Interrupted)? {
                return Err(DepositError::Interrupted(Interrupted::Broken));
            }
            Received { sealed, base: base(depot, &key).await? }
        }
    };
    let mut pending = Pending { depot, digest: received.sealed.digest(), committed: false };
    let answer = commit(depot, request, &key, received).await?;
    pending.committed = true;
    drop((turn, upload));
    Ok(answer)
}

/// A payload that is durable, and what its name held before.
struct Received {
    sealed: Sealed,
    base: Base,
}

/// What a name held, and as of when.
#[derive(Debug, Clone, Copy)]
struct Base {
    /// The version that was there; 0 for none.
    read: Version,
    /// How many commands were applied by then.
    seen: u64,
}

impl Base {
    fn of(view: &View, namespace: &Namespace, name: &FileName) -> Result<Self, ReadError> {
        let read = view.get(namespace, name)?.map_or(Version(0), |record| record.version);
        Ok(Base { read, seen: view.applied()? })
    }
}

/// A sealed payload that no record lists yet. Dropped uncommitted, the sweeper is told.
struct Pending<'d> {
    depot: &'d Depot,
    digest: Digest,
    committed: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.committed {
            self.depot.custody.let_go(self.digest);
        }
    }
}

/// What is there under this name now.
async fn base(depot: &Depot, key: &UploadKey) -> Result<Base, Refusal> {
    let (namespace, name) = (key.namespace, key.name.clone());
    depot.ask(move |view| Base::of(view, &namespace, &name)).await
}

/// Puts the sealed payload into the catalogue under its name.
async fn commit(
    depot: &Depot,
    request: &Deposit,
    key: &UploadKey,
    received: Received,
) -> Result<Answer, Refusal> {
    let operation = OperationId(depot.seams.entropy.bytes());
    let Received { mut sealed, mut base } = received;
    for _ in 0..COMMIT_TRIES {
        let put = Command::Put(Put {
            namespace: key.namespace,
            name: request.name.clone(),
            read: base.read,
            seen: base.seen,
            digest: sealed.digest(),
            size: request.size,
            replicas: request.replicas,
            deposited: depot.seams.clock.utc(),
            receipts: vec![depot.custody.receipt(&sealed)],
            wanted: Vec::new(),
            operation,
        });
        match depot.propose(put).await? {
            Outcome::Done(record) => {
                let (replicas, hash) = (record.replicas, record.digest);
                let copies = depot.ask(move |view| view.copies(&record)).await?;
                return Ok(Answer::Deposited { replicas, copies, hash });
            }
            // Another change of this name came first: this one comes after it.
            Outcome::Moved { current: Some(record) } => base.read = record.version,
            Outcome::Moved { current: None } => base = self::base(depot, key).await?,
            // A sweep came between seal and commit: vouch for the copy again, if it is still here.
            Outcome::StaleReceipt { current, .. } => {
                sealed = vouch_again(depot, sealed, current).await?;
            }
            other => return Err(depot.internal("commit a deposit", &UnexpectedOutcome(other))),
        }
    }
    Err(depot.internal("commit a deposit", &TooManyTries))
}

/// `current`: the number of the sweep in the catalogue, which whoever proposed it may not have
/// come to tell the volume.
async fn vouch_again(
    depot: &Depot,
    sealed: Sealed,
    current: SweepNumber,
) -> Result<Sealed, Refusal> {
    let volume = std::sync::Arc::clone(&depot.custody.volume);
    let (digest, size) = (sealed.digest(), sealed.size());
    volume.begin_sweep(current.0);
    match depot.run(move || volume.vouch(&digest, size)).await? {
        Ok(Some(sealed)) => Ok(sealed),
        Ok(None) => Err(depot.internal("commit a deposit", &SweptAway)),
        Err(error) => Err(depot.internal("vouch for a copy again", &error)),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the catalogue answered {0:?}")]
struct UnexpectedOutcome(Outcome);

#[derive(Debug, thiserror::Error)]
#[error("its name changed {COMMIT_TRIES} times in the middle of the commit")]
struct TooManyTries;

#[derive(Debug, thiserror::Error)]
#[error("a sweep took the copy between its seal and its commit")]
struct SweptAway;

/// What a client is told whose bytes don't have the hash that it announced.
fn wrong_hash() -> Refusal {
    Refusal::new(
        ErrorCode::HashMismatch,
        "the bytes received do not have the announced hash; nothing is stored; send the file again from 0",
    )
}

/// The hash that the payload must have: the announced one, or the one that follows it.
async fn expected_hash(
    announced: Announced,
    payload: &mut impl Payload,
) -> Result<Result<Digest, Refusal>, Interrupted> {
    match announced {
        Announced::Known(digest) => Ok(Ok(digest)),
        Announced::Last => payload.hash_line().await,
    }
}
