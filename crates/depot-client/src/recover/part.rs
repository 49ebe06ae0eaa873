//! A file on its way: `.NAME.depot-part` beside its target, and `.NAME.depot-part.of`, which says
//! what content the bytes in it are of. All here blocks.
//!
//! Nothing here follows a symbolic link that stands where a part would, nor writes to a file that is
//! not this user's alone; a part is locked by the one recover that is at it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::{Digest, FileSize};
use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::recover::Head;
use crate::{Error, Existing};

/// The longest file name of a target that is part of its part's name as it is, in bytes.
const NAME_MAX: usize = 255 - ".".len() - ".depot-part.of".len();

/// How much of a part is read at a time, in bytes.
const READ: usize = 256 << 10;

/// A file larger than this can be gone on with in a later call, in bytes.
pub(crate) const SMALL_MAX: u64 = 64 << 10;

/// How often a part that is locked is looked at again, and the pause between.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A file on its way.
pub(crate) struct Part {
    target: PathBuf,
    existing: Existing,
    path: PathBuf,
    of: PathBuf,
    /// Open and locked, once there is one.
    file: Option<File>,
    /// How many bytes are held; they are the file's first.
    held: u64,
    /// The hash of those bytes.
    hash: Sha256,
    /// What content they are of; known where any are held.
    content: Option<(FileSize, Digest)>,
}

impl Part {
    /// Looks whether the target may be made, and takes up what is held of it.
    pub(crate) fn open(target: PathBuf, existing: Existing) -> Result<Part, Error> {
        may_be_made(&target, existing)?;
        let (path, of) = paths(&target)?;
        let (held, hash, content) = (0, Sha256::new(), None);
        let mut part = Part { target, existing, path, of, file: None, held, hash, content };
        part.file = part.open_file()?;
        // A part that was locked may have become the target meanwhile.
        may_be_made(&part.target, existing)?;
        part.take_up()?;
        Ok(part)
    }

