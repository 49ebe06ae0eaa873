//! Is there an order of these operations on one name that explains what everybody saw? The check of
//! Wing and Gong (1993), with Lowe's memory of what was tried (2017): an operation may take effect
//! at any moment between its call and its answer; one without an answer at any moment after its
//! call, or never.
//!
//! Names are independent, so each has a history of its own: a file's content is a register, which a
//! deposit writes, a removal clears, and a recover, a `consultar` or a line of a list reads.

use std::collections::HashSet;

/// What a name stands for: a content's hash, or no file.
pub type Value = Option<String>;

/// What was asked for, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// A content was put under the name.
    Wrote(String),
    /// The file was removed: there was one.
    Removed,
    /// This was what the name stood for. A removal, or a change of replicas, that found no file has
    /// read that there is none.
    Read(Value),
    /// A change of replicas, or the like: there was a file, whichever.
    Found,
}

/// One operation of a history. Times are of one clock for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What was done, as answered; of an operation without an answer what it would have done.
    pub did: Did,
    /// When it was asked for.
    pub called: u64,
    /// When it was answered; `None`: never, or with no certain word. Refusals that say that nothing
    /// has changed do not stand in a history.
    pub answered: Option<u64>,
}

/// No order explains a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The most operations, in an order that explains them, that could be found.
    pub longest: Vec<Operation>,
    /// Those that no order could add to them.
    pub stuck: Vec<Operation>,
}

/// The most operations of one history that are checked: more take too long to be worth it.
pub const HISTORY_MAX: usize = 256;

/// Checks one name's history, in any order; the name stands for no file at first.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    assert!(history.len() <= HISTORY_MAX, "a history of {} operations", history.len());
    let mut search =
        Search { history, tried: HashSet::new(), order: Vec::new(), longest: Vec::new() };
    let all = Done::default();
    if search.explain(all, &None) {
        return Ok(());
    }
    let named = |at: &usize| history[*at].clone();
    let stuck = (0..history.len()).filter(|at| !search.longest.contains(at));
    Err(Violation {
        longest: search.longest.iter().map(named).collect(),
        stuck: stuck.map(|at| history[at].clone()).filter(|op| op.answered.is_some()).collect(),
    })
}

/// Which operations have taken effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Done([u64; HISTORY_MAX / 64]);

impl Done {
    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn with(mut self, at: usize) -> Self {
        self.0[at / 64] |= 1 << (at % 64);
        self
    }
}

struct Search<'h> {
    history: &'h [Operation],
    /// What was done, and what the name stood for then: it leads nowhere.
    tried: HashSet<(Done, Value)>,
    order: Vec<usize>,
    longest: Vec<usize>,
}

impl Search<'_> {
    /// Whether what is left can follow, in some order.
    fn explain(&mut self, done: Done, value: &Value) -> bool {
        let left = (0..self.history.len()).filter(|at| !done.has(*at));
        // Whatever is answered before another is called comes before it.
        let answers = left.clone().filter_map(|at| self.history[at].answered);
        let Some(first_answer) = answers.min() else { return true };
        if !self.tried.insert((done, value.clone())) {
            return false;
        }
        let mut next =
            left.filter(|at| self.history[*at].called <= first_answer).collect::<Vec<_>>();
        // What may never have happened is thought of last: it may come in whenever it is needed.
        next.sort_by_key(|at| self.history[*at].answered.is_none());
        for at in next {
            let Some(next) = after(&self.history[at].did, value) else { continue };
            self.order.push(at);
            if self.order.len() > self.longest.len() {
                self.longest.clone_from(&self.order);
            }
            if self.explain(done.with(at), &next) {
                return true;
            }
            self.order.pop();
        }
        false
    }
}

