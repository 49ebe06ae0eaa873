//! Where files are read, written and hashed: off the threads that serve the network.

use std::future::{Future, pending};
use std::panic::resume_unwind;

/// Begins `work` on a thread for blocking work, at once; the future tells what came of it. Work that
/// has begun ends even where the future is dropped.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> + Send {
    #[expect(clippy::disallowed_methods, reason = "the seam of the client: all its file work")]
    let begun = tokio::task::spawn_blocking(work);
    async {
        match begun.await {
            Ok(value) => value,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down, and this future with it.
                Err(_) => pending().await,
            },
        }
    }
}
