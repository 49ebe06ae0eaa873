//! A header line as fields: first whether it has the form at all, then one field after the other in
//! the order that its reader expects.

use crate::keys;
use crate::limits::LINE_MAX;
use crate::types::FieldFault;

/// A line of the form `field *( "|" field )`, valid UTF-8, without its LF.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a>(&'a str);

/// Why a line does not have the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormFault {
    TooLong,
    NotUtf8,
    NoField,
}

impl FormFault {
    pub(crate) fn message(self) -> &'static str {
        match self {
            FormFault::TooLong => "a line has at most 4096 bytes, its LF included",
            FormFault::NotUtf8 => "the line is not UTF-8",
            FormFault::NoField => {
                "the line is not fields of the form key:value with | between them; \
                 keys are a-z and _, with no blanks around them"
            }
        }
    }
}

/// One `key:value`.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

impl<'a> Line<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Line<'a>, FormFault> {
        if bytes.len() >= LINE_MAX {
            return Err(FormFault::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| FormFault::NotUtf8)?;
        let mut rest = Some(text);
        while let Some(fields) = rest {
            let (field, behind) = split_first(fields).ok_or(FormFault::NoField)?;
            if field.key.is_empty() || !field.key.bytes().all(keys::is_key_byte) {
                return Err(FormFault::NoField);
            }
            rest = behind;
        }
        Ok(Line(text))
    }

    /// Its fields, at least one.
    pub(crate) fn fields(self) -> impl Iterator<Item = Field<'a>> {
        let mut rest = Some(self.0);
        std::iter::from_fn(move || {
            let (field, behind) = split_first(rest?)?;
            rest = behind;
            Some(field)
        })
    }

    /// The key of the field at this place, from 0.
    pub(crate) fn key(self, place: usize) -> Option<&'a str> {
        self.fields().nth(place).map(|field| field.key)
    }
}

/// The first field, and the fields behind it.
fn split_first(fields: &str) -> Option<(Field<'_>, Option<&str>)> {
    let (key, behind) = fields.split_once(':')?;
    if keys::runs_to_the_end(key) {
        return Some((Field { key, value: behind }, None));
    }
    match behind.split_once('|') {
        Some((value, rest)) => Some((Field { key, value }, Some(rest))),
        None => Some((Field { key, value: behind }, None)),
    }
}

/// The first field that is not what its reader expects there, in words that repeat no value of the
/// line, and of its keys only what [`Line::parse`] has found to be a-z and _.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) String);

impl Misfit {
    pub(crate) fn value(key: &'static str, fault: FieldFault) -> Misfit {
        Misfit(format!("{key}: {fault}"))
    }
}

/// Reads a line's fields from left to right.
pub(crate) struct Cursor<'a> {
    line: Line<'a>,
    rest: Option<&'a str>,
    place: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(line: Line<'a>) -> Cursor<'a> {
        Cursor { line, rest: Some(line.0), place: 0 }
    }

    /// The value of the next field, which must have this key.
    pub(crate) fn take(&mut self, key: &'static str) -> Result<&'a str, Misfit> {
        match self.next() {
            Some(field) if field.key == key => Ok(field.value),
            Some(field) => Err(self.stranger(field.key, key)),
            None => Err(Misfit(format!("{key} is missing"))),
        }
    }

    /// The next field's value, parsed.
    pub(crate) fn take_as<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, FieldFault>,
    ) -> Result<T, Misfit> {
        let value = self.take(key)?;
        parse(value).map_err(|fault| Misfit::value(key, fault))
    }

    /// The same, if the next field has this key.
    pub(crate) fn take_if<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, FieldFault>,
    ) -> Result<Option<T>, Misfit> {
        match self.rest.and_then(split_first) {
            Some((next, _)) if next.key == key => self.take_as(key, parse).map(Some),
            _ => Ok(None),
        }
    }

    /// That no field is left.
    pub(crate) fn finish(mut self) -> Result<(), Misfit> {
        match self.next() {
            None => Ok(()),
            Some(field) => Err(Misfit(match keys::known(field.key) {
                Some(key) if self.stood_before(key) => repeated(key),
                Some(key) => format!("{key} does not belong in this request"),
                None => format!("{} is unknown; nothing stands there", self.named(field.key)),
            })),
        }
    }

    /// The next field, whichever it is. A known one that stood before is a misfit; unknown ones may
    /// stand as they like.
    pub(crate) fn take_any(&mut self) -> Result<Option<Field<'a>>, Misfit> {
        let Some(field) = self.next() else {
            return Ok(None);
        };
        match keys::known(field.key) {
            Some(key) if self.stood_before(key) => Err(Misfit(repeated(key))),
            _ => Ok(Some(field)),
        }
    }

    fn next(&mut self) -> Option<Field<'a>> {
        let (field, behind) = split_first(self.rest?)?;
        self.rest = behind;
        self.place = self.place.saturating_add(1);
        Some(field)
    }

    /// A field whose key is not of this protocol. A key is only a-z and _, so that a short piece of
    /// it is safe to repeat.
    fn named(&self, key: &str) -> String {
        format!("field {} ({})", self.place, key.get(..32).unwrap_or(key))
    }

    /// Whether the key stood at a place before that of the field read last.
    fn stood_before(&self, key: &str) -> bool {
        self.line.fields().take(self.place.saturating_sub(1)).any(|field| field.key == key)
    }

    /// What is wrong with a field that stands where another is expected.
    fn stranger(&self, found: &str, expected: &'static str) -> Misfit {
        let Some(found) = keys::known(found) else {
            return Misfit(format!("{} is unknown; {expected} stands there", self.named(found)));
        };
        if self.stood_before(found) {
            return Misfit(repeated(found));
        }
        let follows = self.line.fields().skip(self.place).any(|field| field.key == expected);
        Misfit(if follows {
            format!("{found} is misplaced; {expected} stands there")
        } else {
            format!("{expected} is missing; {found} stands in its place")
        })
    }
}

fn repeated(key: &'static str) -> String {
    format!("{key} is repeated; each field stands once")
}
