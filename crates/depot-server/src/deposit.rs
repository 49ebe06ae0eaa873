//! A deposit, from its header to its answer: what can be decided before a byte is read
//! (`admit`), the payload on its way to the disk (`receive`) and to other servers (`fanout`, which
//! sends what `feed` has), and the record that lists the copies (`commit`).
//!
//! The order is fixed: payload before pointer, pointer before answer. A done deposit's bytes are
//! synced under their hash, here ([`Sealed`](crate::volume::Sealed)) and on as many other servers as the promise needs
//! ([`Receipt`](crate::catalogue::Receipt)s), before the catalogue is asked to list them, and the
//! catalogue has synced its record before the client hears of it. This server's own copy waits
//! for the receipts before it gets its name: where they don't come it is a part again.

mod admit;
mod commit;
mod fanout;
mod feed;
mod receive;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use depot_protocol::{
    Announced, Answer, Deposit, Digest, ErrorCode, Refusal, ReplicaCount, ServerName,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Ack;
use crate::depot::{Depot, SEAL_WITHIN};
use crate::uploads::UploadKey;
use crate::volume::{Complete, Staging};
use admit::{Admitted, Held, refuse};
use commit::{Copied, Read, Unlisted};
use fanout::{By, Candidate, Fanout, Promise};
use feed::Feed;
use receive::Stored;

pub use admit::{check, prepare};
pub use receive::{Interrupted, Payload};

/// How long a commit waits for the lanes that are not needed for it, so that most need no second
/// command.
const GRACE: Duration = Duration::from_millis(20);

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
    let copied = match admit::admit(depot, request, &key, upload.cut()).await? {
        Admitted::Stage(staging) => {
            let (staging, fanout) = fan_out(depot, request, &key, *staging).await?;
            match receive::receive(depot, staging, &key, upload.cut(), payload, fanout).await? {
                Stored::Sealed(sealed, read) => {
                    let sealed = Unlisted::new(depot, sealed);
                    Copied { sealed, fanout: None, read, until: Instant::now() }
                }
                Stored::Complete(complete, fanout, until, read) => {
                    let lanes = (fanout, until);
                    secure(depot, &key, *complete, lanes, read, upload.cut()).await?
                }
            }
        }
        Admitted::Held(held) => {
            if let Some(_more) = payload.next().await.map_err(DepositError::Interrupted)? {
                return Err(DepositError::Interrupted(Interrupted::Broken));
            }
            let expected = expected_hash(key.hash, payload).await;
            if expected.map_err(DepositError::Interrupted)?? != held.sealed.digest() {
                drop_part(depot, &key).await;
                return Err(wrong_hash().into());
            }
            vouch(depot, request, &key, held).await?
        }
    };
    let answer = commit::commit(depot, request, &key, copied).await?;
    if request.offset() == key.size {
        drop_part(depot, &key).await;
    }
    drop((turn, upload));
    Ok(answer)
}

/// The copies on other servers that a deposit is about, if any are wanted.
fn promise(ack: Ack, replicas: ReplicaCount) -> Option<Promise> {
    let wanted = usize::from(replicas.get());
    let needed = match ack {
        Ack::Majority => wanted.div_ceil(2),
        Ack::All => wanted,
    };
    (wanted > 0).then_some(Promise { wanted, needed })
}

/// Begins the lanes of an upload, where replicas are wanted; those of an earlier try of it go on,
/// where that has left all of it.
async fn fan_out(
    depot: &Depot,
    request: &Deposit,
    key: &UploadKey,
    mut staging: Staging,
) -> Result<(Staging, Option<Fanout>), Refusal> {
    let lingering = Fanout::lingering(depot, key);
    let Some(promise) = promise(depot.ack, request.replicas) else { return Ok((staging, None)) };
    let next = candidates(depot, key, &[]);
    if let Some(fanout) = lingering.filter(|fanout| fanout.has(|digest| staging.is(digest))) {
        return Ok((staging, Some(fanout.again(next, promise))));
    }
    let held = staging.written();
    let (staging, reader) = match Feed::gathers(key.size, held) {
        true => (staging, None),
        false => {
            let open = move || staging.reader().map(|reader| (staging, Some(reader)));
            depot.run(open).await?.map_err(|error| refuse(depot, &error))?
        }
    };
    let feed = Arc::new(Feed::arriving(key.size, held, reader));
    Ok((staging, Some(Fanout::start(depot, feed, next, promise))))
}

/// Who may get a copy, best first: `holders` have one already, as far as this client's record knows.
fn candidates(depot: &Depot, key: &UploadKey, holders: &[ServerName]) -> VecDeque<Candidate> {
    let mut taken = vec![depot.members.me().clone()];
    taken.extend_from_slice(holders);
    let next = depot.next_servers((&key.namespace, &key.name), key.size, &taken);
    let vouching = holders.iter().cloned().map(|server| Candidate { server, by: By::Vouching });
    let pushing = next.into_iter().map(|server| Candidate { server, by: By::Pushing });
    vouching.chain(pushing).collect()
}

