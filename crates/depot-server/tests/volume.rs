//! The volume on a real file system: what goes in comes out, and nothing else does.

#![allow(clippy::unwrap_used)] // what a test cannot set up fails it

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use depot_protocol::Digest;
use depot_server::config::VolumeSettings;
use depot_server::seams::Seams;
use depot_server::seams::blocking::Blocking;
use depot_server::seams::disk::{Disk, OpenMode};
use depot_server::seams::system_disk::SystemDisk;
use depot_server::volume::layout::{self, CHUNK, SEGMENT};
use depot_server::volume::{BlobError, PartKey, Seal, Sealed, Verdict, Volume};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest as _, Sha256};

/// A volume in a folder of its own.
struct Bench {
    folder: tempfile::TempDir,
    volume: Arc<Volume>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Volume::found(&SystemDisk::open(folder.path()).unwrap()).unwrap();
        let volume = open(&folder);
        Bench { folder, volume }
    }

    /// The same folder after a restart.
    fn restarted(self) -> Self {
        self.volume.close();
        drop(self.volume);
        let volume = open(&self.folder);
        Bench { folder: self.folder, volume }
    }

    fn path(&self, path: PathBuf) -> PathBuf {
        self.folder.path().join(path)
    }

    fn staged(&self) -> usize {
        fs::read_dir(self.path(layout::staging())).unwrap().count()
    }

    fn put(&self, bytes: &[u8]) -> Sealed {
        let mut staging = self.volume.stage(bytes.len() as u64).unwrap();
        staging.append(bytes).unwrap();
        match staging.seal(&digest(bytes)).unwrap() {
            Seal::Done(sealed) => sealed,
            Seal::WrongHash => panic!("the hash is right"),
        }
    }

    /// All of it from `offset` on, in reads of `most`.
    fn get(&self, sealed: &Sealed, mut offset: u64, most: usize) -> Result<Vec<u8>, BlobError> {
        let blob = self.volume.open_blob(&sealed.digest(), sealed.size())?;
        let mut blob = blob.expect("the blob is there");
        let mut bytes = Vec::new();
        loop {
            let piece = blob.read(offset, most)?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            offset += piece.len() as u64;
            bytes.extend_from_slice(&piece);
        }
    }
}

/// Each copy has a file of its own.
fn open(folder: &tempfile::TempDir) -> Arc<Volume> {
    try_open(folder, 0).unwrap()
}

fn try_open(folder: &tempfile::TempDir, pack: u64) -> std::io::Result<Arc<Volume>> {
    let disk = Arc::new(SystemDisk::open(folder.path()).unwrap());
    let settings = VolumeSettings {
        reserve: 0,
        reserve_percent: 0,
        pack,
        cached: 0,
        ..VolumeSettings::default()
    };
    let seams = Seams { blocking: Arc::new(Inline), ..Seams::system() };
    Volume::open(disk, &seams, settings).map(Arc::new)
}

/// These tests have no threads to hand work over to.
#[derive(Debug)]
struct Inline;

