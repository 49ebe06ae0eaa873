use proptest::prelude::*;
use tempfile::TempDir;

use std::collections::BTreeMap;

use super::*;
use crate::seams::system_disk::SystemDisk;

fn disk() -> (TempDir, Arc<dyn Disk>) {
    let folder = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(folder.path()).unwrap();
    disk.create_dir("volume".as_ref()).unwrap();
    disk.create_dir(&layout::index()).unwrap();
    (folder, Arc::new(disk))
}

fn digest(number: u8) -> Digest {
    let mut bytes = [number; 32];
    bytes[0] = number / 16;
    Digest::from_bytes(bytes)
}

fn all(index: &Index) -> BTreeMap<Digest, Place> {
    index.walk(0..=u8::MAX).collect::<io::Result<_>>().unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8),
    Forget(u8),
    Flush,
    OpenAnew,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..80_u8).prop_map(Step::Put),
        3 => (0..80_u8).prop_map(Step::Forget),
        2 => Just(Step::Flush),
        1 => Just(Step::OpenAnew),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a map; what was not flushed is gone when it is opened anew.
    #[test]
    fn it_is_a_map(steps in prop::collection::vec(step(), 1..120)) {
        let (_folder, disk) = disk();
        let mut index = Index::open(&disk).unwrap();
        let (mut map, mut flushed, mut covered) = (BTreeMap::new(), BTreeMap::new(), 0);
        for (at, step) in (1_u32..).zip(steps) {
            match step {
                Step::Put(number) => {
                    let place = Place { pack: at, unit: at * 3, size: at * 5 };
                    index.put([(digest(number), place)], Covered { pack: at, offset: 0 });
                    map.insert(digest(number), place);
                    covered = at;
                }
                Step::Forget(number) => {
                    index.forget(&digest(number));
                    map.remove(&digest(number));
                }
                Step::Flush => {
                    index.flush().unwrap();
                    flushed = map.clone();
                }
                Step::OpenAnew => {
                    drop(index);
                    index = Index::open(&disk).unwrap();
                    prop_assert!(index.covered().pack <= covered);
                    map = flushed.clone();
                }
            }
            prop_assert_eq!(&all(&index), &map);
            for number in 0..80 {
                prop_assert_eq!(index.get(&digest(number)).unwrap(), map.get(&digest(number)).copied());
            }
            for first in 0..6 {
                let shard = index.walk(first..=first).map(|entry| entry.unwrap().0);
                let expected = map.keys().filter(|digest| digest.as_bytes()[0] == first).copied();
                prop_assert!(shard.eq(expected));
            }
            let count = index.state().runs.len();
            prop_assert!(count <= 8, "{} runs", count);
        }
    }
}

fn filled(disk: &Arc<dyn Disk>) -> Index {
    let index = Index::open(disk).unwrap();
    for round in 0..3 {
        let place = |number| (digest(number), Place { pack: 1, unit: number.into(), size: 1 });
        // Each much smaller than the one before, so that they stay apart.
        let numbers = [0..200, 200..220, 220..222].into_iter().nth(round).unwrap();
        index.put(numbers.map(place), Covered { pack: 1, offset: 512 * (round as u64 + 1) });
        index.flush().unwrap();
    }
    assert_eq!(index.state().runs.len(), 3);
    index
}

/// Whichever file of it is gone or damaged: all of it is to be made anew.
#[test]
fn one_that_is_not_whole_is_empty() {
    let (folder, disk) = disk();
    let names = filled(&disk).state().runs.iter().map(|(name, _)| name.path()).collect::<Vec<_>>();
    let contents = names.iter().map(|name| std::fs::read(folder.path().join(name)).unwrap());
    let contents = contents.collect::<Vec<_>>();
    let put_back = || {
        for (name, content) in names.iter().zip(&contents) {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
    };
    assert_eq!(all(&Index::open(&disk).unwrap()).len(), 222);
    for name in &names[..2] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
        let index = Index::open(&disk).unwrap();
        assert_eq!((all(&index).len(), index.covered()), (0, Covered::default()));
        put_back();
    }
    // Without the newest one less is covered, and that is what it says.
    std::fs::remove_file(folder.path().join(&names[2])).unwrap();
    assert_eq!(Index::open(&disk).unwrap().covered(), Covered { pack: 1, offset: 1024 });
    put_back();
    for name in &names {
        std::fs::write(folder.path().join(name), b"damaged").unwrap();
        assert_eq!(Index::open(&disk).unwrap().covered(), Covered::default());
        put_back();
    }
    assert_eq!(all(&Index::open(&disk).unwrap()).len(), 222);
}

/// Found damaged as it is read, it says so each time, and the next start makes it anew.
#[test]
fn damage_is_told_and_mended_by_the_next_start() {
    let (folder, disk) = disk();
    let index = filled(&disk);
    let name = index.state().runs[0].0.path();
    let mut bytes = std::fs::read(folder.path().join(&name)).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(folder.path().join(&name), bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(index.get(&digest(20)).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
    assert!(index.get(&digest(221)).unwrap().is_some(), "what is newer can be had");
    assert_eq!(Index::open(&disk).unwrap().covered(), Covered::default());
}

#[test]
fn what_another_has_become_goes() {
    let (folder, disk) = disk();
    let index = filled(&disk);
    let old = index.state().runs[2].0.path();
    let content = std::fs::read(folder.path().join(&old)).unwrap();
    let place = |number| (digest(number), Place { pack: 2, unit: number.into(), size: 1 });
    index.put((0..222).map(place), Covered { pack: 2, offset: 0 });
    index.flush().unwrap();
    assert_eq!(index.state().runs.len(), 1);
    // As where a crash came between the two.
    std::fs::write(folder.path().join(&old), content).unwrap();
    let index = Index::open(&disk).unwrap();
    assert!(
        all(&index).values().all(|place| place.pack == 2) && !folder.path().join(&old).exists()
    );
}
