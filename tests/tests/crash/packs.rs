//! Small payloads in packs so small that one is full every few payloads, with an index that is written
//! again and again, while the power or the disk fails. Whatever was called sealed is there.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use depot_protocol::Digest;
use depot_server::config::VolumeSettings;
use depot_server::seams::{Disk, Seams};
use depot_server::volume::{Reclaim, Seal, Verdict, Volume, VolumeError};
use depot_tests::content::{random_bytes, sha256};
use depot_tests::twins::memory_disk::{CrashMode, Errno, Fault, MemoryDisk, Op, Operation, When};

const THREADS: u64 = 4;
const EACH: u64 = 12;
const PACK: u64 = 16 << 10;

fn try_open(disk: &MemoryDisk) -> std::io::Result<Arc<Volume>> {
    let settings =
        VolumeSettings { reserve: 0, reserve_percent: 0, pack: PACK, ..VolumeSettings::default() };
    Ok(Arc::new(Volume::open(Arc::new(disk.clone()), &inline(), settings)?))
}

fn open(disk: &MemoryDisk) -> Arc<Volume> {
    try_open(disk).unwrap()
}

/// The index is written by whoever finds a pack full, so that the disk is cut in the middle of that too.
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
                2 => drop(volume.reclaim(Reclaim::Always)),
                _ => volume.settle(),
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
    let in_packs = |op| {
        let packs = |path: &Path| path.starts_with("volume/packs");
        whole.operations().iter().filter(|done| done.op == op && packs(&done.path)).count()
    };
    assert!(in_packs(Op::Create) > 5 && in_packs(Op::Remove) > 2, "packs come and go");
    assert_eq!(lost(&whole, &all), 0);
    for at in (1..whole.mutations()).step_by(17) {
        let disk = disk();
        disk.crash_at(at, if at % 2 == 0 { When::After } else { When::Before });
        let sealed = history(&disk);
        assert_eq!(lost(&disk, &sealed), 0, "cut at {at}");
    }
}

/// Nobody was told anything while the index was mended; what was promised before still holds.
#[test]
fn when_the_power_fails_again_while_packs_are_read_all_is_there() {
    let disk = disk();
    let sealed = history(&disk);
    for way in CrashMode::all(2) {
        let crashed = disk.crash(way);
        let mend = |disk: &MemoryDisk| {
            let Ok(volume) = try_open(disk) else { return };
            volume.settle();
            drop(volume.reclaim(Reclaim::Always));
            volume.close();
        };
        let whole = crashed.copy();
        mend(&whole);
        for at in (1..=whole.mutations()).step_by(3) {
            let again = crashed.copy();
            again.crash_at(at, When::After);
            mend(&again);
            assert_eq!(lost(&again, &sealed), 0, "cut at {at}");
        }
    }
}

/// Each write, sync, rename and the like fails in turn, once or from then on.
#[test]
fn when_the_disk_fails_all_that_was_sealed_is_there() {
    let whole = disk();
    history(&whole);
    for nth in (1..whole.mutations()).step_by(11) {
        for error in [Errno::EIO, Errno::ENOSPC] {
            let disk = disk();
            let fault = Fault::at(nth, error);
            disk.inject(if nth % 2 == 0 { fault } else { fault.for_ever() });
            let sealed = history(&disk);
            disk.clear_faults();
            assert_eq!(lost(&disk, &sealed), 0, "the {nth}th fails with {error}");
        }
    }
}

/// What can't be written into the index waits in memory, and is read again by the next start.
#[test]
fn an_index_that_cannot_be_written_loses_nothing() {
    for (op, nth) in
        [(Op::Write, 1), (Op::Write, 4), (Op::Sync, 2), (Op::Rename, 3), (Op::SyncDir, 2)]
    {
        for (error, for_ever) in [(Errno::EIO, false), (Errno::EIO, true), (Errno::ENOSPC, true)] {
            let disk = disk();
            let fault = Fault::at(nth, error).of(op).under("volume/index");
            disk.inject(if for_ever { fault.for_ever() } else { fault });
            let sealed = history(&disk);
            assert!(disk.faults_fired() > 0);
            assert_eq!(sealed.len() as u64, THREADS * (EACH + EACH / 4), "nobody is refused");
            disk.clear_faults();
            assert_eq!(lost(&disk, &sealed), 0, "the {nth}th {op:?} fails with {error}");
        }
    }
}

