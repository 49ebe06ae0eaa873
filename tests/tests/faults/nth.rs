//! The nth operation of each kind fails, once, for every n: whatever the server makes of it, it
//! does not panic, hands out no wrong byte and loses nothing that it acknowledged.
//!
//! By default some n are left out where there are many; `DEPOT_FAULT_EVERY=1` takes them all.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use depot_tests::in_process::{Panics, first_life, found, second_life};
use depot_tests::twins::memory_disk::{CrashMode, Errno, Fault, MemoryDisk, Op};

const KINDS: [Op; 14] = [
    Op::Open,
    Op::Create,
    Op::Read,
    Op::Write,
    Op::SetSize,
    Op::Reserve,
    Op::Sync,
    Op::Close,
    Op::Lock,
    Op::Rename,
    Op::Remove,
    Op::SyncDir,
    Op::List,
    Op::Space,
];

/// So many of each kind, spread over all, where nothing else is said.
const OF_EACH: usize = 24;

#[derive(Debug, Clone, Copy)]
struct Failure {
    op: Op,
    nth: u64,
    error: Errno,
}

#[test]
fn whichever_operation_fails_nothing_acknowledged_is_lost() {
    let panics = Panics::watch();
    let founded = MemoryDisk::new();
    found(&founded);
    let whole = founded.copy();
    first_life(&whole);
    let failures: Vec<Failure> = KINDS.iter().flat_map(|op| of_kind(*op, &whole)).collect();

    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(failure) = failures.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = lives_with(&founded, *failure);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{} failures", failures.len());
    wrong.iter().for_each(|violation| println!("{violation}"));
    assert!(wrong.is_empty(), "{} violations", wrong.len());
    assert_eq!(panics.seen(), 0, "the server panicked");
}

fn of_kind(op: Op, whole: &MemoryDisk) -> Vec<Failure> {
    let count = whole.count(op);
    let every = std::env::var("DEPOT_FAULT_EVERY").map(|every| every.parse().unwrap());
    let every = every.unwrap_or(count.div_ceil(OF_EACH));
    let numbers = (1..=count as u64).step_by(every.max(1));
    numbers
        .flat_map(|nth| [Errno::EIO, Errno::ENOSPC].map(|error| Failure { op, nth, error }))
        .collect()
}

/// The life in which it fails, and those after it, once killed and once by a power cut.
fn lives_with(founded: &MemoryDisk, failure: Failure) -> Vec<String> {
    let Failure { op, nth, error } = failure;
    let disk = founded.copy();
    disk.inject(Fault::at(nth, error).of(op));
    let ledger = first_life(&disk);
    assert_eq!(disk.faults_fired(), 1, "{failure:?} comes in every life");
    let mut wrong = Vec::new();
    for (how, disk) in [("killed", disk.kill()), ("cut", disk.crash(CrashMode::DropAll))] {
        let violations = second_life(&disk, ledger.clone());
        wrong.extend(violations.iter().map(|violation| format!("{failure:?}, {how}: {violation}")));
    }
    wrong
}
