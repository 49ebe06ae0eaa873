//! What every [`Disk`] does alike, the real one and its twins. Each check leaves the disk as a
//! stranger would find it: the next one works in a directory of its own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use depot_server::seams::disk::{Disk, DiskFile, Kind, OpenMode};

/// One check, and the directory that it works in.
type Check = fn(&dyn Disk, &Path);

/// Checks an empty disk.
///
/// # Panics
/// Where the disk behaves in another way than all the others.
pub fn check(disk: &dyn Disk) {
    let checks: [(&str, Check); 9] = [
        ("modes", open_modes),
        ("bytes", bytes_and_sizes),
        ("short", short_reads),
        ("rename", renames),
        ("replace", a_reader_keeps_the_file_that_was_replaced),
        ("remove", removals),
        ("list", listings),
        ("dirs", directories_are_not_files),
        ("paths", paths_that_lead_nowhere),
    ];
    for (name, check) in checks {
        let dir = Path::new(name);
        disk.create_dir(dir).expect("a directory of its own");
        check(disk, dir);
    }
    disk.sync_dir(Path::new("")).expect("the empty path is the folder itself");
    disk.sync_all().expect("a healthy disk");
    let space = disk.space().expect("how much room there is");
    assert!(space.free <= space.total && space.total > 0);
}

fn open_modes(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("file");
    assert_kind(disk.open(&path, OpenMode::Read), ErrorKind::NotFound);
    assert_kind(disk.open(&path, OpenMode::Write), ErrorKind::NotFound);

    let created = create(disk, &path, b"one");
    assert_kind(disk.open(&path, OpenMode::CreateNew), ErrorKind::AlreadyExists);
    assert!(created.try_lock().expect("no one else has it"));
    created.close().expect("nothing is left to be written");

    let written = disk.open(&path, OpenMode::Write).expect("it exists");
    written.write_all_at(b"two", 0).expect("it is open to be written");
    let read = disk.open(&path, OpenMode::Read).expect("it exists");
    assert_eq!(bytes(&*read), b"two");
    read.write_all_at(b"three", 0).expect_err("it is open to be read only");
    read.set_size(0).expect_err("it is open to be read only");
    assert_eq!(bytes(&*written), b"two");
}

fn bytes_and_sizes(disk: &dyn Disk, dir: &Path) {
    let file = create(disk, &dir.join("file"), b"");
    assert_eq!(bytes(&*file), b"");
    file.write_all_at(b"late", 6).expect("a write beyond the end");
    assert_eq!(bytes(&*file), b"\0\0\0\0\0\0late");
    file.write_all_at(b"early", 0).expect("a write within");
    assert_eq!(bytes(&*file), b"early\0late");
    file.set_size(3).expect("a cut");
    file.sync().expect("a healthy disk");
    file.set_size(5).expect("growth");
    assert_eq!(bytes(&*file), b"ear\0\0");
    file.reserve(0, 4096).expect("there is room");
    assert_eq!(file.size().expect("it is open"), 5, "room set aside is not size");
    file.sync().expect("a healthy disk");
    assert_eq!(bytes(&*file), b"ear\0\0");
}

fn short_reads(disk: &dyn Disk, dir: &Path) {
    let file = create(disk, &dir.join("file"), b"four");
    assert_kind(file.read_exact_at(&mut [0; 5], 0), ErrorKind::UnexpectedEof);
    assert_kind(file.read_exact_at(&mut [0; 1], 4), ErrorKind::UnexpectedEof);
    assert_kind(file.read_exact_at(&mut [0; 1], 1 << 40), ErrorKind::UnexpectedEof);
    file.read_exact_at(&mut [], 4).expect("nothing is wanted, nothing is missing");
    let mut tail = [0; 2];
    file.read_exact_at(&mut tail, 2).expect("they are there");
    assert_eq!(&tail, b"ur");
}

fn renames(disk: &dyn Disk, dir: &Path) {
    let (tmp, blobs) = (dir.join("tmp"), dir.join("blobs"));
    disk.create_dir(&tmp).expect("a directory");
    disk.create_dir(&blobs).expect("a directory");
    create(disk, &blobs.join("there"), b"old").sync().expect("a healthy disk");
    let staged = create(disk, &tmp.join("staged"), b"new");
    staged.sync().expect("a healthy disk");

    disk.rename(&tmp.join("staged"), &blobs.join("there")).expect("over what is there");
    assert_eq!(read(disk, &blobs.join("there")), b"new");
    assert_eq!(names(disk, &tmp), Vec::<String>::new());
    disk.sync_dir(&blobs).expect("a healthy disk");
    assert_eq!(names(disk, &tmp), Vec::<String>::new());
    assert_eq!(read(disk, &blobs.join("there")), b"new");
    assert_eq!(bytes(&*staged), b"new", "an open file follows its rename");

    disk.rename(&blobs.join("there"), &blobs.join("here")).expect("within a directory");
    disk.rename(&blobs.join("here"), &blobs.join("here")).expect("onto itself");
    assert_eq!(names(disk, &blobs), ["here"]);
    assert_kind(disk.rename(&tmp.join("a"), &tmp.join("b")), ErrorKind::NotFound);
    assert_kind(disk.rename(&blobs.join("here"), &dir.join("no/b")), ErrorKind::NotFound);
    assert_kind(disk.rename(&blobs.join("here"), &tmp), ErrorKind::IsADirectory);
    assert_eq!(names(disk, &blobs), ["here"]);
}

