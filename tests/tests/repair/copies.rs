//! Copies that are lost, and numbers that change.

use depot_server::operator::Why;
use depot_server::seams::Disk;
use depot_server::volume::layout;
use depot_tests::content::sha256;
use depot_tests::headers::Deposit;
use depot_tests::in_process::{ID, life};
use depot_tests::twins::memory_disk::{Errno, Fault, Op};
use tokio::time::sleep;

use crate::cluster::{Cluster, SECOND, digest};

const FIVE: [&str; 5] = ["a", "b", "c", "d", "e"];

#[test]
fn a_copy_that_went_bad_is_told_by_its_reader_and_made_again() {
    life(async {
        let cluster = Cluster::of(&FIVE).await;
        let bytes = cluster.deposit(0, "file", 300_000, 2).await;
        let holders = cluster.until_holders(&bytes, 3).await;
        let path = layout::blob(&digest(&bytes));
        for at in holders {
            assert!(cluster.disk(at).flip(&path, 150_000, 3).unwrap());
            cluster.recovers(at, "file", &bytes).await;
            sleep(SECOND / 10).await; // the bad copy is in quarantine
            cluster.until_copies("file", &bytes, 2).await;
            assert!(cluster.disk(at).read(&path).is_ok(), "it has a copy again");
            assert_eq!(cluster.status(at).await.repair.unwrap().healed, 1);
        }
    });
}

#[test]
fn a_copy_that_is_gone_is_told_by_its_reader_and_made_again() {
    life(async {
        let cluster = Cluster::of(&FIVE).await;
        let bytes = cluster.deposit(0, "file", 300_000, 2).await;
        let holders = cluster.until_holders(&bytes, 3).await;
        let path = layout::blob(&digest(&bytes));
        cluster.disk(holders[1]).remove_file(&path).unwrap();
        cluster.recovers(holders[1], "file", &bytes).await;
        sleep(SECOND / 10).await;
        cluster.until_copies("file", &bytes, 2).await;
        assert_eq!(cluster.holders(&bytes), holders);
    });
}

#[test]
fn emptied_shards_are_noticed_at_the_start_and_filled_again() {
    life(async {
        let mut cluster = Cluster::of(&["a", "b", "c"]).await;
        let files = cluster.deposit_many(20, |n| n % 3).await;
        sleep(5 * SECOND).await;
        cluster.stop(1).await;
        for (bytes, _) in &files {
            cluster.disk(1).remove_file(&layout::blob(&digest(bytes))).unwrap();
        }
        cluster.start(1).await;
        sleep(20 * SECOND).await;
        for (bytes, file) in &files {
            cluster.until_copies(file, bytes, 2).await;
            assert_eq!(cluster.holders(bytes), [0, 1, 2]);
        }
    });
}

/// As of a mount that went away while the server ran.
#[test]
fn where_part_of_the_volume_is_gone_nothing_is_concluded() {
    life(async {
        let mut cluster = Cluster::of(&["a", "b"]).await;
        let mut files = Vec::new();
        for n in 0..1_100 {
            let file = format!("{n} file");
            files.push((cluster.deposit(0, &file, n, 1).await, file));
        }
        sleep(5 * SECOND).await;
        cluster.stop(1).await;
        cluster.start(1).await;
        let marker = layout::blobs().join("MARKER");
        let bytes = cluster.disk(1).read(&marker).unwrap();
        cluster.disk(1).remove_file(&marker).unwrap();
        for (bytes, _) in &files {
            cluster.disk(1).remove_file(&layout::blob(&digest(bytes))).unwrap();
        }
        sleep(30 * SECOND).await;
        let told = cluster.status(1).await.repair.unwrap();
        assert_eq!(told.missing + told.healed, 0);
        // With its marker, what is missing is missing.
        cluster.stop(1).await;
        cluster.disk(1).put(&marker, &bytes).unwrap();
        cluster.start(1).await;
        sleep(60 * SECOND).await;
        for (bytes, file) in &files {
            cluster.until_copies(file, bytes, 1).await;
        }
    });
}

#[test]
fn replicas_go_up_and_down_and_the_space_comes_back() {
    life(async {
        let cluster = Cluster::of(&FIVE).await;
        let bytes = cluster.deposit(2, "file", 100_000, 0).await;
        cluster.until_copies("file", &bytes, 0).await;
        cluster.set_replicas(1, "file", 4).await;
        cluster.until_copies("file", &bytes, 4).await;
        cluster.set_replicas(3, "file", 1).await;
        cluster.until_copies("file", &bytes, 1).await;
        let left = cluster.until_holders(&bytes, 2).await;
        for at in 0..5 {
            cluster.recovers(at, "file", &bytes).await;
        }
        assert_eq!(cluster.holders(&bytes), left);
    });
}

