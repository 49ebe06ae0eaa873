//! `depot-server scrub`, and what `status` tells of it.

use depot_tests::{Cluster, eventually};

use crate::harm::{File, Harm, Place};

#[test]
fn an_operator_has_one_server_read_its_copies_and_sees_what_was_found() {
    let cluster = Cluster::of(3).start();
    let file = File::deposited(&cluster, 0, "a.bin", 100_000);
    (1..3).for_each(|server| file.suffers(&cluster, server, Harm::Flip(Place::LastChunk)));
    assert_eq!(cluster.operator(&["scrub", "b"]).done(), "b reads its copies again\n");
    file.is_healed(&cluster, 1, 0);
    let status = cluster.operator(&["status"]).done();
    let scrubs: Vec<&str> = status.lines().filter(|line| line.contains("  scrub: ")).collect();
    let [a, b, c] = scrubs[..] else { panic!("three servers: {status}") };
    assert!(b.contains("BAD so far: 1") && b.contains(&file.hash()[..12]), "{b}");
    for other in [a, c] {
        assert!(other.contains("none was ever bad"), "nobody asked it: {other}");
    }
}

#[test]
fn all_servers_are_told_where_none_is_named_even_if_one_is_down() {
    let mut cluster = Cluster::of(3).start();
    let all = "a reads its copies again\nb reads its copies again\nc reads its copies again\n";
    assert_eq!(cluster.operator(&["scrub"]).done(), all);
    cluster.kill9(0);
    let told = cluster.operator(&["scrub"]);
    assert_eq!(told.stdout, "b reads its copies again\nc reads its copies again\n");
    told.refused(&["cannot ask the server a"]);
    cluster.operator(&["scrub", "d"]).refused(&["has no server \"d\""]);
}

#[test]
fn what_a_scrub_has_found_is_told_after_a_restart_too() {
    let mut cluster = Cluster::of(3).start();
    let file = File::deposited(&cluster, 0, "a.bin", 100_000);
    file.suffers(&cluster, 1, Harm::Flip(Place::FirstChunk));
    cluster.operator(&["scrub", "b"]).done();
    file.is_healed(&cluster, 1, 0);
    cluster.stop(1);
    cluster.start(1);
    cluster.ready();
    eventually("b tells of it", || cluster.operator(&["status"]).done().contains("BAD so far: 1"));
}
