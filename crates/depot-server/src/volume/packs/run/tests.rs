use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::seams::system_disk::SystemDisk;

const COVERED: Covered = Covered { pack: 3, offset: 4096 };

fn disk() -> (TempDir, SystemDisk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(folder.path()).unwrap();
    (folder, disk)
}

/// Many hashes begin alike, so that some lie on both sides of a page's end.
fn some(count: u32) -> Vec<Entry> {
    let entry = |number: u32| {
        let mut digest = [0; 32];
        digest[0] = (number / 300) as u8;
        digest[28..].copy_from_slice(&number.to_be_bytes());
        let place = Place { pack: number, unit: number * 9, size: number % 7 };
        (Digest::from_bytes(digest), (!number.is_multiple_of(5)).then_some(place))
    };
    (0..count).map(entry).collect()
}

fn run(disk: &SystemDisk, entries: &[Entry]) -> Arc<Run> {
    let path = Path::new("run");
    drop(disk.remove_file(path));
    write(disk, path, COVERED, entries.iter().copied().map(Ok)).unwrap();
    Arc::new(Run::open(disk, path).unwrap())
}

#[test]
fn what_is_written_is_found() {
    let (_folder, disk) = disk();
    for count in [0, 1, 84, 85, 86, 600, 64 * 85, 64 * 85 + 1] {
        let entries = some(count);
        let run = run(&disk, &entries);
        assert_eq!((run.count, run.covered), (u64::from(count), COVERED));
        for (digest, place) in &entries {
            assert_eq!(run.get(digest).unwrap(), Some(*place));
            let mut other = *digest.as_bytes();
            other[8] ^= 1;
            assert_eq!(run.get(&Digest::from_bytes(other)).unwrap(), None);
        }
        assert_eq!(run.get(&Digest::from_bytes([0xff; 32])).unwrap(), None);
        for first in [0, 1, 5, 255] {
            let all = run.iter(first).collect::<io::Result<Vec<_>>>().unwrap();
            let from = entries.iter().filter(|(digest, _)| digest.as_bytes()[0] >= first);
            assert!(all.iter().eq(from), "{count} from {first}");
        }
    }
}

/// Every byte that is wrong is found out before anything is said by it.
#[test]
fn damage_is_not_taken_for_absent() {
    let (folder, disk) = disk();
    let entries = some(200);
    drop(run(&disk, &entries));
    let path = folder.path().join("run");
    let good = std::fs::read(&path).unwrap();
    let fences = 4 * BLOCK as usize;
    assert_eq!(good.len(), fences + 3 * 8 + 8);
    for at in (0..HEADER).chain((4096..fences).step_by(41)).chain(fences..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        std::fs::write(&path, &bad).unwrap();
        let found = Run::open(&disk, Path::new("run")).map(Arc::new).and_then(|run| {
            assert!(run.iter(0).any(|entry| entry.is_err()), "byte {at}");
            entries.iter().try_for_each(|(digest, place)| {
                assert_eq!(run.get(digest)?, Some(*place), "byte {at}");
                Ok(())
            })
        });
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::InvalidData, "byte {at}");
    }
    for end in (0..good.len()).step_by(97) {
        std::fs::write(&path, &good[..end]).unwrap();
        let found = Run::open(&disk, Path::new("run"));
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::InvalidData, "cut at {end}");
    }
}

#[test]
fn of_several_the_first_is_believed() {
    let entries = some(6);
    let with = |numbers: &[usize], pack| {
        let place = Some(Place { pack, unit: 0, size: 0 });
        let entries = numbers.iter().map(|number| Ok((entries[*number].0, place)));
        let entries: Box<dyn Iterator<Item = io::Result<Entry>>> =
            Box::new(entries.collect::<Vec<_>>().into_iter());
        entries
    };
    let merged = Merged::new([with(&[1, 4], 9), with(&[0, 1, 2, 4, 5], 8), with(&[2, 3, 5], 7)]);
    let merged = merged.map(|entry| entry.unwrap());
    let found = merged.map(|(digest, place)| (digest, place.unwrap().pack)).collect::<Vec<_>>();
    let packs = [8, 9, 8, 7, 9, 8];
    let expected = packs.iter().zip(&entries).map(|(pack, (digest, _))| (*digest, *pack));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

/// Yesterday's index must be read tomorrow: this pins the format to the byte.
#[test]
fn the_format_is_pinned() {
    let (folder, disk) = disk();
    drop(run(&disk, &some(100)));
    let file = std::fs::read(folder.path().join("run")).unwrap();
    assert_eq!(&file[..24], b"depot index\r\n\x1a\n\0\x01\0\0\0\x03\0\0\0");
    assert_eq!(file[4096 + 48..4096 + 96][32..], *b"\x01\0\0\0\x09\0\0\0\x01\0\0\0\x01\0\0\0");
    let whole = Digest::from_bytes(<sha2::Sha256 as sha2::Digest>::digest(&file).into());
    assert_eq!(&whole.to_string()[..16], "ca0d74f98a765891");
}
