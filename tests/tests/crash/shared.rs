//! Many threads that seal small payloads at once, so that they share their syncs, while the power or
//! the disk fails: whatever was called sealed is there.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use depot_protocol::Digest;
use depot_server::config::VolumeSettings;
use depot_server::seams::Seams;
use depot_server::volume::{Seal, Verdict, Volume};
use depot_tests::content::{random_bytes, sha256};
use depot_tests::twins::memory_disk::{CrashMode, Errno, Fault, MemoryDisk, Op, When};

const THREADS: u64 = 12;
const EACH: u64 = 4;

fn try_open(disk: &MemoryDisk) -> std::io::Result<Arc<Volume>> {
    let settings =
        VolumeSettings { reserve: 0, reserve_percent: 0, pack: 0, ..VolumeSettings::default() };
    Ok(Arc::new(Volume::open(Arc::new(disk.clone()), &Seams::system(), settings)?))
}

fn open(disk: &MemoryDisk) -> Arc<Volume> {
    try_open(disk).unwrap()
}

/// A volume's disk whose syncs take long enough for others to come.
fn disk() -> MemoryDisk {
    let disk = MemoryDisk::new();
    Volume::found(&disk).unwrap();
    disk.put("volume/blobs/MARKER", b"a volume").unwrap();
    disk.slow_syncs(Duration::from_millis(1));
    disk
}

/// What all threads were told is sealed, while the power was there.
fn seal_at_once(disk: &MemoryDisk) -> Vec<Digest> {
    let Ok(volume) = try_open(disk) else { return Vec::new() };
    let sealed = Mutex::new(Vec::new());
    let seal = |number: u64| {
        let bytes = random_bytes(number, 33_000 + 9_000 * (number as usize % 5));
        let digest = Digest::parse(&sha256(&bytes)).unwrap();
        let mut staging = volume.stage(bytes.len() as u64)?;
        staging.append(&bytes)?;
        if let Seal::Done(told) = staging.seal(&digest)? {
            let mut sealed = sealed.lock().unwrap();
            if !disk.is_frozen() {
                sealed.push(told.digest());
            }
        }
        Ok::<_, depot_server::volume::VolumeError>(())
    };
    thread::scope(|scope| {
        for first in 0..THREADS {
            let seal = &seal;
            // Whoever was refused was told nothing that could be broken.
            scope.spawn(move || (0..EACH).try_for_each(|n| seal(first * EACH + n)));
        }
    });
    sealed.into_inner().unwrap()
}

/// How many of them are not there any more after one way or another in which the power failed.
fn lost(disk: &MemoryDisk, sealed: &[Digest]) -> usize {
    let gone = |way| {
        let volume = open(&disk.crash(way));
        let is_gone = |digest: &&Digest| volume.condemn(digest).unwrap() != Verdict::Good;
        sealed.iter().filter(is_gone).count()
    };
    CrashMode::all(2).map(gone).sum()
}

#[test]
fn when_the_power_fails_all_that_was_sealed_is_there() {
    let whole = disk();
    let all = seal_at_once(&whole);
    assert_eq!(all.len() as u64, THREADS * EACH);
    assert!(whole.count(Op::SyncAll) > 0, "they share");
    assert_eq!(lost(&whole, &all), 0);
    for at in (1..whole.mutations()).step_by(9) {
        let disk = disk();
        disk.crash_at(at, When::After);
        let sealed = seal_at_once(&disk);
        assert_eq!(lost(&disk, &sealed), 0, "cut at {at}");
    }
}

/// The first, the second ... of those that are shared fails, for whatever reason.
#[test]
fn when_a_shared_sync_fails_all_that_was_sealed_is_there() {
    for (nth, error) in (1..6).flat_map(|nth| [(nth, Errno::EIO), (nth, Errno::ENOSPC)]) {
        let disk = disk();
        disk.inject(Fault::at(nth, error).of(Op::SyncAll));
        let sealed = seal_at_once(&disk);
        assert_eq!(lost(&disk, &sealed), 0, "the {nth}th fails with {error}");
    }
}

#[test]
fn a_disk_that_lies_about_shared_syncs_is_found_out() {
    let disk = disk();
    disk.lose_syncs("nothing that is there");
    let sealed = seal_at_once(&disk);
    assert!(disk.count(Op::SyncAll) > 0);
    assert!(lost(&disk, &sealed) > 0);
}
