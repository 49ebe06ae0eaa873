//! The payload on its way from the connection to the disk.
//!
//! Reading and writing overlap (`intake.rs`). When the upload ends early, what came is kept as a part.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use depot_protocol::{Digest, Refusal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::admit::refuse;
use super::commit::Read;
use super::fanout::Fanout;
use super::feed::Feed;
use super::{DepositError, expected_hash, read, wrong_hash};
use crate::buffers::IN_FLIGHT;
use crate::depot::{Depot, SEAL_WITHIN, TooSlow};
use crate::intake::{Intake, IntakeError};
use crate::uploads::UploadKey;
use crate::volume::{Complete, Seal, Sealed, Staging, VolumeError};

/// Where a payload comes from: the session's connection.
pub trait Payload: Send {
    /// The next piece; `None` at the end of the payload. Cancelling loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Interrupted>> + Send;

    /// The hash line behind the payload; the inner error is a line that is not one.
    fn hash_line(
        &mut self,
    ) -> impl Future<Output = Result<Result<Digest, Refusal>, Interrupted>> + Send;
}

/// Why a payload did not come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// The client closed its sending side.
    Incomplete,
    /// The client went silent, or was too slow.
    TimedOut,
    /// The connection broke.
    Broken,
    /// The same upload was prepared anew on another connection.
    Cut,
    /// The server is shutting down.
    Stopping,
}

/// A payload that came whole and has the announced hash.
pub(super) enum Stored {
    /// It is sealed: nobody else is to have a copy. With it, what it is to replace.
    Sealed(Sealed, Read),
    /// It is synced, and waits for the copies on other servers, until then. With it, what it is to
    /// replace, unless the upload was cut.
    Complete(Box<Complete>, Fanout, Instant, Option<Result<Read, Refusal>>),
}

/// What came of a payload: where it lies, and what of it is not written yet.
struct Filled {
    staging: Staging,
    /// The last pieces of a payload that came whole: they are written with the seal.
    rest: Vec<Bytes>,
    ended: Result<(), Interrupted>,
}

/// Receives the payload into `staging`, and lets the lanes have it as it comes; without any, seals
/// it.
pub(super) async fn receive(
    depot: &Depot,
    staging: Staging,
    key: &UploadKey,
    cut: &CancellationToken,
    payload: &mut impl Payload,
    fanout: Option<Fanout>,
) -> Result<Stored, DepositError> {
    let lanes = fanout.as_ref();
    let Filled { staging, rest, ended } = fill(depot, staging, key, cut, payload, lanes).await?;
    let expected = match ended {
        Ok(()) => tokio::select! {
            biased;
            () = cut.cancelled() => Err(Interrupted::Cut),
            expected = expected_hash(key.hash, payload) => expected,
        },
        Err(interrupted) => Err(interrupted),
    };
    match expected {
        Ok(Ok(expected)) => {
            let until = Instant::now() + SEAL_WITHIN;
            let stored = async {
                match fanout {
                    Some(fanout) => {
                        let feed = Arc::clone(fanout.feed());
                        let (complete, read) = tokio::join!(
                            complete(depot, staging, rest, key, expected, feed),
                            // Meanwhile: it takes as long as a sync.
                            cut.run_until_cancelled(read(depot, key)),
                        );
                        Ok(Stored::Complete(Box::new(complete?), fanout, until, read))
                    }
                    None => seal(depot, staging, rest, key, expected).await,
                }
            };
            let stored = timeout_at(until, stored).await;
            Ok(stored.map_err(|_late| depot.internal("store a payload in time", &TooSlow))??)
        }
        Ok(Err(refusal)) => {
            keep(depot, staging, rest, key).await?;
            Err(DepositError::Refused(refusal))
        }
        Err(interrupted) => {
            keep(depot, staging, rest, key).await?;
            Err(DepositError::Interrupted(interrupted))
        }
    }
}

/// Reads the payload to its end, or to where it was interrupted. The disk's refusal comes at once.
async fn fill(
    depot: &Depot,
    staging: Staging,
    key: &UploadKey,
    cut: &CancellationToken,
    payload: &mut impl Payload,
    lanes: Option<&Fanout>,
) -> Result<Filled, Refusal> {
    let mut source = Source { payload, lanes, held_back: true };
    let feed = lanes.map(Fanout::feed);
    let mut intake = Intake::new(&depot.seams.blocking, staging, IN_FLIGHT)
        .when_written(checkpoints(depot, key, feed.cloned()));
    let ended = loop {
        let missing = intake.missing();
        let next = cut.run_until_cancelled(source.next(missing));
        let next = intake.meanwhile(next).await.map_err(|error| unwritten(depot, &error))?;
        match next.unwrap_or(Err(Interrupted::Cut)) {
            Ok(Some(piece)) => {
                if let Some(feed) = feed {
                    feed.push(&piece);
                }
                intake.push(piece);
            }
            Ok(None) => break Ok(()),
            Err(interrupted) => break Err(interrupted),
        }
    };
    let (staging, rest) = intake.end().await.map_err(|error| unwritten(depot, &error))?;
    Ok(Filled { staging, rest, ended })
}

