//! What can be decided of a deposit before its first byte, in the order in which PROTOCOL.md
//! wants the faults told; and `preparar`, which is that decision alone.

use std::sync::Arc;
use std::time::Duration;

use depot_protocol::{
    Announced, Answer, Deposit, Digest, ErrorCode, Prepare, Refusal, ReplicaCount, ServerName,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{DepositError, Interrupted, too_few_copies, wrong_hash};
use crate::catalogue::Record;
use crate::custody::CustodyError;
use crate::depot::{Depot, SEAL_WITHIN};
use crate::transfer::FetchError;
use crate::uploads::UploadKey;
use crate::volume::{BlobError, Sealed, Staging, VolumeError};

/// `preparar` is answered within 5 s.
const PREPARE_WITHIN: Duration = Duration::from_millis(4_800);
/// So much of that it waits for an upload that it cut to leave its part.
const CUT_PATIENCE: Duration = Duration::from_secs(4);

/// What is to be done about a deposit.
pub(super) enum Admitted {
    /// Its payload is to come, from where the staging ends.
    Stage(Box<Staging>),
    /// This client has sent these bytes before: there is nothing to send.
    Held(Held),
}

/// Bytes that this client has sent before.
pub(super) struct Held {
    /// This server's copy of them.
    pub(super) sealed: Sealed,
    /// The other servers that a record of this client lists a copy on.
    pub(super) holders: Vec<ServerName>,
}

/// Admits a deposit, or says why not.
pub(super) async fn admit(
    depot: &Depot,
    request: &Deposit,
    key: &UploadKey,
    cut: &CancellationToken,
) -> Result<Admitted, DepositError> {
    let offset = request.offset();
    check_request(depot, request.replicas, key.size)?;
    if offset == 0 {
        let staging = stage(depot, key.size).await?;
        depot.check_quorum()?;
        return Ok(Admitted::Stage(Box::new(staging)));
    }
    make_room(depot, key.size - offset).await?;
    if offset == key.size
        && let Some(record) = held(depot, key).await?
    {
        depot.check_quorum()?;
        return Ok(Admitted::Held(have(depot, key, &record).await?));
    }
    if offset == key.size
        && let Some(sealed) = sealed_part(depot, key).await?
    {
        depot.check_quorum()?;
        return Ok(Admitted::Held(Held { sealed, holders: Vec::new() }));
    }
    let staging = resume(depot, key, offset, cut).await?;
    depot.check_quorum()?;
    Ok(Admitted::Stage(Box::new(staging)))
}

/// Answers `preparar`: how much of the upload is held, and the hash of that. Within 5 s.
pub async fn prepare(depot: &Depot, request: &Prepare) -> Result<Answer, Refusal> {
    timeout(PREPARE_WITHIN, prepared(depot, request)).await.unwrap_or_else(|_late| {
        Err(Refusal::new(
            ErrorCode::ServerUnavailable,
            "this server's disk is too busy to answer in time; try later or another server",
        ))
    })
}

async fn prepared(depot: &Depot, request: &Prepare) -> Result<Answer, Refusal> {
    let key = UploadKey {
        namespace: depot.namespace(&request.client),
        name: request.name.clone(),
        hash: request.hash,
        size: request.size.get(),
    };
    if timeout(CUT_PATIENCE, depot.uploads.cut(&key)).await.is_err() {
        tracing::warn!("an upload that was cut takes long to leave its part");
    }
    let (volume, part, now) = (Arc::clone(&depot.custody.volume), key.part(), depot.custody.now());
    let part = depot.run(move || volume.part(&part, now)).await?;
    let (offset, partial) = part.unwrap_or((0, Digest::EMPTY));
    check_request(depot, request.replicas, key.size)?;
    make_room(depot, key.size - offset).await?;
    let held = held(depot, &key).await?;
    depot.check_quorum()?;
    match (request.hash, held) {
        (Announced::Known(partial), Some(_)) => Ok(Answer::Prepared { offset: key.size, partial }),
        _ => Ok(Answer::Prepared { offset, partial }),
    }
}

/// The faults of a deposit that go before a wrong offset; for one whose offset is past its end.
pub async fn check(depot: &Depot, request: &Deposit) -> Result<(), Refusal> {
    check_request(depot, request.replicas, request.size.get())?;
    make_room(depot, request.size.get()).await
}

/// The refusals that no disk is asked for.
fn check_request(depot: &Depot, replicas: ReplicaCount, size: u64) -> Result<(), Refusal> {
    depot.check_replicas(replicas)?;
    if size > depot.settings.max_size {
        return Err(Refusal::new(
            ErrorCode::LimitExceeded,
            format!("this server takes files of at most {} bytes", depot.settings.max_size),
        ));
    }
    depot.custody.volume.check_writable().map_err(|error| refuse(depot, &error))
}

/// Has room for so many bytes of payload, if need be by emptying the trash.
async fn make_room(depot: &Depot, bytes: u64) -> Result<(), Refusal> {
    match depot.custody.make_room(bytes).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(refuse(depot, &VolumeError::Full)),
        Err(CustodyError::Propose(error)) => Err(depot.unproposed(&error)),
        Err(error) => Err(depot.internal("make room", &error)),
    }
}

