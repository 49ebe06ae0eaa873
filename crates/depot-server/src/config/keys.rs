//! The keys that a file may hold, and what an unknown one was probably meant to be.
//!
//! The names are those of the fields of [`written`], asked of serde itself, so that
//! there is no second list to forget.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ConfigError, Source, quoted};
use super::written;

/// The longest key for which a neighbour is looked for, in bytes.
const NEIGHBOUR_MAX: usize = 64;

/// One table of the file.
pub(super) struct Section {
    /// What stands in the brackets.
    pub(super) name: &'static str,
    /// Whether it stands once for each thing, in double brackets.
    repeated: bool,
    /// The keys in it.
    pub(super) keys: &'static [&'static str],
}

/// All tables of the file.
pub(super) fn sections() -> [Section; 6] {
    let once = |name, keys| Section { name, repeated: false, keys };
    [
        once("cluster", fields_of::<written::Cluster>()),
        once("deposit", fields_of::<written::Deposit>()),
        once("volume", fields_of::<written::Volume>()),
        once("catalogue", fields_of::<written::Catalogue>()),
        once("limits", fields_of::<written::Limits>()),
        Section { name: "server", repeated: true, keys: fields_of::<written::Server>() },
    ]
}

/// Refuses tables and keys that nobody would read; of several the first in the file is told.
pub(super) fn check(source: &Source, file: &DeTable) -> Result<(), ConfigError> {
    let mut check = Check { source, sections: sections(), first: None };
    check.file(file);
    match check.first {
        Some((_, fault)) => Err(fault),
        None => Ok(()),
    }
}

/// A walk over the file that keeps the fault that stands first.
struct Check<'a> {
    source: &'a Source<'a>,
    sections: [Section; 6],
    first: Option<(usize, ConfigError)>,
}

impl Check<'_> {
    fn file(&mut self, file: &DeTable) {
        for (name, value) in file {
            let Some(at) = self.sections.iter().position(|known| name.get_ref() == known.name)
            else {
                self.fault(name, self.unknown_table(name.get_ref()));
                continue;
            };
            let Section { name: section, repeated, keys } = self.sections[at];
            match value.get_ref() {
                DeValue::Table(table) if !repeated => self.keys(section, keys, table),
                DeValue::Array(tables) if repeated => {
                    for table in tables.iter().filter_map(|table| table.get_ref().as_table()) {
                        self.keys(section, keys, table);
                    }
                }
                _ if repeated => {
                    let what = format!("`{section}` is written [[{section}]], once for each one");
                    self.fault(name, what);
                }
                _ => {
                    let what = format!("`{section}` is a table and is written [{section}], once");
                    self.fault(name, what);
                }
            }
        }
    }

    fn keys(&mut self, section: &str, known: &[&str], table: &DeTable) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            self.fault(key, self.unknown_key(section, known, key.get_ref()));
        }
    }

    fn unknown_table(&self, name: &str) -> String {
        if let Some(home) = self.sections.iter().find(|section| section.keys.contains(&name)) {
            return format!("`{name}` stands outside its table: put it below {}", home.title());
        }
        let names: Vec<&str> = self.sections.iter().map(|section| section.name).collect();
        format!("unknown table {}; {}", quoted(name), hint(name, &names))
    }

    fn unknown_key(&self, section: &str, known: &[&str], key: &str) -> String {
        let home = self.sections.iter().find(|home| home.keys.contains(&key));
        match home {
            Some(home) => {
                format!("`{key}` is no key of [{section}]: put it below {}", home.title())
            }
            None => format!("unknown key {} in [{section}]; {}", quoted(key), hint(key, known)),
        }
    }

    fn fault(&mut self, key: &Spanned<DeString>, what: String) {
        let span = key.span();
        if self.first.as_ref().is_none_or(|(offset, _)| span.start < *offset) {
            self.first = Some((span.start, self.source.error(&span, what)));
        }
    }
}

impl Section {
    fn title(&self) -> String {
        if self.repeated { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }
}

/// The nearest of the known names, or all of them where none is near.
fn hint(wrong: &str, known: &[&str]) -> String {
    let near = |name: &&str| strsim::damerau_levenshtein(wrong, name);
    let nearest =
        known.iter().filter(|_| wrong.len() <= NEIGHBOUR_MAX).min_by_key(|name| near(name));
    match nearest {
        Some(name) if near(name) * 2 <= name.len() => format!("did you mean `{name}`?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// The names of the fields of a struct, as serde knows them.
fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    match T::deserialize(Probe) {
        Err(Answer(fields)) => fields,
        Ok(_) => &[],
    }
}

/// Pretends to hold a struct in order to be told its fields.
struct Probe;

/// The fields, by way of an error: the one way out of a deserializer that has no data.
#[derive(Debug)]
struct Answer(&'static [&'static str]);

impl<'de> Deserializer<'de> for Probe {
    type Error = Answer;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Answer> {
        Err(Answer(fields))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Answer> {
        Err(Answer(&[]))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fields of a struct")
    }
}

impl std::error::Error for Answer {}

impl serde::de::Error for Answer {
    fn custom<T: fmt::Display>(_message: T) -> Answer {
        Answer(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../config/depot.toml");

    #[test]
    fn the_sections_are_those_of_the_file() {
        let names = sections().map(|section| section.name);
        assert_eq!(names, fields_of::<written::File>());
        assert!(sections().iter().all(|section| !section.keys.is_empty()));
    }

    #[test]
    fn the_example_shows_every_key() {
        for Section { name, keys, .. } in sections() {
            let table = EXAMPLE
                .split("\n[")
                .find(|part| part.trim_start_matches('[').split(']').next() == Some(name));
            let table = table.unwrap_or_else(|| panic!("config/depot.toml lacks [{name}]"));
            for key in keys {
                let shown = table.lines().any(|line| {
                    let written = line.strip_prefix('#').unwrap_or(line);
                    written.split('=').next().is_some_and(|start| start.trim_end() == *key)
                });
                assert!(shown, "config/depot.toml lacks {key} in [{name}]");
            }
        }
    }

    #[test]
    fn the_nearest_name_is_told_and_a_far_one_is_not() {
        assert_eq!(hint("hedaer", &["idle", "header"]), "did you mean `header`?");
        assert_eq!(hint("x", &["idle", "header"]), "known are idle, header");
        assert_eq!(hint(&"h".repeat(1 << 20), &["header"]), "known are header");
    }
}