#[test]
fn an_operator_sees_which_copies_are_missing_why_and_since_when() {
    life(async {
        let mut cluster = Cluster::of(&["a", "b", "c"]).await;
        let files = cluster.deposit_many(25, |_| 0).await;
        sleep(5 * SECOND).await;
        // The other two can't give what the first one lacks.
        for (at, (bytes, _)) in files.iter().enumerate() {
            let path = layout::blob(&digest(bytes));
            for other in [1, 2] {
                cluster.disk(other).remove_file(&path).unwrap();
            }
            match at {
                0 => cluster.disk(0).remove_file(&path).unwrap(),
                _ => assert!(cluster.disk(0).flip(&path, 100, 3).unwrap()),
            }
        }
        for (_, file) in &files {
            drop(cluster.client(0).await.recover(ID, file).await);
        }
        sleep(100 * SECOND).await;
        let status = cluster.status(0).await;
        assert_eq!(status.repair.unwrap().missing, 25);
        assert_eq!(status.missing.len(), 20, "the others are only counted");
        for copy in &status.missing {
            let gone = copy.digest == sha256(&files[0].0);
            assert_eq!(copy.why, if gone { Why::Gone } else { Why::Bad });
            assert!((90..=110).contains(&copy.since), "{copy:?}");
            assert!(copy.attempts >= 3 && copy.failure.is_some(), "{copy:?}");
        }
        cluster.stop(0).await;
        cluster.start(0).await;
        sleep(20 * SECOND).await;
        let missing = cluster.status(0).await.missing;
        assert!(missing.len() == 20 && missing.iter().all(|copy| copy.why == Why::Found));
    });
}

#[test]
fn a_copy_that_many_records_have_is_lost_and_made_again() {
    const RECORDS: usize = 700;
    life(async {
        let cluster = Cluster::of(&["a", "b", "c"]).await;
        let bytes = b"the same in all of them".to_vec();
        for n in 0..RECORDS {
            let mut client = cluster.client(0).await;
            let file = n.to_string();
            client.send_line(Deposit::of(ID, &file, &bytes).replicas(1).header()).await;
            client.send(&bytes).await;
            assert!(client.hear().await.is_done());
        }
        sleep(10 * SECOND).await;
        let path = layout::blob(&digest(&bytes));
        let before = cluster.status(0).await.catalogue.unwrap().applied;
        assert!(cluster.disk(0).flip(&path, 3, 3).unwrap());
        cluster.recovers(0, "17", &bytes).await;
        sleep(60 * SECOND).await;
        let status = cluster.status(0).await;
        let repair = status.repair.unwrap();
        assert_eq!((repair.healed, repair.missing), (RECORDS as u64, 0));
        let said = status.catalogue.unwrap().applied - before - RECORDS as u64;
        assert!((3..12).contains(&said), "{said} commands said that it is lost");
        for n in (0..RECORDS).step_by(100) {
            assert_eq!(cluster.copies(0, &n.to_string()).await, 1);
        }
    });
}

#[test]
fn a_copy_that_a_lane_finds_bad_as_it_reads_it_back_is_made_again() {
    life(async {
        let cluster = Cluster::of(&FIVE).await;
        let bytes = cluster.deposit(0, "file", 300_000, 1).await;
        cluster.until_holders(&bytes, 2).await;
        assert!(cluster.disk(0).flip(layout::blob(&digest(&bytes)), 150_000, 3).unwrap());
        // Its footer is good: this server vouches for it, and sends it to those that are to have one.
        let held = Deposit::of(ID, "file", &bytes).replicas(3).offset(bytes.len());
        let mut client = cluster.client(0).await;
        client.send_line(held.header()).await;
        assert_eq!(client.hear().await.error(), Some("copias_insuficientes"));
        sleep(SECOND).await;
        assert_eq!(quarantined(&cluster, 0), 1);
        cluster.until_copies("file", &bytes, 1).await;
        assert_eq!(cluster.status(0).await.repair.unwrap().healed, 1);
        client.send_line(held.header()).await;
        assert!(client.hear().await.is_done());
        cluster.until_copies("file", &bytes, 3).await;
    });
}

