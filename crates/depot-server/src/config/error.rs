//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The longest piece of a file that a message repeats, in characters.
const QUOTE_MAX: usize = 64;

/// A configuration that cannot be used: the file, the place in it, what is wrong there and what
/// would be right.
///
/// It never repeats a secret, and what it repeats of the file is short and escaped.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {message}", shown(.file), Place(.at))]
pub struct ConfigError {
    file: PathBuf,
    at: Option<Position>,
    message: String,
}

impl ConfigError {
    /// A fault of the file as a whole.
    pub(super) fn whole(file: &Path, message: impl Into<String>) -> ConfigError {
        ConfigError { file: file.to_owned(), at: None, message: message.into() }
    }

    /// A file that cannot be read.
    pub(super) fn unreadable(file: &Path, error: &io::Error) -> ConfigError {
        ConfigError::whole(file, format!("cannot read it: {error}"))
    }

    /// A fault at one place of the file.
    pub(super) fn at(file: &Path, at: Position, message: impl Into<String>) -> ConfigError {
        ConfigError { file: file.to_owned(), at: Some(at), message: message.into() }
    }

    /// The file that is at fault.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The place in the file, where the fault has one.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.at
    }

    /// What is wrong, without the file and the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Something that works but that the operator should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(String);

impl Warning {
    pub(super) fn new(message: impl Into<String>) -> Warning {
        Warning(message.into())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a text; both numbers start at 1 and the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// A text and the file that it came from; turns byte offsets into places.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The place of this byte.
    pub(super) fn position(&self, offset: usize) -> Position {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Position { line, column }
    }

    /// A fault at this piece of the text.
    pub(super) fn error(&self, span: &Range<usize>, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.file, self.position(span.start), message)
    }

    /// A fault of the file as a whole.
    pub(super) fn whole(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::whole(self.file, message)
    }
}

/// A piece of the file, in quotes, escaped and cut to a sensible length.
pub(super) fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(QUOTE_MAX).collect();
    let more = if chars.next().is_some() { " (and more)" } else { "" };
    format!("{start:?}{more}")
}

/// A path for people: control characters escaped, everything else as it is.
pub(crate) fn shown(path: &Path) -> String {
    let mut shown = String::new();
    for c in path.to_string_lossy().chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Writes ", line 3, column 9", or nothing.
struct Place<'a>(&'a Option<Position>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Position { line, column }) => write!(f, ", line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source { file: Path::new("depot.toml"), text: "a\nção = 1\nb" };
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(2), Position { line: 2, column: 1 });
        let equals = source.text.find('=').expect("it has one");
        assert_eq!(source.position(equals), Position { line: 2, column: 5 });
        assert_eq!(source.position(1_000), Position { line: 3, column: 2 });
    }

    #[test]
    fn quotes_are_short_and_escaped() {
        assert_eq!(quoted("a\u{1b}[31m"), r#""a\u{1b}[31m""#);
        assert!(quoted(&"x".repeat(5_000)).len() < 100);
    }

    #[test]
    fn a_path_cannot_paint_the_terminal() {
        assert_eq!(shown(Path::new("a\u{1b}[2J.toml")), r"a\u{1b}[2J.toml");
    }
}
