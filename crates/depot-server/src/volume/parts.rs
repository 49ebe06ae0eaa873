//! Uploads that were cut, kept to be resumed: the staged file, and beside it a small record with
//! all that going on needs, the state of the hash among it, so that nothing is read again to say
//! how much is held. A part belongs to whoever knows its key, which only its client can make.
//!
//! One that was sealed, and could then not be listed, is a part without a file of its own: its
//! record names the blob. No record of the catalogue needs that blob, so it may be swept; the trash
//! keeps it about as long as the part is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use depot_protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};

use super::{
    BlobError, Sealed, Staging, Volume, layout, lock, own_files, read_file, report_unknown,
    write_file,
};
use crate::seams::Disk;

/// The version of the record format.
const FORMAT: u8 = 1;
/// A record holds at most one block of checksums, a name and a hash state.
const RECORD_MAX: u64 = 16 * 1024;

/// What the name of a part's file ends in that is a blob.
const SEALED: &str = ".blob";

/// So many parts are kept; of more, the one whose time is over first goes.
const PARTS_MAX: usize = 16_384;

/// Which upload a part is of: the SHA-256 of what identifies it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartKey([u8; 32]);

impl PartKey {
    /// The key of an upload of a known hash: by client, hash and size, whatever the name.
    pub fn by_hash(namespace: &[u8; 32], digest: &Digest, size: u64) -> Self {
        Self::of(b"depot part by hash 1", namespace, size, digest.as_bytes())
    }

    /// The key of an upload whose hash comes last: by client, name and size.
    pub fn by_name(namespace: &[u8; 32], name: &str, size: u64) -> Self {
        Self::of(b"depot part by name 1", namespace, size, name.as_bytes())
    }

    fn of(purpose: &[u8], namespace: &[u8; 32], size: u64, what: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(purpose);
        hash.update(namespace);
        hash.update(size.to_le_bytes());
        hash.update(what);
        PartKey(hash.finalize().into())
    }

    fn record(&self) -> PathBuf {
        layout::staging().join(format!("{self:?}.part"))
    }
}

impl fmt::Debug for PartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A part as its record has it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its staged file, within the staging folder; or, under a name of that form, its blob.
    pub(super) file: String,
    /// The size of the whole payload.
    pub(super) announced: u64,
    /// How much of it is synced.
    pub(super) held: u64,
    /// The hash of that much, to go on with.
    pub(super) hash: Sha256,
    /// The checksums of the segment that it ends in.
    pub(super) checksums: Vec<u64>,
    /// Until when it is kept, in seconds of running time.
    pub(super) expires: u64,
}

/// [`Part`] as it is stored: format, this in postcard, the CRC-64 of both.
#[derive(Serialize, Deserialize)]
struct Stored {
    file: String,
    announced: u64,
    held: u64,
    hash: Vec<u8>,
    checksums: Vec<u64>,
    expires: u64,
}

/// The parts of a volume.
#[derive(Debug, Default)]
pub struct Parts {
    by_key: BTreeMap<PartKey, Entry>,
}

#[derive(Debug)]
struct Entry {
    part: Part,
    /// An upload is going on with it, or made it as its checkpoint: it can't be had.
    busy: bool,
}

impl Parts {
    /// Reads all records; drops staged files that none of them names, which a crash left behind,
    /// and records that are damaged or name no file: the upload then starts again from 0. What is
    /// not of our making is reported and left alone.
    pub(super) fn load(disk: &dyn Disk) -> io::Result<Self> {
        let mut parts = Parts::default();
        let (mut files, mut records, mut newer) = (BTreeSet::new(), Vec::new(), false);
        for name in own_files(disk, &layout::staging())? {
            match kind_of(&name) {
                Some(Own::Payload) => drop(files.insert(name)),
                Some(Own::Record(key)) => records.push((key, name)),
                Some(Own::Unfinished) => disk.remove_file(&layout::staging().join(name))?,
                None => report_unknown(&layout::staging(), &name),
            }
        }
        let mut needed = BTreeSet::new();
        for (key, record) in records {
            let path = layout::staging().join(&record);
            let bytes = read_file(disk, &path, RECORD_MAX)?.unwrap_or_default();
            let part = decode(&bytes).and_then(|part| match files.contains(&part.file) {
                true => Ok(part),
                false if part.sealed().is_some() => Ok(part),
                false => Err(BadRecord::Damaged("the file that it names is not there")),
            });
            match part {
                Ok(part) => {
                    needed.insert(part.file.clone());
                    parts.by_key.insert(key, Entry { part, busy: false });
                }
                Err(BadRecord::Newer) => {
                    tracing::warn!(
                        record,
                        "the record of a part is of a newer program: left alone"
                    );
                    newer = true;
                }
                Err(BadRecord::Damaged(why)) => {
                    tracing::warn!(record, why, "dropping the record of a part");
                    disk.remove_file(&path)?;
                }
            }
        }
        // A newer record may name any of them.
        for file in files.difference(&needed).filter(|_| !newer) {
            tracing::info!(file, "dropping a staged file that a crash left behind");
            disk.remove_file(&layout::staging().join(file))?;
        }
        Ok(parts)
    }

