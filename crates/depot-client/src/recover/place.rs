//! Where a recovered file goes: a folder that somebody chose, and a way of folders beneath it. A
//! [`Place`] says where, a [`Folder`] is that folder, open: all that is done to a file is done from
//! its descriptor, so nothing that is put in the way meanwhile is followed. All here blocks.
//!
//! The chosen folder is taken as it stands, through symbolic links too: that was the caller's choice.
//! Beneath it none is followed, whoever may write there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use depot_protocol::FileName;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::{Error, Existing};

/// How a folder is opened: for reading, which syncing it needs.
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How a file is opened: what is no file of its own is not followed, waited for or made ours.
const FILE: OFlags = OFlags::RDWR
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Held while chosen folders are made.
static MAKING: Mutex<()> = Mutex::new(());

/// What becomes of folders that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// They are made.
    Made,
    /// That is an error.
    Fault,
}

/// The folder that somebody chose.
#[derive(Clone)]
enum Root {
    /// One file's own, opened when it is needed.
    Own(PathBuf),
    /// That of many files, which stays open.
    Shared(Arc<Chosen>),
}

/// A folder for many files: the same one for all, whatever becomes of its path.
pub(crate) struct Chosen {
    path: PathBuf,
    open: Mutex<Option<Arc<File>>>,
}

impl Chosen {
    /// Nothing is opened yet.
    pub(crate) fn new(path: &Path) -> Arc<Chosen> {
        Arc::new(Chosen { path: path.to_owned(), open: Mutex::default() })
    }
}

impl Root {
    fn path(&self) -> &Path {
        match self {
            Root::Own(path) => path,
            Root::Shared(chosen) => &chosen.path,
        }
    }

    fn open(&self, missing: Missing) -> Result<Folder, Error> {
        match self {
            Root::Own(path) => Folder::chosen(path, missing),
            Root::Shared(chosen) => {
                let mut open = chosen.open.lock().unwrap_or_else(PoisonError::into_inner);
                let path = chosen.path.clone();
                if let Some(file) = &*open {
                    return Ok(Folder { file: Arc::clone(file), path });
                }
                let folder = Folder::chosen(&path, missing)?;
                *open = Some(Arc::clone(&folder.file));
                Ok(folder)
            }
        }
    }
}

/// Where one file goes.
#[derive(Clone)]
pub(crate) struct Place {
    root: Root,
    /// The folders from the root on; empty where it lies in the root itself.
    way: PathBuf,
    name: OsString,
    missing: Missing,
}

impl Place {
    /// A path of the caller's choice.
    pub(crate) fn at(path: &Path, missing: Missing) -> Result<Place, Error> {
        let no_name =
            || Error::io(path, io::Error::new(ErrorKind::InvalidInput, "not a file's name"));
        let name = path.file_name().ok_or_else(no_name)?.to_owned();
        let root = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Place { root: Root::Own(root), way: PathBuf::new(), name, missing })
    }

    /// A name beneath a chosen folder; its `/` are folders, made where they are missing.
    pub(crate) fn beneath(root: &Arc<Chosen>, name: &FileName) -> Place {
        let (way, own) = name.as_str().rsplit_once('/').unwrap_or(("", name.as_str()));
        let (way, name) = (PathBuf::from(way), OsString::from(own));
        Place { root: Root::Shared(Arc::clone(root)), way, name, missing: Missing::Made }
    }

    /// As a person would write it.
    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join(&self.way).join(&self.name)
    }

    /// The file's name in its folder.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> Result<Folder, Error> {
        self.root.open(self.missing)?.descend(&self.way, self.missing)
    }

    /// Its folder, where that is there already.
    pub(crate) fn folder_if_there(&self) -> Result<Option<Folder>, Error> {
        let there = self.root.open(Missing::Fault);
        match there.and_then(|root| root.descend(&self.way, Missing::Fault)) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            there => there.map(Some),
        }
    }
}

/// Makes the names of files durable, and those of the folders on their way, each folder once; tells
/// for each what failed.
pub(crate) fn sync_names(places: &[&Place]) -> Vec<Result<(), Error>> {
    let mut synced = BTreeMap::new();
    places.iter().map(|place| sync_name(place, &mut synced)).collect()
}

fn sync_name(place: &Place, synced: &mut BTreeMap<PathBuf, Option<String>>) -> Result<(), Error> {
    let mut folder = place.root.open(Missing::Fault)?;
    folder.sync_once(synced)?;
    for step in place.way.components() {
        folder = folder.step(step.as_os_str(), Missing::Fault)?;
        folder.sync_once(synced)?;
    }
    Ok(())
}

/// A folder that is open.
#[derive(Clone)]
pub(crate) struct Folder {
    file: Arc<File>,
    /// As it was found; only ever shown.
    path: PathBuf,
}

impl Folder {
    fn chosen(path: &Path, missing: Missing) -> Result<Folder, Error> {
        let here = if path == Path::new("") { Path::new(".") } else { path };
        if missing == Missing::Made {
            // One at a time: who finds a folder made finds its name durable.
            let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
            for changed in make(here)? {
                let synced = File::open(&changed).and_then(|changed| changed.sync_all());
                synced.map_err(|source| Error::io(&changed, source))?;
            }
        }
        let opened = rustix::fs::open(here, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty());
        let file = opened.map_err(|source| Error::io(here, source))?;
        Ok(Folder { file: Arc::new(file.into()), path: path.to_owned() })
    }

