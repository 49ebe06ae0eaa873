//! Small payloads, which are durable by a journal until their files are: a journal so small that its
//! files are filled, retired and written over all the time, while the power or the disk fails.
//! Whatever was called sealed is there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use depot_protocol::Digest;
use depot_server::config::VolumeSettings;
use depot_server::seams::Seams;
use depot_server::volume::{Seal, Verdict, Volume, VolumeError};
use depot_tests::content::{random_bytes, sha256};
use depot_tests::twins::memory_disk::{CrashMode, Errno, Fault, MemoryDisk, Op, When};

const THREADS: u64 = 4;
const EACH: u64 = 12;

fn try_open(disk: &MemoryDisk) -> std::io::Result<Arc<Volume>> {
    let settings = VolumeSettings {
        reserve: 0,
        reserve_percent: 0,
        journal: 64 << 10, // eight files of 8 KiB
        ..VolumeSettings::default()
    };
    Ok(Arc::new(Volume::open(Arc::new(disk.clone()), &inline(), settings)?))
}

fn open(disk: &MemoryDisk) -> Arc<Volume> {
    try_open(disk).unwrap()
}

/// Files are retired by whoever finds them full, so that the disk is cut in the middle of that too.
fn inline() -> Seams {
    Seams { blocking: Arc::new(depot_tests::twins::blocking::Inline), ..Seams::system() }
}

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::new();
    Volume::found(&disk).unwrap();
    disk.put("volume/blobs/MARKER", b"a volume").unwrap();
    disk
}

fn payload(number: u64) -> (Vec<u8>, Digest) {
    let bytes = random_bytes(number, 40 + 2_500 * (number as usize % 4));
    let digest = Digest::parse(&sha256(&bytes)).unwrap();
    (bytes, digest)
}

fn seal(volume: &Arc<Volume>, number: u64) -> Result<(), VolumeError> {
    let (bytes, digest) = payload(number);
    let mut staging = volume.stage(bytes.len() as u64)?;
    staging.append(&bytes)?;
    match staging.seal(&digest)? {
        Seal::Done(_) => Ok(()),
        Seal::WrongHash => panic!("it is the right one"),
    }
}

/// What all threads were told is sealed while the power was there. In between copies go into the
/// trash and come back, are deposited anew and are vouched for.
fn history(disk: &MemoryDisk) -> Vec<u64> {
    let Ok(volume) = try_open(disk) else { return Vec::new() };
    let (sealed, sweep) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    let told = |number| {
        let mut sealed = sealed.lock().unwrap();
        if !disk.is_frozen() {
            sealed.push(number);
        }
    };
    let work = |first: u64| {
        for number in first * EACH..(first + 1) * EACH {
            seal(&volume, number)?;
            told(number);
            let (bytes, digest) = payload(number);
            let size = bytes.len() as u64;
            match number % 4 {
                0 => {
                    volume.begin_sweep(sweep.fetch_add(1, Ordering::SeqCst) + 1);
                    // No record lists it, so nothing is promised, until one asks for it after all.
                    sealed.lock().unwrap().retain(|sealed| *sealed != number);
                    let unlisted = || Ok::<_, std::io::Error>(false);
                    drop(volume.trash(&digest, 1_000, unlisted));
                    if let Ok(Some(_)) = volume.vouch(&digest, size) {
                        told(number);
                    }
                }
                1 => {
                    seal(&volume, number)?;
                    told(number);
                }
                2 => volume.settle(),
                _ => drop(volume.open_blob(&digest, size)),
            }
        }
        Ok::<_, VolumeError>(())
    };
    thread::scope(|scope| {
        for first in 0..THREADS {
            let work = &work;
            // Whoever was refused was told nothing that could be broken.
            scope.spawn(move || work(first));
        }
    });
    sealed.into_inner().unwrap()
}

/// How many of them are not there any more when the server starts on this; what lies in the trash
/// comes back for a record that lists it.
fn missing(disk: &MemoryDisk, sealed: &[u64]) -> usize {
    let volume = open(disk);
    let is_gone = |number: &&u64| {
        let (bytes, digest) = payload(**number);
        let there = volume.open_blob(&digest, bytes.len() as u64);
        !matches!(there, Ok(Some(_))) || volume.condemn(&digest).unwrap() != Verdict::Good
    };
    sealed.iter().filter(is_gone).count()
}

fn lost(disk: &MemoryDisk, sealed: &[u64]) -> usize {
    CrashMode::all(2).map(|way| missing(&disk.crash(way), sealed)).sum()
}

#[test]
fn when_the_power_fails_all_that_was_sealed_is_there() {
    let whole = disk();
    let all = history(&whole);
    assert_eq!(all.len() as u64, THREADS * (EACH + EACH / 4));
    assert!(whole.count(Op::SyncAll) > 3, "it is retired");
    let in_use = (0..8).filter(|slot| whole.read(format!("volume/journal/{slot}")).is_ok());
    assert!(in_use.count() > 0);
    assert_eq!(lost(&whole, &all), 0);
    for at in (1..whole.mutations()).step_by(17) {
        let disk = disk();
        disk.crash_at(at, if at % 2 == 0 { When::After } else { When::Before });
        let sealed = history(&disk);
        assert_eq!(lost(&disk, &sealed), 0, "cut at {at}");
    }
}

