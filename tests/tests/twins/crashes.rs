//! What a power cut leaves of a memory disk.

use std::collections::BTreeSet;
use std::path::Path;

use depot_server::seams::disk::{Disk, OpenMode};
use depot_tests::twins::memory_disk::{CrashMode, Errno, MemoryDisk, Op, When};

use crate::{SEEDS, disk_with_directories, fates, payload, publish};

#[test]
fn what_was_written_synced_renamed_and_synced_again_survives() {
    let disk = disk_with_directories();
    publish(&disk, &payload(5000), &[]).unwrap();
    assert_eq!(fates(&disk), BTreeSet::from([Some(payload(5000))]));
}

#[test]
fn without_the_directory_sync_the_file_may_vanish() {
    let disk = disk_with_directories();
    publish(&disk, &payload(5000), &[Op::SyncDir]).unwrap();
    assert_eq!(fates(&disk), BTreeSet::from([None, Some(payload(5000))]));
}

#[test]
fn without_the_file_sync_the_bytes_may_be_wrong() {
    let disk = disk_with_directories();
    publish(&disk, &payload(5000), &[Op::Sync]).unwrap();
    let fates = fates(&disk);
    let whole = payload(5000);
    assert!(fates.contains(&Some(whole.clone())));
    assert!(fates.contains(&Some(Vec::new())), "the name can come without a byte");
    let found: Vec<_> = fates.into_iter().flatten().collect();
    assert!(found.iter().any(|bytes| bytes.len() == 5000 && *bytes != whole), "holes");
    assert!(found.iter().any(|bytes| !bytes.is_empty() && bytes.len() < 5000), "shorter");
    for bytes in found {
        for (torn, whole) in bytes.chunks(512).zip(whole.chunks(512)) {
            let is_whole = torn == whole;
            let is_lost = torn.iter().all(|byte| *byte == 0);
            assert!(is_whole || is_lost, "a sector of 512 bytes is there or not");
        }
    }
}

#[test]
fn an_overwritten_file_tears_at_sectors_and_keeps_old_bytes_in_the_gaps() {
    let disk = disk_with_directories();
    disk.put("blobs/blob", &[b'o'; 2048]).unwrap();
    let file = disk.open(Path::new("blobs/blob"), OpenMode::Write).unwrap();
    file.write_all_at(&[b'n'; 1000], 100).unwrap();
    let fates = fates(&disk);
    // 100..512, 512..1024 and 1024..1100, each written or not.
    assert_eq!(fates.len(), 8);
    assert!(
        fates.iter().flatten().all(|bytes| bytes.len() == 2048 && bytes[1100..] == [b'o'; 948])
    );
}

#[test]
fn a_directory_whose_parent_was_not_synced_takes_its_files_with_it() {
    let disk = MemoryDisk::new();
    disk.create_dir(Path::new("blobs")).unwrap();
    let file = disk.open(Path::new("blobs/blob"), OpenMode::CreateNew).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("blobs")).unwrap();
    assert_eq!(fates(&disk), BTreeSet::from([None, Some(Vec::new())]));
    assert_eq!(disk.crash(CrashMode::DropAll).space().unwrap().free, 1 << 30);
}

#[test]
fn a_rename_into_another_directory_needs_both_synced() {
    let disk = disk_with_directories();
    disk.put("tmp/staged", b"bytes").unwrap();
    disk.rename(Path::new("tmp/staged"), Path::new("blobs/blob")).unwrap();
    let names = |disk: &MemoryDisk| -> BTreeSet<Vec<String>> {
        CrashMode::all(SEEDS)
            .map(|mode| disk.crash(mode).files().keys().map(|p| p.display().to_string()).collect())
            .collect()
    };
    let (old, new) = (String::from("tmp/staged"), String::from("blobs/blob"));
    let both = vec![new.clone(), old.clone()];
    assert_eq!(names(&disk), [vec![], vec![old], vec![new.clone()], both.clone()].into());

    let disk = disk.kill();
    disk.sync_dir(Path::new("blobs")).unwrap();
    assert_eq!(names(&disk), [vec![new.clone()], both].into());

    let disk = disk.kill();
    disk.sync_dir(Path::new("tmp")).unwrap();
    assert_eq!(names(&disk), [vec![new]].into());
}

