//! The data folder on a real file system. Opened once, by descriptor: whatever is later mounted,
//! renamed or linked over its path, the server goes on in the folder that it locked. No path ever
//! leaves it, and no symbolic link is followed (`openat2`, `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::disk::{Disk, DiskFile, Entry, Kind, OpenMode, Space};

/// A data folder on a real file system.
#[derive(Debug)]
pub struct SystemDisk {
    root: OwnedFd,
    tells_all: bool,
}

impl SystemDisk {
    /// Opens the folder at `path`, made (0700) with its missing ancestors where it does not exist.
    /// Each directory made is synced into its parent before this returns.
    pub fn open(path: &Path) -> io::Result<Self> {
        make_with_ancestors(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = fs::open(path, flags, Mode::empty())?;
        let tells_all = tells_all(&root)?;
        Ok(SystemDisk { root, tells_all })
    }

    fn open_beneath(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, resolve)?)
    }

    fn open_dir(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    /// A path's directory, opened safely, and its last component.
    fn parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.open_dir(path.parent().unwrap_or(Path::new("")))?, name))
    }
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        // NONBLOCK: a FIFO planted in place of a file must not hold the server up.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let (flags, create) = match mode {
            OpenMode::Read => (flags | OFlags::RDONLY, Mode::empty()),
            OpenMode::Write => (flags | OFlags::RDWR, Mode::empty()),
            OpenMode::CreateNew => {
                (flags | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)
            }
        };
        let file = File::from(self.open_beneath(path, flags, create)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        Ok(Box::new(SystemFile { file, direct: AtomicBool::new(false) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        Ok(fs::renameat(from_dir, from_name, to_dir, to_name)?)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        Ok(fs::unlinkat(dir, name, AtFlags::empty())?)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        Ok(fs::mkdirat(dir, name, Mode::RWXU)?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        Ok(fs::fsync(self.open_dir(path)?)?)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(fs::syncfs(&self.root)?)
    }

    fn tells_all(&self) -> bool {
        self.tells_all
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let dir = self.open_dir(path)?;
        let mut entries = Vec::new();
        for entry in fs::Dir::read_from(&dir)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                let kind = match entry.file_type() {
                    // Some file systems do not say: then ask for this one entry.
                    FileType::Unknown => {
                        let stat = fs::statat(&dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                        kind_of(FileType::from_raw_mode(stat.st_mode))
                    }
                    known => kind_of(known),
                };
                entries.push(Entry { name: name.to_owned(), kind });
            }
        }
        Ok(entries)
    }

    fn space(&self) -> io::Result<Space> {
        let stat = fs::fstatvfs(&self.root)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

/// syncfs(2) tells of failed writes since Linux 5.8, and not on every file system: overlayfs, FUSE and
/// NFS keep them elsewhere.
fn tells_all(root: &OwnedFd) -> io::Result<bool> {
    const KNOWN: [u64; 3] = [0xEF53, 0x5846_5342, 0x9123_683E]; // ext4, XFS, Btrfs
    let known = KNOWN.contains(&(fs::fstatfs(root)?.f_type as u64));
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>());
    let version = (numbers.next(), numbers.next());
    Ok(known && matches!(version, (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (5, 8)))
}

fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        _ => Kind::Other,
    }
}

fn make_with_ancestors(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(_) => return Ok(()), // what it is shows when it is opened as a directory
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_with_ancestors(parent)?;
    fs::mkdir(path, Mode::RWXU)?;
    File::open(parent)?.sync_all()
}

#[derive(Debug)]
struct SystemFile {
    file: File,
    /// It goes past the page cache.
    direct: AtomicBool,
}

impl SystemFile {
    fn set_direct(&self, direct: bool) -> rustix::io::Result<()> {
        let flags = fs::fcntl_getfl(&self.file)?;
        let flags = if direct { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT };
        fs::fcntl_setfl(&self.file, flags)?;
        self.direct.store(direct, Ordering::Relaxed);
        Ok(())
    }
}

impl DiskFile for SystemFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        match self.file.write_all_at(buf, offset) {
            // This disk wants larger blocks, or took part of one: through the cache it goes.
            Err(error)
                if error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
                    && self.direct.load(Ordering::Relaxed) =>
            {
                self.set_direct(false)?;
                self.file.write_all_at(buf, offset)
            }
            other => other,
        }
    }

    fn bypass_cache(&self) -> bool {
        self.set_direct(true).is_ok()
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        match fs::fallocate(&self.file, fs::FallocateFlags::KEEP_SIZE, offset, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data() // times are nothing to us; without them an overwrite is half the work
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        Ok(nix::unistd::close(self.file)?)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match fs::flock(&self.file, fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
