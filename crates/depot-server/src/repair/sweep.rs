//! The sweeper: looks for blobs that no record lists, and has [`Custody`] sweep them.
//!
//! At start, and once a day, it holds the whole volume against the catalogue: a crash, or a
//! connection that breaks, between seal and commit leaves a blob that nobody asks for. It does so,
//! too, when the catalogue changed and nobody told in what. In between it wakes when a record lets go
//! of one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::custody::{Custody, CustodyError};
use crate::seams::{Seams, blocking};
use crate::tasks::Tasks;

/// How long it waits after a sweep that failed.
const BACKOFF: Duration = Duration::from_secs(10);
/// How long until the whole volume is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs until the server stops; a sweep once begun comes to its end. `missed` says that records may
/// have let go of copies that nobody told of.
pub async fn run(custody: Arc<Custody>, seams: Seams, missed: Arc<Notify>, tasks: Tasks) {
    let stopping = tasks.stopping();
    let mut look_again = Instant::now();
    while !stopping.is_cancelled() {
        if Instant::now() >= look_again {
            look_for_orphans(&custody, &seams, stopping).await;
            look_again = Instant::now() + LOOK_AGAIN;
        }
        let mut next = look_again;
        if custody.wants_sweep() {
            match custody.sweep().await {
                Ok(trashed) => tracing::debug!(trashed, "swept"),
                Err(error) => {
                    tracing::warn!(%error, "a sweep failed and is tried again");
                    next = Instant::now() + BACKOFF;
                }
            }
        }
        tokio::select! {
            () = custody.orphaned.notified() => {}
            () = missed.notified() => look_again = Instant::now(),
            () = sleep_until(next) => {}
            () = stopping.cancelled() => {}
        }
    }
}

/// One shard at a time, so that nobody waits for it.
async fn look_for_orphans(custody: &Arc<Custody>, seams: &Seams, stopping: &CancellationToken) {
    for first_byte in 0..=u8::MAX {
        if stopping.is_cancelled() {
            return;
        }
        if let Err(error) = look_into_shard(custody, seams, first_byte).await {
            tracing::warn!(first_byte, %error, "cannot look for blobs that no record lists");
        }
    }
}

async fn look_into_shard(
    custody: &Arc<Custody>,
    seams: &Seams,
    first_byte: u8,
) -> Result<(), CustodyError> {
    let view = custody.catalogue.view().await?;
    let custody = Arc::clone(custody);
    let look = move || -> Result<(), CustodyError> {
        let server = &custody.home.identity().server;
        for digest in custody.volume.shard(first_byte)? {
            match view.lists_blob(&digest, server) {
                Ok(true) => {}
                Ok(false) => custody.let_go(digest),
                Err(error) => {
                    tracing::error!(blob = %digest, %error, "cannot tell who lists a blob")
                }
            }
        }
        Ok(())
    };
    blocking::run(&seams.blocking, look).await?
}
