//! What goes on for an upload that was refused although its payload is here whole: the copies that
//! are on their way to other servers, until the upload is tried again.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::tasks::Tasks;
use crate::volume::PartKey;

/// So many are kept; past that, the oldest is dropped.
const MOST: usize = 64;

/// All that goes on. What it is, only the story knows that keeps it, a floor above. Clones are the
/// same.
#[derive(Clone, Default)]
pub struct Lingering(Arc<Mutex<VecDeque<Kept>>>);

struct Kept {
    part: PartKey,
    what: Box<dyn Any + Send>,
    /// Ends the wait for its end.
    _gone: DropGuard,
}

impl Lingering {
    /// Keeps this for the upload that left this part: no longer than `lifetime`, and not beyond the
    /// word to stop. What was kept for it before is dropped.
    pub fn keep<T: Any + Send>(&self, part: PartKey, what: T, lifetime: Duration, tasks: &Tasks) {
        let gone = CancellationToken::new();
        let kept = Kept { part, what: Box::new(what), _gone: gone.clone().drop_guard() };
        {
            let mut all = self.all();
            all.retain(|other| other.part != part);
            if all.len() == MOST {
                all.pop_front();
            }
            all.push_back(kept);
        }
        let (all, stopping) = (self.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = gone.cancelled() => return,
                () = tokio::time::sleep(lifetime) => {}
                () = stopping.cancelled() => {}
            }
            all.all().retain(|kept| kept.part != part);
        });
    }

    /// Gives back what was kept for this upload, if that is there and of this kind.
    pub fn take<T: Any + Send>(&self, part: &PartKey) -> Option<T> {
        let mut all = self.all();
        let at = all.iter().position(|kept| kept.part == *part)?;
        let what = all.remove(at)?.what.downcast().ok()?;
        Some(*what)
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u64) -> PartKey {
        PartKey::by_name(&[1; 32], "name", number)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_given_back_once_and_for_its_upload_alone() {
        let (all, tasks) = (Lingering::default(), Tasks::default());
        all.keep(part(1), "one", Duration::from_secs(9), &tasks);
        all.keep(part(1), "again", Duration::from_secs(9), &tasks);
        assert_eq!(all.take::<&str>(&part(2)), None);
        assert_eq!(all.take(&part(1)), Some("again"));
        assert_eq!(all.take::<&str>(&part(1)), None);
        tasks.tracker().close();
        tasks.tracker().wait().await; // nothing waits for what is gone
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_its_time_with_too_many_and_with_the_server() {
        let (all, tasks) = (Lingering::default(), Tasks::default());
        all.keep(part(0), (), Duration::from_secs(9), &tasks);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(all.take::<()>(&part(0)), None, "its time is over");
        for number in 0..=MOST as u64 {
            all.keep(part(number), (), Duration::from_secs(9), &tasks);
        }
        assert_eq!(all.take::<()>(&part(0)), None, "it was the oldest");
        assert_eq!(all.take(&part(1)), Some(()));
        tasks.stop(Duration::from_secs(1), &CancellationToken::new()).await;
        assert_eq!(all.take::<()>(&part(2)), None, "the server stops");
    }
}
