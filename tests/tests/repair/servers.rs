//! Servers that go, and come back.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use depot_protocol::{ClientId, Digest};
use depot_server::catalogue::Namespace;
use depot_server::node::End;
use depot_server::operator::Reply;
use depot_server::volume::write_file;
use depot_tests::in_process::{ID, life};
use depot_tests::twins::memory_disk::MemoryDisk;
use tokio::time::sleep;

use crate::cluster::{CLUSTER, Cluster, REPAIR_AFTER, SECOND};

/// Within this time a server is known to be down, and when it is away that is in the catalogue.
const NOTICED: Duration = Duration::from_secs(6);
const FIVE: [&str; 5] = ["x", "x", "y", "y", "z"];

#[test]
fn a_server_that_is_gone_is_replaced_and_its_copies_count_again_when_it_is_back() {
    life(async {
        let mut cluster = Cluster::of(&FIVE).await;
        let bytes = cluster.deposit(0, "file", 100_000, 2).await;
        cluster.until_copies("file", &bytes, 2).await;
        let before = cluster.until_holders(&bytes, 3).await;
        let gone = *before.iter().find(|at| **at != 0).unwrap();
        cluster.stop(gone).await;
        sleep(REPAIR_AFTER / 2).await;
        assert_eq!(cluster.copies(0, "file").await, 2, "not away yet");
        assert_eq!(cluster.holders(&bytes), before, "and nothing is made elsewhere");
        sleep(REPAIR_AFTER / 2 + NOTICED).await;
        cluster.until_copies("file", &bytes, 2).await;
        let after = cluster.holders(&bytes);
        assert_eq!(after.len(), 4, "one more, and the one that is gone");
        let zones: BTreeSet<_> =
            after.iter().filter(|at| **at != gone).map(|at| FIVE[*at]).collect();
        assert!(zones.len() >= 2, "{zones:?}");
        cluster.start(gone).await;
        let left = cluster.until_holders(&bytes, 3).await;
        cluster.until_copies("file", &bytes, 2).await;
        for at in 0..5 {
            cluster.recovers(at, "file", &bytes).await;
        }
        sleep(100 * SECOND).await;
        assert_eq!(cluster.holders(&bytes), left, "it stays so");
    });
}

