//! A server's data folder as a whole: whose it is, who has it locked, how long its server has run.
//!
//! ```text
//! LOCK                 locked while a server runs here; holds its process id
//! FOUNDING             there while the folder is being made: nothing was acknowledged yet
//! PEERS                how often each of the other servers was started, as it was met
//! ABORTS               when the server ended itself after a fault
//! SCRUB                how far the copies were read again
//! PLAN                 how far the records were looked at for copies that they lack
//! catalogue/MARKER     whose catalogue this is; beside it the catalogue itself
//! volume/blobs/MARKER  whose blobs these are, the start number, the running time
//! ```
//!
//! Each half carries a marker of its own, so that a half that is missing (a mount that is gone), or
//! that belongs to another server, or that is older than the other half, is never taken for a
//! fresh start (RELIABILITY.md, C13).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use depot_protocol::ServerName;
use serde::{Deserialize, Serialize};

use crate::seams::Clock;
use crate::seams::disk::{Disk, DiskFile, OpenMode};
use crate::volume::{layout, read_file, write_file};

/// Markers are a few lines.
const MARKER_MAX: u64 = 4096;

/// What a depot's folder is made of.
const HALVES: [&str; 2] = ["catalogue", "volume"];
/// What else may lie in it, and, the last one, in the root of any file system.
const FILES: [&str; 12] = [
    "LOCK",
    "FOUNDING",
    "FOUNDING.new",
    "ABORTS",
    "ABORTS.new",
    "PEERS",
    "PEERS.new",
    "SCRUB",
    "SCRUB.new",
    "PLAN",
    "PLAN.new",
    "lost+found",
];

/// A data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another process has it.
    #[error("another server{} is running on this folder", .pid.map_or(String::new(), |pid| format!(" (process {pid})")))]
    Locked {
        /// Its process id, where the lock file tells.
        pid: Option<u32>,
    },
    /// It is not a depot's, or another server's.
    #[error("{0}")]
    Foreign(String),
    /// Something of it is missing or damaged.
    #[error("{0}")]
    Damaged(String),
    /// The file system says no.
    #[error("cannot {doing}")]
    Unusable {
        /// What could not be done.
        doing: String,
        /// What the file system said.
        source: io::Error,
    },
}

/// Whose a data folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's random id, made at its founding.
    pub cluster: [u8; 16],
    /// The server's name.
    pub server: ServerName,
    /// Which life of that server this is: a folder lost and made anew counts one up.
    pub incarnation: u64,
}

/// A marker as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    format: u32,
    cluster: String,
    server: String,
    incarnation: u64,
    /// How often the server was started; in the blobs' marker only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
    /// For how many seconds it ran in all, at least; in the blobs' marker only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    running: Option<u64>,
    /// Who founds the cluster together; in `FOUNDING` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    founders: Option<Vec<String>>,
}

/// What a marker says beside whose it is.
#[derive(Default)]
struct Further {
    times: Option<Times>,
    founders: Option<Vec<ServerName>>,
}

/// A data folder, locked.
#[derive(Debug)]
pub struct Home {
    disk: Arc<dyn Disk>,
    identity: Identity,
    /// Held for its lock.
    _lock: Box<dyn DiskFile>,
    times: Mutex<Times>,
}

/// What the blobs' marker counts.
#[derive(Debug, Clone, Copy)]
struct Times {
    start: u64,
    /// Running seconds before this process.
    ran_before: u64,
}

/// What was found in a data folder.
pub enum Found {
    /// A depot's folder, whole as far as its markers tell.
    Depot(Home),
    /// An empty folder: nobody's yet.
    Empty(Vacant),
    /// A folder whose founding was cut short: nothing was acknowledged yet, it is to be finished.
    Begun(Unfounded),
}

/// An empty folder. Its lock is held.
pub struct Vacant {
    disk: Arc<dyn Disk>,
    lock: Box<dyn DiskFile>,
}

/// A folder that is being founded: both halves are to be made, then [`Unfounded::founded`]. Its
/// lock is held.
pub struct Unfounded {
    disk: Arc<dyn Disk>,
    lock: Box<dyn DiskFile>,
    /// Whose it is going to be.
    pub identity: Identity,
    /// The servers that found the cluster together, this one among them; none where this one joins
    /// a cluster that is there.
    pub founders: Vec<ServerName>,
}

impl Further {
    fn times(times: Times) -> Self {
        Further { times: Some(times), founders: None }
    }
}

fn marker_of_catalogue() -> PathBuf {
    "catalogue/MARKER".into()
}

fn marker_of_blobs() -> PathBuf {
    layout::blobs().join("MARKER")
}

