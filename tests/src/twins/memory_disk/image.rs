//! What a memory disk holds: directories that give names to inodes, files by inode, and how much
//! room is left. Nothing here fails on purpose; that is the plan's.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use depot_server::seams::disk::{Entry, Kind, Space};
use nix::errno::Errno;

use super::contents::{self, Contents};
use super::crash::{CrashMode, Fate};
use super::names::{self, Names};

/// Names a file or a directory, whatever it is called at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Inode(u64);

const ROOT: Inode = Inode(0);

/// Names one opening of a file, for its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HandleId(u64);

#[derive(Debug, Clone)]
pub(super) struct Image {
    /// Grows until a crash: a removed file can come back in one.
    nodes: BTreeMap<Inode, Node>,
    /// The next inode's number, and the next handle's.
    next: u64,
    /// The sum of what the files take that have a name or are open.
    used: usize,
    pub(super) capacity: usize,
}

#[derive(Debug, Clone)]
enum Node {
    File(FileNode),
    Directory(Names),
    /// A symbolic link, FIFO, socket or device.
    Other,
}

#[derive(Debug, Clone, Default)]
struct FileNode {
    contents: Contents,
    /// Live names, of which a crash can leave two.
    links: u32,
    handles: u32,
    lock: Option<HandleId>,
}

