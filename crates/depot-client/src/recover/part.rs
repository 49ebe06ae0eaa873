//! A file on its way: a part beside its target, and the part's record, which says what content the
//! bytes in it are of. All here blocks.
//!
//! What is ours is told by its name: `.NAME.HASH.depot-part` and `.NAME.HASH.depot-part.of`, where
//! HASH is of the target's name and a mark of this program, so that no file of anybody else's is
//! called so by chance. Both are made where nothing is, and only ever emptied or removed under that
//! name, and where they are regular files, this user's alone; anything else that stands there is left
//! as it is, and said. A part is locked by the one recover that is at it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::{Digest, FileSize};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::recover::Head;
use crate::recover::place::{Folder, Place};
use crate::recover::turns::Turn;
use crate::{Error, Existing};

/// The first line of a record, and what goes into the hash in the names: no other program's file has
/// both.
const MARK: &str = "depot-part 2\n";

/// How many digits of the hash stand in the names.
const HASH_DIGITS: usize = 16;

/// The ends of the names.
const PART: &str = ".depot-part";
const RECORD: &str = ".depot-part.of";

/// How much of a target's name stands in its part's, in bytes: a file's name has at most 255.
const NAME_MAX: usize = 255 - "..".len() - HASH_DIGITS - RECORD.len();

/// How much of a part is read at a time, in bytes.
const READ: usize = 256 << 10;

/// A file larger than this can be gone on with in a later call, in bytes.
pub(crate) const SMALL_MAX: u64 = 64 << 10;

/// How often a part that is locked is looked at again, and the pause between.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A file on its way.
pub(crate) struct Part {
    place: Place,
    existing: Existing,
    /// Where it all happens.
    folder: Folder,
    data: OsString,
    record: OsString,
    /// Open and locked, once there is one.
    file: Option<File>,
    /// How many bytes are held; they are the file's first.
    held: u64,
    /// The hash of those bytes.
    hash: Sha256,
    /// What content they are of; known where any are held.
    content: Option<(FileSize, Digest)>,
}

/// Looks whether a target may be made, and whether a part of it is there. Nothing is made.
pub(crate) fn look(place: &Place, existing: Existing) -> Result<bool, Error> {
    let Some(folder) = place.folder_if_there()? else { return Ok(false) };
    folder.may_be_made(place.name(), existing)?;
    Ok(folder.look(&beside(place.name(), PART))?.is_some())
}

impl Part {
    /// Looks whether the target may be made, and takes up what is held of it.
    pub(crate) fn open(place: Place, existing: Existing) -> Result<Part, Error> {
        let folder = place.folder()?;
        folder.may_be_made(place.name(), existing)?;
        let (data, record) = (beside(place.name(), PART), beside(place.name(), RECORD));
        let (file, held, hash, content) = (None, 0, Sha256::new(), None);
        let mut part = Part { place, existing, folder, data, record, file, held, hash, content };
        part.file = part.open_data()?;
        // A part that was locked may have become the target meanwhile.
        part.folder.may_be_made(part.place.name(), existing)?;
        part.take_up()?;
        Ok(part)
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Where it goes.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    fn failed(&self, source: impl Into<io::Error>) -> Error {
        Error::io(&self.folder.shown(&self.data), source)
    }

    fn not_ours(&self, name: &OsStr) -> Error {
        let what = "something else stands where the file is to be put together: move it away";
        Error::io(&self.folder.shown(name), io::Error::new(ErrorKind::AlreadyExists, what))
    }

    /// Opens and locks a part that is there.
    fn open_data(&self) -> Result<Option<File>, Error> {
        let Some(file) = self.open_own(&self.data)? else { return Ok(None) };
        self.lock(&file)?;
        let open = file.metadata().map_err(|source| self.failed(source))?;
        match self.folder.look(&self.data)? {
            // The recover that had it locked has done with it.
            None => Ok(None),
            Some(there) if (there.st_dev, there.st_ino) == (open.dev(), open.ino()) => {
                Ok(Some(file))
            }
            Some(_) => Err(self.not_ours(&self.data)),
        }
    }

    /// Opens what stands under a name of ours, if it is a file of this user's alone.
    fn open_own(&self, name: &OsStr) -> Result<Option<File>, Error> {
        let file = match self.folder.open(name) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(self.not_ours(name)),
            Err(source) => return Err(Error::io(&self.folder.shown(name), source)),
        };
        let found =
            file.metadata().map_err(|source| Error::io(&self.folder.shown(name), source))?;
        let ours = found.is_file()
            && found.nlink() <= 1
            && found.uid() == rustix::process::geteuid().as_raw();
        if ours { Ok(Some(file)) } else { Err(self.not_ours(name)) }
    }

