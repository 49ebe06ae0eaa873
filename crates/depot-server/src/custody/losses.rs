//! Copies of this server that are bad or gone: those that the catalogue is not told of yet, and why
//! those are made again that it was told of.

use std::collections::{BTreeMap, BTreeSet};

use depot_protocol::Digest;

/// Of so many it is remembered why they are made again; nothing depends on it but what operators
/// are told.
const REMEMBERED_MAX: usize = 4096;

/// How a copy was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It was bad, and went into quarantine.
    Bad,
    /// It is not here.
    Gone,
}

#[derive(Debug, Default)]
pub(super) struct Losses {
    untold: BTreeSet<Digest>,
    remembered: BTreeMap<Digest, Loss>,
}

impl Losses {
    /// The catalogue is to be told of this one.
    pub(super) fn add(&mut self, digest: Digest, loss: Loss) {
        self.untold.insert(digest);
        // One that was bad is gone for whoever looks next.
        if self.remembered.len() < REMEMBERED_MAX {
            self.remembered.entry(digest).or_insert(loss);
        }
    }

    /// One to tell of.
    pub(super) fn take(&mut self) -> Option<Digest> {
        self.untold.pop_first()
    }

    /// It could not be told.
    pub(super) fn put_back(&mut self, digest: Digest) {
        self.untold.insert(digest);
    }

    pub(super) fn of(&self, digest: &Digest) -> Option<Loss> {
        self.remembered.get(digest).copied()
    }

    /// There is a copy again, or none is wanted.
    pub(super) fn forget(&mut self, digest: &Digest) {
        self.remembered.remove(digest);
    }
}
