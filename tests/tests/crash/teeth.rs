//! The same test on a server that leaves out a sync, or a disk that does: it must fail.

use std::collections::BTreeMap;

use depot_tests::in_process::{Breach, first_life, found, second_life};
use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk, When};

/// How often each promise was broken, on a disk that lies from the end of its founding on.
fn breaches(lie: impl Fn(&MemoryDisk)) -> BTreeMap<Breach, usize> {
    let founded = MemoryDisk::new();
    found(&founded);
    let whole = founded.copy();
    first_life(&whole);
    let mut breaches = BTreeMap::new();
    for at in (1..=whole.mutations()).step_by(23) {
        let disk = founded.copy();
        lie(&disk);
        disk.crash_at(at, When::After);
        let ledger = first_life(&disk);
        for way in CrashMode::all(1) {
            for violation in second_life(&disk.crash(way), ledger.clone()) {
                *breaches.entry(violation.breach).or_default() += 1;
            }
        }
    }
    println!("{breaches:?}");
    breaches
}

#[test]
fn without_the_sync_of_the_blobs_folders_an_acknowledged_deposit_is_lost() {
    let breaches = breaches(|disk| disk.lose_dir_syncs("volume/blobs"));
    assert!(breaches.contains_key(&Breach::Lost), "{breaches:?}");
}

#[test]
fn without_the_sync_of_the_payloads_an_acknowledged_deposit_is_lost() {
    let breaches = breaches(|disk| disk.lose_syncs("volume"));
    assert!(breaches.contains_key(&Breach::Lost), "{breaches:?}");
}

#[test]
fn without_the_sync_of_the_catalogue_a_depot_does_not_come_back_whole() {
    let breaches = breaches(|disk| disk.lose_syncs("catalogue"));
    assert!(
        breaches.contains_key(&Breach::Lost) || breaches.contains_key(&Breach::Down),
        "{breaches:?}"
    );
}
