//! Where the log goes: to stderr, as text for people or as JSON for machines.
//!
//! `main` calls [`start`] once, before anything is logged; everybody else uses `tracing`.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The filter where none is given.
pub const DEFAULT_FILTER: &str = "info,openraft=off";

/// The levels that a filter knows.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is logged: a level, or levels by module, like `info,depot_server::volume=debug`.
///
/// Always one that `tracing` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// A filter that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; filters are {all}, or by module: info,depot_server=debug", all = LEVELS.join(", "))]
pub struct BadFilter(String);

/// The log was started before.
#[derive(Debug, thiserror::Error)]
#[error("the log is already set up")]
pub struct AlreadyStarted;

/// Sends everything that is logged from now on to stderr.
///
/// # Errors
/// The process has a log already.
pub fn start(filter: &LogFilter, format: LogFormat) -> Result<(), AlreadyStarted> {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = layer(filter, format, colour, io::stderr);
    tracing_subscriber::registry().with(layer).try_init().map_err(|_| AlreadyStarted)
}

/// The log as a layer that writes to this writer.
fn layer<W>(
    filter: &LogFilter,
    format: LogFormat,
    colour: bool,
    writer: W,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    let filter = filter.to_env_filter();
    match format {
        LogFormat::Text => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().with_filter(filter).boxed(),
    }
}

impl LogFilter {
    fn to_env_filter(&self) -> EnvFilter {
        // `parse` has taken the same text.
        EnvFilter::new(&self.0)
    }
}

impl Default for LogFilter {
    fn default() -> LogFilter {
        LogFilter(DEFAULT_FILTER.to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<LogFilter, BadFilter> {
        // A variable that is set to nothing is as good as not set.
        if text.trim().is_empty() {
            return Ok(LogFilter::default());
        }
        // `tracing` takes a misspelt level for the name of a module and logs nothing but that.
        for part in text.split(',').map(str::trim) {
            let word = part.to_ascii_lowercase();
            let near = |level: &&&str| strsim::damerau_levenshtein(&word, level) <= 2;
            let level = LEVELS.contains(&word.as_str()) || word.parse::<u8>().is_ok();
            if let Some(nearest) = LEVELS.iter().find(near).filter(|_| !level) {
                let message = format!("{part:?} is no level, did you mean {nearest}?");
                return Err(BadFilter(message));
            }
        }
        match EnvFilter::builder().parse(text) {
            Ok(_) => Ok(LogFilter(text.to_owned())),
            Err(error) => Err(BadFilter(error.to_string())),
        }
    }
}

/// An error and its causes, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn filters_are_levels_or_modules_with_levels() {
        for good in ["info", "WARN", "off", "info,depot_server::volume=debug", "depot_server"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["inof", "info,debgu", "depot=lots", "info,="] {
            let error = bad.parse::<LogFilter>().expect_err(bad);
            assert!(error.to_string().contains("off, error, warn, info, debug, trace"), "{error}");
        }
        assert_eq!("".parse(), Ok(LogFilter::default()));
        let error = "inof".parse::<LogFilter>().expect_err("misspelt");
        assert!(error.to_string().contains("did you mean info?"), "{error}");
    }

    #[test]
    fn text_has_colour_only_where_it_is_wanted() {
        let log = |colour| logged("info", LogFormat::Text, colour);
        assert!(log(true).contains('\u{1b}'));
        assert!(!log(false).contains('\u{1b}'));
        assert!(log(false).contains("WARN") && log(false).contains("disk=7"));
    }

    #[test]
    fn json_is_one_object_a_line() {
        let log = logged("info", LogFormat::Json, false);
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(
            log.starts_with('{') && log.ends_with("}\n") && log.contains("\"disk\":7"),
            "{log}"
        );
    }

    #[test]
    fn the_filter_holds_back() {
        assert_eq!(logged("error", LogFormat::Text, false), "");
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What one warning leaves in the log.
    fn logged(filter: &str, format: LogFormat, colour: bool) -> String {
        let log = Shared::default();
        let writer = log.clone();
        let layer = layer(&filter.parse().unwrap(), format, colour, move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || tracing::warn!(disk = 7, "disk is slow"));
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }
}
