//! Blocking work without threads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use depot_server::seams::Blocking;

/// Runs each job to its end, where it is started, before the start returns: one seed then gives one
/// order of events. A job that waits for another task would wait for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inline;

impl Blocking for Inline {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        // As on a pool of threads, a panic ends the job and not its starter, who sees `Lost`. The
        // panic's message has been printed by the hook.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}
