//! What one server's disk does to copies: one that is full, one whose copies are gone; and one that
//! was only out of reach while its server was restarted.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use depot_tests::content::random_bytes;
use depot_tests::{Cluster, Mount, answer, eventually_within, headers};
use nix::sys::statvfs::statvfs;

use crate::client::File;

/// How long what goes on in the background may take.
const SOON: Duration = Duration::from_secs(60);

/// The size of a small disk, and what deposits leave free of it.
const DISK_MIB: u64 = 128;
const RESERVE_MIB: u64 = 16;

#[test]
fn what_a_full_disk_does_not_take_goes_elsewhere_until_there_is_room_again() {
    const FULL: usize = 2;
    let reserve = format!("reserve = \"{RESERVE_MIB} MiB\"\nreserve_percent = 0");
    let mut cluster = Cluster::of(4).section("volume", &reserve).stopped();
    let disk = cluster.folder(FULL).root().to_owned();
    fs::create_dir(&disk).expect("a folder");
    let Some(_mount) = Mount::small(&disk, DISK_MIB) else {
        println!("skipped: mounting is not allowed here");
        return;
    };
    cluster.start_all();
    cluster.operator(&["init"]).done();
    cluster.ready();
    let file = on_both(&cluster, 0, FULL);
    let ballast = fill(&disk);

    // More than its trash can make room for. Others know, or it says so itself.
    let bytes = random_bytes(1, 8 << 20);
    let file = File { bytes, ..file };
    file.deposit_whole(&cluster, 0, 1);
    assert!(!cluster.holding(&file.hash()).contains(&FULL), "it has no room");
    let next = file.changed();
    let mut client = cluster.raw(FULL);
    client.send_line(next.header(1).header());
    // It may have closed before it has taken all.
    drop(client.try_send(&next.bytes));
    answer::refused(&client.line(), "sem_espaco");
    // All are asked for, and it is the only one that lacks its copy.
    let line = cluster.raw(1).ask(headers::set_replicas(&file.id, 3, &file.name));
    assert_eq!(answer::number(&line, "qtd_replicas"), 3, "{line}");
    cluster.wait_copies(FULL, &file.id, &file.name, 2);
    file.is_at(&cluster, FULL);

    fs::remove_file(ballast).expect("there is room again");
    eventually_within(SOON, "it has its copy too", || cluster.holding(&file.hash()).len() == 4);
    cluster.wait_copies(1, &file.id, &file.name, 3);
    next.deposit(&cluster, FULL, 3);
}

/// A file whose copies come to these two, as its name says.
#[track_caller]
fn on_both(cluster: &Cluster, server: usize, other: usize) -> File {
    let files = (0..20).map(|number| File::new(&format!("{number}.bin"), 2 << 20));
    let comes = |file: &File| {
        file.deposit_whole(cluster, server, 1);
        cluster.holding(&file.hash()) == [server, other]
    };
    files.into_iter().find(comes).expect("one of twenty")
}

/// Leaves the reserve on a disk and next to nothing more; returns the file that takes the rest.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("ballast");
    let space = statvfs(disk).expect("the disk's space");
    let free = space.blocks_available() * space.fragment_size();
    let left = (RESERVE_MIB << 20) + (256 << 10);
    let size = usize::try_from(free - left).expect("a small disk");
    fs::write(&path, vec![0; size]).expect("it takes that much");
    path
}

#[test]
fn copies_that_are_gone_from_a_disk_are_noticed_at_the_start_and_made_again() {
    let mut cluster = Cluster::of(3).start();
    let files = files(&cluster);
    cluster.stop(1);
    let shards = shards(&cluster, 1);
    shards.iter().for_each(|shard| fs::remove_dir_all(shard).expect("removed"));
    // Without its folders it may be another disk; a person who says that it is this one makes them.
    let refusal = cluster.refuses(1);
    assert_eq!(refusal.code, Some(8), "{refusal:?}");
    assert!(refusal.stderr.contains("volume/blobs/00 is missing"), "{refusal:?}");
    shards.iter().for_each(|shard| fs::create_dir(shard).expect("a folder"));
    cluster.start(1);
    for file in &files {
        let all = || cluster.holding(&file.hash()) == [0, 1, 2];
        eventually_within(SOON, &format!("the copy of {}", file.name), all);
        cluster.wait_copies(0, &file.id, &file.name, 2);
        file.is_at(&cluster, 1);
    }
    assert_eq!(made(&cluster), [0, files.len(), 0]);
}

#[test]
fn a_restart_of_five_seconds_copies_nothing() {
    let after = "repair_after = \"8s\"\nrepair_after_last = \"8s\"";
    let mut cluster = Cluster::of(4).section("cluster", after).start();
    let files = files(&cluster);
    let held = |cluster: &Cluster| -> Vec<_> {
        files.iter().map(|file| cluster.holding(&file.hash())).collect()
    };
    let (before, server) = (held(&cluster), cluster.holding(&files[0].hash())[0]);
    cluster.stop(server);
    // These times are the point: shorter than what is repaired after, and then longer.
    thread::sleep(Duration::from_secs(5));
    cluster.start(server);
    cluster.ready();
    thread::sleep(Duration::from_secs(5));
    assert_eq!(held(&cluster), before);
    assert_eq!(made(&cluster), [0; 4]);
    for file in &files {
        cluster.wait_copies(server, &file.id, &file.name, 2);
        file.is_at(&cluster, server);
    }
}

/// The folders in which a server's copies lie.
fn shards(cluster: &Cluster, server: usize) -> Vec<PathBuf> {
    let blobs = fs::read_dir(cluster.folder(server).path("volume/blobs")).expect("a folder");
    let entries = blobs.map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Files of all sorts of sizes, with two replicas each.
#[track_caller]
fn files(cluster: &Cluster) -> Vec<File> {
    let sizes = [1, 1_000, 65_536, 65_537, 3_000_000];
    let files = sizes.map(|size| File::new(&format!("{size}.bin"), size));
    files.iter().for_each(|file| file.deposit_whole(cluster, 0, 2));
    files.into()
}

/// How many copies each server has made to repair something, as it tells operators.
#[track_caller]
fn made(cluster: &Cluster) -> Vec<usize> {
    let status = cluster.operator(&["status"]).done();
    let copies = status.lines().filter_map(|line| line.trim().strip_prefix("copies: "));
    let made = copies.map(|line| line.split(' ').next().and_then(|made| made.parse().ok()));
    made.collect::<Option<_>>().unwrap_or_else(|| panic!("numbers of copies: {status}"))
}
