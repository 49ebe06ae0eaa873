//! One directory's names: as they are listed, as they would be after a power cut, and the changes
//! between.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

use nix::errno::Errno;

use super::crash::Fate;
use super::image::Inode;

/// One directory's names, twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    live: BTreeMap<OsString, Inode>,
    durable: BTreeMap<OsString, Inode>,
    /// What makes `durable` into `live`, oldest first, unless a sync failed.
    unsynced: Vec<Change>,
    /// Something of it was lost, and nobody was told yet.
    lost: bool,
}

/// A change of one directory, which survives a power cut whole or not at all. A rename within the
/// directory is one such change; a rename into another directory is one in each.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) removed: Option<OsString>,
    pub(super) set: Option<(OsString, Inode)>,
}

impl Names {
    pub(super) fn live(&self) -> &BTreeMap<OsString, Inode> {
        &self.live
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }

    /// Syncs this directory. What a failed sync of everything has lost of it, it tells, once.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.lost) {
            return Err(Errno::EIO.into());
        }
        self.write_back();
        Ok(())
    }

    pub(super) fn write_back(&mut self) {
        let durable = &mut self.durable;
        self.unsynced.drain(..).for_each(|change| change.apply(durable));
    }

    /// A sync failed: what it should have written is listed, and never written.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    /// A sync of everything failed: the same, and this directory's own sync will tell.
    pub(super) fn lose(&mut self) {
        self.lost |= !self.unsynced.is_empty();
        self.fail_sync();
    }

    /// What a power cut leaves: the durable names, and those changes since that reached the disk.
    pub(super) fn after_crash(&self, fate: &mut Fate) -> Names {
        let mut names = self.durable.clone();
        fate.turn();
        self.unsynced
            .iter()
            .filter(|_| fate.survives())
            .for_each(|change| change.apply(&mut names));
        Names { live: names.clone(), durable: names, ..Names::default() }
    }
}

impl Change {
    pub(super) fn set(name: OsString, inode: Inode) -> Self {
        Change { removed: None, set: Some((name, inode)) }
    }

    pub(super) fn removed(name: OsString) -> Self {
        Change { removed: Some(name), set: None }
    }

    fn apply(&self, names: &mut BTreeMap<OsString, Inode>) {
        if let Some(name) = &self.removed {
            names.remove(name);
        }
        if let Some((name, inode)) = &self.set {
            names.insert(name.clone(), *inode);
        }
    }
}
