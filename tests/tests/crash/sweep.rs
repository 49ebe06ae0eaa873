//! Every operation in turn.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use depot_tests::in_process::{Ledger, Violation, cut_life, first_life, found, second_life};
use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk, When};

/// Where the power fails, and what it leaves.
#[derive(Debug, Clone, Copy)]
struct Cut {
    at: u64,
    when: When,
}

fn seed() -> u64 {
    std::env::var("DEPOT_SEED").map_or(1, |seed| seed.parse().unwrap())
}

/// `DEPOT_CRASH_EVERY`, or this.
fn every(default: usize) -> usize {
    std::env::var("DEPOT_CRASH_EVERY").map_or(default, |every| every.parse().unwrap())
}

fn cuts(operations: impl Iterator<Item = u64>) -> Vec<Cut> {
    operations.flat_map(|at| [When::Before, When::After].map(|when| Cut { at, when })).collect()
}

/// What becomes of what was not synced: nothing survives, all does, some does, as a seed of this
/// cut's own has it; several where the sweep is to be thorough.
fn ways(cut: Cut) -> impl Iterator<Item = CrashMode> {
    let thorough = std::env::var_os("DEPOT_CRASH_EVERY").is_some();
    let first = (seed() << 32) ^ (cut.at << 8) ^ (u64::from(cut.when == When::After) << 7);
    let random = (first..first + if thorough { 8 } else { 1 }).map(CrashMode::Random);
    [CrashMode::DropAll, CrashMode::KeepAll].into_iter().chain(random)
}

/// Runs `check` for each of `cuts` on all processors; prints what went wrong, and panics if
/// anything did. `check` says how many disks it looked at.
fn sweep(what: &str, cuts: &[Cut], check: impl Fn(Cut) -> (u64, Vec<String>) + Sync) {
    let (next, looked) = (AtomicU64::new(0), AtomicU64::new(0));
    let wrong = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let (disks, violations) = check(*cut);
                    looked.fetch_add(disks, Ordering::Relaxed);
                    wrong.lock().unwrap().extend(violations);
                }
            });
        }
    });
    let (wrong, looked) = (wrong.into_inner().unwrap(), looked.into_inner());
    println!("{what}: {} cuts, {looked} disks, DEPOT_SEED={}", cuts.len(), seed());
    wrong.iter().for_each(|violation| println!("{violation}"));
    assert!(wrong.is_empty(), "{} violations", wrong.len());
    assert!(looked > cuts.len() as u64);
}

/// The life until the cut on a copy of `disk`, and how each way of it goes on.
fn lives_on(disk: &MemoryDisk, cut: Cut) -> (u64, Vec<String>) {
    let disk = disk.copy();
    disk.crash_at(cut.at, cut.when);
    let ledger = first_life(&disk);
    assert!(disk.is_frozen(), "operation {} comes in every life", cut.at);
    let (mut disks, mut wrong) = (0, Vec::new());
    for way in ways(cut) {
        let violations = second_life(&disk.crash(way), ledger.clone());
        wrong.extend(told(cut, &format!("{way:?}"), &violations));
        disks += 1;
    }
    (disks, wrong)
}

fn told(cut: Cut, way: &str, violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|violation| format!("{cut:?}, {way}: {violation}")).collect()
}

#[test]
fn the_power_fails_at_each_operation_of_the_work() {
    let disk = MemoryDisk::new();
    found(&disk);
    let whole = disk.copy();
    let ledger = first_life(&whole);
    assert_eq!(ledger.certain(), 4, "the workload goes through: {ledger:?}");
    let cuts = cuts((1..=whole.mutations()).step_by(every(1)));
    sweep("at work", &cuts, |cut| lives_on(&disk, cut));
}

#[test]
fn the_power_fails_at_each_operation_of_the_founding() {
    let disk = MemoryDisk::new();
    found(&disk);
    let cuts = cuts((1..=disk.mutations()).step_by(every(11)));
    sweep("founding", &cuts, |cut| lives_on(&MemoryDisk::new(), cut));
}

#[test]
fn the_power_fails_again_while_the_server_comes_back() {
    let disk = MemoryDisk::new();
    found(&disk);
    let whole = disk.copy();
    first_life(&whole);
    let cuts = cuts((1..=whole.mutations()).step_by(every(37)));
    sweep("coming back", &cuts, |cut| {
        let disk = disk.copy();
        disk.crash_at(cut.at, cut.when);
        let ledger = first_life(&disk);
        let (mut disks, mut wrong) = (0, Vec::new());
        for way in ways(cut) {
            let (again, violations) = cut_again(&disk, way, &ledger);
            disks += again;
            wrong.extend(told(cut, &format!("{way:?} and again"), &violations));
        }
        (disks, wrong)
    });
}

fn cut_again(disk: &MemoryDisk, way: CrashMode, ledger: &Ledger) -> (u64, Vec<Violation>) {
    let whole = disk.crash(way);
    cut_life(&whole);
    let (mut disks, mut violations) = (0, Vec::new());
    for at in (1..=whole.mutations()).step_by(every(9)) {
        let disk = disk.crash(way);
        disk.crash_at(at, When::Before);
        cut_life(&disk);
        violations.extend(second_life(&disk.crash(way), ledger.clone()));
        disks += 1;
    }
    (disks, violations)
}
