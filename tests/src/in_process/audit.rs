//! Holds a server, and its disk, to a ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Client, Heard, ID, Ledger};
use crate::Recovered;
use crate::answer::field;
use crate::content::sha256;
use crate::twins::memory_disk::MemoryDisk;

/// In what way a server broke its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// It does not start.
    Down,
    /// An acknowledged file is not there, or can't be had whole.
    Lost,
    /// A file is there that may not be, or with other bytes.
    Wrong,
    /// The list and the files differ.
    Unlisted,
    /// It takes no new file.
    Refuses,
    /// Something lies on the disk that nobody will ever need.
    LeftBehind,
}

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub breach: Breach,
    /// What happened.
    pub what: String,
}

impl Violation {
    /// One to report.
    pub fn new(breach: Breach, what: impl Into<String>) -> Self {
        Violation { breach, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.breach, self.what)
    }
}

/// Recovers every file of the ledger, reads the list, and says what is not as promised. What was
/// in doubt is settled in the ledger.
pub async fn audit<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    ledger: &mut Ledger,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut files = BTreeMap::new();
    for name in ledger.names() {
        let possible = ledger.possible(&name);
        let found = match client.recover(ID, &name).await {
            Recovered::Whole(bytes) => Some(Bytes::from(bytes)),
            Recovered::Refused(line) if field(&line, "erro") == "arquivo_inexistente" => None,
            other => {
                violations.push(Violation::new(Breach::Lost, format!("{name:?}: {other:?}")));
                continue;
            }
        };
        if !possible.contains(&found) {
            let (breach, what) = match &found {
                None => (Breach::Lost, "is not there".into()),
                Some(bytes) => (Breach::Wrong, format!("has {} bytes not its own", bytes.len())),
            };
            violations.push(Violation::new(breach, format!("{name:?} {what}")));
        }
        if let Some(bytes) = &found {
            files.insert(name.clone(), sha256(bytes));
        }
        ledger.settle(&name, found);
    }
    let listed = client.list(ID).await;
    if listed.as_ref() != Some(&files) && violations.is_empty() {
        let what = format!("listed are {listed:?}, recovered were {files:?}");
        violations.push(Violation::new(Breach::Unlisted, what));
    }
    let last = client.deposit(ID, "depois da queda", b"one more").await;
    if !last.is_done() || client.remove(ID, "depois da queda").await != done() {
        violations.push(Violation::new(Breach::Refuses, format!("one more deposit: {last:?}")));
    }
    violations
}

fn done() -> Heard {
    Heard::Line("resultado:1".into())
}

/// What lies on the disk of a server at rest, after its sweep, and belongs to nobody.
pub fn left_behind(disk: &MemoryDisk, ledger: &Ledger) -> Vec<Violation> {
    let possible = ledger.names().into_iter().flat_map(|name| ledger.possible(&name));
    let wanted: Vec<String> = possible.flatten().map(|bytes| sha256(&bytes)).collect();
    let mut left = Vec::new();
    let (mut data, mut parts) = (0, 0);
    let mut trashed = BTreeSet::new();
    for path in disk.files().into_keys() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.starts_with("volume/staging") {
            match path.extension().and_then(|kind| kind.to_str()) {
                Some("data") => data += 1,
                Some("part") => parts += 1,
                _ => left.push(path),
            }
        } else if path.starts_with("volume/blobs") {
            if path != Path::new("volume/blobs/MARKER") && !wanted.iter().any(|hash| hash == name) {
                left.push(path);
            }
        } else if path.starts_with("volume/trash") {
            let hash = name.split_once('-').map_or(name, |(_, hash)| hash).to_owned();
            if !trashed.insert(hash) {
                left.push(path);
            }
        } else if path.starts_with("volume/quarantine") || path.ends_with("SUSPECT") {
            left.push(path);
        }
    }
    let mut violations: Vec<Violation> = left
        .into_iter()
        .map(|path| Violation::new(Breach::LeftBehind, path.display().to_string()))
        .collect();
    if data != parts {
        let what = format!("{data} staged files and {parts} records of parts");
        violations.push(Violation::new(Breach::LeftBehind, what));
    }
    violations
}
