//! Who asks: a UUID, which is a capability.

use std::fmt;

use uuid::Uuid;

use super::FieldFault;

/// A client's id. Whoever knows it reads and writes that client's files, so it is never logged:
/// `Debug` hides it; `Display` is for the wire and for the client itself.
///
/// Always: neither the nil nor the all-ones UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Uuid);

impl ClientId {
    /// An id in its hyphenated form of 36 characters, in either letter case.
    ///
    /// # Errors
    /// Any other form, the nil and the all-ones UUID.
    pub fn parse(text: &str) -> Result<ClientId, FieldFault> {
        let form = FieldFault("a UUID in its hyphenated form of 36 characters is wanted");
        let hyphenated = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        if !hyphenated {
            return Err(form);
        }
        let id = Uuid::try_parse(text).map_err(|_| form)?;
        if id.is_nil() || id.is_max() {
            return Err(FieldFault("the nil and the all-ones UUID are nobody's id"));
        }
        Ok(ClientId(id))
    }

    /// A new id (version 4) of these random bytes; six of their 128 bits are overwritten.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> ClientId {
        ClientId(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The id's 16 bytes, the same for both letter cases.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientId(..)")
    }
}
