//! The exit codes of `depot-client`: one table, the same in `--help` and in scripts.

use std::process::{ExitCode, Termination};

use crate::ErrorKind;

/// How it ended. The numbers are part of the interface and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; also where the reader of the results went away.
    Done = 0,
    /// A fault that has no code of its own.
    Fault = 1,
    /// The command line is wrong.
    Usage = 2,
    /// This client has no such file.
    NotFound = 3,
    /// The server refuses what was asked, as it is.
    Refused = 4,
    /// Nothing has changed: try later, or at another server.
    Later = 5,
    /// It may have happened: do it again.
    Unknown = 6,
    /// No server can be reached.
    Unreachable = 7,
    /// A file or folder of this machine.
    Local = 8,
    /// Wrong bytes, or not a depot at all.
    Integrity = 9,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Exit; 11] = [
        Exit::Done,
        Exit::Fault,
        Exit::Usage,
        Exit::NotFound,
        Exit::Refused,
        Exit::Later,
        Exit::Unknown,
        Exit::Unreachable,
        Exit::Local,
        Exit::Integrity,
        Exit::Interrupted,
    ];

    /// The number that the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Where its meaning stands in the texts.
    pub(super) fn key(self) -> String {
        format!("exit-{}", self.code())
    }

    /// Of two ends of one run, the first that is not success.
    #[must_use]
    pub fn or(self, other: Exit) -> Exit {
        if self == Exit::Done { other } else { self }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::Request => Exit::Refused,
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Later => Exit::Later,
            ErrorKind::Unknown => Exit::Unknown,
            ErrorKind::Unreachable => Exit::Unreachable,
            ErrorKind::Local => Exit::Local,
            ErrorKind::Integrity => Exit::Integrity,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_does_not_change() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]);
        assert_eq!(Exit::from(ErrorKind::NotFound).code(), 3);
        assert_eq!(Exit::from(ErrorKind::Request).code(), 4);
        assert_eq!(Exit::from(ErrorKind::Later).code(), 5);
        assert_eq!(Exit::from(ErrorKind::Unknown).code(), 6);
        assert_eq!(Exit::from(ErrorKind::Unreachable).code(), 7);
        assert_eq!(Exit::from(ErrorKind::Local).code(), 8);
        assert_eq!(Exit::from(ErrorKind::Integrity).code(), 9);
    }

    #[test]
    fn the_first_failure_is_told() {
        assert_eq!(Exit::Done.or(Exit::Local), Exit::Local);
        assert_eq!(Exit::NotFound.or(Exit::Local), Exit::NotFound);
        assert_eq!(Exit::NotFound.or(Exit::Done), Exit::NotFound);
    }
}