#[test]
fn one_seed_leaves_one_disk() {
    let crashed = |seed| {
        let disk = disk_with_directories();
        publish(&disk, &payload(9000), &[Op::Sync, Op::SyncDir]).unwrap();
        disk.crash(CrashMode::Random(seed)).files()
    };
    assert!((0..SEEDS).all(|seed| crashed(seed) == crashed(seed)));
    assert!((0..SEEDS).any(|seed| crashed(seed) != crashed(0)));
}

#[test]
fn a_killed_process_loses_nothing_but_a_later_power_cut_can() {
    let disk = disk_with_directories();
    publish(&disk, b"bytes", &[Op::Sync, Op::SyncDir]).unwrap();
    let killed = disk.kill();
    assert_eq!(killed.read("blobs/blob").unwrap(), b"bytes");
    assert_eq!(fates(&killed).len(), 4, "absent, empty, zeros or whole");
}

#[test]
fn a_server_that_runs_on_after_the_crash_does_no_harm_and_holds_no_lock() {
    let disk = disk_with_directories();
    let lock = disk.open(Path::new("LOCK"), OpenMode::CreateNew).unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    assert!(lock.try_lock().unwrap());
    let second = disk.open(Path::new("LOCK"), OpenMode::Write).unwrap();
    assert!(!second.try_lock().unwrap());

    let after = disk.crash(CrashMode::DropAll);
    let errors = [
        lock.write_all_at(b"late", 0).unwrap_err(),
        lock.sync().unwrap_err(),
        lock.size().unwrap_err(),
        disk.remove_file(Path::new("LOCK")).unwrap_err(),
        disk.list(Path::new("")).unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.raw_os_error() == Some(Errno::EIO as i32)));
    assert_eq!(after.read("LOCK").unwrap(), b"");
    let reopened = after.open(Path::new("LOCK"), OpenMode::Write).unwrap();
    assert!(reopened.try_lock().unwrap());
    let third = after.open(Path::new("LOCK"), OpenMode::Write).unwrap();
    assert!(!third.try_lock().unwrap());
    drop(reopened);
    assert!(third.try_lock().unwrap(), "a lock goes with its file");
}

/// Cuts the power at every step of storing one version over another, in every way that it can end,
/// and counts the disks that have less on them than was acknowledged.
fn disks_that_lost_an_acknowledged_version(plant: fn(&MemoryDisk)) -> usize {
    let versions = [payload(600), payload(1300)];
    let mut violations = 0;
    for nth in 1.. {
        let disk = disk_with_directories();
        plant(&disk);
        disk.crash_at(nth, When::Before);
        let acknowledged = versions.iter().take_while(|v| publish(&disk, v, &[]).is_ok()).count();
        let is_last = !disk.is_frozen();
        for mode in CrashMode::all(20) {
            let found = disk.crash(mode).read("blobs/blob").ok();
            let good = versions[acknowledged.saturating_sub(1)..]
                .iter()
                .any(|v| Some(v) == found.as_ref());
            violations += usize::from(!good && (acknowledged > 0 || found.is_some()));
        }
        if is_last {
            break;
        }
    }
    violations
}

#[test]
fn no_power_cut_loses_what_was_acknowledged_and_planted_bugs_show() {
    assert_eq!(disks_that_lost_an_acknowledged_version(|_| {}), 0);
    assert!(disks_that_lost_an_acknowledged_version(|disk| disk.lose_dir_syncs("blobs")) > 0);
    assert!(disks_that_lost_an_acknowledged_version(|disk| disk.lose_syncs("tmp")) > 0);
}
