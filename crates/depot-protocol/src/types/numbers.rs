//! The numbers: decimal digits with no sign, no blanks and no leading zeros.

use std::fmt;

use super::FieldFault;
use crate::limits::{FILE_SIZE_MAX, LIST_MAX};

/// `qtd_replicas`: R, how many replicas are wanted; R replicas are R + 1 copies on R + 1 servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaCount(u8);

impl ReplicaCount {
    /// So many replicas.
    #[must_use]
    pub const fn new(replicas: u8) -> ReplicaCount {
        ReplicaCount(replicas)
    }

    /// Decimal digits, 0 to 255.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<ReplicaCount, FieldFault> {
        parse_u8(text).map(ReplicaCount)
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for ReplicaCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `tamanho_arquivo`: the size of a whole file in bytes.
///
/// Always: at most 2^63 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSize(u64);

impl FileSize {
    /// The size of an empty file.
    pub const ZERO: FileSize = FileSize(0);

    /// A size of so many bytes, unless it is above 2^63 - 1.
    #[must_use]
    pub const fn new(bytes: u64) -> Option<FileSize> {
        if bytes <= FILE_SIZE_MAX { Some(FileSize(bytes)) } else { None }
    }

    /// Decimal digits, 0 to 2^63 - 1.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<FileSize, FieldFault> {
        let fault = FieldFault(
            "decimal digits, 0 to 9223372036854775807, without sign, blanks or leading zeros \
             are wanted",
        );
        parse_up_to(text, FILE_SIZE_MAX).map(FileSize).ok_or(fault)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FileSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `limite`: how many items an answer to `listar` may have.
///
/// Always: 1 to 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListLimit(u16);

impl ListLimit {
    /// As many as there may be.
    pub const MAX: ListLimit = ListLimit(1000);

    /// At most so many items, unless it is 0 or above 1,000.
    #[must_use]
    pub fn new(items: u16) -> Option<ListLimit> {
        (1..=LIST_MAX).contains(&usize::from(items)).then_some(ListLimit(items))
    }

    /// Decimal digits, 1 to 1,000.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<ListLimit, FieldFault> {
        parse_up_to(text, u64::from(u16::MAX))
            .and_then(|number| u16::try_from(number).ok())
            .and_then(ListLimit::new)
            .ok_or(FieldFault("decimal digits, 1 to 1000, are wanted"))
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ListLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Decimal digits of a number that is at most `max`. Never wraps, however many digits there are.
pub(crate) fn parse_up_to(text: &str, max: u64) -> Option<u64> {
    if !is_number(text) {
        return None;
    }
    text.parse().ok().filter(|&number| number <= max)
}

/// Decimal digits, 0 to 255.
pub(crate) fn parse_u8(text: &str) -> Result<u8, FieldFault> {
    parse_up_to(text, u64::from(u8::MAX)).and_then(|number| u8::try_from(number).ok()).ok_or(
        FieldFault("decimal digits, 0 to 255, without sign, blanks or leading zeros are wanted"),
    )
}

/// An offset: any decimal digits. No file reaches to 2^64, so an offset from there on is past the
/// end of each, and `u64::MAX` says the same of it.
pub(crate) fn parse_offset(text: &str) -> Result<u64, FieldFault> {
    if !is_number(text) {
        return Err(FieldFault("decimal digits without sign, blanks or leading zeros are wanted"));
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// `0` or `1`.
pub(crate) fn parse_bit(text: &str) -> Result<bool, FieldFault> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(FieldFault("0 or 1 is wanted")),
    }
}

fn is_number(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}
