//! The cluster's secret: where it comes from, whether it is one, and who else can read it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Warning};

/// The fewest bytes that a secret has.
pub const SECRET_MIN: usize = 32;

/// The longest file that is taken for a secret.
const SECRET_FILE_MAX: u64 = 4 << 10;

/// Secrets that stand in examples, and are therefore none.
const EXAMPLES: [&str; 2] =
    ["at least 32 characters", "an example: replace it, openssl rand -base64 32"];

/// A key that all servers of a cluster share. It is not shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub(super) fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into())
    }

    /// The bytes, for the one who computes with them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What is wrong with it, if anything.
    pub(super) fn weakness(&self) -> Option<String> {
        if EXAMPLES.iter().any(|example| example.as_bytes() == self.0) {
            return Some(format!("is the one of the examples, which everybody knows; {HOW}"));
        }
        let length = self.0.len();
        (length < SECRET_MIN)
            .then(|| format!("has {length} bytes, at least {SECRET_MIN} are wanted; {HOW}"))
    }
}

/// How to come by a good one.
const HOW: &str = "make one with `openssl rand -base64 32`";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Reads a file that holds nothing but a secret; a line end after it does not count.
pub(super) fn read(path: &Path) -> Result<(Secret, Access), ConfigError> {
    let unreadable = |error: io::Error| ConfigError::unreadable(path, &error);
    // Asked before it is opened: opening a FIFO would wait for a writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ConfigError::whole(path, "the secret's file is not a regular file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    let access = Access::of(path, &file)?;
    let mut bytes = Vec::new();
    file.take(SECRET_FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_FILE_MAX {
        let message = format!("is longer than {SECRET_FILE_MAX} bytes, which no secret is");
        return Err(ConfigError::whole(path, message));
    }
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok((Secret::new(bytes), access))
}

/// Who may open a file.
#[derive(Debug, Clone)]
pub(super) struct Access {
    path: PathBuf,
    mode: u32,
}

impl Access {
    /// Who may open this open file.
    pub(super) fn of(path: &Path, file: &File) -> Result<Access, ConfigError> {
        let metadata = file.metadata().map_err(|error| ConfigError::unreadable(path, &error))?;
        Ok(Access { path: path.to_owned(), mode: metadata.mode() & 0o777 })
    }

    /// What is wrong with it for a file that holds a secret, if anything.
    fn weakness(&self) -> Option<String> {
        (self.mode & 0o077 != 0).then(|| {
            let mode = self.mode;
            format!("holds a secret and others may open it (mode {mode:03o}): run chmod 600 on it")
        })
    }
}

/// What becomes of a weakness: a warning where all addresses are on loopback, an error elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// All addresses are on loopback.
    Loopback,
    /// At least one is not.
    Network,
}

impl Reach {
    /// Notes a weakness of a secret.
    pub(super) fn judge(
        self,
        weakness: ConfigError,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), ConfigError> {
        match self {
            Reach::Loopback => {
                warnings.push(Warning::new(format!("{weakness} (an error off loopback)")));
                Ok(())
            }
            Reach::Network => Err(weakness),
        }
    }

    /// Judges who may open a file that holds a secret.
    pub(super) fn judge_access(
        self,
        access: &Access,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), ConfigError> {
        match access.weakness() {
            Some(weakness) => self.judge(ConfigError::whole(&access.path, weakness), warnings),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_shown() {
        let secret = Secret::new("correct horse battery staple");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(..) Some(Secret(..))");
    }

    #[test]
    fn thirty_two_bytes_are_enough() {
        assert!(Secret::new("x".repeat(32)).weakness().is_none());
        let weakness = Secret::new("x".repeat(31)).weakness().expect("too short");
        assert!(weakness.contains("31 bytes, at least 32"), "{weakness}");
    }

    #[test]
    fn every_example_is_refused() {
        for example in EXAMPLES {
            let weakness = Secret::new(example).weakness().expect("an example");
            assert!(weakness.contains("examples"), "{weakness}");
        }
    }

    #[test]
    fn a_line_end_is_no_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.key");
        std::fs::write(&path, "abc \r\n").unwrap();
        assert_eq!(read(&path).unwrap().0.expose(), b"abc ");
    }

    #[test]
    fn a_folder_or_an_endless_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().message().contains("regular file"));
        assert!(read(Path::new("/dev/zero")).unwrap_err().message().contains("regular file"));
    }
}
