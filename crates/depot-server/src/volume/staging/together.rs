//! Small payloads that come at the same time: one job makes all of them durable by one sync of a pack.

use std::io;
use std::sync::Arc;

use depot_protocol::Digest;
use tokio::sync::oneshot;

use super::super::VolumeError;
use super::super::packs::Packs;
use super::{Complete, Seal, Sealed, Staging};
use crate::seams::blocking::{self, Blocking, Gathered};

/// What is to be done for a small payload.
pub(in crate::volume) enum Step {
    /// Its bytes are to be made durable.
    Complete(Box<Staging>, Digest, Then),
    /// Something short that needs no sync.
    Short(Box<dyn FnOnce() + Send>),
}

type Then = Box<dyn FnOnce(Result<Option<Complete>, VolumeError>) + Send>;

/// Does what is to be done for the small payloads of one volume.
pub(in crate::volume) fn gather(
    blocking: &Arc<dyn Blocking>,
    packs: &Arc<Packs>,
) -> Arc<Gathered<Step>> {
    let (apart, packs) = (Arc::clone(blocking), Arc::clone(packs));
    Gathered::new(blocking, 1, move |steps| take(&apart, &packs, steps))
}

impl Staging {
    /// As [`Staging::complete`] for a payload that is held, together with others. Called anywhere;
    /// `then` is called with what came of it where blocking is allowed, and for a moment only: others
    /// wait behind it.
    pub fn complete_soon<T: Send + 'static>(
        self,
        expected: Digest,
        then: impl FnOnce(Result<Option<Complete>, VolumeError>) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (then, take) = blocking::told(then);
        let small = Arc::clone(&self.volume.small);
        small.add(Step::Complete(Box::new(self), expected, Box::new(then)));
        take
    }

    /// As [`Staging::seal`], likewise.
    pub fn seal_soon<T: Send + 'static>(
        self,
        expected: Digest,
        then: impl FnOnce(Result<Seal, VolumeError>) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        self.complete_soon(expected, |complete| {
            then(complete.and_then(|complete| match complete {
                Some(complete) => complete.seal().map(Seal::Done),
                None => Ok(Seal::WrongHash),
            }))
        })
    }
}

impl Complete {
    /// As [`Complete::seal`], likewise, for one that [is quick](Complete::is_quick).
    pub fn seal_soon<T: Send + 'static>(
        self,
        then: impl FnOnce(Result<Sealed, VolumeError>) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let small = Arc::clone(&self.staging.volume.small);
        let (short, take) = blocking::told(|complete: Complete| then(complete.seal()));
        small.add(Step::Short(Box::new(move || short(self))));
        take
    }
}

fn take(apart: &Arc<dyn Blocking>, packs: &Arc<Packs>, steps: Vec<Step>) {
    let (mut whole, mut payloads) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Short(short) => short(),
            Step::Complete(staging, expected, then) => match staging.checked(&expected) {
                Ok(Some(staging)) => match &staging.held {
                    Some(held) => {
                        payloads.push((expected, held.clone()));
                        whole.push((staging, expected, then));
                    }
                    None => apart.start(Box::new(move || then(staging.synced(expected).map(Some)))),
                },
                Ok(None) => then(Ok(None)),
                Err(error) => then(Err(error)),
            },
        }
    }
    if whole.is_empty() {
        return;
    }
    match packs.append(payloads) {
        Ok(true) => {
            for (staging, digest, then) in whole {
                then(Ok(Some(staging.packed(digest))));
            }
        }
        Ok(false) => {
            for (staging, digest, then) in whole {
                // Each waits for a sync of its own, or shares one.
                apart.start(Box::new(move || then(staging.synced(digest).map(Some))));
            }
        }
        Err(error) => {
            for (staging, _, then) in whole {
                let again =
                    error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
                then(Err(staging.unpacked(again)));
            }
        }
    }
}