    /// Locks it; a recover that was just dropped may be at its last step still.
    fn lock(&self, file: &File) -> Result<(), Error> {
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE),
                // Not every file system can; there two at a time are found out by the hash.
                Err(TryLockError::Error(cannot)) if cannot.kind() == ErrorKind::Unsupported => {
                    return Ok(());
                }
                Err(TryLockError::Error(source)) => return Err(self.failed(source)),
            }
        }
        Err(self.failed(io::Error::new(ErrorKind::ResourceBusy, "it is being recovered already")))
    }

    /// Hashes what is held, where it is known what it is of.
    fn take_up(&mut self) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        let Some(content) = self.read_record()? else { return Ok(()) };
        let size = file.metadata().map_err(|source| self.failed(source))?.len();
        if size > content.0.get() {
            return Ok(());
        }
        let (mut hash, mut held, mut piece) = (Sha256::new(), 0, vec![0; READ]);
        while held < size {
            let read = file.read_at(&mut piece, held).map_err(|source| self.failed(source))?;
            if read == 0 {
                break;
            }
            hash.update(piece.get(..read).unwrap_or_default());
            held += u64::try_from(read).unwrap_or_default();
        }
        (self.held, self.hash, self.content) = (held, hash, Some(content));
        Ok(())
    }

    /// Makes ready for the bytes behind those held, which must be of the same content.
    pub(crate) fn begin(&mut self, head: Head) -> Result<(), Error> {
        let content = (head.size, head.hash);
        if self.held > 0 {
            if self.content != Some(content) {
                return Err(Error::Replaced);
            }
        } else {
            self.begin_anew(content)?;
        }
        let missing = head.size.get().saturating_sub(self.held);
        let Some(file) = &self.file else { return Ok(()) };
        // Some file systems do not tell how much room they have.
        let room = rustix::fs::fstatvfs(file).map_err(|error| self.failed(error))?;
        if room.f_blocks > 0 && room.f_bavail.saturating_mul(room.f_frsize) < missing {
            let what = format!("no room for the {missing} bytes to come");
            return Err(self.failed(io::Error::new(ErrorKind::StorageFull, what)));
        }
        Ok(())
    }

    fn begin_anew(&mut self, content: (FileSize, Digest)) -> Result<(), Error> {
        match &self.file {
            Some(file) => file.set_len(0).map_err(|source| self.failed(source))?,
            None => {
                let file = match self.folder.create(&self.data) {
                    Ok(file) => file,
                    Err(Errno::EXIST) => return Err(self.not_ours(&self.data)),
                    Err(source) => return Err(self.failed(source)),
                };
                self.lock(&file)?;
                self.file = Some(file);
            }
        }
        self.forget_record()?;
        if content.0.get() > SMALL_MAX {
            self.write_record(content)?;
        }
        self.content = Some(content);
        Ok(())
    }

    fn write_record(&self, (size, hash): (FileSize, Digest)) -> Result<(), Error> {
        let mut text = String::from(MARK);
        // A string takes all.
        let _ = writeln!(text, "tamanho_arquivo:{size}|hash_arquivo:{hash}");
        let written = self.folder.create(&self.record).map_err(io::Error::from);
        written
            .and_then(|file| file.write_all_at(text.as_bytes(), 0))
            .map_err(|source| Error::io(&self.folder.shown(&self.record), source))
    }

    /// What the record says; nothing where it says nothing that can be used, since then the part is
    /// begun anew, and nothing is lost but time.
    fn read_record(&self) -> Result<Option<(FileSize, Digest)>, Error> {
        let Some(file) = self.open_own(&self.record)? else { return Ok(None) };
        let mut text = String::new();
        if file.take(256).read_to_string(&mut text).is_err() {
            return Ok(None);
        }
        let content = || {
            let fields = text.strip_prefix(MARK)?.strip_prefix("tamanho_arquivo:")?;
            let (size, hash) = fields.strip_suffix('\n')?.split_once("|hash_arquivo:")?;
            Some((FileSize::parse(size).ok()?, Digest::parse(hash).ok()?))
        };
        Ok(content())
    }

    fn forget_record(&self) -> Result<(), Error> {
        match self.open_own(&self.record)? {
            Some(_) => self.folder.remove(&self.record),
            None => Ok(()),
        }
    }

    /// Takes the next bytes.
    pub(crate) fn take(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        for chunk in chunks {
            file.write_all_at(chunk, self.held).map_err(|source| self.failed(source))?;
            self.hash.update(chunk);
            self.held += u64::try_from(chunk.len()).unwrap_or_default();
        }
        Ok(())
    }

    /// Checks the hash of all, syncs it and gives it its name. Its folder is not synced yet.
    pub(crate) fn publish(&mut self) -> Result<(), Error> {
        let hash = Digest::from_bytes(self.hash.clone().finalize().into());
        let Some(file) = &self.file else { return Ok(()) };
        if self.content.is_none_or(|(size, wanted)| wanted != hash || size.get() != self.held) {
            return Err(Error::HashMismatch);
        }
        file.sync_all().map_err(|source| self.failed(source))?;
        self.folder.rename(&self.data, self.place.name(), self.existing)?;
        self.file = None;
        self.forget_record()
    }

    /// Drops what is held.
    pub(crate) fn discard(&mut self) -> Result<(), Error> {
        (self.held, self.hash, self.content) = (0, Sha256::new(), None);
        if let Some(file) = &self.file {
            file.set_len(0).map_err(|source| self.failed(source))?;
        }
        self.forget_record()
    }

    /// Removes a part in which there is nothing to go on from.
    pub(crate) fn leave(&mut self) {
        if self.held == 0 && self.file.take().is_some() {
            // What can't be removed is empty, and is taken up the next time.
            let _ = self.folder.remove(&self.data);
            let _ = self.forget_record();
        }
    }

    /// Makes a file of which all bytes are there.
    pub(crate) fn whole(
        place: Place,
        existing: Existing,
        head: Head,
        chunks: &[Bytes],
    ) -> Result<(), Error> {
        let _turn = Turn::take();
        let mut part = Part::open(place, existing)?;
        if part.held > 0 {
            part.discard()?;
        }
        let made = part.begin(head).and_then(|()| part.take(chunks)).and_then(|()| part.publish());
        if made.is_err() {
            // All of it comes at once again.
            part.held = 0;
            part.leave();
        }
        made
    }
}

/// The name of what lies beside a target of that name.
fn beside(target: &OsStr, end: &str) -> OsString {
    let hash = Sha256::new().chain_update(MARK).chain_update(target.as_bytes()).finalize();
    let hash = Digest::from_bytes(hash.into()).to_string();
    let beginning = match target.to_str() {
        Some(text) => text.get(..text.floor_char_boundary(NAME_MAX)).unwrap_or_default().as_bytes(),
        None => target.as_bytes().get(..NAME_MAX).unwrap_or(target.as_bytes()),
    };
    let hash = hash.get(..HASH_DIGITS).unwrap_or_default();
    let name = [b".", beginning, b".", hash.as_bytes(), end.as_bytes()].concat();
    OsString::from_vec(name)
}
