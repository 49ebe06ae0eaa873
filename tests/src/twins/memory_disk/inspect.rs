//! What a test sees of a memory disk, and does to it, behind the server's back: no fault strikes
//! here, nothing is logged, and a frozen disk still shows what it holds.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use depot_server::seams::disk::Kind;

use super::{MemoryDisk, Op, Operation};

impl MemoryDisk {
    /// Every path, directories before what is in them, in the order of their names.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.entries().into_iter().map(|(path, _)| path).collect()
    }

    /// Every regular file and what can be read from it.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = self.entries().into_iter().filter(|(_, kind)| *kind == Kind::File);
        let state = self.state();
        entries
            .map(|(path, _)| {
                let bytes = state.image.bytes_at(&path).expect("it was just listed").to_vec();
                (path, bytes)
            })
            .collect()
    }

    /// What can be read from a file.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        Ok(self.state().image.bytes_at(path.as_ref())?.to_vec())
    }

    /// Puts a file there, durably, in place of a file that may be there.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = path.as_ref();
        let image = &mut self.state().image;
        match image.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (inode, handle) = image.create(path)?;
        let written = image.write(inode, bytes, 0);
        image.contents(inode).write_back();
        image.close(inode, handle);
        image.sync_dir(path.parent().unwrap_or(Path::new("")))?;
        written
    }

    /// Puts something there, durably, that is neither a file nor a directory: a symbolic link, a
    /// FIFO.
    pub fn put_other(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let image = &mut self.state().image;
        image.create_other(path)?;
        image.sync_dir(path.parent().unwrap_or(Path::new("")))
    }

    /// Lets a file rot: flips one bit (0 to 7) of the byte at `offset`, for readers and for good.
    /// Returns whether the file is that long.
    pub fn flip(&self, path: impl AsRef<Path>, offset: usize, bit: u8) -> io::Result<bool> {
        Ok(self.state().image.contents_at(path.as_ref())?.flip(offset, 1 << bit))
    }

    /// Changes how much the disk holds.
    pub fn set_capacity(&self, capacity: usize) {
        self.state().image.capacity = capacity;
    }

    /// Every operation since the disk was made (or came back from a crash), oldest first.
    pub fn operations(&self) -> Vec<Operation> {
        self.state().plan.log.clone()
    }

    /// How many operations of a kind there were.
    pub fn count(&self, op: Op) -> usize {
        self.state().plan.log.iter().filter(|operation| operation.op == op).count()
    }

    /// How many operations there were that can change the disk: where [`MemoryDisk::crash_at`] can
    /// strike.
    pub fn mutations(&self) -> u64 {
        self.state().plan.mutations
    }

    fn entries(&self) -> Vec<(PathBuf, Kind)> {
        let state = self.state();
        let mut found = Vec::new();
        let mut unvisited = vec![PathBuf::new()];
        while let Some(dir) = unvisited.pop() {
            for entry in state.image.list(&dir).expect("only directories are visited") {
                let path = dir.join(entry.name);
                if entry.kind == Kind::Directory {
                    unvisited.push(path.clone());
                }
                found.push((path, entry.kind));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }
}
