//! From a path to the configuration as written: a bounded read, TOML, known keys, typed values.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

use super::error::{ConfigError, Source};
use super::secret::Access;
use super::{keys, written};

/// The largest file that is read, in bytes; a cluster's is some thousands.
pub const FILE_MAX: u64 = 1 << 20;

/// The longest message of the TOML reader that is passed on, in characters.
const MESSAGE_MAX: usize = 400;

/// The text of a file, and who else may read it.
pub(super) fn read(path: &Path) -> Result<(String, Access), ConfigError> {
    let unreadable = |error: io::Error| ConfigError::unreadable(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(ConfigError::whole(path, "is a folder; name the file in it"));
    }
    let access = Access::of(path, &file)?;
    let mut bytes = Vec::new();
    // A pipe or a device has no length to ask for: the bound is on what is read.
    if metadata.len() <= FILE_MAX {
        file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if metadata.len() > FILE_MAX || bytes.len() as u64 > FILE_MAX {
        return Err(ConfigError::whole(path, "is larger than 1 MiB; is it a configuration?"));
    }
    Ok((text(path, bytes)?, access))
}

/// The bytes as a text.
fn text(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        let message = "begins with a byte order mark; save it as UTF-8 without one";
        return Err(ConfigError::whole(path, message));
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(ConfigError::whole(path, "is UTF-16; save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        let place = Source { file: path, text: &before }.position(good);
        ConfigError::at(path, place, "is not UTF-8 here; save the file as UTF-8")
    })?;
    if text.trim().is_empty() {
        let message = "is empty; start from config/depot.toml, or leave --config out for a depot \
                       of one";
        return Err(ConfigError::whole(path, message));
    }
    Ok(text)
}

/// The configuration that stands in a text.
pub(super) fn parse(source: &Source) -> Result<written::File, ConfigError> {
    let table = DeTable::parse(source.text)
        .map_err(|error| fault(source, &error, &format!("not TOML: {}", short(error.message()))))?;
    keys::check(source, table.get_ref())?;
    written::File::deserialize(Deserializer::from(table)).map_err(|error| {
        let message = short(error.message());
        // The reader appends the key to what it prints, and gives it out no other way.
        match error.to_string().trim_end().rsplit_once("\nin ") {
            Some((_, key)) => fault(source, &error, &format!("{key}: {message}")),
            None => fault(source, &error, &message),
        }
    })
}

/// The reader's error as ours.
fn fault(source: &Source, error: &toml::de::Error, message: &str) -> ConfigError {
    match error.span() {
        Some(span) => source.error(&span, message),
        None => source.whole(message),
    }
}

/// A message of the reader, cut and without control characters.
fn short(message: &str) -> String {
    let clean = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MESSAGE_MAX).collect()
}
