//! What a request costs the disk, counted: a change that makes it more fails here, on every machine
//! alike. One client and nothing else to do, so nobody shares a sync with anybody: what a deposit
//! costs at most.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;

use depot_tests::Recovered;
use depot_tests::content::random_bytes;
use depot_tests::in_process::{ID, Site, life, settle};
use depot_tests::twins::memory_disk::{MemoryDisk, Op};

/// The size of a pack where nobody says another one.
const PACK: u64 = 64 << 20;

/// The second of two equal requests, by folder and kind of operation: the first has made warm what
/// there is to be made warm.
#[derive(Debug)]
struct Cost(BTreeMap<(String, Op), usize>);

impl Cost {
    fn of(folder: &str, ops: &[(Op, usize)]) -> Vec<((String, Op), usize)> {
        ops.iter().map(|(op, count)| ((folder.to_owned(), *op), *count)).collect()
    }

    /// Takes out what happened in one folder.
    fn take(&mut self, folder: &str) -> Vec<((String, Op), usize)> {
        self.0.extract_if(.., |(of, _), _| of == folder).collect()
    }
}

/// What is done to the disk from here on.
fn since(disk: &MemoryDisk, before: usize) -> Cost {
    let mut cost = BTreeMap::new();
    for operation in &disk.operations()[before..] {
        let folder = operation.path.components().next();
        let folder = folder.map_or(String::new(), |name| name.as_os_str().to_str().unwrap().into());
        *cost.entry((folder, operation.op)).or_default() += 1;
    }
    Cost(cost)
}

fn deposit(size: usize) -> Cost {
    life(async {
        let disk = MemoryDisk::new();
        let server = Site::new(1).packing(PACK).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "um", &random_bytes(1, size)).await.is_done());
        settle().await;
        let before = disk.operations().len();
        assert!(client.deposit(ID, "dois", &random_bytes(2, size)).await.is_done());
        settle().await;
        since(&disk, before)
    })
}

#[test]
fn a_small_deposit_syncs_a_record_of_its_bytes_and_one_of_its_change() {
    let mut cost = deposit(4096);
    let volume = [(Op::Write, 1), (Op::Sync, 1)]; // into a pack
    assert_eq!(cost.take("volume"), Cost::of("volume", &volume));
    let catalogue = [(Op::Write, 1), (Op::Sync, 1)]; // into the log's journal
    assert_eq!(cost.take("catalogue"), Cost::of("catalogue", &catalogue));
    assert_eq!(cost.take(""), Cost::of("", &[(Op::Space, 1)]));
    assert!(cost.0.is_empty(), "{cost:?}");
}

#[test]
fn a_large_deposit_writes_its_bytes_once() {
    let size = 8 << 20;
    let mut cost = deposit(size);
    let volume: BTreeMap<_, _> = cost.take("volume").into_iter().collect();
    let count = |op| volume.get(&("volume".to_owned(), op)).copied().unwrap_or_default();
    assert_eq!((count(Op::Sync), count(Op::SyncDir), count(Op::Rename)), (1, 1, 1), "{volume:?}");
    // The pieces are as large as this connection, which is one of memory, gives them.
    assert!(count(Op::Write) <= size / (48 << 10), "{volume:?}");
    // Each time as much again as has come: 1, 1, 2 and 4 MiB, and what is left.
    assert!(count(Op::Reserve) <= 5, "{volume:?}");
}

#[test]
fn a_recover_of_a_small_file_reads_it_and_nothing_else() {
    // Out of a pack, which is open already, or a file of its own, with checksums and footer.
    for (pack, volume) in [(PACK, &[(Op::Read, 1)][..]), (0, &[(Op::Open, 1), (Op::Read, 1)])] {
        life(async {
            let disk = MemoryDisk::new();
            let server = Site::new(1).packing(pack).start(&disk).await.unwrap();
            let mut client = server.connect().await;
            let bytes = random_bytes(1, 4096);
            assert!(client.deposit(ID, "um", &bytes).await.is_done());
            assert_eq!(client.recover(ID, "um").await, Recovered::Whole(bytes.clone()));
            for _ in 0..2 {
                settle().await;
                let before = disk.operations().len();
                assert_eq!(client.recover(ID, "um").await, Recovered::Whole(bytes.clone()));
                let mut cost = since(&disk, before);
                assert_eq!(cost.take("volume"), Cost::of("volume", volume));
                assert!(cost.0.is_empty(), "{cost:?}");
            }
        });
    }
}
