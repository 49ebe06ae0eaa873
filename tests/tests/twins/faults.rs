//! What goes wrong on a memory disk on request.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use depot_server::seams::disk::{Disk, OpenMode};
use depot_tests::twins::memory_disk::{CrashMode, Errno, Fault, MemoryDisk, Op, When};

use crate::{disk_with_directories, fates, payload, publish};

#[test]
fn exactly_the_nth_operation_fails() {
    let healthy = disk_with_directories();
    let before = healthy.operations().len();
    publish(&healthy, b"bytes", &[]).unwrap();
    let operations = healthy.operations()[before..].to_vec();
    let kinds: Vec<Op> = operations.iter().map(|operation| operation.op).collect();
    let expected =
        [Op::Create, Op::Reserve, Op::Write, Op::Sync, Op::Close, Op::Rename, Op::SyncDir];
    assert_eq!(kinds, expected);

    for nth in 1..=operations.len() {
        let disk = disk_with_directories();
        disk.fail_at(nth as u64, Errno::EIO);
        publish(&disk, b"bytes", &[]).unwrap_err();
        assert_eq!(disk.faults_fired(), 1);
        assert_eq!(disk.operations()[before..], operations[..nth], "none came after it");
        disk.list(Path::new("")).expect("it failed once");
    }
    let disk = disk_with_directories();
    disk.fail_at(operations.len() as u64 + 1, Errno::EIO);
    publish(&disk, b"bytes", &[]).expect("the fault lies beyond the end");
    assert_eq!(disk.faults_fired(), 0);
}

#[test]
fn a_fault_counts_only_its_kind_and_its_paths() {
    let disk = disk_with_directories();
    disk.inject(Fault::at(2, Errno::ENOSPC).of(Op::Create).under("tmp").for_ever());
    let create = |path: &str| disk.open(Path::new(path), OpenMode::CreateNew);
    create("tmp/1").unwrap();
    create("blobs/1").unwrap();
    assert_eq!(create("tmp/2").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(create("tmp/3").unwrap_err().kind(), ErrorKind::StorageFull);
    create("blobs/2").unwrap();
    disk.clear_faults();
    create("tmp/3").unwrap();
    disk.inject(Fault::at(1, Errno::EIO).under("blobs"));
    let renamed = disk.rename(Path::new("tmp/3"), Path::new("blobs/3"));
    renamed.expect_err("a rename is under both of its paths");
}

#[test]
fn what_a_failed_sync_left_out_is_never_written() {
    let disk = disk_with_directories();
    disk.put("blobs/blob", b"").unwrap();
    let file = disk.open(Path::new("blobs/blob"), OpenMode::Write).unwrap();
    file.write_all_at(b"bytes", 0).unwrap();
    disk.inject(Fault::at(1, Errno::EIO).of(Op::Sync));
    file.sync().unwrap_err();
    file.sync().expect("the second one says that all is well, as Linux does");
    assert_eq!(disk.read("blobs/blob").unwrap(), b"bytes");
    assert_eq!(fates(&disk), BTreeSet::from([Some(Vec::new())]));
}

#[test]
fn a_failed_write_leaves_the_first_half_of_its_sectors() {
    for (written, left) in [(1023, 0), (1024, 512), (1500, 512)] {
        let disk = disk_with_directories();
        disk.inject(Fault::at(1, Errno::EIO).of(Op::Write));
        publish(&disk, &payload(written), &[]).unwrap_err();
        assert_eq!(disk.read("tmp/staged").unwrap(), payload(left));
    }
}

#[test]
fn the_power_fails_before_or_after_the_chosen_operation() {
    for (when, expected) in [(When::Before, None), (When::After, Some(b"bytes".to_vec()))] {
        let disk = disk_with_directories();
        disk.crash_at(6, when); // create, reserve, write, sync, rename: the directory's sync
        publish(&disk, b"bytes", &[]).expect_err("in neither case does the server learn of it");
        assert!(disk.is_frozen());
        assert_eq!(disk.crash(CrashMode::DropAll).read("blobs/blob").ok(), expected);
        assert_eq!(disk.kill().read("blobs/blob").unwrap(), b"bytes");
        disk.list(Path::new("")).unwrap_err();
    }
}

#[test]
fn planted_bugs_lose_what_was_acknowledged() {
    let disk = disk_with_directories();
    disk.lose_dir_syncs("blobs");
    publish(&disk, b"bytes", &[]).unwrap();
    assert!(fates(&disk).contains(&None));

    let disk = disk_with_directories();
    disk.lose_syncs("tmp");
    publish(&disk, b"bytes", &[]).unwrap();
    assert!(fates(&disk).contains(&Some(Vec::new())));

    let disk = disk_with_directories();
    disk.lose_dir_syncs("other");
    disk.lose_syncs("other");
    publish(&disk, b"bytes", &[]).unwrap();
    assert_eq!(fates(&disk), BTreeSet::from([Some(b"bytes".to_vec())]));
}

#[test]
fn a_full_disk_takes_what_fits_and_says_how_much_that_is() {
    let disk = MemoryDisk::with_capacity(1000);
    let file = disk.open(Path::new("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(&[1; 600], 0).unwrap();
    assert_eq!(disk.space().unwrap().free, 400);
    assert_eq!(file.reserve(0, 1001).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.set_size(u64::MAX).unwrap_err().kind(), ErrorKind::StorageFull);
    file.reserve(600, 300).unwrap();
    assert_eq!((file.size().unwrap(), disk.space().unwrap().free), (600, 100));

    let second = disk.open(Path::new("b"), OpenMode::CreateNew).unwrap();
    assert_eq!(second.write_all_at(&[2; 101], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!((second.size().unwrap(), disk.space().unwrap().free), (100, 0));
    file.write_all_at(&[1; 300], 600).expect("its room was set aside");

    disk.remove_file(Path::new("a")).unwrap();
    assert_eq!(disk.space().unwrap().free, 0, "it is still open");
    file.close().unwrap();
    assert_eq!(disk.space().unwrap().free, 900);
    second.set_size(10).unwrap();
    assert_eq!(disk.space().unwrap().free, 990);
}

#[test]
fn a_bit_rots_for_good_and_strange_things_are_seen() {
    let disk = disk_with_directories();
    publish(&disk, b"bytes", &[]).unwrap();
    assert!(disk.flip("blobs/blob", 1, 0).unwrap());
    assert!(!disk.flip("blobs/blob", 5, 0).unwrap());
    assert_eq!(disk.read("blobs/blob").unwrap(), b"bxtes");
    assert_eq!(fates(&disk), BTreeSet::from([Some(b"bxtes".to_vec())]));

    let disk = disk.copy();
    disk.put_other("blobs/fifo").unwrap();
    disk.open(Path::new("blobs/fifo"), OpenMode::Read).unwrap_err();
    let paths: Vec<_> = disk.paths().iter().map(|p| p.display().to_string()).collect();
    assert_eq!(paths, ["blobs", "blobs/blob", "blobs/fifo", "tmp"]);
}
