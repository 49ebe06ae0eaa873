//! What an operator does from the command line, bounded in time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::server::{binary, finished};

/// The longest that a command may take; `init` waits up to 15 s for a leader.
const LONGEST: Duration = Duration::from_secs(60);

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote for the operator.
    pub stdout: String,
    /// What is wrong.
    pub stderr: String,
}

/// Runs `depot-server COMMAND --config FILE ARGUMENTS`.
#[track_caller]
pub(super) fn run(config: &Path, words: &[&str]) -> Told {
    let (name, rest) = words.split_first().expect("a command");
    let mut command = Command::new(binary::path());
    command.arg(name).arg("--config").arg(config).args(rest).env_remove("DEPOT_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the server's executable runs");
    let (code, stdout, stderr) = finished(child, LONGEST);
    Told { code, stdout, stderr }
}

impl Told {
    /// It was done; returns what it said.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// It was refused with 9, in these words; nothing was told as if it were done.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) {
        assert_eq!(self.code, Some(9), "{self:#?}");
        let missing = words.iter().find(|word| !self.stderr.contains(**word));
        assert!(missing.is_none(), "{missing:?} is not in {self:#?}");
    }
}
