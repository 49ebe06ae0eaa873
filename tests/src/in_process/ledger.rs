//! What a server has promised a client: of each name, what it must be, or may be where an answer
//! is missing.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Heard;

/// What a name stands for: its file's bytes, or no file.
pub type Content = Option<Bytes>;

/// One client's promises.
#[derive(Debug, Clone, Default)]
pub struct Ledger(BTreeMap<String, Entry>);

#[derive(Debug, Clone, Default)]
struct Entry {
    /// As last acknowledged; at first there is no file.
    acknowledged: Content,
    /// What else it may be: changes asked for since, whose answers never came, or told nothing.
    unanswered: Vec<Content>,
}

impl Ledger {
    /// The client asks for a change: to this content.
    pub fn asks(&mut self, name: &str, content: Content) {
        self.0.entry(name.into()).or_default().unanswered.push(content);
    }

    /// The answer to the change asked for last.
    ///
    /// An answer "done" is a promise even from a server whose disk is already cut: it could give
    /// it only because it took a failed operation for a success.
    pub fn hears(&mut self, name: &str, answer: &Heard) {
        let entry = self.0.entry(name.into()).or_default();
        if answer.is_done() {
            entry.acknowledged = entry.unanswered.pop().expect("an answer follows a request");
            // The changes asked for before took effect before it, or not at all.
            entry.unanswered.clear();
        } else if answer.is_certain_refusal() {
            entry.unanswered.pop();
        }
    }

    /// What the name may stand for.
    pub fn possible(&self, name: &str) -> Vec<Content> {
        let Some(entry) = self.0.get(name) else { return vec![None] };
        entry.unanswered.iter().chain([&entry.acknowledged]).cloned().collect()
    }

    /// A later life has shown what became of it: from now on it is that.
    pub fn settle(&mut self, name: &str, content: Content) {
        self.0.insert(name.into(), Entry { acknowledged: content, unanswered: Vec::new() });
    }

    /// Every name that was ever spoken of.
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// How many files are acknowledged, for sure.
    pub fn certain(&self) -> usize {
        let certain = |e: &&Entry| e.acknowledged.is_some() && e.unanswered.is_empty();
        self.0.values().filter(certain).count()
    }
}
