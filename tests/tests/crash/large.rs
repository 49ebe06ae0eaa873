//! A large payload, which goes past the page cache in whole blocks, cut off in the middle of one and
//! gone on with, while the power fails: what was called sealed is there, and so is all of a part that
//! a checkpoint vouched for.

use std::sync::Arc;

use bytes::Bytes;
use depot_protocol::Digest;
use depot_server::config::VolumeSettings;
use depot_server::seams::{Blocking, Seams};
use depot_server::volume::{PartKey, Staging, Verdict, Volume, VolumeError};
use depot_tests::content::{random_bytes, sha256};
use depot_tests::twins::blocking::Inline;
use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk, When};

/// Neither it nor the places where it is cut are whole blocks.
const SIZE: usize = (1 << 20) + 300_321;
const CHECKPOINT: usize = 300_077;
const CUT: usize = 800_003;
const PIECE: usize = 150_000;

struct Payload {
    bytes: Vec<u8>,
    digest: Digest,
    key: PartKey,
}

/// What whoever deposits it was told last.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Nothing,
    Part(usize),
    Sealed,
}

fn payload() -> Payload {
    let bytes = random_bytes(6, SIZE);
    let digest = Digest::parse(&sha256(&bytes)).unwrap();
    let key = PartKey::by_hash(&[1; 32], &digest, SIZE as u64);
    Payload { bytes, digest, key }
}

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::new();
    Volume::found(&disk).unwrap();
    disk.put("volume/blobs/MARKER", b"a volume").unwrap();
    disk
}

fn open(disk: &MemoryDisk) -> std::io::Result<Arc<Volume>> {
    let settings =
        VolumeSettings { reserve: 0, reserve_percent: 0, cached: 0, ..VolumeSettings::default() };
    let blocking: Arc<dyn Blocking> = Arc::new(Inline);
    let seams = Seams { blocking, ..Seams::system() };
    Ok(Arc::new(Volume::open(Arc::new(disk.clone()), &seams, settings)?))
}

/// Deposits it in two tries, with a checkpoint in the first.
fn deposit(disk: &MemoryDisk, payload: &Payload) -> Told {
    let mut told = Told::Nothing;
    let mut tell = |now| {
        if !disk.is_frozen() {
            told = now;
        }
    };
    let mut work = || {
        let Ok(volume) = open(disk) else { return Ok(()) };
        let mut staging = volume.stage(SIZE as u64)?;
        append(&mut staging, &payload.bytes[..CHECKPOINT])?;
        staging.checkpoint(payload.key, 100)?;
        tell(Told::Part(CHECKPOINT));
        append(&mut staging, &payload.bytes[CHECKPOINT..CUT])?;
        staging.keep(payload.key, 100)?;
        tell(Told::Part(CUT));
        let mut staging = match volume.resume(&payload.key, CUT as u64, 0) {
            Ok(staging) => staging.unwrap(),
            Err(_) => return Ok(()), // the power has failed
        };
        append(&mut staging, &payload.bytes[CUT..])?;
        let complete = staging.complete(&payload.digest)?.expect("the hash is right");
        // This disk takes a rename into another folder apart: for a moment there may be no name.
        tell(Told::Nothing);
        complete.seal()?;
        tell(Told::Sealed);
        Ok::<_, VolumeError>(())
    };
    drop(work()); // whoever was refused was told nothing that could be broken
    told
}

fn append(staging: &mut Staging, bytes: &[u8]) -> Result<(), VolumeError> {
    staging.append_all(bytes.chunks(PIECE).map(Bytes::copy_from_slice).collect())
}

/// Whether what was told is true after one way in which the power failed.
fn holds(disk: &MemoryDisk, payload: &Payload, told: Told) -> bool {
    let volume = open(disk).unwrap();
    let sealed = || volume.condemn(&payload.digest).unwrap() == Verdict::Good;
    match told {
        Told::Nothing => true,
        Told::Sealed => sealed(),
        // What came after it may have come through too.
        Told::Part(least) => match volume.part(&payload.key, 0) {
            None => sealed(),
            Some((held, _)) => {
                let staging = volume.resume(&payload.key, held, 0).unwrap().unwrap();
                let whole = std::iter::successors(Some(0), |from| staging.verify(*from).unwrap());
                whole.for_each(drop);
                let right = Digest::parse(&sha256(&payload.bytes[..held as usize])).unwrap();
                held >= least as u64 && staging.digest() == right
            }
        },
    }
}

#[test]
fn when_the_power_fails_parts_and_payloads_are_there_as_they_were_told() {
    let (payload, founded) = (payload(), disk());
    let whole = founded.copy();
    assert_eq!(deposit(&whole, &payload), Told::Sealed);
    let mut tales = Vec::new();
    for at in 1..=whole.mutations() {
        for when in [When::Before, When::After] {
            let disk = founded.copy();
            disk.crash_at(at, when);
            let told = deposit(&disk, &payload);
            for way in CrashMode::all(4) {
                assert!(holds(&disk.crash(way), &payload, told), "cut {when:?} {at}: {told:?}");
            }
            tales.push(told);
        }
    }
    for told in [Told::Part(CHECKPOINT), Told::Part(CUT)] {
        assert!(tales.contains(&told), "{told:?} was never the last word");
    }
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let (payload, disk) = (payload(), disk());
    disk.lose_syncs("volume/staging");
    let told = deposit(&disk, &payload);
    let broken = CrashMode::all(2).any(|way| {
        let crashed = disk.crash(way);
        // The record of a part may be gone with all of it.
        open(&crashed).is_err() || !holds(&crashed, &payload, told)
    });
    assert!(broken, "{told:?}");
}
