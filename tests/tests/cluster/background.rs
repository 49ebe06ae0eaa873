//! What goes on after the answer: missing copies are made, surplus ones go, what was cut leaves
//! nothing on anyone, and an upload that was cut goes on with all its copies.

use std::time::Duration;

use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, answer, eventually_within};

use crate::client::{File, promised};

/// How long what goes on in the background may take.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_copy_that_could_not_be_made_is_made_when_its_server_is_back() {
    let mut cluster = Cluster::of(3).start();
    cluster.kill9(2);
    cluster.ready();
    let files = [0, 1, 70_000, 5_000_000].map(|size| File::new(&format!("{size}.bin"), size));
    for file in &files {
        assert_eq!(file.deposit(&cluster, 0, 2), 1);
    }
    cluster.start(2);
    for file in &files {
        cluster.wait_copies(1, &file.id, &file.name, 2);
        assert_eq!(cluster.holding(&file.hash()), [0, 1, 2]);
    }
    cluster.kill9(0);
    cluster.kill9(1);
    for file in &files {
        let (bytes, _) = cluster.raw(2).read(&file.id, &file.name);
        assert!(bytes == file.bytes, "other bytes");
    }
}

#[test]
fn what_was_removed_or_replaced_goes_from_all_and_a_smaller_number_frees_the_surplus() {
    let cluster = Cluster::shared();
    let [removed, replaced, lowered] = [1, 2, 3].map(|n| File::new(&format!("{n}.bin"), 10_000));
    for file in [&removed, &replaced, &lowered] {
        file.deposit_whole(&cluster, 0, 2);
    }
    let line = cluster.raw(1).ask(headers::remove(&removed.id, &removed.name));
    assert_eq!(line, "resultado:1");
    let new = replaced.changed();
    new.deposit(&cluster, 2, 2);
    let line = cluster.raw(1).ask(headers::set_replicas(&lowered.id, 0, &lowered.name));
    assert_eq!(answer::number(&line, "qtd_replicas"), 0, "{line}");
    for (file, copies) in [(&removed, 0), (&replaced, 0), (&lowered, 1)] {
        eventually_within(SOON, &format!("{copies} copies of {}", file.name), || {
            cluster.holding(&file.hash()).len() == copies
        });
    }
    cluster.wait_copies(0, &lowered.id, &lowered.name, 0);
    for server in 0..3 {
        new.is_at(&cluster, server);
        lowered.is_at(&cluster, server);
    }
}

#[test]
fn what_was_cut_or_had_a_wrong_hash_leaves_nothing_on_the_others() {
    let cluster = Cluster::of(3).start();
    let (cut, wrong) = (File::new("cut.bin", 4 << 20), File::new("wrong.bin", 4 << 20));
    let mut client = cluster.raw(0);
    client.begin(&cut.header(2), &cut.bytes[..2 << 20]);
    eventually_within(SOON, "it is being sent on", || cluster.staging().len() == 3);
    drop(client);
    let line = cluster.raw(1).deposit_as(&wrong.header(2).hash(cut.hash()), &wrong.bytes);
    answer::refused(&line, "hash_divergente");
    // The server that was spoken to keeps the part that was cut, for its client.
    eventually_within(SOON, "nothing is left elsewhere", || cluster.staging() == [0]);
    assert!(cluster.holding(&cut.hash()).is_empty() && cluster.holding(&wrong.hash()).is_empty());
}

#[test]
fn an_upload_that_was_cut_goes_on_with_all_its_copies() {
    let cluster = Cluster::shared();
    for last in [false, true] {
        let (file, half) = (File::new("cut.bin", 6_000_000), 3_000_000);
        let header = if last { file.header(2).hash_last() } else { file.header(2) };
        let mut client = cluster.raw(1);
        client.begin(&header, &file.bytes[..half]);
        client.finish();
        answer::refused(&client.line(), "mensagem_incompleta");
        let mut client = cluster.raw(1);
        let held = client.prepare(&header, &file.bytes);
        assert!(held > 0 && held <= half, "{held}");
        client.begin(&header.offset(held), &file.bytes[held..]);
        if last {
            client.send_line(headers::hash_line(&file.bytes));
        }
        promised(&client.line(), 2, &file.hash());
        cluster.wait_copies(1, &file.id, &file.name, 2);
        (0..3).for_each(|server| file.is_at(&cluster, server));
    }
}

#[test]
fn a_content_that_the_client_has_elsewhere_is_not_sent_again() {
    let cluster = Cluster::shared();
    let file = File::new("first.bin", 500_000);
    file.deposit(&cluster, 0, 0);
    for (server, name, replicas) in [(1, "second.bin", 1), (2, "third.bin", 2)] {
        let again = Deposit::of(&file.id, name, &file.bytes).replicas(replicas);
        let mut client = cluster.raw(server);
        assert_eq!(client.prepare(&again, &file.bytes), file.bytes.len());
        let line = client.deposit_as(&again.offset(file.bytes.len()), b"");
        promised(&line, replicas, &file.hash());
        assert!(client.recover(&file.id, name) == file.bytes, "other bytes");
    }
    cluster.wait_copies(0, &file.id, "third.bin", 2);
    // Without the first name the others stay.
    assert_eq!(cluster.raw(1).ask(headers::remove(&file.id, "first.bin")), "resultado:1");
    for server in 0..3 {
        assert!(cluster.raw(server).recover(&file.id, "second.bin") == file.bytes, "other bytes");
    }
}

#[test]
fn what_is_done_again_and_again_leaves_no_connection_behind() {
    let cluster = Cluster::of(3).start();
    let deposits = |rounds: usize| {
        for round in 0..rounds {
            let file = File::new("again.bin", 300_000);
            file.deposit(&cluster, round % 3, 2);
            file.is_at(&cluster, (round + 1) % 3);
            let mut cut = cluster.raw(round % 3);
            cut.begin(&file.changed().header(2), &file.bytes[..100_000]);
        }
    };
    deposits(10);
    let before = [0, 1, 2].map(|server| cluster.server(server).descriptors());
    deposits(40);
    eventually_within(SOON, "as many descriptors as before, and few more", || {
        let open = |server: usize| cluster.server(server).descriptors();
        (0..3).all(|server| open(server) <= before[server] + 15)
    });
}

#[test]
fn two_servers_without_a_witness_are_both_needed_for_changes_and_each_reads() {
    let mut cluster = Cluster::of(2).start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 1);
    cluster.kill9(0);
    crate::client::knows_no_majority(&cluster, 1);
    answer::refused(&cluster.raw(1).deposit(&file.id, "b", b"b"), "sem_quorum");
    let (bytes, _) = cluster.raw(1).read(&file.id, &file.name);
    assert!(bytes == file.bytes, "other bytes");
    cluster.start(0);
    cluster.ready();
    file.changed().deposit_whole(&cluster, 1, 1);
}