#[test]
fn servers_that_are_started_anew_go_on_through_the_records_where_they_were() {
    life(async {
        let mut cluster = Cluster::of(&["a", "b", "c", "d"]).await;
        let first = cluster.deposit(0, "a", 1_000, 2).await;
        let last = cluster.deposit(0, "z", 1_000, 2).await;
        let holds_both = |at: &usize| {
            cluster.holders(&first).contains(at) && cluster.holders(&last).contains(at)
        };
        let gone = (0..4).find(holds_both).unwrap();
        for at in 0..4 {
            cluster.stop(at).await;
            let namespace = Namespace::of(&CLUSTER, &ClientId::parse(ID).unwrap());
            let namespace = Digest::from_bytes(*namespace.as_bytes());
            let place =
                format!("format = 1\n\n[after]\nnamespace = \"{namespace}\"\nname = \"m\"\n");
            write_file(cluster.disk(at), Path::new("PLAN"), place.as_bytes()).unwrap();
        }
        for at in 0..4 {
            cluster.start(at).await;
        }
        sleep(10 * SECOND).await;
        cluster.stop(gone).await;
        sleep(REPAIR_AFTER).await;
        let made = |bytes| cluster.holders(bytes).len() == 4;
        for _ in 0..30_000 {
            if made(&first) || made(&last) {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        assert!(made(&last) && !made(&first), "those behind \"m\" come first");
        cluster.until_copies("a", &first, 2).await;
    });
}

#[test]
fn in_every_zone_there_is_a_copy_again() {
    life(async {
        let mut cluster = Cluster::of(&["x", "x", "y", "y", "z", "z"]).await;
        let files = cluster.deposit_many(6, |_| 0).await;
        sleep(5 * SECOND).await;
        cluster.stop(2).await;
        sleep(REPAIR_AFTER + NOTICED).await;
        for (bytes, file) in &files {
            cluster.until_copies(file, bytes, 2).await;
            let holders = cluster.holders(bytes).into_iter().filter(|at| *at != 2);
            let zones: BTreeSet<_> = holders.map(|at| ["x", "y", "z"][at / 2]).collect();
            assert_eq!(zones.len(), 3, "{file}");
        }
    });
}

#[test]
fn a_restart_copies_nothing() {
    life(async {
        let mut cluster = Cluster::of(&FIVE).await;
        let bytes = cluster.deposit(0, "file", 100_000, 2).await;
        let before = cluster.until_holders(&bytes, 3).await;
        for at in [0, before[1]] {
            cluster.stop(at).await;
            sleep(5 * SECOND).await;
            cluster.start(at).await;
            sleep(2 * REPAIR_AFTER).await;
            assert_eq!(cluster.holders(&bytes), before);
            assert_eq!(cluster.copies(0, "file").await, 2);
        }
        for at in 0..5 {
            assert_eq!(cluster.status(at).await.repair.unwrap().missing, 0);
        }
    });
}

#[test]
fn the_last_copy_does_not_wait_so_long() {
    life(async {
        let mut cluster = Cluster::of(&FIVE).await;
        let bytes = cluster.deposit(0, "file", 100_000, 1).await;
        let before = cluster.until_holders(&bytes, 2).await;
        cluster.stop(before[1]).await;
        sleep(REPAIR_AFTER / 2).await; // the last copy waits for 20 s
        assert_eq!(cluster.holders(&bytes).len(), 3, "before the other one is away");
        sleep(20 * SECOND).await;
        assert_eq!(cluster.copies(0, "file").await, 2, "it counts as long as it is not away");
        cluster.start(before[1]).await;
        cluster.until_holders(&bytes, 2).await;
        cluster.until_copies("file", &bytes, 1).await;
    });
}

#[test]
fn a_server_that_lost_its_disk_comes_to_its_copies_again() {
    life(async {
        let mut cluster = Cluster::of(&["x", "y", "z"]).await;
        let bytes = cluster.deposit(0, "file", 100_000, 2).await;
        cluster.until_holders(&bytes, 3).await;
        cluster.stop(2).await;
        cluster.replace(2).await;
        sleep(10 * SECOND).await;
        cluster.until_copies("file", &bytes, 2).await;
        assert_eq!(cluster.holders(&bytes), [0, 1, 2]);
    });
}

#[test]
fn whoever_leads_may_go() {
    life(async {
        let mut cluster = Cluster::of(&["x", "y", "z"]).await;
        let bytes = cluster.deposit(0, "file", 100_000, 1).await;
        cluster.until_holders(&bytes, 2).await;
        let leads =
            |status: depot_server::operator::Status| status.repair.unwrap().lacking.is_some();
        let mut leader = 0;
        while !leads(cluster.status(leader).await) {
            leader += 1;
        }
        cluster.stop(leader).await;
        sleep(REPAIR_AFTER + 20 * SECOND).await;
        cluster.until_copies("file", &bytes, 1).await;
        cluster.start(leader).await;
        cluster.until_holders(&bytes, 2).await;
        cluster.until_copies("file", &bytes, 1).await;
    });
}

#[test]
fn while_the_only_holder_is_down_nobody_is_wanted_to_make_its_copies() {
    life(async {
        let mut cluster = Cluster::of(&["x", "y", "z"]).await;
        let bytes = cluster.deposit(0, "file", 1_000, 0).await;
        let holder = cluster.until_holders(&bytes, 1).await[0];
        cluster.stop(holder).await;
        for wait in [REPAIR_AFTER / 2, REPAIR_AFTER] {
            sleep(wait + NOTICED).await; // a last copy waits for 20 s; then it is away
            for at in (0..3).filter(|at| *at != holder) {
                assert_eq!(cluster.status(at).await.repair.unwrap().missing, 0);
            }
        }
        cluster.start(holder).await;
        cluster.until_copies("file", &bytes, 0).await;
        cluster.recovers((holder + 1) % 3, "file", &bytes).await;
    });
}

#[test]
fn a_server_that_was_taken_out_of_the_list_is_replaced() {
    life(async {
        let mut cluster = Cluster::of(&["x", "y", "z", "w"]).await;
        let files = cluster.deposit_many(4, |_| 3).await;
        sleep(5 * SECOND).await;
        for at in 0..4 {
            cluster.stop(at).await;
        }
        cluster.shrink(&["x", "y", "z"]);
        for at in 0..3 {
            cluster.start(at).await;
        }
        sleep(REPAIR_AFTER + 20 * SECOND).await;
        for (bytes, file) in &files {
            assert_eq!(cluster.holders(bytes), [0, 1, 2]);
            cluster.until_copies(file, bytes, 2).await;
        }
    });
}

#[test]
fn a_server_whose_disk_is_full_when_it_is_founded_ends_and_goes_on_when_there_is_room() {
    life(async {
        let mut cluster = Cluster::of(&["x", "y", "z"]).await;
        let bytes = cluster.deposit(0, "file", 1_000, 2).await;
        cluster.stop(2).await;
        cluster.start_on(2, MemoryDisk::with_capacity(4096)).await;
        let Reply::Refused(why) = cluster.admit(2).await else { panic!("it has no room") };
        assert!(why.contains("cannot be founded"), "{why}");
        assert!(matches!(cluster.ended(2).await, End::Failed(_)));

        cluster.disk(2).set_capacity(1 << 30);
        cluster.start(2).await;
        assert_eq!(cluster.until_holders(&bytes, 3).await, [0, 1, 2]);
        cluster.until_copies("file", &bytes, 2).await;
    });
}
