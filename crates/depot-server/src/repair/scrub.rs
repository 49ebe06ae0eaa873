//! The scrub: reads every blob again. Today it runs when the volume became suspect by a disk
//! fault; when it has read everything and found it good, the volume takes payloads again.

use std::sync::Arc;
use std::time::Duration;

use crate::custody::Custody;
use crate::seams::{Seams, blocking};
use crate::tasks::Tasks;
use crate::volume::Volume;

/// How long after a scrub that did not pass the next one begins.
const AGAIN: Duration = Duration::from_secs(600);

/// Runs until the server stops.
pub async fn run(custody: Arc<Custody>, seams: Seams, tasks: Tasks) {
    let work = async {
        loop {
            custody.volume.became_suspect.notified().await;
            while custody.volume.check_writable().is_err() {
                if !pass(&custody, &seams).await {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = tasks.stopping().cancelled() => {}
    }
}

/// One pass over the volume; whether it passed.
async fn pass(custody: &Arc<Custody>, seams: &Seams) -> bool {
    let faults = custody.volume.faults();
    let mut bad = 0;
    for first_byte in 0..=u8::MAX {
        let volume = Arc::clone(&custody.volume);
        match blocking::run(&seams.blocking, move || scrub_shard(&volume, first_byte)).await {
            Ok(Ok(found)) => bad += found,
            Ok(Err(error)) => {
                tracing::error!(%error, "the scrub cannot read the volume");
                return false;
            }
            Err(_lost) => return false,
        }
    }
    if bad > 0 {
        tracing::error!(bad, "the scrub found bad copies; the volume stays read-only");
        return false;
    }
    let volume = Arc::clone(&custody.volume);
    match blocking::run(&seams.blocking, move || volume.absolve(faults)).await {
        Ok(Ok(true)) => {
            tracing::info!("the scrub has passed: the volume takes payloads again");
            true
        }
        Ok(Ok(false)) => {
            tracing::error!("the disk failed again while the scrub ran");
            false
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the scrub has passed, but the volume cannot be written");
            false
        }
        Err(_lost) => false,
    }
}

/// How many bad copies went into quarantine. An error: something can't be read now.
fn scrub_shard(volume: &Volume, first_byte: u8) -> std::io::Result<usize> {
    let mut bad = 0;
    for digest in volume.shard(first_byte)? {
        let size = match volume.blob_size(&digest) {
            Ok(None) => continue, // swept meanwhile
            Ok(Some(size)) => size,
            // Whatever its size was: its footer is bad under any.
            Err(error) if error.condemns() => 0,
            Err(error) => return Err(std::io::Error::other(error)),
        };
        bad += usize::from(volume.condemn(&digest, size)?);
    }
    Ok(bad)
}