fn a_reader_keeps_the_file_that_was_replaced(disk: &dyn Disk, dir: &Path) {
    create(disk, &dir.join("blob"), b"old").sync().expect("a healthy disk");
    disk.sync_dir(dir).expect("a healthy disk");
    let reader = disk.open(&dir.join("blob"), OpenMode::Read).expect("it exists");
    create(disk, &dir.join("staged"), b"newer").sync().expect("a healthy disk");
    disk.rename(&dir.join("staged"), &dir.join("blob")).expect("over what is there");
    disk.sync_dir(dir).expect("a healthy disk");
    assert_eq!(bytes(&*reader), b"old");
    assert_eq!(read(disk, &dir.join("blob")), b"newer");
}

fn removals(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("file");
    let file = create(disk, &path, b"bytes");
    disk.remove_file(&path).expect("it exists");
    assert_eq!(bytes(&*file), b"bytes", "an open file outlives its name");
    assert_kind(disk.open(&path, OpenMode::Read), ErrorKind::NotFound);
    assert_kind(disk.remove_file(&path), ErrorKind::NotFound);
    disk.sync_dir(dir).expect("a healthy disk");
    create(disk, &path, b"new");
    assert_eq!(read(disk, &path), b"new");
}

fn listings(disk: &dyn Disk, dir: &Path) {
    assert!(disk.list(dir).expect("a directory").is_empty());
    create(disk, &dir.join("file"), b"");
    disk.create_dir(&dir.join("dir")).expect("a directory");
    create(disk, &dir.join("dir/within"), b"");
    let mut entries = disk.list(dir).expect("a directory");
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let kinds: Vec<_> = entries.iter().map(|e| (e.name.to_str(), e.kind)).collect();
    assert_eq!(kinds, [(Some("dir"), Kind::Directory), (Some("file"), Kind::File)]);
    assert_kind(disk.list(&dir.join("file")), ErrorKind::NotADirectory);
    assert_kind(disk.list(&dir.join("none")), ErrorKind::NotFound);
}

fn directories_are_not_files(disk: &dyn Disk, dir: &Path) {
    disk.open(dir, OpenMode::Read).expect_err("a directory");
    disk.open(dir, OpenMode::Write).expect_err("a directory");
    assert_kind(disk.open(dir, OpenMode::CreateNew), ErrorKind::AlreadyExists);
    assert_kind(disk.create_dir(dir), ErrorKind::AlreadyExists);
    assert_kind(disk.remove_file(dir), ErrorKind::IsADirectory);
    create(disk, &dir.join("file"), b"");
    assert_kind(disk.create_dir(&dir.join("file")), ErrorKind::AlreadyExists);
    assert_kind(disk.sync_dir(&dir.join("file")), ErrorKind::NotADirectory);
}

fn paths_that_lead_nowhere(disk: &dyn Disk, dir: &Path) {
    let within_nothing = dir.join("no/file");
    assert_kind(disk.open(&within_nothing, OpenMode::CreateNew), ErrorKind::NotFound);
    assert_kind(disk.create_dir(&within_nothing), ErrorKind::NotFound);
    assert_kind(disk.sync_dir(&dir.join("no")), ErrorKind::NotFound);
    for outside in ["/", "/etc/passwd", "..", "../file", "paths/../../file"] {
        let outside = Path::new(outside);
        disk.open(outside, OpenMode::Read).expect_err("outside of the folder");
        disk.open(outside, OpenMode::CreateNew).expect_err("outside of the folder");
        disk.create_dir(outside).expect_err("outside of the folder");
        disk.remove_file(outside).expect_err("outside of the folder");
    }
}

fn create(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.open(path, OpenMode::CreateNew).expect("it does not exist");
    file.write_all_at(bytes, 0).expect("there is room");
    file
}

fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    bytes(&*disk.open(path, OpenMode::Read).expect("it exists"))
}

fn bytes(file: &dyn DiskFile) -> Vec<u8> {
    let size = file.size().expect("it is open");
    let mut bytes = vec![0; usize::try_from(size).expect("a small file")];
    file.read_exact_at(&mut bytes, 0).expect("that is its size");
    bytes
}

fn names(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    let entries = disk.list(dir).expect("a directory").into_iter();
    entries.map(|e| PathBuf::from(e.name).display().to_string()).collect()
}

#[track_caller]
fn assert_kind<T>(result: std::io::Result<T>, kind: ErrorKind) {
    match result {
        Ok(_) => panic!("expected {kind:?}, and it went well"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}
