use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::*;
use crate::seams::system_disk::SystemDisk;
use crate::seams::{Disk, disk::OpenMode};

const SIZE: usize = 3 * BLOCK + 100;

#[derive(Debug)]
enum Step {
    Write(usize, usize, u8),
    SetLen(usize),
    Read(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = || (0..2 * SIZE, 0..2 * BLOCK);
    let step = prop_oneof![
        (place(), any::<u8>()).prop_map(|((at, len), byte)| Step::Write(at, len, byte)),
        (0..2 * SIZE).prop_map(Step::SetLen),
        place().prop_map(|(at, len)| Step::Read(at, len)),
    ];
    proptest::collection::vec(step, 1..30)
}

/// What the overlay reads from here on, as far as it goes.
fn read(overlay: &Overlay, at: usize, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    overlay.read(at as u64, &mut bytes).ok().map(|()| bytes)
}

proptest! {
    #[test]
    fn it_reads_like_a_copy_and_the_file_stays_as_it_is(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let disk = SystemDisk::open(folder.path()).unwrap();
        let original: Vec<u8> = (0..SIZE).map(|at| (at * 7 % 251) as u8).collect();
        let file = disk.open("file".as_ref(), OpenMode::CreateNew).unwrap();
        file.write_all_at(&original, 0).unwrap();

        let overlay = Overlay::new(disk.open("file".as_ref(), OpenMode::Read).unwrap()).unwrap();
        let mut copy = original.clone();
        for step in steps {
            match step {
                Step::Write(at, len, byte) => {
                    copy.resize(copy.len().max(at + len), 0);
                    copy[at..at + len].fill(byte);
                    overlay.write(at as u64, &vec![byte; len]).unwrap();
                }
                Step::SetLen(len) => {
                    copy.resize(len, 0);
                    overlay.set_len(len as u64).unwrap();
                }
                Step::Read(at, len) => {
                    let expected = copy.get(at..at + len).map(<[u8]>::to_vec);
                    assert_eq!(read(&overlay, at, len), expected);
                }
            }
            assert_eq!(overlay.len().unwrap(), copy.len() as u64);
        }
        assert_eq!(read(&overlay, 0, copy.len()), Some(copy));
        assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), original);
    }
}