fn founding() -> PathBuf {
    "FOUNDING".into()
}

/// Locks a data folder and says what it is.
pub fn look(disk: Arc<dyn Disk>, server: &ServerName) -> Result<Found, HomeError> {
    check_own(&*disk)?;
    let lock = take_lock(&*disk)?;
    match read_marker(&*disk, &founding())? {
        Some((identity, further)) if identity.server == *server => {
            let founders = further.founders.unwrap_or_else(|| vec![server.clone()]);
            return Ok(Found::Begun(Unfounded { disk, lock, identity, founders }));
        }
        // Nothing was acknowledged yet: it is founded anew, by the name that it has now.
        Some(_) => return Ok(Found::Empty(Vacant { disk, lock })),
        None => {}
    }
    let entries = disk.list(Path::new("")).map_err(unusable("list the data folder"))?;
    if !entries.iter().any(|entry| HALVES.iter().any(|half| entry.name == *half)) {
        return Ok(Found::Empty(Vacant { disk, lock }));
    }
    for entry in entries {
        if !HALVES.iter().chain(&FILES).any(|own| entry.name == *own) {
            tracing::warn!(name = ?entry.name, "unknown file in the data folder, left alone");
        }
    }
    open(disk, lock, server).map(Found::Depot)
}

impl Vacant {
    /// Begins to found this folder: from now on a crash leads back to here.
    pub fn begin(
        self,
        identity: Identity,
        founders: Vec<ServerName>,
    ) -> Result<Unfounded, HomeError> {
        let Vacant { disk, lock } = self;
        let further = Further { founders: Some(founders.clone()), times: None };
        write_marker(&*disk, &founding(), &identity, further)?;
        Ok(Unfounded { disk, lock, identity, founders })
    }
}

/// Nothing is written into a folder that holds something else and no depot, not even a lock.
fn check_own(disk: &dyn Disk) -> Result<(), HomeError> {
    let entries = disk.list(Path::new("")).map_err(unusable("list the data folder"))?;
    if entries.iter().any(|entry| HALVES.iter().any(|half| entry.name == *half)) {
        return Ok(());
    }
    match entries.iter().find(|entry| !FILES.iter().any(|own| entry.name == *own)) {
        None => Ok(()),
        Some(other) => Err(HomeError::Foreign(format!(
            "it is not a depot's and not empty (it holds {:?}): name an empty or a new one with --data",
            other.name
        ))),
    }
}

impl Unfounded {
    /// Both halves are made and durable: marks them, and the folder is a depot's.
    pub fn founded(self) -> Result<Home, HomeError> {
        let Unfounded { disk, lock, identity, founders: _ } = self;
        let times = Times { start: 0, ran_before: 0 };
        write_marker(&*disk, &marker_of_blobs(), &identity, Further::times(times))?;
        write_marker(&*disk, &marker_of_catalogue(), &identity, Further::default())?;
        disk.remove_file(&founding()).map_err(unusable("remove FOUNDING"))?;
        disk.sync_dir(Path::new("")).map_err(unusable("sync the data folder"))?;
        Ok(Home { disk, identity, _lock: lock, times: Mutex::new(times) })
    }
}

fn open(
    disk: Arc<dyn Disk>,
    lock: Box<dyn DiskFile>,
    server: &ServerName,
) -> Result<Home, HomeError> {
    let missing = |what: &str, other: &str| {
        HomeError::Damaged(format!(
            "the {what} of this data folder is missing ({other} is there): if it lies on a mount of its own, mount it and start again; \
             if it is lost, restore it from a backup, or start a new depot with another --data"
        ))
    };
    let catalogue = read_marker(&*disk, &marker_of_catalogue())?;
    let blobs = read_marker(&*disk, &marker_of_blobs())?;
    let (catalogue, (blobs, times)) = match (catalogue, blobs) {
        (None, None) => {
            return Err(HomeError::Damaged(
                "catalogue and blobs of this data folder have both lost their markers: restore it from a backup, \
                 or start a new depot with another --data"
                    .into(),
            ));
        }
        (None, Some(_)) => return Err(missing("catalogue", "volume/blobs")),
        (Some(_), None) => return Err(missing("folder volume/blobs", "the catalogue")),
        (Some((catalogue, _)), Some((blobs, further))) => (catalogue, (blobs, further.times)),
    };
    if catalogue != blobs {
        return Err(HomeError::Foreign(
            "catalogue and blobs of this data folder belong to different servers: one of the two mounts is the wrong one".into(),
        ));
    }
    if blobs.server != *server {
        return Err(HomeError::Foreign(format!(
            "the data folder belongs to the server {:?}, not to {:?}: check --name, --data and the configuration",
            blobs.server.as_str(),
            server.as_str()
        )));
    }
    let times = times
        .ok_or_else(|| HomeError::Damaged("the marker of volume/blobs is not whole".into()))?;
    Ok(Home { disk, identity: blobs, _lock: lock, times: Mutex::new(times) })
}