impl Blocking for Inline {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// Bytes that repeat nowhere near a chunk's length.
fn content(size: u64) -> Vec<u8> {
    (0..size).map(|i| (i.wrapping_mul(i) >> 7) as u8 ^ i as u8).collect()
}

fn part_key(bytes: &[u8]) -> PartKey {
    PartKey::by_hash(&[1; 32], &digest(bytes), bytes.len() as u64)
}

#[test]
fn what_was_sealed_is_read_back_at_every_border() {
    let bench = Bench::new();
    let sizes =
        [0, 1, 4095, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, SEGMENT - 1, SEGMENT, SEGMENT + 1];
    for size in sizes {
        let bytes = content(size);
        let sealed = bench.put(&bytes);
        let file = fs::metadata(bench.path(layout::blob(&sealed.digest()))).unwrap();
        assert_eq!(file.len(), layout::file_size(size));
        assert!(bench.get(&sealed, 0, 200_000).unwrap() == bytes, "{size} bytes");
        for offset in [1, 4096, CHUNK - 1, CHUNK, SEGMENT - 1, SEGMENT] {
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            assert!(bench.get(&sealed, offset, 1).unwrap() == rest, "{size} bytes from {offset}");
        }
    }
    assert_eq!(bench.staged(), 0);
}

#[test]
fn a_staged_payload_is_read_while_it_comes_and_after_it_has_its_name() {
    let bench = Bench::new();
    let bytes = content(SEGMENT + CHUNK + 7);
    let mut staging = bench.volume.stage(bytes.len() as u64).unwrap();
    let reader = staging.reader().unwrap();
    assert!(reader.read(0, 100).unwrap().is_empty());
    let (first, rest) = bytes.split_at(SEGMENT as usize - 10);
    staging.append(first).unwrap();
    let there = staging.readable();
    assert!(there <= first.len() as u64 && first.len() as u64 - there < 16 * CHUNK);
    assert_eq!(reader.written(), there);
    assert!(reader.read(there, 100).unwrap().is_empty(), "nothing before it is there");
    assert!(reader.read(there - 10, 100).unwrap() == bytes[there as usize - 10..there as usize]);
    staging.append(rest).unwrap();
    bench.put(b"another");
    let sealed = staging.seal(&digest(&bytes)).unwrap();
    assert!(matches!(sealed, Seal::Done(_)));
    let (reader, mut read) = (reader.clone(), Vec::new());
    loop {
        let piece = reader.read(read.len() as u64, 100_000).unwrap();
        if piece.is_empty() {
            break;
        }
        read.extend_from_slice(&piece);
    }
    assert!(read == bytes, "blocks of checksums are no payload");
}

/// The first ones go past the page cache, as long as there is memory for that.
#[test]
fn a_large_payload_has_the_same_file_whichever_way_it_is_written() {
    let bench = Bench::new();
    for size in [17 * CHUNK + 7, SEGMENT, SEGMENT + 4096, 2 * SEGMENT + 9] {
        let (bytes, key) = (content(size), part_key(b"large"));
        let deposit = || {
            let mut staging = bench.volume.stage(size).unwrap();
            for (number, pieces) in bytes.chunks(333_333).enumerate() {
                let pieces = pieces.chunks(100_001).map(Bytes::copy_from_slice).collect();
                staging.append_all(pieces).unwrap();
                if number % 6 == 1 {
                    staging.checkpoint(key, 100).unwrap();
                    assert_eq!(staging.readable(), staging.written());
                }
            }
            let lags = staging.readable() < staging.written();
            assert!(matches!(staging.seal(&digest(&bytes)).unwrap(), Seal::Done(_)));
            (lags, fs::read(bench.path(layout::blob(&digest(&bytes)))).unwrap())
        };
        let (lags, past) = deposit();
        assert!(lags || size.is_multiple_of(4 * CHUNK), "some of it is gathered");
        let others: Vec<_> = (0..40).map(|_| bench.volume.stage(size).unwrap()).collect();
        let (lags, through) = deposit();
        assert!(!lags, "there is no memory left");
        assert!(past == through, "{size} bytes");
        drop(others);
        assert_eq!(bench.staged(), 0);
    }
}

#[test]
fn payloads_up_to_what_the_settings_say_go_through_the_cache() {
    let bench = Bench::new();
    bench.volume.close();
    let settings = VolumeSettings {
        reserve: 0,
        reserve_percent: 0,
        cached: SEGMENT,
        ..VolumeSettings::default()
    };
    let disk = Arc::new(SystemDisk::open(bench.folder.path()).unwrap());
    let volume = Arc::new(Volume::open(disk, &Seams::system(), settings).unwrap());
    for (size, gathered) in [(SEGMENT, false), (SEGMENT + 1, true)] {
        let mut staging = volume.stage(size).unwrap();
        staging.append(&content(100_000)).unwrap();
        assert_eq!(staging.readable() < staging.written(), gathered, "{size} bytes");
    }
}

/// Where a disk's blocks are larger than ours, or it took part of one.
#[test]
fn what_a_disk_does_not_take_past_its_cache_goes_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(folder.path()).unwrap();
    let file = disk.open("a".as_ref(), OpenMode::CreateNew).unwrap();
    file.bypass_cache();
    file.write_all_at(b"no whole block", 1).unwrap();
    file.sync().unwrap();
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"\0no whole block");
}

