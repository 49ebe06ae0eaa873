//! What the healer knows of the copies that it shall make: when each is tried next, and what there
//! is to tell of it meanwhile.
//!
//! There may be more of them than are remembered. Those that can't be had now don't take the place
//! of those that can: they are forgotten where many wait, and found again among the records.

use std::collections::BTreeMap;
use std::time::Duration;

use depot_protocol::{Digest, FileName};
use tokio::time::Instant;

use super::super::plan::{Place, Round};
use crate::catalogue::{Cause, Namespace};

/// So many wanted copies are known at once; of more, the next look at all records tells.
const KNOWN_MAX: usize = 4096;
/// Where fewer wait, more are looked for among the records.
const KNOWN_MANY: usize = KNOWN_MAX / 2;
/// So many that can't be had now are remembered.
const HOPELESS_MAX: usize = KNOWN_MAX / 4;
/// How long after a copy could not be had it is tried again, at first.
const BACKOFF: Duration = Duration::from_secs(1);
/// And at last; also how long nothing is looked at where nothing is due.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// So many bytes of the reason why a copy could not be had are kept.
const FAILURE_MAX: usize = 200;

/// So many records are looked through in one go.
pub(super) const PAGE: usize = KNOWN_MAX - KNOWN_MANY;

/// A file of somebody.
pub(super) type Key = (Namespace, FileName);

/// What came of a try.
#[derive(Debug)]
pub(super) enum Tried {
    /// The copy is here and listed, or nobody wants it any more.
    Settled,
    /// It could not be had now, for this reason.
    Later(String),
    /// Nor can it be before a server comes up that has one.
    NoHolder(String),
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

    /// Heard of, and not tried yet though it is time: thousands that were tried in vain may be due
    /// for longer.
    fn is_fresh(&self, now: Instant) -> bool {
        self.at <= now && self.attempts == 0 && self.cause.is_some()
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
    /// All records are to be looked through, from where the last look is or was.
    look_at_all: bool,
    /// They are being looked through.
    looking: bool,
    round: Round,
    /// There are more than could be remembered.
    missed: bool,
}

impl Wanted {
    /// At start nothing is known, and all records are to be looked through.
    pub(super) fn at_start() -> Self {
        Wanted { look_at_all: true, ..Wanted::default() }
    }

    /// Records may have changed that nobody told of.
    pub(super) fn look_at_all(&mut self) {
        self.look_at_all = true;
    }

    /// Behind which record it is looked for more, if all are to be looked through and there is place
    /// for [`PAGE`] of them.
    pub(super) fn next_page(&mut self) -> Option<Place> {
        if self.files.len() >= KNOWN_MANY {
            return None;
        }
        if std::mem::take(&mut self.look_at_all) {
            (self.looking, self.missed) = (true, false);
            self.round = Round::begin(self.round.at.clone());
        }
        self.looking.then(|| self.round.at.clone())
    }

    /// What that page has, and where there may be more.
    pub(super) fn add_page(
        &mut self,
        files: impl IntoIterator<Item = (Key, Digest)>,
        last: Option<Key>,
    ) {
        for (key, digest) in files {
            if self.round.covers(&key) {
                self.add(key, Due::new(digest, None, Duration::ZERO));
            }
        }
        self.looking = !self.round.advance(last);
    }

    /// Whether there may be more than are known.
    pub(super) fn more(&self) -> bool {
        self.missed || self.looking
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
            (self.missed, self.look_at_all) = (true, true);
            return;
        }
        let at = due.at;
        let known = self.files.entry(key).or_insert_with(|| due.clone());
        match known.digest == due.digest {
            true => known.at = known.at.min(at),
            false => *known = due, // the file has another content by now
        }
    }

    /// The one that is due first, of those whose content is not being fetched, for whatever file; of
    /// those that are due by now, a fresh one.
    pub(super) fn first(&self) -> Option<(Key, Due)> {
        let fetched = |digest| self.running.values().any(|due| due.digest == digest);
        let idle = self.files.iter().filter(|(_, due)| !fetched(due.digest));
        let now = Instant::now();
        let first = idle.min_by_key(|(_, due)| (!due.is_fresh(now), due.at));
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
        let Some(due) = self.running.remove(&key) else { return };
        let (failure, hopeless) = match tried {
            Tried::Settled => return,
            Tried::Later(failure) => (failure, due.backoff == BACKOFF_MAX),
            Tried::NoHolder(failure) => (failure, true),
        };
        let heard = self.files.remove(&key);
        match hopeless && self.is_crowded() {
            true => self.missed = true,
            false => self.add(key.clone(), due.again(failure)),
        }
        if let Some(heard) = heard {
            self.add(key, heard);
        }
    }

