//! How far something has come that goes on for long: one small file of the data folder for each, so
//! that a server that is started often comes just as far. Losing one costs doing it again, never a
//! copy.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use depot_protocol::{Digest, FileName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalogue::Namespace;
use crate::seams::{Blocking, Disk, Seams, blocking};
use crate::volume::{read_file, write_file};

/// How often it is saved how far it is.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Some numbers, a hash and a name.
const SIZE_MAX: u64 = 8192;

/// How far something is.
pub(super) trait Kept: Clone + PartialEq + Send + Sync + 'static {
    /// The file's name.
    const FILE: &'static str;
    /// What stands in it.
    type Written: Serialize + DeserializeOwned;

    /// As it is written.
    fn write(&self) -> Self::Written;
    /// As it was written; nothing where that makes no sense.
    fn read(written: Self::Written) -> Option<Self>;

    /// As it was saved last, if it was. An error: it can't be used.
    fn load(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let damaged = || {
            let what = format!("the file {} is damaged", Self::FILE);
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        let Some(bytes) = read_file(disk, Path::new(Self::FILE), SIZE_MAX)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let written = toml::from_str(text).map_err(|_| damaged())?;
        Self::read(written).map(Some).ok_or_else(damaged)
    }

    /// Saves it, durably.
    fn save(&self, disk: &dyn Disk) -> io::Result<()> {
        let text = toml::to_string(&self.write()).expect("numbers and texts are TOML");
        write_file(disk, Path::new(Self::FILE), text.as_bytes())
    }
}

/// Saves a position whenever it has changed.
pub(super) struct Keeper<P> {
    disk: Arc<dyn Disk>,
    blocking: Arc<dyn Blocking>,
    /// What lies on the disk.
    saved: Mutex<Option<P>>,
}

impl<P: Kept> Keeper<P> {
    /// Also what was saved last, if it can be used. Blocks.
    pub(super) fn load(disk: Arc<dyn Disk>, seams: &Seams) -> (Self, Option<P>) {
        let saved = P::load(&*disk).unwrap_or_else(|error| {
            tracing::warn!(%error, "it cannot be read how far this was: it begins anew");
            None
        });
        let blocking = Arc::clone(&seams.blocking);
        (Keeper { disk, blocking, saved: Mutex::new(saved.clone()) }, saved)
    }

    /// Saves once a minute where it is then; never ends.
    pub(super) async fn run(&self, position: impl Fn() -> P) {
        loop {
            tokio::time::sleep(SAVE_EVERY).await;
            self.save(position()).await;
        }
    }

    /// Saves it if it has changed.
    pub(super) async fn save(&self, position: P) {
        if self.saved.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&position) {
            return;
        }
        let (disk, saved) = (Arc::clone(&self.disk), position.clone());
        match blocking::run(&self.blocking, move || saved.save(&*disk)).await {
            Ok(Ok(())) => {
                *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
            }
            Ok(Err(error)) => tracing::warn!(%error, file = P::FILE, "cannot save how far it is"),
            Err(lost) => tracing::warn!(%lost, file = P::FILE, "cannot save how far it is"),
        }
    }
}

/// A file of somebody, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenKey {
    /// In the notation of a hash, which it is.
    namespace: String,
    name: String,
}

impl WrittenKey {
    pub(super) fn of((namespace, name): &(Namespace, FileName)) -> Self {
        let namespace = Digest::from_bytes(*namespace.as_bytes()).to_string();
        WrittenKey { namespace, name: name.as_str().to_owned() }
    }

    pub(super) fn read(&self) -> Option<(Namespace, FileName)> {
        let namespace = Digest::parse(&self.namespace).ok()?;
        let name = FileName::parse(&self.name).ok()?;
        Some((Namespace::from_bytes(*namespace.as_bytes()), name))
    }
}
