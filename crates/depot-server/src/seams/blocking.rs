//! Where blocking work (disk, hashing) runs: on a pool of threads in production, inline in a
//! simulation, so that one seed gives one order of events.

use std::sync::Arc;

use tokio::sync::oneshot;

/// Runs a piece of work that may block its thread.
pub trait Blocking: Send + Sync {
    /// Starts `job`; it runs to its end even if nobody waits for it.
    fn start(&self, job: Box<dyn FnOnce() + Send>);
}

/// The work ended without a result: it panicked, or the runtime is going down.
#[derive(Debug, thiserror::Error)]
#[error("a piece of blocking work ended without a result")]
pub struct Lost;

/// Runs `work` where blocking is allowed and waits for its result. Dropping the future does not
/// stop the work.
pub async fn run<T, F>(blocking: &Arc<dyn Blocking>, work: F) -> Result<T, Lost>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    start(blocking, work).await.map_err(|_| Lost)
}

/// Starts `work` where blocking is allowed; the receiver gets its result.
pub fn start<T, F>(blocking: &Arc<dyn Blocking>, work: F) -> oneshot::Receiver<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (give, take) = oneshot::channel();
    let span = tracing::Span::current();
    blocking.start(Box::new(move || {
        let result = span.in_scope(work);
        // Nobody waits any more: the work itself is done, its result has no reader.
        drop(give.send(result));
    }));
    take
}

/// Tokio's pool of blocking threads.
#[derive(Debug)]
pub struct ThreadPool;

impl Blocking for ThreadPool {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        drop(tokio::task::spawn_blocking(job));
    }
}
