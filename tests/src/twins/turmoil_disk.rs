//! A data folder on the disk of a simulated host (`turmoil::fs`), which loses on a crash what was
//! not synced.
//!
//! The simulated file system finds an open file by its path, and forgets renames half-way; what is
//! done about that is noted where it is done. What stays: a file must be synced before it is
//! renamed, and not be written between a rename and the sync of its directory, or the simulation
//! loses bytes that a real disk would keep. [`MemoryDisk`](super::memory_disk::MemoryDisk) knows
//! no such limits and runs in a simulation as well.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use depot_server::seams::disk::{Disk, DiskFile, Entry, Kind, OpenMode, Space};
use nix::errno::Errno;
use turmoil::fs::shim::std::fs;

/// What [`Disk::space`] says of every simulated disk.
pub const SPACE: Space = Space { free: 1 << 30, total: 1 << 30 };

/// A folder on the current simulated host's disk. Outside of a host every operation is an error
/// (EIO), never a panic.
#[derive(Debug)]
pub struct TurmoilDisk {
    root: PathBuf,
    names: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    /// The open files that have a name.
    open: BTreeMap<PathBuf, Weak<Mutex<Place>>>,
    /// The directories of renames from one into another that may not be durable yet.
    moves: Vec<(PathBuf, PathBuf)>,
}

/// Where an open file's bytes are.
#[derive(Debug)]
enum Place {
    Named(PathBuf),
    /// Its name was removed, or given to another file: the bytes live on here while it is open.
    Orphan(Vec<u8>),
}

impl TurmoilDisk {
    /// Opens the folder at `root`, an absolute path, made durably where it does not exist.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        on_host()?;
        let root = root.into();
        fs::create_dir_all(&root).map_err(with_kind)?;
        for directory in root.ancestors().skip(1) {
            fs::sync_dir(directory).map_err(with_kind)?;
        }
        Ok(TurmoilDisk { root, names: Mutex::default() })
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, path: &Path) -> io::Result<PathBuf> {
        on_host()?;
        let inside = path.components().all(|component| matches!(component, Component::Normal(_)));
        if inside { Ok(self.root.join(path)) } else { Err(Errno::EXDEV.into()) }
    }

    /// The path of a file, not of a directory, that may or may not exist.
    fn file_path(&self, path: &Path) -> io::Result<PathBuf> {
        let path = self.path(path)?;
        match kind_at(&path) {
            Some(Kind::Directory) => Err(Errno::EISDIR.into()),
            _ => Ok(path),
        }
    }
}

impl Names {
    /// Before the name goes to another file, or away: whoever has this one open keeps its bytes.
    fn orphan(&mut self, path: &Path) -> io::Result<()> {
        if let Some(place) = self.open.remove(path).and_then(|place| place.upgrade()) {
            *lock(&place) = Place::Orphan(fs::read(path)?);
        }
        Ok(())
    }

    /// The simulation forgets a rename into another directory once either of the two is synced, and
    /// then never makes the new name durable. So the new name's directory is always synced first.
    fn sync_dir(&mut self, directory: &Path) -> io::Result<()> {
        let (due, rest) =
            self.moves.drain(..).partition(|(from, to)| from == directory || to == directory);
        self.moves = rest;
        let due: Vec<(PathBuf, PathBuf)> = due;
        for (_, to) in &due {
            fs::sync_dir(to).map_err(with_kind)?;
        }
        fs::sync_dir(directory).map_err(with_kind)
    }
}