#[test]
fn a_complete_payload_without_a_name_goes_back_to_being_a_part() {
    let bench = Bench::new();
    for bytes in [content(3 * CHUNK + 5), content(SEGMENT)] {
        let key = part_key(&bytes);
        let mut staging = bench.volume.stage(bytes.len() as u64).unwrap();
        staging.append(&bytes).unwrap();
        let complete = staging.complete(&digest(&bytes)).unwrap().expect("the hash is right");
        let size = bytes.len() as u64;
        assert!(bench.volume.open_blob(&digest(&bytes), size).unwrap().is_none());
        complete.keep(key, 100).unwrap();
        assert_eq!(bench.volume.part(&key, 0), Some((size, digest(&bytes))));
        let staging = bench.volume.resume(&key, size, 0).unwrap().expect("all of it is held");
        assert!(matches!(staging.seal(&digest(&bytes)).unwrap(), Seal::Done(_)));
        let sealed = bench.volume.vouch(&digest(&bytes), size).unwrap().expect("it is here");
        assert!(bench.get(&sealed, 0, 1 << 20).unwrap() == bytes);
        assert_eq!(bench.staged(), 0);
    }
}

#[test]
fn a_sealed_payload_that_cannot_be_listed_is_a_part_as_long_as_its_blob_is_there() {
    let bench = Bench::new();
    let (bytes, key) = (content(CHUNK + 5), part_key(b"sealed"));
    let sealed = bench.put(&bytes);
    bench.volume.keep_sealed(&key, &sealed, 100).unwrap();
    let bench = bench.restarted();
    assert_eq!(bench.volume.part(&key, 0), Some((sealed.size(), sealed.digest())));
    assert!(bench.volume.resume(&key, sealed.size(), 0).unwrap().is_none(), "it has no file");
    assert_eq!(bench.volume.resume_sealed(&key, 100), None, "its time is over");
    bench.volume.trash::<io::Error>(&sealed.digest(), 1000, || Ok(false)).unwrap();
    let resumed = bench.volume.resume_sealed(&key, 0).expect("out of the trash");
    assert_eq!(resumed.digest(), sealed.digest());
    bench.volume.drop_part(&key);
    assert_eq!(bench.volume.part(&key, 0), None);
    assert!(bench.get(&sealed, 0, 1 << 20).unwrap() == bytes, "the blob is not the part's");

    bench.volume.keep_sealed(&key, &sealed, 100).unwrap();
    fs::remove_file(bench.path(layout::blob(&sealed.digest()))).unwrap();
    assert_eq!(bench.volume.resume_sealed(&key, 0), None);
    assert_eq!(bench.volume.part(&key, 0), None, "nothing is left to go on with");
    assert_eq!(bench.staged(), 0);
}

