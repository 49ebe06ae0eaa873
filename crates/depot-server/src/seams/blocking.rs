//! Where blocking work (disk, hashing) runs: on a pool of threads in production, inline in a
//! simulation, so that one seed gives one order of events.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::oneshot;

/// Runs a piece of work that may block its thread.
pub trait Blocking: fmt::Debug + Send + Sync {
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
    let (job, take) = told(|()| work());
    blocking.start(Box::new(move || job(())));
    take
}

/// Does both at the same time: `apart` where blocking is allowed, `here` in this thread, which may
/// block too. Where no thread comes to do `apart` until `here` is done, this one does it.
pub fn both<A, B>(
    blocking: &Arc<dyn Blocking>,
    apart: impl FnOnce() -> A + Send + 'static,
    here: impl FnOnce() -> B,
) -> (A, B)
where
    A: Send + 'static,
{
    let work = Arc::new(Mutex::new(Some(apart)));
    let (give, take) = mpsc::sync_channel(1);
    let job = Arc::clone(&work);
    blocking.start(Box::new(move || {
        if let Some(work) = take_from(&job) {
            drop(give.send(work())); // it is waited for, unless `here` panicked
        }
    }));
    let here = here();
    let apart = match take_from(&work) {
        Some(work) => work(),
        None => take.recv().expect("a panic of one half is one of the whole"),
    };
    (apart, here)
}

fn take_from<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// `work` as something to be called later, and who gets its result.
pub fn told<A, T>(
    work: impl FnOnce(A) -> T + Send + 'static,
) -> (impl FnOnce(A) + Send + 'static, oneshot::Receiver<T>)
where
    T: Send + 'static,
{
    let (give, take) = oneshot::channel();
    let span = tracing::Span::current();
    let job = move |argument| {
        let result = span.in_scope(|| work(argument));
        // Nobody waits any more: the work itself is done, its result has no reader.
        drop(give.send(result));
    };
    (job, take)
}

/// Gathers small pieces of work that come at the same time, so that one job does them all: to hand a
/// piece over to another thread costs more than to do it.
pub struct Gathered<P> {
    blocking: Arc<dyn Blocking>,
    work: Box<dyn Fn(Vec<P>) + Send + Sync>,
    state: Mutex<Gathering<P>>,
}

struct Gathering<P> {
    waiting: Vec<P>,
    /// How many more jobs may run.
    jobs: usize,
}

impl<P: Send + 'static> Gathered<P> {
    /// At most so many `jobs` run at a time. Each hands `work` whatever waits, until nothing does.
    pub fn new(
        blocking: &Arc<dyn Blocking>,
        jobs: usize,
        work: impl Fn(Vec<P>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = Mutex::new(Gathering { waiting: Vec::new(), jobs });
        Arc::new(Gathered { blocking: Arc::clone(blocking), work: Box::new(work), state })
    }

    /// Has one of the jobs do this.
    pub fn add(self: &Arc<Self>, piece: P) {
        let mut state = self.state();
        state.waiting.push(piece);
        self.begin(state);
    }

    /// Begins one more job where it may run and has something to do.
    fn begin(self: &Arc<Self>, mut state: MutexGuard<'_, Gathering<P>>) {
        if state.jobs == 0 || state.waiting.is_empty() {
            return;
        }
        state.jobs -= 1;
        drop(state);
        let turn = Turn(Arc::clone(self));
        self.blocking.start(Box::new(move || turn.run()));
    }

    fn state(&self) -> MutexGuard<'_, Gathering<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> fmt::Debug for Gathered<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered").finish_non_exhaustive()
    }
}

/// Work that takes a moment.
pub type Short = Gathered<Box<dyn FnOnce() + Send>>;

/// Gathers work that takes a moment, to be done in at most so many jobs at a time.
pub fn short(blocking: &Arc<dyn Blocking>, jobs: usize) -> Arc<Short> {
    Gathered::new(blocking, jobs, |pieces: Vec<Box<dyn FnOnce() + Send>>| {
        pieces.into_iter().for_each(|work| work());
    })
}

impl Short {
    /// Starts `work`; the receiver gets its result.
    pub fn start<T, F>(self: &Arc<Self>, work: F) -> oneshot::Receiver<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (job, take) = told(|()| work());
        self.add(Box::new(move || job(())));
        take
    }
}

/// The right to run a job, given back whatever becomes of it.
struct Turn<P: Send + 'static>(Arc<Gathered<P>>);

impl<P: Send + 'static> Turn<P> {
    fn run(self) {
        loop {
            let pieces = std::mem::take(&mut self.0.state().waiting);
            if pieces.is_empty() {
                return;
            }
            (self.0.work)(pieces);
        }
    }
}

impl<P: Send + 'static> Drop for Turn<P> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.jobs += 1;
        // Somebody may have come behind the last look.
        self.0.begin(state);
    }
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

#[cfg(test)]
mod tests;
