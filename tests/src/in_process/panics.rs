//! Panics of the server's own code, which end a task or a job without a word to the test.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static SEEN: AtomicUsize = AtomicUsize::new(0);
static HOOK: Once = Once::new();

/// Counts the panics in the server's source, on whichever thread. A test's own, and those that
/// the server expects of its database and takes for faults, are not counted.
#[derive(Debug)]
pub struct Panics {
    before: usize,
}

impl Panics {
    /// Starts counting.
    pub fn watch() -> Self {
        HOOK.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let source = info.location().map(|location| location.file().to_owned());
                if source.is_some_and(|file| file.contains("depot-")) {
                    SEEN.fetch_add(1, Ordering::SeqCst);
                }
                report(info);
            }));
        });
        Panics { before: SEEN.load(Ordering::SeqCst) }
    }

    /// How many there were since.
    pub fn seen(&self) -> usize {
        SEEN.load(Ordering::SeqCst) - self.before
    }
}