    /// The folder at the end of a way beneath this one: in one go where the system can, else step by
    /// step, which also tells what stands in the way and makes what is missing.
    fn descend(self, way: &Path, missing: Missing) -> Result<Folder, Error> {
        if way == Path::new("") {
            return Ok(self);
        }
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let at_once = rustix::fs::openat2(&*self.file, way, FOLDER, Mode::empty(), beneath);
        if let Ok(file) = at_once {
            return Ok(Folder { file: Arc::new(file.into()), path: self.path.join(way) });
        }
        way.components().try_fold(self, |folder, step| match step {
            Component::Normal(name) => folder.step(name, missing),
            _ => Err(Error::NotAFolder(folder.path.join(way))),
        })
    }

    fn step(&self, name: &OsStr, missing: Missing) -> Result<Folder, Error> {
        let path = self.path.join(name);
        let open = || rustix::fs::openat(&*self.file, name, FOLDER, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) if missing == Missing::Made => {
                match rustix::fs::mkdirat(&*self.file, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(failed) => Err(failed),
                }
            }
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Folder { file: Arc::new(file.into()), path }),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::MLINK) => Err(Error::NotAFolder(path)),
            Err(source) => Err(Error::io(&path, source)),
        }
    }

    /// The path of something in it, to be shown.
    pub(crate) fn shown(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// What stands there under a name, itself and not what it may lead to.
    pub(crate) fn look(&self, name: &OsStr) -> Result<Option<Stat>, Error> {
        match rustix::fs::statat(&*self.file, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(source) => Err(Error::io(&self.shown(name), source)),
        }
    }

    /// Refuses where something is that is to stay, or that no file can replace.
    pub(crate) fn may_be_made(&self, name: &OsStr, existing: Existing) -> Result<(), Error> {
        match (self.look(name)?, existing) {
            (None, _) => Ok(()),
            (Some(_), Existing::Refuse) => Err(Error::Exists(self.shown(name))),
            (Some(found), Existing::Replace)
                if FileType::from_raw_mode(found.st_mode) == FileType::Directory =>
            {
                Err(Error::io(&self.shown(name), ErrorKind::IsADirectory))
            }
            (Some(_), Existing::Replace) => Ok(()),
        }
    }

    /// Opens a file for reading and writing, if it is one itself.
    pub(crate) fn open(&self, name: &OsStr) -> Result<File, Errno> {
        rustix::fs::openat(&*self.file, name, FILE, Mode::empty()).map(File::from)
    }

    /// Makes a file where nothing is.
    pub(crate) fn create(&self, name: &OsStr) -> Result<File, Errno> {
        let flags = FILE | OFlags::CREATE | OFlags::EXCL;
        rustix::fs::openat(&*self.file, name, flags, Mode::from_raw_mode(0o666)).map(File::from)
    }

    /// Removes a file; that it is not there is as good.
    pub(crate) fn remove(&self, name: &OsStr) -> Result<(), Error> {
        match rustix::fs::unlinkat(&*self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(source) => Err(Error::io(&self.shown(name), source)),
        }
    }

    /// Gives a file its name, over what is there only with [`Existing::Replace`].
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr, existing: Existing) -> Result<(), Error> {
        let at = &*self.file;
        let renamed = match existing {
            Existing::Replace => rustix::fs::renameat(at, from, at, to),
            Existing::Refuse => {
                match rustix::fs::renameat_with(at, from, at, to, RenameFlags::NOREPLACE) {
                    // Not every file system can; a second name can't take another's place either.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                        rustix::fs::linkat(at, from, at, to, AtFlags::empty())
                            .and_then(|()| rustix::fs::unlinkat(at, from, AtFlags::empty()))
                    }
                    renamed => renamed,
                }
            }
        };
        renamed.map_err(|source| match source {
            Errno::EXIST if existing == Existing::Refuse => Error::Exists(self.shown(to)),
            source => Error::io(&self.shown(to), source),
        })
    }

    fn sync_once(&self, synced: &mut BTreeMap<PathBuf, Option<String>>) -> Result<(), Error> {
        let failed = synced
            .entry(self.path.clone())
            .or_insert_with(|| self.file.sync_all().err().map(|error| error.to_string()));
        match failed {
            None => Ok(()),
            Some(why) => Err(Error::io(&self.path, io::Error::other(why.clone()))),
        }
    }
}

/// Makes a folder and those above it that are missing. Tells in which folders new ones stand.
fn make(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source: io::Error| Error::io(path, source);
    let above = path.parent().filter(|above| *above != Path::new(""));
    let mut changed = Vec::new();
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            changed = make(above.ok_or_else(|| failed(error))?)?;
            fs::create_dir(path).map_err(failed)?;
        }
        // `..`, `/`, a mount that cannot be written to, and what somebody else has made just now.
        Err(_) if path.is_dir() => return Ok(changed),
        made => made.map_err(failed)?,
    }
    changed.push(above.unwrap_or(Path::new(".")).to_owned());
    Ok(changed)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