#[test]
fn an_index_that_is_gone_is_made_anew() {
    let disk = disk();
    let sealed = history(&disk);
    let names = disk.files().into_keys().filter(|path| path.starts_with("volume/index"));
    let names = names.collect::<Vec<_>>();
    assert!(!names.is_empty());
    for name in &names {
        let without = disk.copy();
        without.remove_file(name).unwrap();
        assert_eq!(missing(&without, &sealed), 0);
        let damaged = disk.copy();
        damaged.put(name, b"damaged").unwrap();
        assert_eq!(missing(&damaged, &sealed), 0);
    }
    let without = disk.copy();
    names.iter().for_each(|name| without.remove_file(name).unwrap());
    assert_eq!(missing(&without, &sealed), 0);
}

#[test]
fn a_disk_that_lies_about_it_is_found_out() {
    let disk = disk();
    disk.lose_syncs("volume/packs");
    let sealed = history(&disk);
    assert!(lost(&disk, &sealed) > 0);
}

#[test]
fn a_clean_end_leaves_nothing_to_read_again() {
    let disk = disk();
    let volume = open(&disk);
    (0..40).for_each(|number| seal(&volume, number).unwrap());
    volume.close();
    drop(volume);
    let before = disk.operations().len();
    drop(open(&disk));
    let read = |done: &&Operation| done.op == Op::Read && done.path.starts_with("volume/packs");
    let read = disk.operations()[before..].iter().filter(read).count();
    assert!(read <= 1, "the last one's header");
    assert_eq!(missing(&disk, &(0..40).collect::<Vec<_>>()), 0);
}

/// What a failed sync did not make durable is in the page cache still, and no later sync tells that it is
/// not on the disk: whoever finds it there after a restart must not vouch for it as it lies.
#[test]
fn what_is_vouched_for_after_a_failed_sync_and_a_restart_is_on_the_disk() {
    for again in [0, 1, 5, 9] {
        let disk = disk();
        let volume = open(&disk);
        seal(&volume, 1).unwrap();
        disk.inject(Fault::at(1, Errno::EIO).of(Op::Sync).under("volume/packs"));
        seal(&volume, 2).unwrap_err();
        drop(volume);
        let mut disk = disk.kill();
        // The next start may be killed on its way.
        if again > 0 {
            disk.crash_at(disk.mutations() + again, When::After);
            drop(try_open(&disk));
            disk = disk.kill();
        }
        let volume = open(&disk);
        let faults = volume.faults();
        volume.absolve(faults).unwrap();
        let vouched = (1..=2).filter(|number| {
            let (bytes, digest) = payload(*number);
            matches!(volume.vouch(&digest, bytes.len() as u64), Ok(Some(_)))
        });
        let vouched = vouched.collect::<Vec<_>>();
        assert!(vouched.contains(&1));
        assert_eq!(lost(&disk, &vouched), 0, "{vouched:?}, again killed at {again}");
    }
}

/// How many bytes all packs have.
fn packed(disk: &MemoryDisk) -> usize {
    let files = disk.files().into_iter().filter(|(path, _)| path.starts_with("volume/packs"));
    files.map(|(_, bytes)| bytes.len()).sum()
}

fn trash(volume: &Volume, number: u64) -> bool {
    volume.trash(&payload(number).1, 1_000, || Ok::<_, std::io::Error>(false)).unwrap()
}

