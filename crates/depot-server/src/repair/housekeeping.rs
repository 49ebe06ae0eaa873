//! Once a minute: the running time is saved, parts and trash whose time is over go, the index of packs is
//! made durable, and packs of which little is needed give back their room. Every ten minutes the start
//! number is raised, so that an older copy of the data folder shows as one. Once a day the catalogue is
//! read whole; where it is damaged the server ends, and says at its next start what to do.

use std::sync::Arc;
use std::time::Duration;

use crate::catalogue::ReadError;
use crate::custody::Custody;
use crate::seams::{Seams, blocking};
use crate::start_number::StartNumber;
use crate::tasks::Tasks;
use crate::volume::Reclaim;

const MINUTE: Duration = Duration::from_secs(60);
/// Every so many minutes the start number is raised.
const RAISE_EVERY: u64 = 10;
/// Every so many minutes the catalogue is read whole.
const CHECK_EVERY: u64 = 24 * 60;

/// Runs until the server stops.
pub async fn run(custody: Arc<Custody>, seams: Seams, number: StartNumber, tasks: Tasks) {
    // Emptying a large trash takes longer than a minute, and nothing else waits for it.
    let empty = async {
        loop {
            tokio::time::sleep(MINUTE).await;
            if let Err(error) = custody.empty_trash().await {
                tracing::warn!(%error, "cannot empty the trash");
            }
        }
    };
    let keep = async {
        for minute in 1_u64.. {
            tokio::time::sleep(MINUTE).await;
            turn(&custody, &seams, &number, minute).await;
        }
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(empty, keep) } => {}
        () = tasks.stopping().cancelled() => {}
    }
}

async fn turn(custody: &Arc<Custody>, seams: &Seams, number: &StartNumber, minute: u64) {
    let (keeper, number) = (Arc::clone(custody), number.clone());
    let keep = move || {
        keeper.volume.expire_parts(keeper.now());
        keeper.volume.settle();
        if let Err(error) = number.save(minute.is_multiple_of(RAISE_EVERY)) {
            tracing::error!(%error, "cannot save the running time");
        }
    };
    if let Err(lost) = blocking::run(&seams.blocking, keep).await {
        tracing::error!(%lost, "housekeeping");
    }
    let daily = minute.is_multiple_of(CHECK_EVERY);
    if let Err(error) = custody.reclaim(if daily { Reclaim::Always } else { Reclaim::IfMuch }).await
    {
        tracing::error!(%error, "housekeeping");
    }
    if daily {
        check(custody, seams).await;
    }
}

async fn check(custody: &Custody, seams: &Seams) {
    let Ok(view) = custody.catalogue.view().await else { return }; // down: the process ends
    match blocking::run(&seams.blocking, move || view.verify()).await {
        Ok(Ok(walked)) => tracing::info!(files = walked.records, "the catalogue is whole"),
        Ok(Err(ReadError::Corrupt { what })) => (seams.abort)(&what),
        Ok(Err(error)) => tracing::error!(%error, "cannot check the catalogue"),
        Err(lost) => tracing::error!(%lost, "cannot check the catalogue"),
    }
}