#[test]
fn wrong_hash_or_size_leaves_nothing() {
    let bench = Bench::new();
    let mut staging = bench.volume.stage(5).unwrap();
    staging.append(b"depot").unwrap();
    assert!(matches!(staging.seal(&Digest::EMPTY).unwrap(), Seal::WrongHash));
    let mut staging = bench.volume.stage(9).unwrap();
    staging.append(b"depot").unwrap();
    assert!(matches!(staging.seal(&digest(b"depot")).unwrap(), Seal::WrongHash));
    drop(bench.volume.stage(1 << 20).unwrap());
    assert_eq!(bench.staged(), 0);
    assert!(bench.volume.open_blob(&digest(b"depot"), 5).unwrap().is_none());
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let bench = Bench::new();
    let bytes = content(3 * CHUNK + 100);
    let sealed = bench.put(&bytes);
    let path = bench.path(layout::blob(&sealed.digest()));
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let footer = layout::footer_offset(sealed.size());
    let checksums = layout::checksums_offset(0, sealed.size());
    for at in
        [0, CHUNK - 1, 2 * CHUNK, 3 * CHUNK + 99, checksums, checksums + 31, footer, footer + 4095]
    {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let read = bench.get(&sealed, 0, 1 << 20);
        assert!(matches!(read, Err(BlobError::Corrupt(_))), "byte {at}");
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(bench.get(&sealed, 0, 1 << 20).unwrap() == bytes, "whole again");
}

#[test]
fn a_bad_copy_goes_into_quarantine_and_a_new_deposit_heals_it() {
    let bench = Bench::new();
    let bytes = content(CHUNK);
    let sealed = bench.put(&bytes);
    assert_eq!(bench.volume.condemn(&sealed.digest()).unwrap(), Verdict::Good, "it stays");
    fs::write(bench.path(layout::blob(&sealed.digest())), b"short").unwrap();
    assert_eq!(bench.volume.condemn(&sealed.digest()).unwrap(), Verdict::Bad);
    assert!(bench.volume.open_blob(&sealed.digest(), sealed.size()).unwrap().is_none());
    assert_eq!(fs::read_dir(bench.path(layout::quarantine())).unwrap().count(), 1);
    let again = bench.put(&bytes);
    assert!(bench.get(&again, 0, 1 << 20).unwrap() == bytes);
}

#[test]
fn a_copy_whose_checksums_are_right_and_whose_hash_is_not_is_bad() {
    let bench = Bench::new();
    let (wanted, other) = (content(CHUNK + 1), [7; CHUNK as usize + 1]);
    let (wanted, other) = (bench.put(&wanted).digest(), bench.put(&other).digest());
    let forged = bench.path(layout::blob(&wanted));
    fs::copy(bench.path(layout::blob(&other)), &forged).unwrap();
    let file = fs::OpenOptions::new().write(true).open(forged).unwrap();
    let footer = layout::encode_footer(&wanted, CHUNK + 1);
    file.write_all_at(&footer, layout::footer_offset(CHUNK + 1)).unwrap();
    assert_eq!(bench.volume.condemn(&wanted).unwrap(), Verdict::Bad);
    assert_eq!(bench.volume.condemn(&other).unwrap(), Verdict::Good);
}

#[test]
fn a_copy_that_is_not_here_is_called_absent_only_where_its_folder_is() {
    let bench = Bench::new();
    let digest = bench.put(b"depot").digest();
    bench.volume.begin_sweep(1);
    assert!(bench.volume.trash(&digest, 10, || Ok::<_, io::Error>(false)).unwrap());
    assert_eq!(bench.volume.condemn(&digest).unwrap(), Verdict::Good, "it was in the trash");
    fs::remove_file(bench.path(layout::blob(&digest))).unwrap();
    fs::write(bench.path(layout::blobs().join("MARKER")), b"whose").unwrap();
    assert_eq!(bench.volume.condemn(&digest).unwrap(), Verdict::Absent);
    fs::remove_file(bench.path(layout::blobs().join("MARKER"))).unwrap();
    bench.volume.condemn(&digest).expect_err("the volume is not there");
}

#[test]
fn a_folder_in_a_blobs_place_gives_way() {
    let bench = Bench::new();
    let bytes = content(10);
    fs::create_dir(bench.path(layout::blob(&digest(&bytes)))).unwrap();
    let sealed = bench.put(&bytes);
    assert!(bench.get(&sealed, 0, 10).unwrap() == bytes);
}

#[test]
fn a_part_survives_a_restart_and_goes_on_where_it_was() {
    let cuts = [1, 4096, CHUNK, CHUNK + 7, SEGMENT, SEGMENT + CHUNK + 1];
    let bytes = content(SEGMENT + 2 * CHUNK);
    let key = part_key(&bytes);
    for cut in cuts {
        let bench = Bench::new();
        let mut staging = bench.volume.stage(bytes.len() as u64).unwrap();
        let (held, rest) = bytes.split_at(cut as usize);
        staging.append(held).unwrap();
        staging.keep(key, 100).unwrap();
        let bench = bench.restarted();
        assert_eq!(bench.volume.part(&key, 0), Some((cut, digest(held))));
        assert!(bench.volume.resume(&key, cut + 1, 0).unwrap().is_none(), "another length");
        let mut staging = bench.volume.resume(&key, cut, 0).unwrap().unwrap();
        assert!(bench.volume.part(&key, 0).is_none(), "taken");
        let mut next = Some(0);
        while let Some(from) = next {
            next = staging.verify(from).unwrap();
        }
        staging.append(rest).unwrap();
        let Seal::Done(sealed) = staging.seal(&digest(&bytes)).unwrap() else {
            panic!("right bytes")
        };
        assert!(bench.get(&sealed, 0, 1 << 20).unwrap() == bytes, "cut at {cut}");
        assert_eq!(bench.staged(), 0);
    }
}

#[test]
fn rot_in_a_part_is_found_wherever_it_is() {
    let bytes = content(SEGMENT + CHUNK + 100);
    for at in [
        0,
        CHUNK,
        SEGMENT - 1,
        layout::payload_offset(SEGMENT),
        layout::payload_offset(SEGMENT + CHUNK + 50),
    ] {
        let bench = Bench::new();
        let key = part_key(&bytes);
        let mut staging = bench.volume.stage(bytes.len() as u64).unwrap();
        staging.append(&bytes[..bytes.len() - 10]).unwrap();
        staging.keep(key, 100).unwrap();
        let mut staged = fs::read_dir(bench.path(layout::staging())).unwrap();
        let data = staged.find_map(|entry| {
            let path = entry.unwrap().path();
            path.extension().is_some_and(|end| end == "data").then_some(path)
        });
        let data = data.unwrap();
        let file = fs::OpenOptions::new().read(true).write(true).open(data).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
        let found = match bench.volume.resume(&key, bytes.len() as u64 - 10, 0) {
            Err(_) => true,
            Ok(staging) => {
                let staging = staging.unwrap();
                let mut next = Some(0);
                let found = loop {
                    match next.map(|from| staging.verify(from)) {
                        None => break false,
                        Some(Err(_)) => break true,
                        Some(Ok(on)) => next = on,
                    }
                };
                staging.discard();
                found
            }
        };
        assert!(found, "a flipped byte at {at}");
        assert!(bench.volume.part(&key, 0).is_none());
        assert_eq!(bench.staged(), 0, "nothing is left of it");
    }
}

#[test]
fn parts_expire_and_stray_files_go_at_the_next_start() {
    let bench = Bench::new();
    let key = part_key(b"depot");
    let mut staging = bench.volume.stage(5).unwrap();
    staging.append(b"dep").unwrap();
    staging.keep(key, 100).unwrap();
    let stray = layout::staging().join("0123456789abcdef0123456789abcdef.data");
    fs::write(bench.path(stray), b"of a crash").unwrap();
    let unknown = bench.path(layout::staging()).join("holiday.jpg");
    fs::write(&unknown, b"not ours").unwrap();
    let damaged = layout::staging().join(format!("{}.part", Digest::EMPTY));
    fs::write(bench.path(damaged), b"not a record").unwrap();
    let bench = bench.restarted();
    assert_eq!(fs::read(&unknown).unwrap(), b"not ours", "left alone");
    fs::remove_file(&unknown).unwrap();
    assert_eq!(bench.staged(), 2, "the part and its record");
    assert!(bench.volume.part(&key, 100).is_none(), "its time is over");
    bench.volume.expire_parts(99);
    assert_eq!(bench.staged(), 2);
    bench.volume.expire_parts(100);
    assert_eq!(bench.staged(), 0);
}

#[test]
fn the_trash_takes_only_what_nobody_listed_and_nobody_vouched_for() {
    let bench = Bench::new();
    let sealed = bench.put(b"depot");
    let no = || Ok::<_, io::Error>(false);
    assert!(!bench.volume.trash(&sealed.digest(), 10, no).unwrap(), "vouched for under this sweep");
    bench.volume.begin_sweep(1);
    assert!(
        !bench.volume.trash(&sealed.digest(), 10, || Ok::<_, io::Error>(true)).unwrap(),
        "listed"
    );
    assert!(bench.volume.trash(&sealed.digest(), 10, no).unwrap());
    assert!(bench.volume.vouch(&sealed.digest(), 5).unwrap().is_some(), "asked for: out again");
    assert!(!bench.volume.trash(&sealed.digest(), 10, no).unwrap(), "vouched for anew");
    bench.volume.begin_sweep(2);
    assert!(bench.volume.trash(&sealed.digest(), 10, no).unwrap());
    let bench = bench.restarted();
    let [(digest, trashed)] = bench.volume.trashed()[..] else { panic!("one copy") };
    assert_eq!(
        (digest, trashed.expires, trashed.bytes),
        (sealed.digest(), 10, layout::file_size(5))
    );
    assert!(
        bench.get(&sealed, 0, 10).unwrap() == b"depot",
        "a record that asks takes it out again"
    );
    assert!(bench.volume.trashed().is_empty());
    bench.volume.begin_sweep(2);
    assert!(bench.volume.trash(&sealed.digest(), 10, no).unwrap());
    bench.volume.empty(&sealed.digest(), no).unwrap();
    assert!(bench.volume.vouch(&sealed.digest(), 5).unwrap().is_none(), "gone: no receipt");
    assert!(bench.volume.open_blob(&sealed.digest(), 5).unwrap().is_none());
    assert_eq!(fs::read_dir(bench.path(layout::trash())).unwrap().count(), 0);
}

#[test]
fn what_was_sealed_later_is_never_replaced_out_of_the_trash() {
    let bench = Bench::new();
    let sealed = bench.put(b"depot");
    bench.volume.begin_sweep(1);
    assert!(bench.volume.trash(&sealed.digest(), 10, || Ok::<_, io::Error>(false)).unwrap());
    let old = fs::read_dir(bench.path(layout::trash())).unwrap().next().unwrap().unwrap().path();
    fs::write(&old, vec![0; layout::file_size(5) as usize]).unwrap(); // rotten there
    bench.put(b"depot");
    bench.volume.empty(&sealed.digest(), || Ok::<_, io::Error>(true)).unwrap();
    assert!(bench.get(&sealed, 0, 10).unwrap() == b"depot");
    assert!(!old.exists(), "nobody needs it any more");
}

#[test]
fn an_upload_that_is_given_up_goes_back_to_its_last_checkpoint() {
    let bench = Bench::new();
    let key = part_key(b"depot");
    let mut staging = bench.volume.stage(5).unwrap();
    staging.append(b"dep").unwrap();
    staging.checkpoint(key, 100).unwrap();
    staging.append(b"o").unwrap();
    drop(staging);
    assert_eq!(bench.volume.part(&key, 0), Some((3, digest(b"dep"))));
    let staging = bench.volume.resume(&key, 3, 0).unwrap().unwrap();
    drop(staging);
    let bench = bench.restarted();
    let mut staging = bench.volume.resume(&key, 3, 0).unwrap().unwrap();
    assert_eq!(staging.verify(0).unwrap(), None);
    staging.append(b"ot").unwrap();
    assert!(matches!(staging.seal(&digest(b"depot")).unwrap(), Seal::Done(_)));
    assert_eq!(bench.staged(), 0);
}

#[test]
fn a_part_takes_no_more_room_than_it_has_bytes() {
    use std::os::unix::fs::MetadataExt;
    let bench = Bench::new();
    let mut staging = bench.volume.stage(1 << 30).unwrap();
    staging.append(b"d").unwrap();
    staging.keep(part_key(b"depot"), 100).unwrap();
    let blocks: u64 = fs::read_dir(bench.path(layout::staging()))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().blocks())
        .sum();
    assert!(blocks * 512 <= 64 * 1024, "{blocks} blocks of 512 bytes");
}

