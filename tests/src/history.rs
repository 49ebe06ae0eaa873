//! What clients did and saw of the files that they share, written down as it is answered: in the
//! end there must be an order of it for each name ([`linear`]).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::in_process::Heard;
use crate::linear::{self, Did, Operation, Value};

/// The histories of all names. Times are microseconds.
pub struct Histories {
    now: Box<dyn Fn() -> u64 + Send + Sync>,
    names: Mutex<BTreeMap<String, History>>,
}

/// What was done to one name.
#[derive(Debug, Default)]
struct History {
    operations: Vec<Operation>,
    /// The hashes that were told by servers which said that they may be behind.
    local: Vec<String>,
}

/// How much was written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Names that anything is known of.
    pub names: usize,
    /// Operations that were answered for certain.
    pub answered: usize,
    /// Those without a certain answer.
    pub unknown: usize,
    /// Readings from servers that said that they may be behind.
    pub local: usize,
}

impl Default for Histories {
    fn default() -> Self {
        let begun = Instant::now();
        Self::timed_by(move || u64::try_from(begun.elapsed().as_micros()).expect("some hours"))
    }
}

impl Histories {
    /// Empty ones of a world with a time of its own.
    pub fn timed_by(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { now: Box::new(now), names: Mutex::default() }
    }

    /// The time, for an operation that is about to be called.
    pub fn now(&self) -> u64 {
        (self.now)()
    }

    /// A change that was asked for at `called` has come to this.
    pub fn heard(&self, name: &str, (did, called): (Did, u64), heard: &Heard) {
        let answered = Some(self.now());
        let operation = match heard.error() {
            Some("arquivo_inexistente") => Operation { did: Did::Read(None), called, answered },
            _ if heard.is_done() => Operation { did, called, answered },
            // One that says that nothing has changed, or that changes no content.
            _ if heard.is_certain_refusal() || did == Did::Found => return,
            _ => Operation { did, called, answered: None },
        };
        self.add(name, operation);
    }

    /// The latest version of a name, asked for at `called`, is this.
    pub fn saw(&self, name: &str, called: u64, value: Value) {
        self.add(name, Operation { did: Did::Read(value), called, answered: Some(self.now()) });
    }

    /// A server that may be behind tells of this content: somebody must have deposited it.
    pub fn saw_local(&self, name: &str, hash: &str) {
        self.names().entry(name.to_owned()).or_default().local.push(hash.to_owned());
    }

    fn add(&self, name: &str, operation: Operation) {
        self.names().entry(name.to_owned()).or_default().operations.push(operation);
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, History>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails unless an order explains what was seen of every name. Asked once, at the end.
    #[track_caller]
    pub fn check(&self) -> Counts {
        let mut counts = Counts::default();
        for (name, History { operations, local }) in &*self.names() {
            if let Err(violation) = linear::check(operations) {
                panic!("no order explains what was seen of {name}: {violation:#?}");
            }
            let wrote =
                |hash: &String| operations.iter().any(|op| op.did == Did::Wrote(hash.clone()));
            let unknown = local.iter().find(|hash| !wrote(hash));
            assert_eq!(unknown, None, "nobody deposited that as {name}");
            let answered = operations.iter().filter(|op| op.answered.is_some()).count();
            counts.names += 1;
            counts.answered += answered;
            counts.unknown += operations.len() - answered;
            counts.local += local.len();
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str) -> Heard {
        Heard::Line(line.into())
    }

    #[test]
    fn answers_are_told_apart() {
        let histories = Histories::default();
        let wrote = |content: &str| (Did::Wrote(content.into()), histories.now());
        histories.heard("a", wrote("one"), &line("resultado:1|qtd_replicas:0"));
        histories.heard("a", wrote("two"), &Heard::Closed);
        histories.heard("a", wrote("three"), &line("resultado:0|erro:sem_quorum|mensagem:x"));
        histories.heard("a", wrote("four"), &line("resultado:0|erro:interno|mensagem:x"));
        histories.heard("b", (Did::Removed, 0), &line("resultado:0|erro:arquivo_inexistente|m:x"));
        histories.heard("b", (Did::Found, 0), &Heard::Silence);
        histories.saw("a", histories.now(), Some("two".into()));
        histories.saw_local("a", "four");
        let counts = Counts { names: 2, answered: 3, unknown: 2, local: 1 };
        assert_eq!(histories.check(), counts);
    }

    #[test]
    #[should_panic(expected = "no order explains")]
    fn what_was_refused_and_is_seen_is_found() {
        let histories = Histories::default();
        let refused = line("resultado:0|erro:sem_quorum|mensagem:x");
        histories.heard("a", (Did::Wrote("one".into()), 0), &refused);
        histories.saw("a", 0, Some("one".into()));
        histories.check();
    }

    #[test]
    #[should_panic(expected = "nobody deposited")]
    fn what_nobody_deposited_is_found_in_a_local_reading_too() {
        let histories = Histories::default();
        histories.saw_local("a", "one");
        histories.check();
    }
}
