//! The one way to start a task and the one way to stop: a tree of cancellation tokens and a
//! tracker that knows every task until it has ended.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// How long what was cut may take to be gone.
const CUT: Duration = Duration::from_secs(5);

/// The tasks of one server.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    /// Finish what is under way, begin nothing new.
    stopping: CancellationToken,
    /// Stop where you are.
    stopped: CancellationToken,
}

impl Tasks {
    /// Starts a task; it lives in the caller's log span.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.tracker.spawn(task.in_current_span()));
    }

    /// The tracker itself, for a part that spawns by it.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Cancelled when the server is to finish what is under way.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Cancelled when its time for that is over.
    pub fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// Asks all tasks to finish, waits for at most `patience` (less if `hurry` is cancelled),
    /// then cuts what is left and waits for it to be gone, but no longer than 5 s.
    pub async fn stop(&self, patience: Duration, hurry: &CancellationToken) {
        self.stopping.cancel();
        self.tracker.close();
        tokio::select! {
            () = self.tracker.wait() => return,
            () = tokio::time::sleep(patience) => tracing::warn!("cutting what did not finish in time"),
            () = hurry.cancelled() => tracing::warn!("asked twice: cutting what is under way"),
        }
        self.stopped.cancel();
        if tokio::time::timeout(CUT, self.tracker.wait()).await.is_err() {
            tracing::error!("something does not end; it is left where it is");
        }
    }
}
