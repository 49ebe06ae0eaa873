//! What one client knows of its files: what was acknowledged, and the one request that was not.

use std::collections::BTreeMap;

/// The content of a file: what it is made from, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) size: usize,
}

/// A file's content, or that there is none.
type Version = Option<Content>;

/// All names that a client ever used.
#[derive(Debug, Default)]
pub(crate) struct Model {
    acknowledged: BTreeMap<String, Content>,
    /// The name of a request that was not answered, and what it would have made of it.
    pending: Option<(String, Version)>,
}

impl Model {
    /// A request is about to be sent.
    pub(crate) fn send(&mut self, name: &str, version: Version) {
        assert!(self.pending.is_none(), "one request at a time");
        self.pending = Some((name.to_owned(), version));
    }

    /// The request was answered: it is done.
    pub(crate) fn acknowledge(&mut self) {
        let (name, version) = self.pending.take().expect("a request was sent");
        self.settle(&name, version);
    }

    /// What the name has now, as acknowledged.
    pub(crate) fn get(&self, name: &str) -> Version {
        self.acknowledged.get(name).copied()
    }

    /// All that the name may have: what was acknowledged, or what was asked for since.
    pub(crate) fn possible(&self, name: &str) -> Vec<Version> {
        let asked = self.pending.iter().filter(|(pending, _)| pending == name);
        let mut all = vec![self.get(name)];
        all.extend(asked.map(|(_, version)| *version));
        all
    }

    /// The unanswered request was found to have taken effect, or not; from now on that stands.
    pub(crate) fn settle(&mut self, name: &str, version: Version) {
        match version {
            Some(content) => self.acknowledged.insert(name.to_owned(), content),
            None => self.acknowledged.remove(name),
        };
    }

    /// All is settled.
    pub(crate) fn forget_pending(&mut self) {
        self.pending = None;
    }

    /// The names that there must be, in byte order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.acknowledged.keys().cloned().collect()
    }
}