    /// Makes a part's record durable; whatever part had this key before goes.
    pub(super) fn record(&mut self, disk: &dyn Disk, key: &PartKey, part: &Part) -> io::Result<()> {
        write_file(disk, &key.record(), &encode(part)?)?;
        if self.by_key.len() >= PARTS_MAX {
            self.drop_oldest(disk);
        }
        let before = self.by_key.insert(*key, Entry { part: part.clone(), busy: true });
        if let Some(before) = before.filter(|before| before.part.file != part.file && !before.busy)
        {
            before.part.remove(disk);
        }
        Ok(())
    }

    /// Drops the part whose time is over first.
    fn drop_oldest(&mut self, disk: &dyn Disk) {
        let idle = self.by_key.iter().filter(|(_, entry)| !entry.busy);
        let oldest = idle.min_by_key(|(_, entry)| entry.part.expires);
        if let Some((key, part)) = oldest.map(|(key, entry)| (*key, entry.part.clone())) {
            self.forget(disk, &key, &part.file);
            part.remove(disk);
        }
    }

    /// A part that could not be taken can be had again.
    fn free(&mut self, key: &PartKey) {
        if let Some(entry) = self.by_key.get_mut(key) {
            entry.busy = false;
        }
    }

    /// The upload that held this part has ended: it can be had again.
    pub(super) fn release(&mut self, key: &PartKey, file: &str) {
        if let Some(entry) = self.by_key.get_mut(key).filter(|entry| entry.part.file == file) {
            entry.busy = false;
        }
    }

    /// Drops the record that names `file`, not the file itself: that is its [`Staging`]'s. A
    /// record that another upload of the same has made meanwhile stays.
    pub(super) fn forget(&mut self, disk: &dyn Disk, key: &PartKey, file: &str) {
        if self.by_key.get(key).is_some_and(|entry| entry.part.file == file) {
            self.by_key.remove(key);
            remove(disk, key.record());
        }
    }
}

impl Volume {
    /// How much is held of an upload, and the hash of that; `None` where nothing is.
    pub fn part(&self, key: &PartKey, now: u64) -> Option<(u64, Digest)> {
        let parts = lock(&self.parts);
        let entry =
            parts.by_key.get(key).filter(|entry| !entry.busy && now < entry.part.expires)?;
        let part = &entry.part;
        let of_file = || Digest::from_bytes(part.hash.clone().finalize().into());
        Some((part.held, part.sealed().unwrap_or_else(of_file)))
    }

    /// A payload was sealed and can't be listed now: its upload can be resumed at its end until
    /// `expires`, in seconds of running time.
    pub fn keep_sealed(&self, key: &PartKey, sealed: &Sealed, expires: u64) -> io::Result<()> {
        let part = Part {
            file: format!("{}{SEALED}", sealed.digest()),
            announced: sealed.size(),
            held: sealed.size(),
            hash: Sha256::new(),
            checksums: Vec::new(),
            expires,
        };
        let mut parts = lock(&self.parts);
        parts.record(&*self.disk, key, &part)?;
        parts.release(key, &part.file);
        Ok(())
    }

    /// Vouches for the blob of a part that is one. `None` where there is no such part, or its blob
    /// is gone or bad; then the part goes too.
    pub fn resume_sealed(&self, key: &PartKey, now: u64) -> Option<Sealed> {
        let (digest, size) = {
            let parts = lock(&self.parts);
            let entry = parts.by_key.get(key).filter(|entry| now < entry.part.expires)?;
            (entry.part.sealed()?, entry.part.held)
        };
        match self.vouch(&digest, size) {
            Ok(Some(sealed)) => return Some(sealed),
            Ok(None) => {}
            Err(error) => tracing::error!(blob = %digest, %error, "a part's blob is bad"),
        }
        self.end_part(key, true);
        None
    }

