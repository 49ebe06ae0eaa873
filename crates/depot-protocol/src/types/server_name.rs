//! The name of a server of the cluster.

use std::fmt;
use std::sync::Arc;

use super::FieldFault;
use crate::limits::SERVER_NAME_MAX;

/// A server's name.
///
/// Always: 1 to 63 bytes of `a-z`, `0-9`, `.` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

impl ServerName {
    /// The name of this text.
    ///
    /// # Errors
    /// A text that breaks the rule.
    pub fn parse(text: &str) -> Result<ServerName, FieldFault> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        let length = (1..=SERVER_NAME_MAX).contains(&text.len());
        if length && text.bytes().all(allowed) {
            Ok(ServerName(Arc::from(text)))
        } else {
            Err(FieldFault("1 to 63 of a-z, 0-9, \".\" and \"-\" are wanted"))
        }
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerName({})", self.0)
    }
}
