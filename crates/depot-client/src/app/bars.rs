//! Progress bars: one for each large file under way, with its rate and the time that is left.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::escape::shown;
use super::fault::error_text;
use super::output::Output;
use crate::{Error, FileName, Progress};

/// A file of fewer bytes is over before its bar could be read.
const SMALLEST: u64 = 1 << 20;
/// The longest name beside a bar, in characters; of a longer one the end is shown.
const NAME_MAX: usize = 28;
/// How often a bar is drawn at the least.
const TICK: Duration = Duration::from_millis(200);
const TEMPLATE: &str =
    "{prefix:28!} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";

/// Draws the transfers of one command.
#[derive(Debug)]
pub(super) struct Bars<'a> {
    output: &'a Output,
    open: Mutex<HashMap<FileName, ProgressBar>>,
}

impl<'a> Bars<'a> {
    /// No bars yet.
    #[must_use]
    pub(super) fn new(output: &'a Output) -> Bars<'a> {
        Bars { output, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<FileName, ProgressBar>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars<'_> {
    fn begin(&self, name: &FileName, size: u64, from: u64) {
        if size < SMALLEST {
            return;
        }
        let bar = self
            .open()
            .entry(name.clone())
            .or_insert_with(|| {
                let bar = self.output.bars().add(ProgressBar::new(size));
                // The template is a constant: where it were wrong, the plain bar would do.
                if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                    bar.set_style(style);
                }
                // Where nothing moves, the rate shall show it.
                bar.enable_steady_tick(TICK);
                bar.with_prefix(beside(name.as_str()))
            })
            .clone();
        bar.set_length(size);
        bar.set_position(from);
        // What was there before says nothing about the rate.
        bar.reset_eta();
    }

    fn advance(&self, name: &FileName, bytes: u64) {
        if let Some(bar) = self.open().get(name) {
            bar.inc(bytes);
        }
    }

    fn retrying(&self, name: &FileName, error: &Error) {
        let texts = self.output.texts();
        let cause = error_text(error, texts);
        let values = [("name", shown(name.as_str()).into()), ("cause", cause.into())];
        self.output.note(&texts.with("retrying", values));
    }

    fn end(&self, name: &FileName) {
        if let Some(bar) = self.open().remove(name) {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bars<'_> {
    /// A transfer that was interrupted does not end its bar.
    fn drop(&mut self) {
        for (_, bar) in self.open().drain() {
            bar.finish_and_clear();
        }
    }
}

/// A name, as far as it fits beside its bar.
fn beside(name: &str) -> String {
    let name = shown(name);
    match name.chars().count().checked_sub(NAME_MAX) {
        None | Some(0) => name,
        Some(over) => {
            std::iter::once('…').chain(name.chars().skip(over.saturating_add(1))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_name_the_end_is_shown() {
        assert_eq!(beside("short"), "short");
        let long = format!("{}end.txt", "x/".repeat(50));
        assert_eq!(beside(&long).chars().count(), NAME_MAX);
        assert!(beside(&long).starts_with('…') && beside(&long).ends_with("end.txt"));
    }

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