impl Image {
    pub(super) fn empty(capacity: usize) -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(Names::default()))]);
        Image { nodes, next: 1, used: 0, capacity }
    }

    // Names.

    pub(super) fn open(&mut self, path: &Path) -> io::Result<(Inode, HandleId)> {
        let inode = self.find(path)?;
        match self.node(inode) {
            Node::File(_) => Ok((inode, self.handle(inode))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file")),
        }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<(Inode, HandleId)> {
        let inode = self.make(path, Node::File(FileNode { links: 1, ..FileNode::default() }))?;
        Ok((inode, self.handle(inode)))
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.make(path, Node::Directory(Names::default())).map(drop)
    }

    pub(super) fn create_other(&mut self, path: &Path) -> io::Result<()> {
        self.make(path, Node::Other).map(drop)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let inode = self.lookup(from_dir, &from_name)?;
        if matches!(self.node(inode), Node::Directory(_)) {
            return Err(Errno::EISDIR.into()); // a real disk would do it; the server must not
        }
        match self.names(to_dir)?.live().get(&to_name) {
            Some(replaced) if *replaced == inode => return Ok(()),
            Some(replaced) => self.unlink(*replaced)?,
            None => {}
        }
        let set = Some((to_name, inode));
        if from_dir == to_dir {
            self.names_mut(to_dir)?.change(names::Change { removed: Some(from_name), set });
        } else {
            self.names_mut(to_dir)?.change(names::Change { removed: None, set });
            self.names_mut(from_dir)?.change(names::Change::removed(from_name));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let inode = self.lookup(dir, &name)?;
        self.unlink(inode)?;
        self.names_mut(dir)?.change(names::Change::removed(name));
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.find(path)?;
        self.names_mut(dir)?.sync()
    }

    pub(super) fn fail_sync_dir(&mut self, path: &Path) {
        // A directory that is not there has nothing to lose.
        if let Ok(dir) = self.find(path)
            && let Ok(names) = self.names_mut(dir)
        {
            names.fail_sync();
        }
    }

    pub(super) fn sync_all(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.contents.write_back(),
                Node::Directory(names) => names.write_back(),
                Node::Other => {}
            }
        }
    }

    pub(super) fn fail_sync_all(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.contents.lose(),
                Node::Directory(names) => names.lose(),
                Node::Other => {}
            }
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let names = self.names(self.find(path)?)?.live();
        let kind = |inode| match self.node(inode) {
            Node::File(_) => Kind::File,
            Node::Directory(_) => Kind::Directory,
            Node::Other => Kind::Other,
        };
        Ok(names.iter().map(|(name, i)| Entry { name: name.clone(), kind: kind(*i) }).collect())
    }

    // Bytes.

    pub(super) fn bytes(&self, inode: Inode) -> &[u8] {
        self.file(inode).contents.live()
    }

    pub(super) fn bytes_at(&self, path: &Path) -> io::Result<&[u8]> {
        match self.node(self.find(path)?) {
            Node::File(file) => Ok(file.contents.live()),
            _ => Err(Errno::EISDIR.into()),
        }
    }

    /// Writes what there is room for; with less than all of it, the disk is full. So no offset, how
    /// wild ever, takes more memory than the disk has room.
    pub(super) fn write(&mut self, inode: Inode, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (start, end) = range(offset, bytes.len() as u64)?;
        let limit = self.file(inode).contents.allocated() + self.free();
        let written = &bytes[..end.min(limit).saturating_sub(start).min(bytes.len())];
        if !written.is_empty() {
            let change = contents::Change::Write { offset: start, bytes: written.to_vec() };
            self.reallocate(inode, |contents| contents.change(change));
        }
        if written.len() < bytes.len() { Err(Errno::ENOSPC.into()) } else { Ok(()) }
    }

    pub(super) fn set_size(&mut self, inode: Inode, size: u64) -> io::Result<()> {
        let end = self.room_to(inode, 0, size)?;
        self.reallocate(inode, |contents| contents.change(contents::Change::Resize(end)));
        Ok(())
    }

    pub(super) fn reserve(&mut self, inode: Inode, offset: u64, len: u64) -> io::Result<()> {
        let end = self.room_to(inode, offset, len)?;
        self.reallocate(inode, |contents| contents.reserve(end));
        Ok(())
    }

    pub(super) fn contents(&mut self, inode: Inode) -> &mut Contents {
        &mut self.file_mut(inode).contents
    }

    pub(super) fn contents_at(&mut self, path: &Path) -> io::Result<&mut Contents> {
        let inode = self.find(path)?;
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(&mut file.contents),
            _ => Err(Errno::EISDIR.into()),
        }
    }

    pub(super) fn space(&self) -> Space {
        Space { free: self.free() as u64, total: self.capacity as u64 }
    }

    // Handles.

    pub(super) fn lock(&mut self, inode: Inode, handle: HandleId) -> bool {
        *self.file_mut(inode).lock.get_or_insert(handle) == handle
    }

    pub(super) fn close(&mut self, inode: Inode, handle: HandleId) {
        let file = self.file_mut(inode);
        file.handles -= 1;
        file.lock = file.lock.filter(|holder| *holder != handle);
        self.release(inode);
    }

    // Images of images.

    /// The disk after a power cut.
    pub(super) fn after_crash(&self, mode: CrashMode) -> Image {
        let mut fate = Fate::new(mode);
        let nodes = self.nodes.iter().map(|(inode, node)| {
            let node = match node {
                Node::File(file) => Node::File(FileNode {
                    contents: file.contents.after_crash(&mut fate),
                    ..FileNode::default()
                }),
                Node::Directory(names) => Node::Directory(names.after_crash(&mut fate)),
                Node::Other => Node::Other,
            };
            (*inode, node)
        });
        let mut image = Image { nodes: nodes.collect(), ..*self };
        let links = image.open_anew();
        image.nodes.retain(|inode, _| *inode == ROOT || links.contains_key(inode));
        image
    }

    /// The disk after the process ended: nothing is open or locked, and what was not synced still
    /// isn't.
    pub(super) fn after_kill(&self) -> Image {
        let mut image = self.clone();
        image.open_anew();
        image
    }

    /// Counts names and room again, with nothing open. Returns how many names each inode has.
    fn open_anew(&mut self) -> BTreeMap<Inode, u32> {
        let mut links = BTreeMap::<Inode, u32>::new();
        let mut unvisited = vec![ROOT];
        while let Some(inode) = unvisited.pop() {
            if let Node::Directory(names) = self.node(inode) {
                for inode in names.live().values() {
                    *links.entry(*inode).or_default() += 1;
                    unvisited.push(*inode);
                }
            }
        }
        self.used = 0;
        for (inode, node) in &mut self.nodes {
            if let Node::File(file) = node {
                file.handles = 0;
                file.lock = None;
                file.links = links.get(inode).copied().unwrap_or(0);
                self.used += if file.links > 0 { file.contents.allocated() } else { 0 };
            }
        }
        links
    }

    // How paths lead to inodes.

    fn find(&self, path: &Path) -> io::Result<Inode> {
        path.components().try_fold(ROOT, |dir, component| match component {
            Component::Normal(name) => self.lookup(dir, name),
            // No path ever leaves the folder.
            _ => Err(Errno::EXDEV.into()),
        })
    }

    fn parent(&self, path: &Path) -> io::Result<(Inode, OsString)> {
        let name = path.file_name().ok_or(Errno::EINVAL)?;
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name.to_owned()))
    }

    fn lookup(&self, dir: Inode, name: &OsStr) -> io::Result<Inode> {
        Ok(self.names(dir)?.live().get(name).copied().ok_or(Errno::ENOENT)?)
    }

    fn make(&mut self, path: &Path, node: Node) -> io::Result<Inode> {
        let (dir, name) = self.parent(path)?;
        if self.names(dir)?.live().contains_key(&name) {
            return Err(Errno::EEXIST.into());
        }
        let inode = Inode(self.number());
        self.nodes.insert(inode, node);
        self.names_mut(dir)?.change(names::Change::set(name, inode));
        Ok(inode)
    }

    fn unlink(&mut self, inode: Inode) -> io::Result<()> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => {
                file.links -= 1;
                self.release(inode);
                Ok(())
            }
            Some(Node::Directory(_)) => Err(Errno::EISDIR.into()),
            _ => Ok(()),
        }
    }

    // How inodes lead to nodes.

    fn node(&self, inode: Inode) -> &Node {
        self.nodes.get(&inode).expect("a name's inode is there")
    }

    fn file(&self, inode: Inode) -> &FileNode {
        match self.node(inode) {
            Node::File(file) => file,
            _ => unreachable!("only files are opened"),
        }
    }

    fn file_mut(&mut self, inode: Inode) -> &mut FileNode {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => file,
            _ => unreachable!("only files are opened"),
        }
    }

    fn names(&self, inode: Inode) -> io::Result<&Names> {
        match self.node(inode) {
            Node::Directory(names) => Ok(names),
            _ => Err(Errno::ENOTDIR.into()),
        }
    }

    fn names_mut(&mut self, inode: Inode) -> io::Result<&mut Names> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Directory(names)) => Ok(names),
            _ => Err(Errno::ENOTDIR.into()),
        }
    }

    // Room.

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn handle(&mut self, inode: Inode) -> HandleId {
        self.file_mut(inode).handles += 1;
        HandleId(self.number())
    }

    fn free(&self) -> usize {
        self.capacity.saturating_sub(self.used)
    }

    fn room_to(&self, inode: Inode, offset: u64, len: u64) -> io::Result<usize> {
        let (_, end) = range(offset, len)?;
        let more = end.saturating_sub(self.file(inode).contents.allocated());
        if more > self.free() { Err(Errno::ENOSPC.into()) } else { Ok(end) }
    }

    fn reallocate(&mut self, inode: Inode, act: impl FnOnce(&mut Contents)) {
        let contents = &mut self.file_mut(inode).contents;
        let before = contents.allocated();
        act(contents);
        let after = contents.allocated();
        self.used = self.used - before + after;
    }

    /// Gives a file's room back once it has neither a name nor a handle.
    fn release(&mut self, inode: Inode) {
        let file = self.file(inode);
        if file.links == 0 && file.handles == 0 {
            self.used -= file.contents.allocated();
        }
    }
}

/// Where a stretch of a file starts and ends.
fn range(offset: u64, len: u64) -> io::Result<(usize, usize)> {
    let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
    match (usize::try_from(offset), usize::try_from(end)) {
        (Ok(start), Ok(end)) => Ok((start, end)),
        _ => Err(Errno::EFBIG.into()),
    }
}
