//! The exit codes of `depot-server`: one table, the same in `--help` and in scripts.

use std::process::{ExitCode, Termination};

/// Why the server ended. The numbers are part of the interface and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was asked to stop, or has done what it was asked for.
    Stopped = 0,
    /// A fault while it ran, or one that has no code of its own.
    Fault = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// An address is in use or cannot be listened on.
    Address = 4,
    /// Another server is using the data folder.
    Locked = 5,
    /// The data folder cannot be used: not writable, not a folder, symlinks in it, no fsync.
    Folder = 6,
    /// The data folder belongs to another server, or is not a depot's.
    Foreign = 7,
    /// The catalogue or payloads are damaged or missing.
    Damaged = 8,
    /// A server of the cluster can't be reached, or refuses what an operator asks.
    Cluster = 9,
    /// The others know a newer state of this server's data: an older copy was put in its place.
    Fenced = 10,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Exit; 11] = [
        Exit::Stopped,
        Exit::Fault,
        Exit::Usage,
        Exit::Config,
        Exit::Address,
        Exit::Locked,
        Exit::Folder,
        Exit::Foreign,
        Exit::Damaged,
        Exit::Cluster,
        Exit::Fenced,
    ];

    /// The number that the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for `--help`.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Stopped => "stopped as asked",
            Exit::Fault => "a fault while running",
            Exit::Usage => "wrong command line",
            Exit::Config => "wrong configuration",
            Exit::Address => "address in use, or not to be listened on",
            Exit::Locked => "data folder in use by another server",
            Exit::Folder => "data folder cannot be used",
            Exit::Foreign => "data folder of another server, or foreign",
            Exit::Damaged => "data damaged or missing",
            Exit::Cluster => "a server of the cluster not reached, or it refuses",
            Exit::Fenced => "data older than the other servers have seen it",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_does_not_change() {
        let codes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        assert_eq!(Exit::ALL.map(Exit::code), codes);
        assert_eq!(Exit::Usage.code(), 2);
        assert_eq!(Exit::Config.code(), 3);
        assert_eq!(Exit::Address.code(), 4);
        assert_eq!(Exit::Locked.code(), 5);
        assert_eq!(Exit::Folder.code(), 6);
        assert_eq!(Exit::Foreign.code(), 7);
        assert_eq!(Exit::Damaged.code(), 8);
        assert_eq!(Exit::Cluster.code(), 9);
        assert_eq!(Exit::Fenced.code(), 10);
    }

    #[test]
    fn every_code_says_something_else() {
        let mut meanings = Exit::ALL.map(Exit::meaning);
        meanings.sort_unstable();
        assert!(meanings.windows(2).all(|two| two[0] != two[1]));
    }
}
