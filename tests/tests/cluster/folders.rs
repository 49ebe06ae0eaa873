//! Data folders that are swapped, emptied, or missing a half, where the cluster knows the server.

use std::fs;
use std::path::Path;
use std::time::Duration;

use depot_tests::content::made_up_id;
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, answer, eventually, eventually_within, within};

use crate::client::{File, knows_no_majority};

#[test]
fn swapped_data_folders_are_refused_by_both_and_work_again_swapped_back() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    cluster.stop(1);
    cluster.stop(2);
    swap(&cluster);
    for (server, owner) in [(1, "\"c\""), (2, "\"b\"")] {
        let refusal = cluster.refuses(server);
        assert_eq!(refusal.code, Some(7), "{}", refusal.stderr);
        let named = refusal.stderr.contains(owner.trim_matches('"'));
        assert!(named, "whose it is: {}", refusal.stderr);
    }
    swap(&cluster);
    cluster.start_all();
    cluster.ready();
    (0..3).for_each(|server| file.is_at(&cluster, server));
}

fn swap(cluster: &Cluster) {
    let [one, other] = [1, 2].map(|server| cluster.folder(server).root().to_owned());
    let aside = cluster.aside().join("swapped");
    for (from, to) in [(&one, &aside), (&other, &one), (&aside, &other)] {
        fs::rename(from, to).expect("moved");
    }
}

#[test]
fn row_73_an_emptied_folder_waits_and_never_votes() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    emptied(&mut cluster, 2);
    let line = cluster.server(2).ready_line();
    assert!(line.contains("waits to be founded or admitted"), "{line}");
    let answer = cluster.raw(2).deposit(&made_up_id(), "x", b"x");
    answer::refused(&answer, "servidor_indisponivel");
    // Two that vote are left; with one of them there is no majority, whatever the third says.
    file.changed().deposit(&cluster, 0, 1);
    cluster.kill9(1);
    knows_no_majority(&cluster, 0);
    let answer = cluster.raw(0).deposit(&made_up_id(), "x", b"x");
    answer::refused(&answer, "sem_quorum");
}

#[test]
fn row_73_admit_brings_an_emptied_server_back_in_a_new_life() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    emptied(&mut cluster, 2);
    let told = cluster.operator(&["admit", "c"]).done();
    assert!(told.contains('c'), "{told}");
    cluster.ready();
    copies_are_true(&cluster, &file);
    let status = cluster.operator(&["status"]).done();
    let line = status.lines().find(|line| line.starts_with("c: ")).expect("its line");
    assert!(line.contains("incarnation 2"), "{status}");
    (0..3).for_each(|server| file.is_at(&cluster, server));
    // It counts again: as a holder, and as a voter where another one is away.
    let next = File::new("b.bin", 100_000);
    next.deposit_whole(&cluster, 1, 2);
    assert_eq!(cluster.holding(&next.hash()), [0, 1, 2]);
    cluster.kill9(0);
    eventually_within(Duration::from_secs(60), "a majority without a", || {
        cluster.serves(1) && cluster.serves(2)
    });
    next.is_at(&cluster, 1);
    next.is_at(&cluster, 2);
    File::new("c.bin", 1000).deposit(&cluster, 2, 1);
}

#[test]
fn admit_of_a_server_that_is_one_already_or_that_nobody_knows_is_harmless() {
    let cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 1000);
    file.deposit_whole(&cluster, 0, 2);
    let _ = cluster.operator(&["admit", "b"]);
    cluster.operator(&["admit", "nobody"]).refused(&["nobody"]);
    cluster.ready();
    let line = file.stat(&cluster, 1);
    assert_eq!(answer::number(&line, "copias"), 2, "{line}");
    file.changed().deposit_whole(&cluster, 1, 2);
}

#[test]
fn row_86_a_wiped_half_of_a_folder_is_exit_code_8_and_names_admit() {
    let mut cluster = Cluster::of(3).start();
    File::new("a.bin", 100_000).deposit_whole(&cluster, 0, 2);
    cluster.stop(2);
    let aside = cluster.aside().join("half");
    for half in ["volume/blobs", "volume", "catalogue/catalogue.redb", "catalogue"] {
        let half = cluster.folder(2).path(half);
        fs::rename(&half, &aside).expect("moved away");
        let refusal = cluster.refuses(2);
        assert_eq!(refusal.code, Some(8), "{}: {}", half.display(), refusal.stderr);
        let says = refusal.stderr.contains("depot-server admit");
        assert!(says, "what to do about {}: {}", half.display(), refusal.stderr);
        put_back(&aside, &half);
    }
    cluster.start(2);
    cluster.ready();
}

/// Nothing was made in its place but what can be taken away.
fn put_back(aside: &Path, half: &Path) {
    let _ = fs::remove_dir(half);
    fs::rename(aside, half).expect("moved back");
}

#[test]
fn row_86_a_server_whose_blobs_are_gone_is_emptied_and_admitted() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    cluster.stop(1);
    fs::remove_dir_all(cluster.folder(1).path("volume")).expect("a disk that is gone");
    assert_eq!(cluster.refuses(1).code, Some(8));
    fs::remove_dir_all(cluster.folder(1).root()).expect("emptied");
    cluster.start(1);
    cluster.operator(&["admit", "b"]).done();
    cluster.ready();
    copies_are_true(&cluster, &file);
    file.is_at(&cluster, 1);
}

/// A server stops, loses all that it had, and starts again.
fn emptied(cluster: &mut Cluster, server: usize) {
    cluster.stop(server);
    fs::remove_dir_all(cluster.folder(server).root()).expect("emptied");
    cluster.start(server);
}

/// Every server tells as many replicas as there are other copies on disks, or fewer.
#[track_caller]
fn copies_are_true(cluster: &Cluster, file: &File) {
    for server in 0..3 {
        let told = answer::number(&file.stat(cluster, server), "copias");
        let there = cluster.holding(&file.hash()).len();
        assert!(told < there, "{told} replicas are told, {there} copies are there");
    }
}

#[test]
fn a_server_that_was_away_catches_up() {
    let mut cluster = Cluster::of(3).start();
    cluster.stop(2);
    cluster.ready();
    let (id, mut client) = (made_up_id(), cluster.raw(0));
    for number in 0..50 {
        let name = format!("{number:02}.txt");
        let line = client.deposit_as(&Deposit::of(&id, &name, b"hello").replicas(1), b"hello");
        assert!(line.starts_with("resultado:1|"), "{line}");
    }
    assert_eq!(client.ask(headers::remove(&id, "00.txt")), "resultado:1");
    cluster.start(2);
    cluster.ready();
    let names = cluster.raw(2).names(&id);
    assert_eq!((names.len(), names[0].as_str()), (49, "01.txt"));
    // What it may take by default is 30 s.
    within(Duration::ZERO, Duration::from_secs(20), || cluster.stop(2));
    eventually("the others go on", || cluster.serves(0));
}
