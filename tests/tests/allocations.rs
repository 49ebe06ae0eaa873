//! How much memory a request asks for, counted: a copy too many of a payload, or a list that grows,
//! fails here, on every machine alike. The client's own part is in it, always the same.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use depot_server::seams::system_disk::SystemDisk;
use depot_tests::Recovered;
use depot_tests::content::random_bytes;
use depot_tests::in_process::{ID, Site, life, settle};
use depot_tests::twins::network::MemoryNetwork;
use dhat::HeapStats;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const PIPE: usize = 256 << 10;
const MIB: usize = 1 << 20;

/// What each of some requests asked for.
#[derive(Debug)]
struct Asked {
    blocks: u64,
    bytes: u64,
}

impl Asked {
    fn since(before: &HeapStats, requests: u64) -> Self {
        let now = HeapStats::get();
        let each = |now: u64, before: u64| (now - before) / requests;
        Asked {
            blocks: each(now.total_blocks, before.total_blocks),
            bytes: each(now.total_bytes, before.total_bytes),
        }
    }

    #[track_caller]
    fn is_at_most(&self, what: &str, blocks: u64, bytes: u64) {
        println!("{what}: {self:?} of {blocks} and {bytes}");
        assert!(self.blocks <= blocks && self.bytes <= bytes, "{what}: {self:?}");
    }
}

/// One test, for what is counted is the whole process's.
#[test]
fn no_request_asks_for_more_memory_than_it_did() {
    let _counting = dhat::Profiler::builder().testing().build();
    life(async {
        let folder = tempfile::tempdir().unwrap();
        let network = MemoryNetwork::new(PIPE);
        let site = Site::new(1).packing(64 << 20);
        let (seams, _) = site.seams(Arc::new(network.clone()));
        let disk = Arc::new(SystemDisk::open(folder.path()).unwrap());
        let node = site.start_in(seams, disk).await.unwrap();
        let address = node.address().unwrap();
        let stream = network.connect("192.0.2.1:1".parse().unwrap(), address).await.unwrap();
        let mut client = depot_tests::in_process::Client::new(stream);

        let small = (0..200).map(|seed| random_bytes(seed, 4096)).collect::<Vec<_>>();
        let mut before = HeapStats::get();
        for (at, bytes) in small.iter().enumerate() {
            if at == 100 {
                settle().await;
                before = HeapStats::get(); // what is made once has been made
            }
            assert!(client.deposit(ID, &format!("small {at}"), bytes).await.is_done());
        }
        Asked::since(&before, 100).is_at_most("a deposit of 4 KiB", 520, 170_000);

        let before = HeapStats::get();
        for (at, bytes) in small.iter().enumerate().take(100) {
            let found = client.recover(ID, &format!("small {at}")).await;
            assert!(matches!(found, Recovered::Whole(found) if found == *bytes));
        }
        Asked::since(&before, 100).is_at_most("a recover of 4 KiB", 42, 17_000);

        let large = random_bytes(9, 32 * MIB);
        assert!(client.deposit(ID, "large 0", &large).await.is_done());
        let before = HeapStats::get();
        assert!(client.deposit(ID, "large 1", &large).await.is_done());
        // 32 KiB of it is the memory of a run, 1 MiB, once for each file.
        Asked::since(&before, 32).is_at_most("each MiB of a large deposit", 58, 52_000);
        let before = HeapStats::get();
        assert!(matches!(client.recover(ID, "large 1").await, Recovered::Whole(_)));
        Asked::since(&before, 32).is_at_most("each MiB of a large recover", 14, 3_400_000);
        node.stop(&Default::default()).await;
    });
}