    /// Whether those that can't be had now are forgotten.
    fn is_crowded(&self) -> bool {
        self.files.len() >= HOPELESS_MAX
    }

    /// A peer has come up, or gone: what could not be had is tried now, and what was forgotten (or
    /// is about to be, for a peer that was down a moment ago) is looked for.
    pub(super) fn hurry(&mut self) {
        self.look_at_all |= self.missed || self.is_crowded();
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

    const LATER: Duration = Duration::from_secs(2);

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

    /// Looks for more until there is no place, or no more, of the records behind which it is.
    fn look_on(wanted: &mut Wanted, records: &[Key]) {
        while let Some(Place(after)) = wanted.next_page() {
            let behind = records.iter().filter(|key| Some(*key) > after.as_ref());
            let page: Vec<_> = behind.take(PAGE).cloned().collect();
            let last = (page.len() == PAGE).then(|| page[PAGE - 1].clone());
            let digest = |key: Key| (key, Digest::from_bytes([0; 32]));
            wanted.add_page(page.into_iter().map(digest), last);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_nobody_can_give_leave_place_for_those_that_somebody_can() {
        let records: Vec<_> = (0..KNOWN_MAX + 200).map(|n| key(&format!("{n:06}"))).collect();
        let (hopeless, good) = records.split_at(KNOWN_MAX + 100);
        let mut wanted = Wanted::at_start();
        let mut made = std::collections::BTreeSet::new();
        let is_due = |(_, due): &(Key, Due)| due.at <= Instant::now();
        for _ in 0..2 * records.len() {
            look_on(&mut wanted, &records);
            let Some((key, _)) = wanted.first().filter(is_due) else { break };
            wanted.begin(&key);
            let tried = match key < good[0] {
                true => Tried::NoHolder("nobody".into()),
                false => Tried::Settled,
            };
            if let Tried::Settled = tried {
                made.insert(key.clone());
            }
            wanted.end(key, tried);
        }
        assert_eq!(made.len(), good.len());
        assert!(wanted.more() && wanted.count().0 <= HOPELESS_MAX);
        // Nothing is looked through again and again for them, only when somebody comes up.
        assert_eq!(wanted.next_page(), None);
        wanted.hurry();
        made.clear();
        for _ in 0..=hopeless.len() {
            look_on(&mut wanted, hopeless);
            let Some((key, _)) = wanted.first() else { break };
            wanted.begin(&key);
            made.insert(key.clone());
            wanted.end(key, Tried::Settled);
        }
        assert_eq!((made.len(), wanted.count(), wanted.more()), (hopeless.len(), (0, 0), false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_long_is_forgotten_where_many_wait() {
        let mut wanted = Wanted::default();
        for n in 0..=HOPELESS_MAX {
            wanted.add(key(&format!("{n:06}")), due(1));
        }
        let mut tries = 0;
        while wanted.count().0 > HOPELESS_MAX {
            wanted.begin(&key("000000"));
            wanted.end(key("000000"), Tried::Later("the disk is full".into()));
            tries += 1;
        }
        assert_eq!((tries, wanted.more()), (7, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fresh_one_does_not_wait_behind_those_that_are_due_for_long() {
        let mut wanted = Wanted::default();
        for name in ["a", "b", "c"] {
            wanted.add(key(name), Due { cause: None, ..due(1) });
        }
        tokio::time::advance(Duration::from_secs(100)).await;
        let soon = Due::new(Digest::from_bytes([9; 32]), Some(Cause::Lost), LATER);
        wanted.add(key("z"), soon);
        assert_eq!(wanted.first().unwrap().0, key("a"), "it is not due yet");
        tokio::time::advance(LATER).await;
        assert_eq!(wanted.first().unwrap().0, key("z"));
        wanted.begin(&key("z"));
        wanted.end(key("z"), Tried::Later("not now".into()));
        tokio::time::advance(LATER).await;
        assert_eq!(wanted.first().unwrap().0, key("a"), "it is no longer fresh");
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
