//! A data folder in memory, to fail and to lose power in: it knows what was synced and what was
//! written since, fails one chosen call, and hands out what a power cut may leave.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use depot_server::seams::disk::{Disk, DiskFile, Entry, OpenMode, Space};

/// Fails a call that changes the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The nth such call, 1 the next one; the ones after work again.
    Once(u64),
    /// The nth such call and all after it.
    From(u64),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct MemDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Shared>,
    durable_names: BTreeMap<PathBuf, Shared>,
    fault: Option<(Fault, i32)>,
    fail_reads: bool,
    changes: u64,
    fired: bool,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Debug, Clone, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    since_sync: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetSize(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(offset, data) => {
                bytes.resize(bytes.len().max(offset + data.len()), 0);
                bytes[*offset..offset + data.len()].copy_from_slice(data);
            }
            Change::SetSize(size) => bytes.resize(*size, 0),
        }
    }
}

/// A small generator of test choices (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

impl MemDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A disk that holds one file, whole and synced.
    pub(crate) fn with(path: &Path, bytes: Vec<u8>) -> Self {
        let disk = MemDisk::default();
        disk.put(path, bytes);
        disk
    }

    /// Puts a file on it, whole and synced.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let content = Content { durable: bytes.clone(), live: bytes, since_sync: vec![] };
        let file = Arc::new(Mutex::new(content));
        self.state().files.insert(path.into(), file.clone());
        self.state().durable_names.insert(path.into(), file);
    }

    /// A file's bytes as they are now.
    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        self.state().files[path].lock().unwrap().live.clone()
    }

    /// From here on, this call fails with this error number.
    pub(crate) fn plan(&self, fault: Fault, errno: i32) {
        let mut state = self.state();
        (state.fault, state.changes, state.fired) = (Some((fault, errno)), 0, false);
    }

    pub(crate) fn fail_reads(&self) {
        self.state().fail_reads = true;
    }

    /// Whether the planned fault has happened.
    pub(crate) fn fired(&self) -> bool {
        self.state().fired
    }

    /// What the disk holds if the machine stays up.
    pub(crate) fn after_kill(&self) -> MemDisk {
        self.image(&self.state().files, |content| content.live.clone())
    }

    /// What the disk may hold after a power cut: of what was not synced, any part, and of the
    /// write that was under way, any sectors.
    pub(crate) fn after_power_cut(&self, dice: &mut Dice) -> MemDisk {
        self.image(&self.state().durable_names, |content| {
            let mut bytes = content.durable.clone();
            for change in &content.since_sync {
                match (dice.roll(4), change) {
                    (0, _) => {}
                    (1, Change::Write(offset, data)) => {
                        // Torn at a sector's border of the disk.
                        let keep = (dice.roll(data.len() as u64 / 512 + 1) * 512) as usize;
                        let keep = keep.saturating_sub(offset % 512).min(data.len());
                        Change::Write(*offset, data[..keep].to_vec()).apply(&mut bytes);
                    }
                    (_, change) => change.apply(&mut bytes),
                }
            }
            bytes
        })
    }

    fn image(
        &self,
        names: &BTreeMap<PathBuf, Shared>,
        mut bytes: impl FnMut(&Content) -> Vec<u8>,
    ) -> MemDisk {
        let disk = MemDisk::default();
        for (path, file) in names {
            let one = MemDisk::with(path, bytes(&file.lock().unwrap()));
            disk.state().files.append(&mut one.state().files);
            disk.state().durable_names.append(&mut one.state().durable_names);
        }
        disk
    }

    fn change(&self) -> io::Result<()> {
        let mut state = self.state();
        state.changes += 1;
        let errno = match state.fault {
            Some((Fault::Once(nth), errno)) if state.changes == nth => errno,
            Some((Fault::From(nth), errno)) if state.changes >= nth => errno,
            _ => return Ok(()),
        };
        state.fired = true;
        Err(io::Error::from_raw_os_error(errno))
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        if mode == OpenMode::CreateNew {
            self.change()?;
        }
        let mut state = self.state();
        let file = match (state.files.get(path), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), _) => file.clone(),
            (None, OpenMode::CreateNew) => state.files.entry(path.into()).or_default().clone(),
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(MemFile { file, disk: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        let mut state = self.state();
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.into(), file);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.state().files.remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        let mut state = self.state();
        let within = |name: &Path| name.parent() == Some(path);
        let names = state.files.clone().into_iter().filter(|(name, _)| within(name));
        state.durable_names.retain(|name, _| !within(name));
        state.durable_names.extend(names);
        Ok(())
    }

    fn tells_all(&self) -> bool {
        false
    }

    fn sync_all(&self) -> io::Result<()> {
        panic!("the catalogue syncs its own file only")
    }

    fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        Ok(vec![])
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { free: 1 << 40, total: 1 << 40 })
    }
}

#[derive(Debug)]
struct MemFile {
    file: Shared,
    disk: MemDisk,
}

impl MemFile {
    fn apply(&self, change: Change) -> io::Result<()> {
        self.disk.change()?;
        let mut content = self.file.lock().unwrap();
        change.apply(&mut content.live);
        content.since_sync.push(change);
        Ok(())
    }
}

impl DiskFile for MemFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.lock().unwrap().live.len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if self.disk.state().fail_reads {
            return Err(io::Error::from_raw_os_error(5));
        }
        let content = self.file.lock().unwrap();
        let start = offset as usize;
        let found = content.live.get(start..start + buf.len());
        buf.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.apply(Change::Write(offset as usize, buf.to_vec()))
    }

    fn bypass_cache(&self) -> bool {
        false
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.apply(Change::SetSize(size as usize))
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change()?;
        let mut content = self.file.lock().unwrap();
        content.durable = content.live.clone();
        content.since_sync.clear();
        Ok(())
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}
