//! Where copies go that no record lists: kept for a while, looked into before a copy is called
//! lost, emptied when its time is over or the room is needed.
//!
//! **Nothing goes into the trash by absence or by a timer alone.** The sweep (`custody.rs`)
//! decides, in the catalogue's order; this file holds the last check, under the hash's lock.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use depot_protocol::Digest;

use super::layout::CHUNK;
use super::{Volume, layout, lock, own_files};
use crate::seams::Disk;
use crate::seams::disk::OpenMode;

/// What lies in the trash.
#[derive(Debug, Default)]
pub(super) struct Trash {
    copies: BTreeMap<Digest, Trashed>,
}

/// A copy in the trash. Its file's name says all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trashed {
    /// Until when it is kept, in seconds of running time.
    pub expires: u64,
    /// How many bytes of disk emptying it frees.
    pub bytes: u64,
}

impl Trashed {
    fn path(&self, digest: &Digest) -> PathBuf {
        layout::trash().join(format!("{:020}-{digest}-{}", self.expires, self.bytes))
    }

    fn parse(name: &str) -> Option<(Digest, Trashed)> {
        let mut parts = name.split('-');
        let expires = parts.next()?.parse().ok()?;
        let digest = Digest::parse(parts.next()?).ok()?;
        let bytes = parts.next()?.parse().ok()?;
        let trashed = Trashed { expires, bytes };
        (trashed.path(&digest) == layout::trash().join(name)).then_some((digest, trashed))
    }
}

impl Trash {
    pub(super) fn load(disk: &dyn Disk) -> io::Result<Self> {
        let mut trash = Trash::default();
        for name in own_files(disk, &layout::trash())? {
            let Some((digest, found)) = Trashed::parse(&name) else {
                super::report_unknown(&layout::trash(), &name);
                continue;
            };
            // Two of one hash: a crash came between the two steps of trashing it anew.
            if let Some(other) = trash.copies.insert(digest, found) {
                let (kept, gone) =
                    if other.expires > found.expires { (other, found) } else { (found, other) };
                trash.copies.insert(digest, kept);
                disk.remove_file(&gone.path(&digest))?;
            }
        }
        Ok(trash)
    }
}

impl Volume {
    /// Trashes a blob, unless this server has vouched for it since its last sweep, or `listed`
    /// (asked under the hash's lock) says that a record lists it here. `expires` is in seconds of
    /// running time.
    pub fn trash<E: From<io::Error>>(
        &self,
        digest: &Digest,
        mut expires: u64,
        listed: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let _lock = self.lock(digest);
        if lock(&self.given).hashes.contains(digest) || listed()? {
            return Ok(false);
        }
        self.unpack(digest)?;
        let Some(bytes) = self.bytes_of(digest)? else { return Ok(false) };
        // Never onto the name of an older copy: after a crash that may be the same file under two
        // names, and then a rename leaves both.
        let before = lock(&self.trash).copies.get(digest).copied();
        if before.is_some_and(|before| before.expires == expires) {
            expires += 1;
        }
        let trashed = Trashed { expires, bytes };
        self.disk.rename(&layout::blob(digest), &trashed.path(digest))?;
        lock(&self.trash).copies.insert(*digest, trashed);
        if let Some(before) = before {
            self.disk.remove_file(&before.path(digest))?;
        }
        self.disk.sync_dir(&layout::trash())?;
        self.disk.sync_dir(&layout::shard_of(digest))?;
        Ok(true)
    }

    /// What lies in the trash, the oldest first.
    pub fn trashed(&self) -> Vec<(Digest, Trashed)> {
        let trash = lock(&self.trash);
        let mut all: Vec<_> = trash.copies.iter().map(|(digest, copy)| (*digest, *copy)).collect();
        all.sort_by_key(|(_, copy)| copy.expires);
        all
    }

    /// Removes a copy for good, unless `listed` says that a record lists it here: then it is put
    /// back, if there is no other.
    pub fn empty<E: From<io::Error>>(
        &self,
        digest: &Digest,
        listed: impl FnOnce() -> Result<bool, E>,
    ) -> Result<(), E> {
        let _lock = self.lock(digest);
        if listed()? {
            self.restore_locked(digest)?;
        } else {
            self.drop_trashed(digest)?;
        }
        Ok(())
    }

    /// Takes a copy out of the trash if the blob is not there otherwise; whether it is there now.
    pub(super) fn restore(&self, digest: &Digest) -> io::Result<bool> {
        let _lock = self.lock(digest);
        self.restore_locked(digest)
    }

    /// Under the hash's lock. What lies at the blob's place was sealed later and verified then: the
    /// copy in the trash never goes over it.
    pub(super) fn restore_locked(&self, digest: &Digest) -> io::Result<bool> {
        if self.packs.has(digest)? || self.bytes_of(digest)?.is_some() {
            self.drop_trashed(digest)?;
            return Ok(true);
        }
        let Some(trashed) = lock(&self.trash).copies.get(digest).copied() else { return Ok(false) };
        tracing::warn!(blob = %digest, "a copy in the trash is asked for: it is put back");
        self.disk.rename(&trashed.path(digest), &layout::blob(digest))?;
        lock(&self.trash).copies.remove(digest);
        self.disk.sync_dir(&layout::shard_of(digest))?;
        self.disk.sync_dir(&layout::trash())?;
        Ok(true)
    }

    fn drop_trashed(&self, digest: &Digest) -> io::Result<()> {
        let trashed = lock(&self.trash).copies.get(digest).copied();
        if let Some(trashed) = trashed {
            self.disk.remove_file(&trashed.path(digest))?;
            lock(&self.trash).copies.remove(digest);
        }
        Ok(())
    }

    /// Gives a packed blob a file of its own, durable before it is forgotten where it was. Under the
    /// hash's lock.
    fn unpack(&self, digest: &Digest) -> io::Result<()> {
        let Some(mut blob) = self.packs.blob(digest).map_err(io::Error::other)? else {
            return Ok(());
        };
        let payload = blob.read(0, CHUNK as usize).map_err(io::Error::other)?;
        let staged = layout::staging().join(format!("{}.data", &digest.to_string()[..32]));
        let file = self.disk.open(&staged, OpenMode::CreateNew)?;
        let made = file
            .write_all_at(&layout::small_blob(digest, payload.to_vec()), 0)
            .and_then(|()| file.sync())
            .and_then(|()| file.close())
            .and_then(|()| self.disk.rename(&staged, &layout::blob(digest)));
        made.inspect_err(|_| drop(self.disk.remove_file(&staged)))?;
        self.disk.sync_dir(&layout::shard_of(digest))?;
        self.packs.forget(digest)
    }

    /// The size of the file at a blob's place; `None` where there is none.
    fn bytes_of(&self, digest: &Digest) -> io::Result<Option<u64>> {
        match self.disk.open(&layout::blob(digest), OpenMode::Read) {
            Ok(file) => Ok(Some(file.size()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