/// What is to be done each time that pieces were written: lanes that lag may read them, and now and
/// then a checkpoint is due.
fn checkpoints(
    depot: &Depot,
    key: &UploadKey,
    feed: Option<Arc<Feed>>,
) -> impl Fn(&mut Staging) -> Result<(), VolumeError> + Send + Sync + 'static {
    let (part, every) = (key.part(), depot.settings.checkpoint);
    let (custody, lifetime) = (Arc::clone(&depot.custody), depot.settings.part_lifetime.as_secs());
    move |staging| {
        if let Some(feed) = &feed {
            feed.written(staging.readable());
        }
        if staging.since_checkpoint() >= every {
            staging.checkpoint(part, custody.now() + lifetime)?;
        }
        Ok(())
    }
}

fn unwritten(depot: &Depot, error: &IntakeError) -> Refusal {
    match error {
        IntakeError::Volume(error) => refuse(depot, error),
        IntakeError::Lost(lost) => depot.internal("store a payload", lost),
    }
}

/// The client, which is slowed where the lanes that are needed don't keep up.
struct Source<'s, P> {
    payload: &'s mut P,
    lanes: Option<&'s Fanout>,
    /// Nothing is being read for the next piece yet.
    held_back: bool,
}

impl<P: Payload> Source<'_, P> {
    /// The next piece. Cancelling loses nothing. A read that has begun is never held back: its time
    /// counts against the client.
    async fn next(&mut self, missing: u64) -> Result<Option<Bytes>, Interrupted> {
        if self.held_back
            && let Some(lanes) = self.lanes
        {
            lanes.keeps_up(missing).await;
        }
        self.held_back = false;
        let piece = self.payload.next().await;
        self.held_back = true;
        piece
    }
}

/// One job: the last pieces, the seal, and a look at the record that is to change.
async fn seal(
    depot: &Depot,
    mut staging: Staging,
    rest: Vec<Bytes>,
    key: &UploadKey,
    expected: Digest,
) -> Result<Stored, Refusal> {
    let (volume, part) = (depot.custody.volume.clone(), key.part());
    let (namespace, name) = (key.namespace, key.name.clone());
    let view = depot.view().await?;
    let then = move |sealed| {
        // Whatever an earlier try has left is of no use after this one.
        volume.drop_part(&part);
        (sealed, Read::of(&view, &namespace, &name))
    };
    let sealed = if staging.is_held() {
        staging.append_all(rest).map_err(|error| refuse(depot, &error))?;
        depot.done(staging.seal_soon(expected, then)).await
    } else {
        let seal = move || staging.append_all(rest).and_then(|()| staging.seal(&expected));
        depot.run(move || then(seal())).await
    };
    let (sealed, read) = sealed?;
    match sealed {
        Ok(Seal::Done(sealed)) => {
            let read = read.map_err(|error| {
                depot.custody.let_go(sealed.digest());
                depot.unreadable(&error)
            })?;
            Ok(Stored::Sealed(sealed, read))
        }
        Ok(Seal::WrongHash) => Err(wrong_hash()),
        Err(error) => {
            // It may have its name already: a folder that could not be synced.
            depot.custody.let_go(expected);
            Err(refuse(depot, &error))
        }
    }
}

/// One job: the last pieces, the word to the lanes that the hash is right, and the sync, so that
/// all servers sync at the same time.
async fn complete(
    depot: &Depot,
    mut staging: Staging,
    rest: Vec<Bytes>,
    key: &UploadKey,
    expected: Digest,
    feed: Arc<Feed>,
) -> Result<Complete, Refusal> {
    let (volume, part) = (depot.custody.volume.clone(), key.part());
    let tell = move |staging: &Staging| {
        feed.written(staging.readable());
        match staging.is(&expected) {
            true => feed.right(expected),
            false => feed.give_up(),
        }
    };
    let then = move |complete: Result<Option<Complete>, VolumeError>| {
        if let Ok(None) = &complete {
            volume.drop_part(&part);
        }
        complete
    };
    let complete = if staging.is_held() {
        staging.append_all(rest).map_err(|error| refuse(depot, &error))?;
        tell(&staging);
        depot.done(staging.complete_soon(expected, then)).await
    } else {
        let complete = move || {
            staging.append_all(rest)?;
            tell(&staging);
            staging.complete(&expected)
        };
        depot.run(move || then(complete())).await
    };
    complete?.map_err(|error| refuse(depot, &error))?.ok_or_else(wrong_hash)
}

/// Keeps what has come, to be resumed.
async fn keep(
    depot: &Depot,
    mut staging: Staging,
    rest: Vec<Bytes>,
    key: &UploadKey,
) -> Result<(), Refusal> {
    let part = key.part();
    let expires = depot.custody.now() + depot.settings.part_lifetime.as_secs();
    let job = move || staging.append_all(rest).and_then(|()| staging.keep(part, expires));
    if let Err(error) = depot.run(job).await? {
        tracing::warn!(%error, "what came of an upload could not be kept");
    }
    Ok(())
}

/// Keeps a payload that is whole and got too few copies, to be sent to other servers later.
pub(super) async fn keep_complete(
    depot: &Depot,
    complete: Complete,
    key: &UploadKey,
) -> Result<(), Refusal> {
    let (part, digest) = (key.part(), complete.digest());
    let expires = depot.custody.now() + depot.settings.part_lifetime.as_secs();
    if let Err(error) = depot.run(move || complete.keep(part, expires)).await? {
        tracing::warn!(%error, "an upload that got too few copies could not be kept");
    }
    // In a pack, it lies there beside the part.
    depot.custody.let_go(digest);
    Ok(())
}