impl Home {
    /// Whose it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The start number as the blobs' marker has it.
    pub fn start_number(&self) -> u64 {
        self.times().start
    }

    /// For how many seconds this server has run in all, restarts not counted: what everything
    /// that expires is measured by. Never goes back by more than the minute that it is saved in.
    pub fn running(&self, clock: &dyn Clock) -> u64 {
        self.times().ran_before + clock.uptime().as_secs()
    }

    /// Makes the running time durable, and the start number.
    pub fn save(&self, clock: &dyn Clock, start: u64) -> Result<(), HomeError> {
        // Held over the write: two at once would write into one file.
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = Times { start, ran_before: times.ran_before + clock.uptime().as_secs() };
        write_marker(&*self.disk, &marker_of_blobs(), &self.identity, Further::times(saved))?;
        times.start = start;
        Ok(())
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_lock(disk: &dyn Disk) -> Result<Box<dyn DiskFile>, HomeError> {
    let path = Path::new("LOCK");
    let file = match disk.open(path, OpenMode::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.open(path, OpenMode::CreateNew)
        }
        other => other,
    };
    let file = file.map_err(unusable("open the lock file LOCK"))?;
    if !file.try_lock().map_err(unusable("lock the file LOCK"))? {
        let pid = read_file(disk, path, 32).map_err(unusable("read the lock file LOCK"))?;
        let pid = pid.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok());
        return Err(HomeError::Locked { pid });
    }
    // Written anew at every start: shows at once a folder that can't be written or synced.
    let note = || {
        file.set_size(0)?;
        file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)?;
        file.sync()?;
        disk.sync_dir(Path::new(""))
    };
    note().map_err(unusable("write and sync the lock file LOCK"))?;
    Ok(file)
}

fn write_marker(
    disk: &dyn Disk,
    path: &Path,
    identity: &Identity,
    further: Further,
) -> Result<(), HomeError> {
    let Further { times, founders } = further;
    let names = |founders: Vec<ServerName>| {
        founders.iter().map(|founder| founder.as_str().to_owned()).collect()
    };
    let marker = Marker {
        format: 1,
        cluster: identity.cluster.iter().map(|b| format!("{b:02x}")).collect(),
        server: identity.server.as_str().to_owned(),
        incarnation: identity.incarnation,
        start: times.map(|times| times.start),
        running: times.map(|times| times.ran_before),
        founders: founders.map(names),
    };
    let text = toml::to_string(&marker).expect("a marker is strings and numbers");
    write_file(disk, path, text.as_bytes()).map_err(unusable(&format!("write {}", path.display())))
}

fn read_marker(disk: &dyn Disk, path: &Path) -> Result<Option<(Identity, Further)>, HomeError> {
    let bytes = match read_file(disk, path, MARKER_MAX) {
        // A parent that is missing, or is not a folder any more, has no marker in it.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
        other => other.map_err(unusable(&format!("read {}", path.display())))?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let damaged =
        || HomeError::Damaged(format!("{} is damaged: restore it from a backup", path.display()));
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    let marker: Marker = toml::from_str(text).map_err(|_| damaged())?;
    if marker.format != 1 {
        return Err(HomeError::Damaged(format!(
            "{} has format {}, which this program does not read: start the newer program that wrote it",
            path.display(),
            marker.format
        )));
    }
    let cluster = decode_hex(&marker.cluster).ok_or_else(damaged)?;
    let server = ServerName::parse(&marker.server).map_err(|_| damaged())?;
    let times =
        marker.start.zip(marker.running).map(|(start, ran_before)| Times { start, ran_before });
    let founders =
        marker.founders.map(|names| names.iter().map(|n| ServerName::parse(n)).collect());
    let founders = founders.transpose().map_err(|_| damaged())?;
    let identity = Identity { cluster, server, incarnation: marker.incarnation };
    Ok(Some((identity, Further { times, founders })))
}

fn decode_hex(text: &str) -> Option<[u8; 16]> {
    let id = uuid::Uuid::try_parse(text).ok()?;
    (text.len() == 32).then(|| id.into_bytes())
}

fn unusable(doing: &str) -> impl FnOnce(io::Error) -> HomeError + '_ {
    move |source| HomeError::Unusable { doing: doing.to_owned(), source }
}
