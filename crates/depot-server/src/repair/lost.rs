//! Copies that went bad or are gone: the catalogue is told, so that nobody counts them, and this
//! server is wanted to have another.

use std::sync::Arc;
use std::time::Duration;

use crate::custody::Custody;
use crate::tasks::Tasks;

/// How long it waits after the catalogue could not be told.
const BACKOFF: Duration = Duration::from_secs(1);

/// Runs until the server stops. What it has not told by then is found again at the next start
/// (`reconcile`).
pub async fn run(custody: Arc<Custody>, tasks: Tasks) {
    let work = async {
        loop {
            match custody.tell_lost().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::warn!(%error, "cannot tell of a lost copy now");
                    tokio::time::sleep(BACKOFF).await;
                }
                None => custody.lost_any.notified().await,
            }
        }
    };
    tokio::select! {
        biased;
        () = work => {}
        () = tasks.stopping().cancelled() => {}
    }
}