    /// Takes a part to go on with it. `None` where there is none of that length. While it is
    /// taken nobody else finds it; when its [`Staging`] ends it is gone or kept anew.
    pub fn resume(
        self: &Arc<Self>,
        key: &PartKey,
        held: u64,
        now: u64,
    ) -> Result<Option<Staging>, BlobError> {
        let part = {
            let mut parts = lock(&self.parts);
            let entry = parts.by_key.get_mut(key);
            let fits = |e: &&mut Entry| {
                !e.busy && e.part.held == held && now < e.part.expires && e.part.sealed().is_none()
            };
            let Some(entry) = entry.filter(fits) else { return Ok(None) };
            entry.busy = true;
            entry.part.clone()
        };
        match Staging::resume(Arc::clone(self), *key, part) {
            Ok(staging) => Ok(Some(staging)),
            Err(error) => {
                match error.condemns() {
                    true => self.end_part(key, true),
                    false => lock(&self.parts).free(key),
                }
                Err(error)
            }
        }
    }

    /// Drops the part of an upload that has ended some other way.
    pub fn drop_part(&self, key: &PartKey) {
        self.end_part(key, false);
    }

    /// Drops parts whose time is over.
    pub fn expire_parts(&self, now: u64) {
        let over: Vec<PartKey> = {
            let parts = lock(&self.parts);
            let over = parts.by_key.iter().filter(|(_, e)| !e.busy && e.part.expires <= now);
            over.map(|(key, _)| *key).collect()
        };
        for key in over {
            tracing::info!(part = ?key, "a part was not resumed in time and is dropped");
            self.drop_part(&key);
        }
    }

    fn end_part(&self, key: &PartKey, even_busy: bool) {
        let mut parts = lock(&self.parts);
        let entry = parts.by_key.get(key).filter(|entry| even_busy || !entry.busy);
        if let Some(part) = entry.map(|entry| entry.part.clone()) {
            parts.forget(&*self.disk, key, &part.file);
            part.remove(&*self.disk);
        }
    }
}

impl Part {
    /// The blob that it is, if it has no file of its own.
    fn sealed(&self) -> Option<Digest> {
        Digest::parse(self.file.strip_suffix(SEALED)?).ok()
    }

    /// Removes its file.
    fn remove(&self, disk: &dyn Disk) {
        if self.sealed().is_none() {
            remove(disk, layout::staging().join(&self.file));
        }
    }
}

/// A part is a convenience: where it can't be removed now, the next start does.
fn remove(disk: &dyn Disk, path: PathBuf) {
    if let Err(error) = disk.remove_file(&path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove a part; the next start will");
    }
}

/// What a file in the staging folder is, by its name.
enum Own {
    Payload,
    Record(PartKey),
    /// A record that was being written.
    Unfinished,
}

fn kind_of(name: &str) -> Option<Own> {
    let (stem, end) = name.split_once('.')?;
    let hex = stem.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match (stem.len(), end) {
        (32, "data") if hex => Some(Own::Payload),
        (64, "part.new") if hex => Some(Own::Unfinished),
        (64, "part") if hex => {
            Digest::parse(stem).map_or(None, |key| Some(Own::Record(PartKey(*key.as_bytes()))))
        }
        _ => None,
    }
}

/// Why a record can't be used.
enum BadRecord {
    Newer,
    Damaged(&'static str),
}

fn encode(part: &Part) -> io::Result<Vec<u8>> {
    let stored = Stored {
        file: part.file.clone(),
        announced: part.announced,
        held: part.held,
        hash: part.hash.serialize().to_vec(),
        checksums: part.checksums.clone(),
        expires: part.expires,
    };
    let mut bytes = postcard::to_extend(&stored, vec![FORMAT]).map_err(io::Error::other)?;
    bytes.extend_from_slice(&layout::checksum(&bytes).to_le_bytes());
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Part, BadRecord> {
    let damaged = BadRecord::Damaged;
    let (body, sum) = bytes.split_last_chunk::<8>().ok_or(damaged("it is cut short"))?;
    if layout::checksum(body) != u64::from_le_bytes(*sum) {
        return Err(damaged("its checksum is wrong"));
    }
    let (format, body) = body.split_first().ok_or(damaged("it is cut short"))?;
    if *format != FORMAT {
        return Err(BadRecord::Newer);
    }
    let stored: Stored = postcard::from_bytes(body).map_err(|_| damaged("it cannot be decoded"))?;
    let state = stored.hash.as_slice().try_into();
    let state = state.map_err(|_| damaged("its hash state has another size"))?;
    let hash = Sha256::deserialize(state).map_err(|_| damaged("its hash state is not one"))?;
    let Stored { file, announced, held, checksums, expires, .. } = stored;
    let part = Part { file, announced, held, hash, checksums, expires };
    let named = matches!(kind_of(&part.file), Some(Own::Payload)) || part.sealed().is_some();
    if !named || held > announced {
        return Err(damaged("it names no staged file"));
    }
    Ok(part)
}
