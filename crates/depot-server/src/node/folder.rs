//! A data folder's two halves: made together, opened together.

use std::path::Path;
use std::sync::Arc;

use super::{Identity, StartError};
use crate::aborts;
use crate::catalogue::{self, Founding, Incarnation, Store, StoreSettings};
use crate::config::Settings;
use crate::home::{Home, HomeError, Unfounded};
use crate::seams::{Disk, Seams};
use crate::start_number::StartNumber;
use crate::volume::Volume;

/// The halves of an open data folder.
pub(super) struct Parts {
    pub(super) home: Arc<Home>,
    pub(super) volume: Arc<Volume>,
    pub(super) store: Arc<Store>,
    pub(super) number: StartNumber,
}

/// Makes both halves, durable, then marks them.
pub(super) fn found(disk: &dyn Disk, unfounded: Unfounded) -> Result<Home, StartError> {
    Volume::found(disk).map_err(StartError::Volume)?;
    match disk.create_dir(Path::new("catalogue")) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        other => other.map_err(StartError::Volume)?,
    }
    disk.sync_dir(Path::new("")).map_err(StartError::Volume)?;
    // All founders begin their first life together.
    let members = unfounded.founders.iter().map(|founder| (founder.clone(), Incarnation(1)));
    let founding = Founding { identity: identity(&unfounded.identity), members: members.collect() };
    Store::found(disk, founding)?;
    tracing::info!("founded an empty data folder");
    Ok(unfounded.founded()?)
}

/// Opens both halves, held against each other, and counts the start.
pub(super) fn open(
    seams: &Seams,
    settings: &Settings,
    disk: Arc<dyn Disk>,
    home: Home,
) -> Result<Parts, StartError> {
    let home = Arc::new(home);
    let check = aborts::look(&*disk, &home, seams)?;
    let wanted = &settings.catalogue;
    let wanted = StoreSettings {
        cache: wanted.cache,
        check_on_open: wanted.check_on_open,
        journal: wanted.journal,
    };
    let store = Arc::new(Store::open(&*disk, &wanted, check)?);
    if *store.identity() != identity(home.identity()) {
        return Err(StartError::Home(HomeError::Foreign(
            "the catalogue in the data folder is another server's: put the right one back".into(),
        )));
    }
    let number =
        StartNumber::check(Arc::clone(&store), Arc::clone(&home), Arc::clone(&seams.clock))?;
    number.save(true)?;
    let volume = Volume::open(disk, seams, settings.volume.clone()).map_err(volume_error)?;
    Ok(Parts { home, volume: Arc::new(volume), store, number })
}

fn identity(identity: &Identity) -> catalogue::Identity {
    catalogue::Identity {
        cluster: identity.cluster,
        server: identity.server.clone(),
        incarnation: Incarnation(identity.incarnation),
    }
}

fn volume_error(error: std::io::Error) -> StartError {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidData => {
            StartError::Home(HomeError::Damaged(format!("the volume is not whole: {error}")))
        }
        _ => StartError::Volume(error),
    }
}
