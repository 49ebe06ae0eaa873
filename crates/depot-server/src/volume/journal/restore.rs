//! After a crash: the files of all payloads in the journal are made again.
//!
//! All of them, whatever lies in their places: of a file that was never synced nothing is known, and
//! what the journal has was found right. A blob that was trashed meanwhile comes back with them, and
//! the sweeper, which looks everywhere at start, trashes it again.

use std::collections::BTreeSet;
use std::io;

use depot_protocol::Digest;
use sha2::{Digest as _, Sha256};

use super::super::layout;
use super::{SLOTS, format};
use crate::seams::disk::{Disk, DiskFile, OpenMode};

/// Makes the files and empties the journal; says which of its slots it could not empty. They are to
/// be kept.
///
/// # Errors
/// The journal can't be looked at, or a newer program wrote it.
pub(in crate::volume) fn restore(disk: &dyn Disk) -> io::Result<Vec<usize>> {
    match disk.create_dir(&layout::journal()) {
        // A volume from before there was a journal.
        Ok(()) => disk.sync_dir(&layout::volume())?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let (mut kept, mut done, mut shards) = (Vec::new(), Vec::new(), BTreeSet::new());
    for slot in 0..SLOTS {
        let file = match disk.open(&layout::journal_file(slot), OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let mut bytes = vec![0; file.size()? as usize];
        file.read_exact_at(&mut bytes, 0)?;
        let payloads = format::payloads(&bytes)?;
        let Some(first) = payloads.first() else { continue };
        tracing::info!(slot, payloads = payloads.len(), first = %first.0, "small payloads are taken from the journal");
        let whole = payloads.into_iter().try_for_each(|(digest, at)| {
            shards.insert(layout::shard_of(&digest));
            make(disk, &digest, &bytes[at])
        });
        match whole {
            Ok(()) => done.push((slot, file)),
            Err(error) => {
                tracing::error!(slot, %error, "small payloads could not be taken from the journal; the next start tries again");
                kept.push(slot);
            }
        }
    }
    if done.is_empty() {
        return Ok(kept);
    }
    if disk.tells_all() {
        disk.sync_all()?;
    } else {
        shards.iter().try_for_each(|shard| disk.sync_dir(shard))?;
    }
    done.iter().try_for_each(|(_, file)| format::forget(&**file))?;
    Ok(kept)
}

/// Makes a payload's file; durable, but for its name, where nothing syncs all of them later.
fn make(disk: &dyn Disk, digest: &Digest, payload: &[u8]) -> io::Result<()> {
    if *digest != Digest::from_bytes(Sha256::digest(payload).into()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a payload without its hash"));
    }
    let staged = layout::staging().join(format!("{}.data", &digest.to_string()[..32]));
    let file = disk.open(&staged, OpenMode::CreateNew)?;
    let made = fill(&*file, layout::small_blob(digest, payload.to_vec()), !disk.tells_all())
        .and_then(|()| file.close())
        .and_then(|()| disk.rename(&staged, &layout::blob(digest)));
    made.inspect_err(|_| drop(disk.remove_file(&staged)))
}

fn fill(file: &dyn DiskFile, bytes: Vec<u8>, sync: bool) -> io::Result<()> {
    file.write_all_at(&bytes, 0)?;
    if sync { file.sync() } else { Ok(()) }
}
