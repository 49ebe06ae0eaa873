//! What the healer knows of the copies that it shall make: when each is tried next, and what there
//! is to tell of it meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use depot_protocol::{Digest, FileName};
use tokio::time::Instant;

use crate::catalogue::{Cause, Namespace};

/// So many wanted copies are known at once; of more, the next look at all records tells.
const KNOWN_MAX: usize = 4096;
/// How long after a copy could not be had it is tried again, at first.
const BACKOFF: Duration = Duration::from_secs(1);
/// And at last; also how long nothing is looked at where nothing is due.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// So many bytes of the reason why a copy could not be had are kept.
const FAILURE_MAX: usize = 200;

/// A file of somebody.
pub(super) type Key = (Namespace, FileName);

/// What came of a try.
#[derive(Debug)]
pub(super) enum Tried {
    /// The copy is here and listed, or nobody wants it any more.
    Settled,
    /// It could not be had now, for this reason.
    Later(String),
}

/// A copy that is wanted here and is not here.
#[derive(Debug, Clone)]
pub(super) struct Due {
    /// Of which content.
    pub(super) digest: Digest,
    /// What was heard of why; nothing where it was found among the records.
    pub(super) cause: Option<Cause>,
    /// When it was first heard of.
    pub(super) since: Instant,
    /// When it is tried.
    pub(super) at: Instant,
    /// How long it waits after that.
    backoff: Duration,
    /// How often it was tried in vain.
    pub(super) attempts: u32,
    /// Why the last time.
    pub(super) failure: Option<String>,
}

impl Due {
    /// One that is tried in so long for the first time.
    pub(super) fn new(digest: Digest, cause: Option<Cause>, first: Duration) -> Self {
        let since = Instant::now();
        let (at, backoff) = (since + first, BACKOFF);
        Due { digest, cause, since, at, backoff, attempts: 0, failure: None }
    }

    /// It was tried in vain.
    fn again(mut self, mut failure: String) -> Self {
        failure.truncate(failure.floor_char_boundary(FAILURE_MAX));
        self.at = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        self.attempts = self.attempts.saturating_add(1);
        self.failure = Some(failure);
        self
    }
}

/// All of them, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Those that wait.
    files: BTreeMap<Key, Due>,
    /// Those being fetched.
    running: BTreeMap<Key, Due>,
    /// All records are to be looked through.
    pub(super) look_at_all: bool,
    /// There are more than could be remembered.
    pub(super) missed: bool,
}

impl Wanted {
    /// At start nothing is known, and all records are to be looked through.
    pub(super) fn at_start() -> Self {
        Wanted { look_at_all: true, ..Wanted::default() }
    }