/// However the bytes are cut on the way in, and wherever the upload was broken off and resumed,
/// the blob is the same.
#[test]
fn a_blob_does_not_depend_on_how_its_bytes_came() {
    let bench = Bench::new();
    let cuts = proptest::collection::vec((1_usize..100_000, any::<bool>()), 1..8);
    let mut runner = TestRunner::new(Config { cases: 64, ..Config::default() });
    let ran = runner.run(&(1_u64..300_000, cuts), |(size, cuts)| {
        let bytes = content(size);
        let key = part_key(&bytes);
        let mut staging = bench.volume.stage(size).unwrap();
        let mut rest = &bytes[..];
        for (cut, broken) in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            staging.append(now).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
            if *broken {
                let held = staging.written();
                staging.keep(key, 100).unwrap();
                staging = bench.volume.resume(&key, held, 0).unwrap().unwrap();
            }
        }
        let Seal::Done(sealed) = staging.seal(&digest(&bytes)).unwrap() else {
            panic!("right bytes")
        };
        prop_assert!(bench.get(&sealed, 0, 1 << 20).unwrap() == bytes);
        prop_assert_eq!(bench.staged(), 0);
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn a_suspect_volume_vouches_for_nothing() {
    let bench = Bench::new();
    let sealed = bench.put(b"depot");
    fs::write(bench.path(layout::suspect()), b"disk fault").unwrap();
    let bench = bench.restarted();
    let error = bench.volume.vouch(&sealed.digest(), 5).unwrap_err();
    assert!(!error.condemns(), "{error}");
    assert!(bench.volume.absolve(1).unwrap());
    assert!(bench.volume.vouch(&sealed.digest(), 5).unwrap().is_some());
}

#[test]
fn a_volume_from_before_there_were_packs_gets_some() {
    let bench = Bench::new();
    let sealed = bench.put(&content(100));
    let Bench { folder, volume } = bench;
    drop(volume);
    let path = |name: &str| folder.path().join("volume").join(name);
    fs::remove_dir(path("packs")).unwrap();
    let missing = try_open(&folder, 1 << 20).unwrap_err().to_string();
    assert!(missing.contains("volume/packs is missing"), "{missing}");
    fs::remove_dir(path("index")).unwrap();
    try_open(&folder, 1 << 20).unwrap_err();
    fs::create_dir(path("journal")).unwrap();
    fs::write(path("journal/0"), [&[0; 36][..], b"older"].concat()).unwrap();
    let left = try_open(&folder, 1 << 20).unwrap_err().to_string();
    assert!(left.contains("start that version once"), "{left}");
    fs::write(path("journal/0"), [0; 4096]).unwrap();
    let volume = try_open(&folder, 1 << 20).unwrap();
    assert!(volume.open_blob(&sealed.digest(), sealed.size()).unwrap().is_some());
}

#[test]
fn what_was_packed_can_be_had_whatever_the_settings_say() {
    let Bench { folder, volume } = Bench::new();
    drop(volume);
    let bytes = content(5_000);
    let seal = |volume: &Arc<Volume>| {
        let mut staging = volume.stage(bytes.len() as u64).unwrap();
        staging.append(&bytes).unwrap();
        let Seal::Done(sealed) = staging.seal(&digest(&bytes)).unwrap() else { panic!() };
        sealed
    };
    let volume = try_open(&folder, 1 << 20).unwrap();
    let sealed = seal(&volume);
    assert!(!folder.path().join(layout::blob(&sealed.digest())).exists(), "it is in a pack");
    drop(volume);
    let volume = try_open(&folder, 0).unwrap();
    let mut blob = volume.open_blob(&sealed.digest(), 5_000).unwrap().unwrap();
    assert_eq!(blob.read(4_000, 1).unwrap(), bytes[4_000..]);
    assert!(volume.open_blob(&sealed.digest(), 5_001).is_err(), "its record says another size");
    assert_eq!(volume.shard(sealed.digest().as_bytes()[0]).unwrap(), [sealed.digest()]);
    // Sealed anew it has a file too; whatever is asked for is had from one of them.
    seal(&volume);
    assert!(folder.path().join(layout::blob(&sealed.digest())).exists());
    assert_eq!(volume.shard(sealed.digest().as_bytes()[0]).unwrap().len(), 1);
    assert!(volume.vouch(&sealed.digest(), 5_000).unwrap().is_some());
}