async fn stage(depot: &Depot, size: u64) -> Result<Staging, Refusal> {
    match depot.custody.stage(size).await {
        Ok(staged) => staged.map_err(|error| refuse(depot, &error)),
        Err(CustodyError::Propose(error)) => Err(depot.unproposed(&error)),
        Err(error) => Err(depot.internal("make room", &error)),
    }
}

/// The record by which this client has deposited this content before, under any name, where a
/// copy can be reached. What other clients hold is never looked at.
async fn held(depot: &Depot, key: &UploadKey) -> Result<Option<Record>, Refusal> {
    let Announced::Known(digest) = key.hash else { return Ok(None) };
    let namespace = key.namespace;
    let record = depot.ask(move |view| view.with_content(&namespace, &digest)).await?;
    let Some(record) = record.filter(|record| record.size.get() == key.size) else {
        return Ok(None);
    };
    let elsewhere = others(depot, &record).iter().any(|peer| depot.courier.transfer.is_up(peer));
    Ok((elsewhere || vouch(depot, digest, key.size).await?.is_some()).then_some(record))
}

/// Has this server hold a copy of what this client has deposited before.
async fn have(depot: &Depot, key: &UploadKey, record: &Record) -> Result<Held, Refusal> {
    let (digest, holders) = (record.digest, others(depot, record));
    if let Some(sealed) = vouch(depot, digest, key.size).await? {
        return Ok(Held { sealed, holders });
    }
    let fetch = depot.courier.fetch((digest, key.size), &holders);
    match timeout(SEAL_WITHIN, fetch).await {
        Ok(Ok(sealed)) => Ok(Held { sealed, holders }),
        Ok(Err(FetchError::Volume(error))) => Err(refuse(depot, &error)),
        Ok(Err(error)) => {
            tracing::warn!(blob = %digest, %error, "a copy that a client builds on is not to be had");
            Err(wrong_offset())
        }
        Err(_late) => Err(too_few_copies()),
    }
}

/// Vouches for this server's copy, if it has a good one.
async fn vouch(depot: &Depot, digest: Digest, size: u64) -> Result<Option<Sealed>, Refusal> {
    let volume = Arc::clone(&depot.custody.volume);
    match depot.run(move || volume.vouch(&digest, size)).await? {
        Ok(sealed) => Ok(sealed),
        Err(error) => {
            // The bytes come anew, from another server or the client: that heals it.
            tracing::warn!(blob = %digest, %error, "a copy that a client builds on is bad");
            depot.custody.condemn(digest);
            Ok(None)
        }
    }
}

/// The copy of an upload that came whole and could not be listed, if this is one.
async fn sealed_part(depot: &Depot, key: &UploadKey) -> Result<Option<Sealed>, Refusal> {
    let (volume, part, now) = (Arc::clone(&depot.custody.volume), key.part(), depot.custody.now());
    depot.run(move || volume.resume_sealed(&part, now)).await
}

/// The other servers that have proven a copy.
fn others(depot: &Depot, record: &Record) -> Vec<ServerName> {
    let confirmed = record.confirmed().map(|(server, _)| server);
    confirmed.filter(|server| *server != depot.members.me()).cloned().collect()
}

/// Goes on with a part, its bytes on disk read again first: nothing is built on rot. Cut meanwhile,
/// it stays the part that it was.
async fn resume(
    depot: &Depot,
    key: &UploadKey,
    offset: u64,
    cut: &CancellationToken,
) -> Result<Staging, DepositError> {
    let (volume, part, now) = (Arc::clone(&depot.custody.volume), key.part(), depot.custody.now());
    let staging = depot.run(move || volume.resume(&part, offset, now)).await?;
    let mut staging = match staging {
        Ok(Some(staging)) => staging,
        Ok(None) => return Err(wrong_offset().into()),
        Err(error) => return Err(unresumed(depot, &error).into()),
    };
    let mut next = Some(0);
    while let Some(from) = next {
        if cut.is_cancelled() {
            return Err(DepositError::Interrupted(Interrupted::Cut));
        }
        let checked = depot.run(move || match staging.verify(from) {
            Err(error) if error.condemns() => {
                staging.discard();
                Err(error)
            }
            checked => checked.map(|next| (next, staging)),
        });
        (next, staging) = checked.await?.map_err(|error| unresumed(depot, &error))?;
    }
    Ok(staging)
}

fn unresumed(depot: &Depot, error: &BlobError) -> Refusal {
    if !error.condemns() {
        return depot.internal("read a part", error);
    }
    tracing::error!(%error, "a part has rotted on disk and is dropped");
    wrong_hash()
}

fn wrong_offset() -> Refusal {
    Refusal::new(
        ErrorCode::OffsetInvalid,
        "the offset is not what is held of this upload; ask preparar, or send from 0",
    )
}

/// What a client is told when the volume takes no payload.
pub(super) fn refuse(depot: &Depot, error: &VolumeError) -> Refusal {
    match error {
        VolumeError::Full => Refusal::new(
            ErrorCode::NoSpace,
            "no room for this file; nothing is stored; remove files, or use another server",
        ),
        VolumeError::Suspect => Refusal::new(
            ErrorCode::ServerUnavailable,
            "this server takes no changes until it has checked its disk; recovering works; try later or another server",
        ),
        VolumeError::Fault { .. } => depot.internal("store a payload", error),
    }
}