    /// How many are known, and how many of them are being fetched.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.files.len() + self.running.len(), self.running.len())
    }

    /// The `most` that are known for the longest time, and whether they are being fetched.
    pub(super) fn oldest(&self, most: usize) -> Vec<(Due, bool)> {
        let running = self.running.iter().map(|(key, due)| (due.since, key, due, true));
        let waiting = self.files.iter().map(|(key, due)| (due.since, key, due, false));
        // One that was heard of again while it is fetched is one copy.
        let waiting = waiting.filter(|(_, key, ..)| !self.running.contains_key(*key));
        let mut all: Vec<_> = running.chain(waiting).collect();
        all.sort_unstable_by_key(|(since, key, ..)| (*since, *key));
        all.into_iter().take(most).map(|(_, _, due, running)| (due.clone(), running)).collect()
    }

    /// One more; the sooner of two times counts.
    pub(super) fn add(&mut self, key: Key, due: Due) {
        if self.files.len() >= KNOWN_MAX && !self.files.contains_key(&key) {
            self.missed = true;
            return;
        }
        let at = due.at;
        let known = self.files.entry(key).or_insert_with(|| due.clone());
        match known.digest == due.digest {
            true => known.at = known.at.min(at),
            false => *known = due, // the file has another content by now
        }
    }

    /// The one that is due first, of those whose content is not being fetched, for whatever file.
    pub(super) fn first(&self) -> Option<(Key, Due)> {
        let fetched = |digest| self.running.values().any(|due| due.digest == digest);
        let idle = self.files.iter().filter(|(_, due)| !fetched(due.digest));
        let first = idle.min_by_key(|(_, due)| due.at);
        first.map(|(key, due)| (key.clone(), due.clone()))
    }

    /// This one is being fetched. What is heard of it from now on is for the time after that.
    pub(super) fn begin(&mut self, key: &Key) {
        if let Some(due) = self.files.remove(key) {
            self.running.insert(key.clone(), due);
        }
    }

    /// The first one behind `after` (none: of all) that waits for a content which was made meanwhile
    /// for another file.
    pub(super) fn begin_same(&mut self, digest: &Digest, after: Option<&Key>) -> Option<Key> {
        let same = |(key, due): &(&Key, &Due)| {
            due.digest == *digest && Some(*key) > after && !self.running.contains_key(*key)
        };
        let key = self.files.iter().find(same)?.0.clone();
        self.begin(&key);
        Some(key)
    }

    /// It was tried.
    pub(super) fn end(&mut self, key: Key, tried: Tried) {
        if let (Some(due), Tried::Later(failure)) = (self.running.remove(&key), tried) {
            let heard = self.files.remove(&key);
            self.add(key.clone(), due.again(failure));
            if let Some(heard) = heard {
                self.add(key, heard);
            }
        }
        if self.missed && self.files.len() < KNOWN_MAX / 2 {
            (self.missed, self.look_at_all) = (false, true);
        }
    }

    /// A peer has come up, or gone: what could not be had is tried now.
    pub(super) fn hurry(&mut self) {
        let now = Instant::now();
        self.files.values_mut().for_each(|due| (due.at, due.backoff) = (now, BACKOFF));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (Namespace::from_bytes([1; 32]), FileName::parse(name).unwrap())
    }

    fn due(content: u8) -> Due {
        Due::new(Digest::from_bytes([content; 32]), Some(Cause::Lost), Duration::ZERO)
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_waits_ever_longer_and_is_told_with_its_reason() {
        let mut wanted = Wanted::default();
        let begun = Instant::now();
        wanted.add(key("a"), due(1));
        for (attempts, waits) in (1..).zip([1, 2, 4, 8, 16, 32, 60, 60]) {
            wanted.begin(&key("a"));
            assert_eq!(wanted.count(), (1, 1));
            assert!(wanted.first().is_none(), "it is being fetched");
            wanted.end(key("a"), Tried::Later("é".repeat(FAILURE_MAX)));
            let (due, running) = wanted.oldest(1).pop().unwrap();
            assert_eq!((due.attempts, running, due.since), (attempts, false, begun));
            assert_eq!(due.failure, Some("é".repeat(FAILURE_MAX / 2)));
            let (_, Due { at, .. }) = wanted.first().unwrap();
            assert_eq!(at, Instant::now() + Duration::from_secs(waits));
            tokio::time::sleep_until(at).await;
        }
        wanted.hurry();
        assert_eq!(wanted.first().unwrap().1.at, Instant::now());
        wanted.begin(&key("a"));
        wanted.end(key("a"), Tried::Settled);
        assert_eq!(wanted.count(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_content_is_fetched_once_for_all_files_that_wait_for_it() {
        let mut wanted = Wanted::default();
        for (name, content) in [("a", 1), ("b", 1), ("c", 2), ("d", 1)] {
            wanted.add(key(name), due(content));
        }
        wanted.begin(&key("b"));
        assert_eq!(wanted.first().unwrap().0, key("c"));
        let one = Digest::from_bytes([1; 32]);
        assert_eq!(wanted.begin_same(&one, None), Some(key("a")));
        wanted.end(key("a"), Tried::Later("not now".into()));
        assert_eq!(wanted.begin_same(&one, Some(&key("a"))), Some(key("d")));
        wanted.end(key("d"), Tried::Settled);
        assert_eq!(wanted.begin_same(&one, Some(&key("d"))), None);
        wanted.end(key("b"), Tried::Settled);
        assert_eq!(wanted.count(), (2, 0), "one is another content, one has failed");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_heard_while_it_is_fetched_is_for_the_time_after() {
        let mut wanted = Wanted::default();
        wanted.add(key("a"), due(1));
        wanted.begin(&key("a"));
        wanted.add(key("a"), due(2));
        assert_eq!(wanted.oldest(9).len(), 1);
        wanted.end(key("a"), Tried::Later("not now".into()));
        let (due, _) = wanted.oldest(9).pop().unwrap();
        assert_eq!((due.digest, due.failure), (Digest::from_bytes([2; 32]), None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_are_told_first_and_of_too_many_it_is_known_that_there_are_more() {
        let mut wanted = Wanted::default();
        for n in (0..=KNOWN_MAX).rev() {
            wanted.add(key(&format!("{n:06}")), due(1));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!((wanted.count().0, wanted.missed), (KNOWN_MAX, true));
        let oldest = wanted.oldest(3);
        assert!(oldest.is_sorted_by_key(|(due, _)| due.since) && oldest.len() == 3);
        assert!(oldest[0].0.since < Instant::now() - Duration::from_millis(KNOWN_MAX as u64));
    }
}