/// Nobody was told anything while it was restored; what was promised before still holds.
#[test]
fn when_the_power_fails_again_while_it_is_restored_all_is_there() {
    let disk = disk();
    let sealed = history(&disk);
    for way in CrashMode::all(2) {
        let crashed = disk.crash(way);
        let whole = crashed.copy();
        drop(open(&whole));
        for at in (1..=whole.mutations()).step_by(7) {
            let again = crashed.copy();
            again.crash_at(at, When::After);
            drop(try_open(&again));
            assert_eq!(lost(&again, &sealed), 0, "cut at {at}");
        }
    }
}

/// The files that can't be made are made by the next start that can.
#[test]
fn a_disk_that_is_full_while_it_is_restored_loses_nothing() {
    let disk = disk();
    let sealed = history(&disk);
    let crashed = disk.crash(CrashMode::DropAll);
    let mut failed = 0;
    for nth in 1..60 {
        let full = crashed.copy();
        full.inject(Fault::at(nth, Errno::ENOSPC).for_ever().under("volume/staging"));
        let opened = try_open(&full);
        failed += full.faults_fired();
        if let Ok(volume) = opened {
            // It goes on taking payloads where it can.
            full.clear_faults();
            seal(&volume, 1_000).unwrap();
        }
        full.clear_faults();
        assert_eq!(lost(&full, &sealed), 0, "the {nth}th fails");
    }
    assert!(failed > 0);
}

/// Each write, sync, rename and the like fails in turn, once or from then on.
#[test]
fn when_the_disk_fails_all_that_was_sealed_is_there() {
    let whole = disk();
    history(&whole);
    for nth in (1..whole.mutations()).step_by(13) {
        for error in [Errno::EIO, Errno::ENOSPC] {
            let disk = disk();
            let fault = Fault::at(nth, error);
            disk.inject(if nth % 2 == 0 { fault } else { fault.for_ever() });
            let sealed = history(&disk);
            disk.clear_faults();
            assert_eq!(lost(&disk, &sealed), 0, "the {nth}th fails with {error}");
        }
    }
    for nth in 1..6 {
        let disk = disk();
        disk.inject(Fault::at(nth, Errno::EIO).of(Op::SyncAll));
        let sealed = history(&disk);
        assert!(disk.faults_fired() > 0);
        assert_eq!(lost(&disk, &sealed), 0, "the {nth}th sync of everything fails");
    }
}

#[test]
fn a_disk_that_lies_about_it_is_found_out() {
    let disk = disk();
    disk.lose_syncs("volume/journal");
    let sealed = history(&disk);
    assert!(lost(&disk, &sealed) > 0);
}

#[test]
fn a_clean_end_leaves_nothing_to_restore() {
    let disk = disk();
    let volume = open(&disk);
    for number in 0..40 {
        seal(&volume, number).unwrap();
    }
    volume.close();
    drop(volume);
    let before = disk.mutations();
    drop(open(&disk));
    assert_eq!(disk.mutations() - before, 1, "it only finds that the journal's folder is there");
    let without = disk.crash(CrashMode::DropAll);
    for (path, _) in without.files() {
        if path.starts_with("volume/journal") {
            without.put(&path, b"").unwrap();
        }
    }
    assert_eq!(missing(&without, &(0..40).collect::<Vec<_>>()), 0, "all have their files");
}

/// Payloads that wait for their copies elsewhere keep their place in it. Where all is taken, others are
/// synced by themselves; when those that waited have their names, or have gone, there is room again.
#[test]
fn where_there_is_no_room_a_payload_is_synced_by_itself() {
    let disk = disk();
    let volume = open(&disk);
    let complete = |number| {
        let (bytes, digest) = payload(number);
        let mut staging = volume.stage(bytes.len() as u64).unwrap();
        staging.append(&bytes).unwrap();
        staging.complete(&digest).unwrap().unwrap()
    };
    let synced_by_itself = |before: usize| {
        let staged = |path: &std::path::Path| path.starts_with("volume/staging");
        let synced = &disk.operations()[before..];
        synced.iter().any(|done| done.op == Op::Sync && staged(&done.path))
    };
    let waiting = (0..100).map(complete).collect::<Vec<_>>();
    let (in_it, beside) =
        waiting.into_iter().partition::<Vec<_>, _>(|complete| complete.is_quick());
    assert!(in_it.len() >= 8 && !beside.is_empty());
    let before = disk.operations().len();
    seal(&volume, 200).unwrap();
    assert!(synced_by_itself(before));
    let mut sealed = vec![200];
    for (at, complete) in in_it.into_iter().enumerate() {
        if at % 2 == 0 {
            let digest = complete.seal().unwrap().digest();
            sealed.extend((0..100).filter(|number| payload(*number).1 == digest));
        }
    }
    drop(beside);
    let before = disk.operations().len();
    seal(&volume, 201).unwrap();
    sealed.push(201);
    assert!(!synced_by_itself(before), "there is room again");
    assert_eq!(lost(&disk, &sealed), 0);
}
