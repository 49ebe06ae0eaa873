//! The two ways out: results to stdout, for people or as lines of JSON, and all the rest to stderr.
//! Progress bars live on stderr; whatever is written goes above them.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use indicatif::MultiProgress;
use serde_json::Value;

use super::escape::shown_json;
use super::fault::Fault;
use super::texts::Texts;

/// Where a command's results and messages go.
#[derive(Debug, Clone)]
pub struct Output {
    texts: Arc<Texts>,
    bars: MultiProgress,
    json: bool,
}

impl Output {
    /// Results for people.
    #[must_use]
    pub fn new(texts: Arc<Texts>) -> Output {
        Output { texts, bars: MultiProgress::new(), json: false }
    }

    /// The same, with results as JSON or not.
    #[must_use]
    pub(super) fn as_json(&self, json: bool) -> Output {
        Output { json, ..self.clone() }
    }

    /// The texts, in the person's language.
    #[must_use]
    pub fn texts(&self) -> &Arc<Texts> {
        &self.texts
    }

    /// Where the bars are drawn; they are hidden where stderr is no terminal.
    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Writes one result. What came from elsewhere is escaped in `human` already.
    ///
    /// # Errors
    /// [`Fault::Closed`] where the reader has gone away; `Output` where it cannot be written.
    pub(super) fn result(&self, human: &str, json: &Value) -> Result<(), Fault> {
        if self.json { self.line(&shown_json(&json.to_string())) } else { self.line(human) }
    }

    /// Writes a heading over results: for people at a terminal only.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub(super) fn heading(&self, text: &str) -> Result<(), Fault> {
        if self.json || !io::stdout().is_terminal() { Ok(()) } else { self.line(text) }
    }

    /// Tells that a part of a command has failed: on stderr, and to programs among the results.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub(super) fn failed(&self, subject: &str, fault: &Fault, json: &Value) -> Result<(), Fault> {
        if let Some(text) = fault.text(&self.texts) {
            self.error(&format!("{subject}: {text}"));
        }
        if self.json { self.line(&shown_json(&json.to_string())) } else { Ok(()) }
    }

    /// Writes a line to stdout.
    ///
    /// # Errors
    /// [`Fault::Closed`] where the reader has gone away; `Output` where it cannot be written.
    pub fn line(&self, line: &str) -> Result<(), Fault> {
        let write = || {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{line}")?;
            stdout.flush()
        };
        self.bars.suspend(write).map_err(Fault::from)
    }

    /// Says something on stderr, where somebody may listen.
    pub(super) fn note(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr(), "{text}");
        });
    }

    /// Says what is wrong.
    pub fn error(&self, text: &str) {
        self.note(&format!("{}: {text}", self.texts.say("error")));
    }

    /// Says what is unwise.
    pub(super) fn warn(&self, text: &str) {
        self.note(&format!("{}: {text}", self.texts.say("warning")));
    }

    /// Tells a fault, if anybody is left to be told. Whoever interrupts has made no error.
    pub(super) fn fault(&self, fault: &Fault) {
        match (fault, fault.text(&self.texts)) {
            (_, None) => {}
            (Fault::Interrupted, Some(text)) => self.note(&text),
            (_, Some(text)) => self.error(&text),
        }
    }
}
