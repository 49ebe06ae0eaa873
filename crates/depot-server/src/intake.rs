//! The pieces of a payload between the connection that they come from and the disk.
//!
//! While one blocking job hashes and writes the pieces that have come, the next are received, a few at
//! most, so memory does not grow with the file. The job goes on as long as there are any: a
//! payload that comes quickly never waits for a thread to be woken.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use crate::seams::Blocking;
use crate::seams::blocking::{self, Lost};
use crate::volume::{Staging, VolumeError};

/// A payload of at most so many bytes that comes in a few pieces is written in one go, with its seal.
const SMALL: u64 = 64 * 1024;

/// A piece could not be written.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The volume does not take it.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The job ended without a word.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// A payload that is being received.
pub struct Intake {
    blocking: Arc<dyn Blocking>,
    queue: Arc<Queue>,
    staging: Place,
    /// How many of its bytes have not come yet.
    missing: u64,
    small: bool,
    /// Called by the job with what is written, again and again.
    wrote: Arc<Wrote>,
}

type Wrote = dyn Fn(&mut Staging) -> Result<(), VolumeError> + Send + Sync;

struct Queue {
    pieces: Mutex<VecDeque<Bytes>>,
    /// How many may wait.
    most: usize,
    /// Some were taken.
    taken: Notify,
}

type Job = oneshot::Receiver<Result<Box<Staging>, VolumeError>>;

enum Place {
    Here(Box<Staging>),
    /// With the job that writes.
    Away(Job),
    /// That did not bring it back.
    Lost,
}

impl Intake {
    /// Goes on with `staging`. At most so many pieces wait for the disk; as many may be with it, and
    /// one is being received.
    pub fn new(blocking: &Arc<dyn Blocking>, staging: Staging, most: usize) -> Self {
        Intake {
            blocking: Arc::clone(blocking),
            queue: Arc::new(Queue { pieces: Mutex::default(), most, taken: Notify::new() }),
            missing: staging.missing(),
            small: staging.written() + staging.missing() <= SMALL,
            staging: Place::Here(Box::new(staging)),
            wrote: Arc::new(|_| Ok(())),
        }
    }

    /// Has this called, where blocking is allowed, each time that pieces were written.
    pub fn when_written(
        mut self,
        wrote: impl Fn(&mut Staging) -> Result<(), VolumeError> + Send + Sync + 'static,
    ) -> Self {
        self.wrote = Arc::new(wrote);
        self
    }

    /// How many bytes have not come yet.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Takes the next piece, which begins to be written. The last one waits for what follows, as
    /// all of a small payload does.
    pub fn push(&mut self, piece: Bytes) {
        self.missing -= piece.len() as u64;
        self.queue.lock().push_back(piece);
        self.begin();
    }

    /// Waits for `next`, what brings the next piece, as soon as there is room for one. That a piece
    /// could not be written comes first, and at once.
    pub async fn meanwhile<T>(&mut self, next: impl Future<Output = T>) -> Result<T, IntakeError> {
        tokio::pin!(next);
        let queue = Arc::clone(&self.queue);
        loop {
            // Behind the last piece comes what needs no room.
            let room = self.missing == 0 || queue.lock().len() < queue.most;
            tokio::select! {
                biased;
                back = back(&mut self.staging) => {
                    back?;
                    self.begin(); // what came when the job had already looked
                }
                () = queue.taken.notified(), if !room => {}
                next = &mut next, if room => return Ok(next),
            }
        }
    }

    /// Waits for what is being written; with it, the pieces that are not.
    pub async fn end(mut self) -> Result<(Staging, Vec<Bytes>), IntakeError> {
        if let Place::Away(_) = self.staging {
            back(&mut self.staging).await?;
        }
        let rest = std::mem::take(&mut *self.queue.lock());
        match self.staging {
            Place::Here(staging) => Ok((*staging, rest.into())),
            Place::Away(_) | Place::Lost => Err(Lost.into()),
        }
    }

    fn begin(&mut self) {
        let waiting = self.queue.lock().len();
        if waiting == 0 || self.missing == 0 || (self.small && waiting < self.queue.most) {
            return;
        }
        self.staging = match std::mem::replace(&mut self.staging, Place::Lost) {
            Place::Here(staging) => Place::Away(self.start(staging)),
            other => other,
        };
    }

    fn start(&self, mut staging: Box<Staging>) -> Job {
        let (queue, wrote) = (Arc::clone(&self.queue), Arc::clone(&self.wrote));
        blocking::start(&self.blocking, move || {
            loop {
                let pieces = std::mem::take(&mut *queue.lock());
                if pieces.is_empty() {
                    return Ok(staging);
                }
                queue.taken.notify_one();
                staging.append_all(pieces.into())?;
                wrote(&mut staging)?;
            }
        })
    }
}

/// Waits until the staging that was away is here again; for ever where it is not away.
async fn back(place: &mut Place) -> Result<(), IntakeError> {
    let Place::Away(job) = place else { return std::future::pending().await };
    let ended = job.await;
    *place = Place::Lost;
    *place = Place::Here(ended.map_err(|_| Lost)??);
    Ok(())
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
