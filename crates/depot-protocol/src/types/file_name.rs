//! The name under which a client deposits a file, and the place from which it lists them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::FieldFault;
use crate::limits::NAME_MAX;

/// A file's name: never a path on a server.
///
/// Always: 1 to 1,024 bytes of UTF-8, no control character, and between its `/` no segment that is
/// empty, `.` or `..`. Compared byte by byte, with no normalisation. `Debug` escapes everything
/// but printable ASCII.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Arc<str>);

impl FileName {
    /// The name of this text.
    ///
    /// # Errors
    /// A text that breaks the rule.
    pub fn parse(text: &str) -> Result<FileName, FieldFault> {
        if text.is_empty() {
            return Err(FieldFault("the name is empty"));
        }
        if text.len() > NAME_MAX {
            return Err(FieldFault("the name is longer than 1024 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(FieldFault("the name holds a control character"));
        }
        if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(FieldFault(
                "a segment of the name is empty, \".\" or \"..\"; \
                 names have no leading, trailing or double \"/\"",
            ));
        }
        Ok(FileName(Arc::from(text)))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for FileName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FileName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileName(\"{}\")", self.0.escape_default())
    }
}

/// `apos` of a list: only names after it are told. It need not be a valid or present name.
///
/// Always: at most 1,024 bytes, no control character. Empty is the start. `Debug` escapes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListCursor(Arc<str>);

impl ListCursor {
    /// From the first name on.
    #[must_use]
    pub fn start() -> ListCursor {
        ListCursor(Arc::from(""))
    }

    /// The cursor of this text.
    ///
    /// # Errors
    /// More than 1,024 bytes, or a control character.
    pub fn parse(text: &str) -> Result<ListCursor, FieldFault> {
        if text.len() > NAME_MAX {
            return Err(FieldFault("at most 1024 bytes are wanted"));
        }
        if text.chars().any(char::is_control) {
            return Err(FieldFault("no control character is allowed"));
        }
        Ok(ListCursor(Arc::from(text)))
    }

    /// The cursor as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&FileName> for ListCursor {
    fn from(name: &FileName) -> ListCursor {
        ListCursor(Arc::clone(&name.0))
    }
}

impl fmt::Debug for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListCursor(\"{}\")", self.0.escape_default())
    }
}
