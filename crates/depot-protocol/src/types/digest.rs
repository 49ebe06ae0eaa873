//! SHA-256 values, and the promise of one.

use std::fmt;

use super::FieldFault;

/// A SHA-256. Computing one is not this crate's work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The SHA-256 of no bytes.
    pub const EMPTY: Digest = Digest([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The digest of these bytes' value (not of their content).
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hex digits, in either letter case.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Digest, FieldFault> {
        Digest::parse_bytes(text.as_bytes()).ok_or(FieldFault("64 hex digits are wanted"))
    }

    pub(crate) fn parse_bytes(text: &[u8]) -> Option<Digest> {
        let (pairs, rest) = text.as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = (hex_digit(*high)? << 4) | hex_digit(*low)?;
        }
        Some(Digest(bytes))
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?');
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// `hash_arquivo` of a deposit and of `preparar`: the hash, or word that it comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Announced {
    /// The hash is known beforehand.
    Known(Digest),
    /// `depois`: the hash line after the payload tells it.
    Last,
}

impl Announced {
    /// 64 hex digits, in either letter case, or `depois`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Announced, FieldFault> {
        match text {
            crate::keys::LAST => Ok(Announced::Last),
            digits => Digest::parse(digits)
                .map(Announced::Known)
                .map_err(|_| FieldFault("64 hex digits or \"depois\" are wanted")),
        }
    }

    /// The hash, where it is known beforehand.
    #[must_use]
    pub fn known(self) -> Option<Digest> {
        match self {
            Announced::Known(digest) => Some(digest),
            Announced::Last => None,
        }
    }

    /// Whether a hash line follows the payload.
    #[must_use]
    pub fn is_last(self) -> bool {
        matches!(self, Announced::Last)
    }
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Announced::Known(digest) => digest.fmt(f),
            Announced::Last => f.write_str(crate::keys::LAST),
        }
    }
}
