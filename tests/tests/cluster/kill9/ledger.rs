//! What one client knows of its files: what was acknowledged, and what was asked for since and never
//! answered for certain.

use std::collections::BTreeMap;

/// The content of a file: what it is made from, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) size: usize,
}

/// A file's content, or that there is none.
pub(crate) type Version = Option<Content>;

/// All names that a client ever used, each with what it may have: first what is known of it, then
/// what may have come of requests without a certain answer.
#[derive(Debug, Default)]
pub(crate) struct Ledger(BTreeMap<String, Vec<Version>>);

impl Ledger {
    /// All that a name may have.
    pub(crate) fn possible(&self, name: &str) -> Vec<Version> {
        self.0.get(name).cloned().unwrap_or_else(|| vec![None])
    }

    /// It was answered: the name has this. What was asked for before can't take effect any more, for
    /// it was asked for on an earlier version.
    pub(crate) fn acknowledged(&mut self, name: &str, version: Version) {
        self.0.insert(name.to_owned(), vec![version]);
    }

    /// It may have been done, or be done yet.
    pub(crate) fn unknown(&mut self, name: &str, version: Version) {
        let mut possible = self.possible(name);
        possible.push(version);
        self.0.insert(name.to_owned(), possible);
    }

    /// The name was seen to have this, by a reader who was told that it is the latest.
    #[track_caller]
    pub(crate) fn seen(&mut self, name: &str, version: Version) {
        let mut possible = self.possible(name);
        let at = possible.iter().position(|possible| *possible == version);
        let at = at.unwrap_or_else(|| panic!("{name}: {version:?} was seen, of {possible:?}"));
        // It took effect, so what was before it is over; the others may still come.
        if at > 0 {
            possible.remove(at);
            possible[0] = version;
            self.0.insert(name.to_owned(), possible);
        }
    }

    /// The names that there may be, and whether each must be there.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, bool)> {
        let there = |possible: &[Version]| possible.iter().all(Option::is_some);
        self.0.iter().map(move |(name, possible)| (name.as_str(), there(possible)))
    }
}