impl Disk for TurmoilDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path(path)?;
        let mut names = self.names();
        match (kind_at(&path), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(Errno::EEXIST.into()),
            (Some(Kind::File), _) => {}
            (Some(_), _) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
            }
            (None, OpenMode::CreateNew) => {
                // Truncated: bytes of a removed file of that name may not have gone yet.
                drop(
                    fs::OpenOptions::new()
                        .write(true)
                        .create_new(true)
                        .truncate(true)
                        .open(&path)?,
                );
                names.open.remove(&path);
            }
            (None, _) => return Err(Errno::ENOENT.into()),
        }
        let place = match names.open.get(&path).and_then(Weak::upgrade) {
            Some(place) => place,
            None => {
                names.open.retain(|_, place| place.strong_count() > 0);
                let place = Arc::new(Mutex::new(Place::Named(path.clone())));
                names.open.insert(path, Arc::downgrade(&place));
                place
            }
        };
        Ok(Box::new(TurmoilFile { place, writable: mode != OpenMode::Read }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.file_path(from)?, self.file_path(to)?);
        if kind_at(&from).is_none() {
            return Err(Errno::ENOENT.into());
        }
        if from == to {
            return Ok(());
        }
        let mut names = self.names();
        let (from_dir, to_dir) = (parent(&from), parent(&to));
        if from_dir != to_dir {
            // A creation that is not durable would outlast the rename and leave an empty ghost.
            names.sync_dir(from_dir)?;
        }
        if kind_at(&to).is_some() {
            names.orphan(&to)?;
        }
        fs::rename(&from, &to).map_err(with_kind)?;
        if from_dir != to_dir {
            names.moves.push((from_dir.to_owned(), to_dir.to_owned()));
        }
        if let Some(place) = names.open.remove(&from) {
            if let Some(place) = place.upgrade() {
                *lock(&place) = Place::Named(to.clone());
            }
            names.open.insert(to, place);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = self.file_path(path)?;
        if kind_at(&path).is_none() {
            return Err(Errno::ENOENT.into());
        }
        self.names().orphan(&path)?;
        fs::remove_file(path).map_err(with_kind)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(self.path(path)?).map_err(with_kind)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = self.path(path)?;
        match kind_at(&path) {
            Some(Kind::Directory) => self.names().sync_dir(&path),
            Some(_) => Err(Errno::ENOTDIR.into()),
            None => Err(Errno::ENOENT.into()),
        }
    }

    /// The simulation forgets what is renamed before it was synced, so that a later sync of everything
    /// can't speak for it.
    fn tells_all(&self) -> bool {
        false
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut unsynced = vec![PathBuf::new()];
        while let Some(dir) = unsynced.pop() {
            for entry in self.list(&dir)? {
                let path = dir.join(entry.name);
                match entry.kind {
                    Kind::File => self.open(&path, OpenMode::Read)?.sync()?,
                    Kind::Directory => unsynced.push(path),
                    Kind::Other => {}
                }
            }
            self.sync_dir(&dir)?;
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let path = self.path(path)?;
        if kind_at(&path) == Some(Kind::File) {
            return Err(Errno::ENOTDIR.into());
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(&path)? {
            let name = entry?.file_name();
            let kind = kind_at(&path.join(&name)).ok_or(Errno::ENOENT)?;
            entries.push(Entry { name, kind });
        }
        Ok(entries)
    }

    fn space(&self) -> io::Result<Space> {
        on_host()?;
        Ok(SPACE)
    }
}

/// An open file. Each operation opens the simulated file anew: one that is held, and dropped when
/// no host runs any more, would panic.
#[derive(Debug)]
struct TurmoilFile {
    place: Arc<Mutex<Place>>,
    writable: bool,
}

impl TurmoilFile {
    fn change(
        &self,
        named: impl FnOnce(&fs::File) -> io::Result<()>,
        orphan: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        if !self.writable {
            return Err(Errno::EBADF.into());
        }
        on_host()?;
        match &mut *lock(&self.place) {
            Place::Named(path) => {
                named(&fs::OpenOptions::new().read(true).write(true).open(path)?).map_err(with_kind)
            }
            Place::Orphan(bytes) => {
                orphan(bytes);
                Ok(())
            }
        }
    }
}

impl DiskFile for TurmoilFile {
    fn size(&self) -> io::Result<u64> {
        on_host()?;
        match &*lock(&self.place) {
            Place::Named(path) => Ok(fs::metadata(path)?.len()),
            Place::Orphan(bytes) => Ok(bytes.len() as u64),
        }
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        on_host()?;
        match &*lock(&self.place) {
            Place::Named(path) => fs::File::open(path)?.read_exact_at(buf, offset),
            Place::Orphan(bytes) => {
                let start = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
                let there = bytes[start..].get(..buf.len());
                buf.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.change(
            |file| file.write_all_at(buf, offset),
            |bytes| {
                let start = usize::try_from(offset).expect("a file fits in memory");
                let end = start + buf.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(buf);
            },
        )
    }

    fn bypass_cache(&self) -> bool {
        false
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.change(
            |file| file.set_len(size),
            |bytes| bytes.resize(usize::try_from(size).expect("a file fits in memory"), 0),
        )
    }

    fn reserve(&self, _offset: u64, _len: u64) -> io::Result<()> {
        on_host()
    }

    fn sync(&self) -> io::Result<()> {
        on_host()?;
        match &*lock(&self.place) {
            Place::Named(path) => fs::File::open(path)?.sync_all().map_err(with_kind),
            Place::Orphan(_) => Ok(()),
        }
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        on_host()
    }

    /// Always true: the simulated host runs one server.
    fn try_lock(&self) -> io::Result<bool> {
        on_host().map(|()| true)
    }
}

/// An error instead of the simulation's panic where no host runs.
fn on_host() -> io::Result<()> {
    turmoil::since_epoch().map(drop).ok_or_else(|| Errno::EIO.into())
}

fn kind_at(path: &Path) -> Option<Kind> {
    let metadata = fs::symlink_metadata(path).ok()?; // its one error is "not found"
    Some(match metadata.file_type() {
        t if t.is_dir() => Kind::Directory,
        t if t.is_file() => Kind::File,
        _ => Kind::Other,
    })
}

/// The simulation gives most errors no kind, only the text of one.
fn with_kind(error: io::Error) -> io::Error {
    match error.to_string().as_str() {
        "No such file or directory" => Errno::ENOENT.into(),
        "File exists" => Errno::EEXIST.into(),
        "Is a directory" => Errno::EISDIR.into(),
        "Not a directory" => Errno::ENOTDIR.into(),
        "No space left on device" => Errno::ENOSPC.into(),
        _ => error,
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("a path beneath the root has a parent")
}

fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