#[test]
fn a_copy_that_a_peer_finds_bad_as_it_fetches_it_is_made_again() {
    life(async {
        let mut cluster = Cluster::of(&["a", "b", "c"]).await;
        let bytes = cluster.deposit(0, "file", 300_000, 2).await;
        cluster.until_holders(&bytes, 3).await;
        let path = layout::blob(&digest(&bytes));
        // The third one has lost its copy, and asks the first one in the record for another.
        cluster.stop(2).await;
        cluster.disk(2).remove_file(&path).unwrap();
        assert!(cluster.disk(0).flip(&path, 150_000, 3).unwrap());
        cluster.start(2).await;
        sleep(20 * SECOND).await;
        assert_eq!(quarantined(&cluster, 0), 1);
        cluster.until_copies("file", &bytes, 2).await;
        for at in [0, 2] {
            assert_eq!(cluster.status(at).await.repair.unwrap().healed, 1);
        }
    });
}

#[test]
fn what_a_disk_did_not_give_counts_again_when_it_does() {
    const FILES: usize = 40;
    life(async {
        let cluster = Cluster::of(&["a", "b", "c"]).await;
        let mut files = Vec::new();
        for n in 0..FILES {
            let file = format!("{n} file");
            files.push((cluster.deposit(0, &file, 1_000 + n, 2).await, file));
        }
        sleep(5 * SECOND).await;
        let dead = Fault::at(1, Errno::EIO).of(Op::Read).under("volume/blobs").for_ever();
        cluster.disk(0).inject(dead);
        for (bytes, file) in &files {
            cluster.recovers(0, file, bytes).await;
        }
        sleep(100 * SECOND).await;
        let aside = quarantined(&cluster, 0);
        assert!(aside < 16 && cluster.status(0).await.suspect, "{aside}");
        for (_, file) in &files {
            assert_eq!(cluster.copies(1, file).await, 1, "nobody counts on that disk");
        }
        cluster.disk(0).clear_faults();
        sleep(1_500 * SECOND).await;
        assert!(!cluster.status(0).await.suspect);
        for (bytes, file) in &files {
            cluster.until_copies(file, bytes, 2).await;
        }
        assert_eq!(cluster.status(0).await.repair.unwrap().healed, FILES as u64);
        assert_eq!(quarantined(&cluster, 0), aside);
    });
}

fn quarantined(cluster: &Cluster, at: usize) -> usize {
    cluster.disk(at).list(&layout::quarantine()).unwrap().len()
}

#[test]
fn where_a_holder_has_no_room_for_a_new_copy_another_server_makes_it() {
    life(async {
        let cluster = Cluster::of(&FIVE).await;
        let bytes = cluster.deposit(0, "file", 300_000, 1).await;
        let holders = cluster.until_holders(&bytes, 2).await;
        let disk = cluster.disk(holders[1]);
        let space = disk.space().unwrap();
        disk.set_capacity((space.total - space.free) as usize + (32 << 20)); // of the reserve
        disk.remove_file(&layout::blob(&digest(&bytes))).unwrap();
        sleep(5 * SECOND).await;
        cluster.recovers(holders[1], "file", &bytes).await;
        sleep(20 * SECOND).await;
        cluster.until_copies("file", &bytes, 1).await;
        assert!(!cluster.holders(&bytes).contains(&holders[1]));
    });
}

/// Few are missing, and all that is left says nothing of why.
#[test]
fn a_volume_without_its_marker_has_lost_nothing() {
    life(async {
        let mut cluster = Cluster::of(&["a", "b"]).await;
        let bytes = cluster.deposit(0, "file", 1_000, 1).await;
        cluster.until_holders(&bytes, 2).await;
        cluster.stop(1).await;
        cluster.start(1).await;
        let disk = cluster.disk(1);
        let (marker, blob) = (layout::blobs().join("MARKER"), layout::blob(&digest(&bytes)));
        let (is_marker, is_blob) = (disk.read(&marker).unwrap(), disk.read(&blob).unwrap());
        disk.remove_file(&marker).unwrap();
        disk.remove_file(&blob).unwrap();
        sleep(30 * SECOND).await;
        let told = cluster.status(1).await.repair.unwrap();
        assert_eq!(told.missing + told.healed, 0);
        disk.put(&blob, &is_blob).unwrap();
        disk.put(&marker, &is_marker).unwrap();
        cluster.until_copies("file", &bytes, 1).await;
    });
}
