//! The few names that all clients work on at a time. One of which much is known gives way to a fresh
//! one: a history that is too long can't be checked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use depot_tests::content::Random;
use depot_tests::linear::HISTORY_MAX;

/// How many there are at a time.
const AT_A_TIME: usize = 4;
/// So many operations are begun on one; what is left is for the readings at the end.
const OPERATIONS: usize = HISTORY_MAX - 16;

#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Those at work, and how many operations were begun on each.
    at_work: Vec<(String, usize)>,
    /// How many there ever were.
    made: usize,
}

impl Names {
    /// One of those at work, for an operation on it.
    pub(crate) fn one(&self, random: &mut Random) -> String {
        let at = usize::try_from(random.below(AT_A_TIME as u64)).expect("one of a few");
        self.state().begin(at)
    }

    /// Those at work, for an operation on each.
    pub(crate) fn at_work(&self) -> Vec<String> {
        let mut state = self.state();
        (0..AT_A_TIME).map(|at| state.begin(at)).collect()
    }

    /// All that there ever were.
    pub(crate) fn all(&self) -> Vec<String> {
        (0..self.state().made).map(name).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self, at: usize) -> String {
        while self.at_work.len() < AT_A_TIME {
            let fresh = self.fresh();
            self.at_work.push(fresh);
        }
        if self.at_work[at].1 == OPERATIONS {
            self.at_work[at] = self.fresh();
        }
        let (name, begun) = &mut self.at_work[at];
        *begun += 1;
        name.clone()
    }

    fn fresh(&mut self) -> (String, usize) {
        self.made += 1;
        (name(self.made - 1), 0)
    }
}

fn name(number: usize) -> String {
    format!("pasta/{number:04}")
}
