//! How often each of the other servers was started, as it was met: one small file of the data
//! folder, written anew whenever a server tells of a higher number (at each of its starts, and every
//! ten minutes).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use depot_protocol::ServerName;
use serde::{Deserialize, Serialize};

use crate::cluster::{KeepStarts, StartSeen};
use crate::seams::Disk;
use crate::volume::{read_file, write_file};

const FILE: &str = "PEERS";
/// A line for each of at most some hundred servers.
const SIZE_MAX: u64 = 64 * 1024;

/// The file as written: servers by name.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    #[serde(default)]
    server: BTreeMap<String, StartSeen>,
}

/// The file.
pub(super) struct Met {
    disk: Arc<dyn Disk>,
    /// As it is on disk, once it was read; held over each write.
    kept: Mutex<Written>,
}

impl Met {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Met { disk, kept: Mutex::default() }
    }
}

impl KeepStarts for Met {
    fn load(&self) -> io::Result<Vec<(ServerName, StartSeen)>> {
        let damaged = |_| {
            let what = "the file PEERS is damaged: remove it, the other servers tell it again";
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        let Some(bytes) = read_file(&*self.disk, Path::new(FILE), SIZE_MAX)? else {
            return Ok(Vec::new());
        };
        let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        let written: Written = toml::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        let all = written.server.iter().map(|(name, seen)| {
            let name = ServerName::parse(name).map_err(|error| damaged(error.to_string()))?;
            Ok((name, *seen))
        });
        let all = all.collect::<io::Result<Vec<_>>>()?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = written;
        Ok(all)
    }

    fn store(&self, server: &ServerName, seen: StartSeen) -> io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.server.get(server.as_str()).is_some_and(|before| *before >= seen) {
            return Ok(());
        }
        kept.server.insert(server.as_str().to_owned(), seen);
        let text = toml::to_string(&*kept).expect("names and numbers are TOML");
        write_file(&*self.disk, Path::new(FILE), text.as_bytes())
    }
}