/// What the name stands for after this; `None` where that can't have been answered.
fn after(did: &Did, value: &Value) -> Option<Value> {
    match did {
        Did::Wrote(content) => Some(Some(content.clone())),
        Did::Removed => value.is_some().then_some(None),
        Did::Read(seen) => (seen == value).then(|| value.clone()),
        Did::Found => value.is_some().then(|| value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(did: Did, called: u64, answered: u64) -> Operation {
        Operation { did, called, answered: Some(answered) }
    }

    fn unanswered(did: Did, called: u64) -> Operation {
        Operation { did, called, answered: None }
    }

    fn wrote(content: &str) -> Did {
        Did::Wrote(content.into())
    }

    fn read(content: &str) -> Did {
        Did::Read((!content.is_empty()).then(|| content.into()))
    }

    #[track_caller]
    fn right(history: &[Operation]) {
        check(history).unwrap_or_else(|violation| panic!("{violation:?}"));
    }

    #[track_caller]
    fn wrong(history: &[Operation]) {
        assert!(check(history).is_err(), "{history:?} has no order");
    }

    #[test]
    fn one_after_the_other() {
        right(&[]);
        right(&[op(read(""), 0, 1), op(wrote("a"), 2, 3), op(read("a"), 4, 5)]);
        right(&[op(wrote("a"), 0, 1), op(Did::Removed, 2, 3), op(read(""), 4, 5)]);
        right(&[op(wrote("a"), 0, 1), op(Did::Found, 2, 3), op(read("a"), 4, 5)]);
    }

    #[test]
    fn at_once_any_order_will_do() {
        right(&[op(wrote("a"), 0, 9), op(wrote("b"), 0, 9), op(read("a"), 10, 11)]);
        right(&[op(wrote("a"), 0, 9), op(wrote("b"), 0, 9), op(read("b"), 10, 11)]);
        right(&[op(wrote("a"), 0, 9), op(read(""), 1, 2), op(read("a"), 3, 4)]);
    }

    #[test]
    fn a_stale_read_is_found() {
        wrong(&[op(wrote("a"), 0, 1), op(read(""), 2, 3)]);
        wrong(&[op(wrote("a"), 0, 1), op(wrote("b"), 2, 3), op(read("a"), 4, 5)]);
    }

    #[test]
    fn a_lost_write_is_found() {
        wrong(&[op(wrote("a"), 0, 1), op(read("a"), 2, 3), op(read(""), 4, 5)]);
        wrong(&[op(wrote("a"), 0, 1), op(Did::Removed, 2, 3), op(Did::Removed, 4, 5)]);
    }

    #[test]
    fn two_readers_see_one_order() {
        let writes = [op(wrote("a"), 0, 9), op(wrote("b"), 0, 9)];
        let seen = |first: &str, then: &str, from| {
            [op(read(first), from, from + 1), op(read(then), from + 2, from + 3)]
        };
        right(&[&writes[..], &seen("a", "b", 1)].concat());
        wrong(&[&writes[..], &seen("a", "b", 10), &seen("b", "a", 10)].concat());
        wrong(
            &[&writes[..], &[op(read("a"), 1, 2), op(read("b"), 3, 4), op(read("a"), 5, 6)]]
                .concat(),
        );
    }

    #[test]
    fn what_was_not_answered_may_happen_late_or_never_but_not_twice() {
        let late = unanswered(wrote("a"), 0);
        right(&[late.clone(), op(read(""), 1, 2)]);
        right(&[late.clone(), op(read(""), 1, 2), op(read("a"), 3, 4)]);
        right(&[late.clone(), op(wrote("b"), 1, 2), op(read("b"), 3, 4), op(read("a"), 5, 6)]);
        let twice = [op(read("a"), 1, 2), op(wrote("b"), 3, 4), op(read("a"), 5, 6)];
        wrong(&[&[late], &twice[..]].concat());
    }

    #[test]
    fn what_nobody_wrote_is_found() {
        wrong(&[op(read("a"), 0, 1)]);
        wrong(&[op(wrote("a"), 0, 1), op(read("b"), 2, 3)]);
        wrong(&[op(read("a"), 0, 1), op(wrote("a"), 2, 3)]);
    }

    #[test]
    fn many_at_once_are_checked_in_time() {
        let mut history: Vec<_> = (0..60).map(|n| op(wrote(&format!("{n}")), n, n + 4)).collect();
        history.extend((0..60).map(|n| op(read(&format!("{n}")), n + 2, n + 6)));
        history.push(op(read(""), 200, 201));
        wrong(&history);
    }
}