    /// Whether something stands where the target's part would.
    pub(crate) fn is_there(target: &Path) -> Result<bool, Error> {
        Ok(paths(target)?.0.symlink_metadata().is_ok())
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    fn failed(&self, source: impl Into<io::Error>) -> Error {
        Error::io(&self.path, source)
    }

    fn open_file(&self) -> Result<Option<File>, Error> {
        let file = match options().open(&self.path) {
            Ok(file) => file,
            Err(none) if none.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        self.lock(&file)?;
        let open = file.metadata().map_err(|source| self.failed(source))?;
        let there = match self.path.symlink_metadata() {
            Ok(there) => there,
            Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        let ours = open.is_file()
            && open.nlink() == 1
            && open.uid() == rustix::process::geteuid().as_raw()
            && (open.dev(), open.ino()) == (there.dev(), there.ino());
        if !ours {
            let what = "something else stands where the file is to be put together";
            return Err(self.failed(io::Error::new(ErrorKind::AlreadyExists, what)));
        }
        Ok(Some(file))
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
        let (Some(file), Some(content)) = (&self.file, read_content(&self.of)) else {
            return Ok(());
        };
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
        // Some file systems do not tell how much room they have.
        let room = rustix::fs::statvfs(&self.path).map_err(|error| self.failed(error))?;
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
                let created = options().create_new(true).open(&self.path);
                let file = created.map_err(|source| self.failed(source))?;
                self.lock(&file)?;
                self.file = Some(file);
            }
        }
        self.forget_content()?;
        if content.0.get() > SMALL_MAX {
            let written = options()
                .create_new(true)
                .open(&self.of)
                .and_then(|file| file.write_all_at(render_content(content).as_bytes(), 0));
            written.map_err(|source| Error::io(&self.of, source))?;
        }
        self.content = Some(content);
        Ok(())
    }

    fn forget_content(&self) -> Result<(), Error> {
        match fs::remove_file(&self.of) {
            Err(failed) if failed.kind() != ErrorKind::NotFound => Err(Error::io(&self.of, failed)),
            _ => Ok(()),
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
        match self.existing {
            Existing::Replace => {
                fs::rename(&self.path, &self.target)
                    .map_err(|source| Error::io(&self.target, source))?;
            }
            Existing::Refuse => self.rename_where_nothing_is()?,
        }
        self.file = None;
        self.forget_content()
    }

    fn rename_where_nothing_is(&self) -> Result<(), Error> {
        let renamed =
            rustix::fs::renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::NOREPLACE);
        let done = match renamed {
            // Not every file system can; a second name can't take another's place either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::hard_link(&self.path, &self.target).and_then(|()| fs::remove_file(&self.path))
            }
            renamed => renamed.map_err(io::Error::from),
        };
        done.map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => Error::Exists(self.target.clone()),
            _ => Error::io(&self.target, source),
        })
    }

    /// Drops what is held.
    pub(crate) fn discard(&mut self) -> Result<(), Error> {
        (self.held, self.hash, self.content) = (0, Sha256::new(), None);
        if let Some(file) = &self.file {
            file.set_len(0).map_err(|source| self.failed(source))?;
        }
        self.forget_content()
    }

    /// Removes a part in which there is nothing to go on from.
    pub(crate) fn leave(&mut self) {
        if self.held == 0 && self.file.take().is_some() {
            // What can't be removed is empty, and is taken up the next time.
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.of);
        }
    }

    /// Makes a file of which all bytes are there.
    pub(crate) fn whole(
        target: PathBuf,
        existing: Existing,
        head: Head,
        chunks: &[Bytes],
    ) -> Result<(), Error> {
        let mut part = Part::open(target, existing)?;
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

/// Refuses where something is that is to stay, or that no file can replace.
pub(crate) fn may_be_made(target: &Path, existing: Existing) -> Result<(), Error> {
    match (target.symlink_metadata(), existing) {
        (Err(none), _) if none.kind() == ErrorKind::NotFound => Ok(()),
        (Err(source), _) => Err(Error::io(target, source)),
        (Ok(_), Existing::Refuse) => Err(Error::Exists(target.to_owned())),
        (Ok(found), Existing::Replace) if found.is_dir() => {
            Err(Error::io(target, ErrorKind::IsADirectory))
        }
        (Ok(_), Existing::Replace) => Ok(()),
    }
}

/// The folder of a path.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Error::io(folder, source))
}

/// Reading and writing what is there, if it is a file itself.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    options.read(true).write(true).custom_flags(flags);
    options
}

/// Where a target's part is, and where it stands what it is of.
fn paths(target: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let no_name =
        || Error::io(target, io::Error::new(ErrorKind::InvalidInput, "not a file's name"));
    let name = target.file_name().ok_or_else(no_name)?;
    let mut part = OsString::from(".");
    part.push(short(name));
    part.push(".depot-part");
    let mut of = part.clone();
    of.push(".of");
    Ok((folder(target).join(part), folder(target).join(of)))
}

/// The name, or its beginning and a hash where it is too long to be lengthened.
fn short(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    if bytes.len() <= NAME_MAX {
        return name.to_owned();
    }
    let mut short = bytes.get(..NAME_MAX / 2).unwrap_or_default().to_vec();
    let hash = Digest::from_bytes(Sha256::digest(bytes).into()).to_string();
    short.extend_from_slice(hash.as_bytes());
    OsString::from_vec(short)
}

fn render_content((size, hash): (FileSize, Digest)) -> String {
    let mut text = String::from("depot-part 1\n");
    // A string takes all.
    let _ = writeln!(text, "tamanho_arquivo:{size}|hash_arquivo:{hash}");
    text
}

/// What stands in a `.of` file; nothing where it says nothing that can be used, since then the part
/// is begun anew, and nothing is lost but time.
fn read_content(of: &Path) -> Option<(FileSize, Digest)> {
    let mut text = String::new();
    options().open(of).ok()?.take(256).read_to_string(&mut text).ok()?;
    let fields = text.strip_prefix("depot-part 1\ntamanho_arquivo:")?.strip_suffix('\n')?;
    let (size, hash) = fields.split_once("|hash_arquivo:")?;
    Some((FileSize::parse(size).ok()?, Digest::parse(hash).ok()?))
}