/// Waits until then for the receipts that the promise needs, then gives this server's copy its name.
/// Where they don't come it is a part again, and the lanes go on: what they bring counts when the
/// client comes back.
async fn secure<'d>(
    depot: &'d Depot,
    key: &UploadKey,
    complete: Complete,
    (fanout, until): (Fanout, Instant),
    read: Option<Result<Read, Refusal>>,
    cut: &CancellationToken,
) -> Result<Copied<'d>, DepositError> {
    let awaited = async {
        let enough = fanout.enough(until).await;
        enough.map_err(|_too_few| DepositError::Refused(too_few_copies()))?;
        depot.check_quorum()?;
        let read = read.ok_or(DepositError::Interrupted(Interrupted::Cut))?;
        Ok(read?)
    };
    let awaited = tokio::select! {
        awaited = awaited => awaited,
        () = cut.cancelled() => Err(DepositError::Interrupted(Interrupted::Cut)),
    };
    let read = match awaited {
        Ok(read) => read,
        Err(error) => {
            receive::keep_complete(depot, complete, key).await?;
            fanout.linger(depot, key);
            return Err(error);
        }
    };
    let sealed = tokio::join!(seal(depot, key, complete), fanout.settled(GRACE)).0?;
    Ok(Copied { sealed, fanout: Some(fanout), read, until })
}

/// What is there under this name now. That a majority has confirmed it keeps a leader that has lost
/// its own from proposing what nobody will confirm: the client hears `sem_quorum`, which is certain.
async fn read(depot: &Depot, key: &UploadKey) -> Result<Read, Refusal> {
    let (namespace, name) = (key.namespace, key.name.clone());
    depot.ask(move |view| Read::of(view, &namespace, &name)).await
}

async fn seal<'d>(
    depot: &'d Depot,
    key: &UploadKey,
    complete: Complete,
) -> Result<Unlisted<'d>, Refusal> {
    let (volume, part, digest) = (Arc::clone(&depot.custody.volume), key.part(), complete.digest());
    let then = move |sealed| {
        // Whatever an earlier try has left is of no use after this one.
        volume.drop_part(&part);
        sealed
    };
    let sealed = match complete.is_quick() {
        true => depot.done(complete.seal_soon(then)).await,
        false => depot.run(move || then(complete.seal())).await,
    };
    match sealed? {
        Ok(sealed) => Ok(Unlisted::new(depot, sealed)),
        Err(error) => {
            // It may have its name already: a folder that could not be synced.
            depot.custody.let_go(digest);
            Err(refuse(depot, &error))
        }
    }
}

/// An equal deposit that sends nothing: who holds a copy vouches for it, and who is to have one more
/// is sent this server's.
async fn vouch<'d>(
    depot: &'d Depot,
    request: &Deposit,
    key: &UploadKey,
    held: Held,
) -> Result<Copied<'d>, DepositError> {
    let Held { sealed, holders } = held;
    let sealed = Unlisted::new(depot, sealed);
    let until = Instant::now() + SEAL_WITHIN;
    let read = read(depot, key).await?;
    let lingering = Fanout::lingering(depot, key);
    let Some(promise) = promise(depot.ack, request.replicas) else {
        return Ok(Copied { sealed, fanout: None, read, until });
    };
    let next = candidates(depot, key, &holders);
    let volume = Arc::clone(&depot.custody.volume);
    let digest = sealed.copy().digest();
    let fanout = match lingering.filter(|fanout| fanout.has(|sent| *sent == digest)) {
        Some(fanout) => fanout.again(next, promise),
        None => {
            let feed = Arc::new(Feed::sealed(volume, digest, key.size));
            Fanout::start(depot, feed, next, promise)
        }
    };
    // The commit waits for as many as it needs, and tells if they don't come.
    if fanout.enough(until).await.is_ok() {
        fanout.settled(GRACE).await;
    }
    Ok(Copied { sealed, fanout: Some(fanout), read, until })
}

/// What an earlier try of this upload has left is of no use any more.
async fn drop_part(depot: &Depot, key: &UploadKey) {
    let (volume, part) = (Arc::clone(&depot.custody.volume), key.part());
    // The deposit is done, or is not, whatever becomes of that.
    drop(depot.run(move || volume.drop_part(&part)).await);
}

/// What a client is told when there are not enough copies.
fn too_few_copies() -> Refusal {
    Refusal::new(
        ErrorCode::InsufficientCopies,
        "too few servers could make a durable copy; nothing is visible; what was sent is kept: ask preparar later, or ask for fewer replicas",
    )
}

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