#[test]
fn the_room_of_what_is_not_needed_comes_back_and_all_else_stays() {
    let disk = disk();
    let volume = open(&disk);
    (0..200).for_each(|number| seal(&volume, number).unwrap());
    let before = packed(&disk);
    volume.begin_sweep(1);
    let (gone, kept) = (0..200).partition::<Vec<_>, _>(|number| number % 5 != 0);
    gone.iter().for_each(|number| assert!(trash(&volume, *number)));
    for (digest, _) in volume.trashed() {
        volume.empty(&digest, || Ok::<_, std::io::Error>(false)).unwrap();
    }
    volume.reclaim(Reclaim::IfMuch).unwrap();
    assert!(packed(&disk) * 3 < before, "{} of {before}", packed(&disk));
    for number in gone {
        let (bytes, digest) = payload(number);
        assert!(volume.open_blob(&digest, bytes.len() as u64).unwrap().is_none());
    }
    let listed = (0..=u8::MAX).flat_map(|first| volume.shard(first).unwrap()).count();
    assert_eq!(listed, kept.len());
    assert_eq!(lost(&disk, &kept), 0);
}

/// A pack with a record that is bad stays until somebody has judged it, and that takes no other with it.
#[test]
fn what_is_bad_is_set_aside_alone() {
    let disk = disk();
    let volume = open(&disk);
    (0..40).for_each(|number| seal(&volume, number).unwrap());
    let (bytes, digest) = payload(21);
    let held = disk.files().into_iter().find_map(|(path, content)| {
        let at = content.windows(bytes.len()).position(|window| window == bytes)?;
        Some((path, at))
    });
    let (pack, at) = held.unwrap();
    assert!(disk.flip(&pack, at + 7, 3).unwrap());
    volume.begin_sweep(1);
    (0..40).filter(|number| *number != 21 && number % 3 != 0).for_each(|number| {
        assert!(trash(&volume, number));
    });
    volume.reclaim(Reclaim::Always).unwrap();
    assert!(disk.read(&pack).is_ok(), "nobody has judged it yet");
    volume.open_blob(&digest, bytes.len() as u64).unwrap_err();
    assert_eq!(volume.condemn(&digest).unwrap(), Verdict::Bad);
    assert_eq!(volume.condemn(&digest).unwrap(), Verdict::Absent);
    let aside = disk.files().into_keys().filter(|path| path.starts_with("volume/quarantine"));
    assert_eq!(aside.count(), 1);
    volume.reclaim(Reclaim::Always).unwrap();
    assert!(disk.read(&pack).is_err());
    seal(&volume, 21).unwrap();
    let good = (0..40).filter(|number| *number == 21 || number % 3 == 0).collect::<Vec<_>>();
    assert_eq!(lost(&disk, &good), 0);
}

/// One that waits for its copies elsewhere is listed by nobody, and so the sweep may come by.
#[test]
fn what_was_swept_before_it_was_sealed_is_there_when_it_is() {
    let disk = disk();
    let volume = open(&disk);
    let (bytes, digest) = payload(1);
    let mut staging = volume.stage(bytes.len() as u64).unwrap();
    staging.append(&bytes).unwrap();
    let complete = staging.complete(&digest).unwrap().unwrap();
    assert!(complete.is_quick());
    volume.begin_sweep(1);
    assert!(trash(&volume, 1));
    assert!(complete.seal().unwrap().digest() == digest);
    assert_eq!(lost(&disk, &[1]), 0);
    assert!(!trash(&volume, 1), "it was vouched for");
}

#[test]
fn where_no_pack_can_be_written_a_payload_gets_a_file() {
    let disk = disk();
    let volume = open(&disk);
    disk.inject(Fault::at(1, Errno::ENOSPC).under("volume/packs").for_ever());
    seal(&volume, 1).unwrap();
    assert!(disk.read(depot_server::volume::layout::blob(&payload(1).1)).is_ok());
    disk.clear_faults();
    seal(&volume, 2).unwrap();
    assert!(disk.read(depot_server::volume::layout::blob(&payload(2).1)).is_err());
    assert_eq!(lost(&disk, &[1, 2]), 0);
}
