//! The newest entries of the log, kept in memory: openraft reads each one back to have it applied, and
//! once more for every server that is to have it, while nothing else can be appended.
//!
//! What is here is in the log, and goes before it does there. What is not here is read from the file.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};

use openraft::EntryPayload;

use super::consensus::Entry;

/// How much is kept, in bytes.
const ROOM: usize = 4 << 20;

/// Entries without a hole, the last of the log among them.
#[derive(Debug)]
pub(super) struct Recent {
    entries: VecDeque<Entry>,
    /// About how many bytes they take.
    weight: usize,
    room: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Recent::with_room(ROOM)
    }
}

impl Recent {
    pub(super) fn with_room(room: usize) -> Self {
        Recent { entries: VecDeque::new(), weight: 0, room }
    }

    /// These were appended to the log.
    pub(super) fn append(&mut self, entries: Vec<Entry>) {
        let next = self.entries.back().map(|last| last.log_id.index + 1);
        if next.is_some() && next != entries.first().map(|first| first.log_id.index) {
            self.clear();
        }
        self.weight += entries.iter().map(weight).sum::<usize>();
        self.entries.extend(entries);
        while self.weight > self.room {
            self.drop_first();
        }
    }

    /// The log is about to be cut, there from this index on.
    pub(super) fn truncate(&mut self, since: u64) {
        while let Some(last) = self.entries.pop_back_if(|last| last.log_id.index >= since) {
            self.weight -= weight(&last);
        }
    }

    /// The log is about to be cut, here up to this index.
    pub(super) fn purge(&mut self, upto: u64) {
        while self.entries.front().is_some_and(|first| first.log_id.index <= upto) {
            self.drop_first();
        }
    }

    /// The entries of a range, at most about `limit` bytes of them but at least one. `None`: they are
    /// not all here; the log may have them.
    pub(super) fn range(&self, range: &impl RangeBounds<u64>, limit: usize) -> Option<Vec<Entry>> {
        let first = self.entries.front()?.log_id.index;
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.checked_add(1)?,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.checked_add(1)?,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => return None,
        };
        let begin = usize::try_from(start.checked_sub(first)?).ok()?;
        let count = usize::try_from(end.checked_sub(start)?).ok()?;
        if begin.checked_add(count)? > self.entries.len() {
            return None;
        }
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += weight(entry);
            bytes <= limit || entry.log_id.index == start
        };
        Some(self.entries.iter().skip(begin).take(count).take_while(fits).cloned().collect())
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.entries.pop_front() {
            self.weight -= weight(&first);
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }
}

/// About how many bytes an entry takes.
fn weight(entry: &Entry) -> usize {
    const FIXED: usize = 64;
    FIXED
        + match &entry.payload {
            EntryPayload::Normal(commands) => commands.iter().map(|command| command.weight()).sum(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, LogId};

    use super::*;

    fn entries(indexes: std::ops::Range<u64>) -> Vec<Entry> {
        let blank = |index| Entry {
            log_id: LogId::new(CommittedLeaderId::new(1, 7), index),
            payload: EntryPayload::Blank,
        };
        indexes.map(blank).collect()
    }

    fn found(recent: &Recent, range: impl RangeBounds<u64>, limit: usize) -> Option<Vec<u64>> {
        let found = recent.range(&range, limit)?;
        Some(found.iter().map(|entry| entry.log_id.index).collect())
    }

    #[test]
    fn what_is_not_here_is_not_taken_for_absent() {
        let mut recent = Recent::with_room(64 * 4);
        assert_eq!(found(&recent, 0..9, usize::MAX), None);
        recent.append(entries(3..9));
        assert_eq!(found(&recent, 4..9, usize::MAX), None, "the first ones had no room");
        assert_eq!(found(&recent, 5..10, usize::MAX), None, "the log may have more");
        assert_eq!(found(&recent, 5.., usize::MAX), None, "likewise");
        assert_eq!(found(&recent, ..9, usize::MAX), None);
        assert_eq!(found(&recent, 5..9, usize::MAX), Some(vec![5, 6, 7, 8]));
        assert_eq!(found(&recent, 6..=7, usize::MAX), Some(vec![6, 7]));
        assert_eq!(found(&recent, 9..9, usize::MAX), Some(vec![]));
    }

    #[test]
    fn a_limit_leaves_at_least_one() {
        let mut recent = Recent::default();
        recent.append(entries(1..9));
        assert_eq!(found(&recent, 2..9, 1), Some(vec![2]));
        assert_eq!(found(&recent, 2..9, 64 * 3), Some(vec![2, 3, 4]));
    }

    #[test]
    fn what_is_cut_is_gone() {
        let mut recent = Recent::default();
        recent.append(entries(1..9));
        recent.truncate(6);
        recent.purge(2);
        assert_eq!(found(&recent, 3..6, usize::MAX), Some(vec![3, 4, 5]));
        assert_eq!(found(&recent, 3..7, usize::MAX), None);
        assert_eq!(found(&recent, 2..6, usize::MAX), None);
        recent.append(entries(6..7));
        assert_eq!(found(&recent, 3..7, usize::MAX), Some(vec![3, 4, 5, 6]));
        recent.append(entries(20..22));
        assert_eq!(found(&recent, 6..22, usize::MAX), None, "there is a hole");
        assert_eq!(found(&recent, 20..22, usize::MAX), Some(vec![20, 21]));
        recent.truncate(0);
        assert_eq!(found(&recent, 20..22, usize::MAX), None);
    }
}
