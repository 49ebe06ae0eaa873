//! Deposits with replicas, through each of three servers, and what kills then leave of them.

use std::time::Duration;

use depot_tests::content::made_up_id;
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, Raw, Recovered, Seen, answer, eventually_within};

use crate::client::{File, promised};

/// Nothing, a byte, and around a chunk.
const SIZES: [usize; 6] = [0, 1, 65_535, 65_536, 65_537, 262_145];

/// How long a majority may take to lead on without one of its servers.
const ELECTION: Duration = Duration::from_secs(60);

#[test]
fn what_is_deposited_with_two_replicas_through_any_server_is_on_all_three() {
    let cluster = Cluster::shared();
    for server in 0..3 {
        let files = SIZES.map(|size| File::new(&format!("sizes/{size}"), size));
        for file in &files {
            file.deposit(&cluster, server, 2);
        }
        for file in files {
            cluster.wait_copies(server, &file.id, &file.name, 2);
            assert_eq!(cluster.holding(&file.hash()), [0, 1, 2], "{} bytes", file.bytes.len());
            (0..3).for_each(|other| file.is_at(&cluster, other));
        }
    }
}

#[test]
fn the_same_with_the_hash_last() {
    let cluster = Cluster::shared();
    for (server, size) in [(0, 0), (1, 1), (2, 65_536), (0, 65_537), (1, 3_000_001)] {
        let file = File::new("hash/last", size);
        let mut client = cluster.raw(server);
        client.send_line(file.header(2).hash_last().header());
        client.send(&file.bytes);
        let line = client.ask(headers::hash_line(&file.bytes));
        promised(&line, 2, &file.hash());
        cluster.wait_copies(server, &file.id, &file.name, 2);
        assert_eq!(cluster.holding(&file.hash()), [0, 1, 2], "{size} bytes");
        (0..3).for_each(|other| file.is_at(&cluster, other));
    }
}

#[test]
fn forty_mebibytes_are_on_all_three() {
    let cluster = Cluster::shared();
    let file = File::new("large.bin", 40 << 20);
    file.deposit_whole(&cluster, 1, 2);
    assert_eq!(cluster.holding(&file.hash()), [0, 1, 2]);
    (0..3).for_each(|server| file.is_at(&cluster, server));
}

#[test]
fn what_has_a_wrong_hash_is_on_none() {
    let cluster = Cluster::shared();
    let (file, other) = (File::new("wrong.bin", 1 << 20), File::new("other.bin", 1 << 20));
    let line = cluster.raw(0).deposit_as(&file.header(2).hash(other.hash()), &file.bytes);
    answer::refused(&line, "hash_divergente");
    assert!(cluster.holding(&file.hash()).is_empty() && cluster.holding(&other.hash()).is_empty());
    let line = cluster.raw(1).ask(headers::stat(&file.id, "wrong.bin"));
    answer::refused(&line, "arquivo_inexistente");
}

#[test]
fn without_replicas_it_is_on_one_and_recovered_through_all() {
    let cluster = Cluster::shared();
    for server in 0..3 {
        let file = File::new("alone.bin", 300_000);
        assert_eq!(file.deposit(&cluster, server, 0), 0);
        assert_eq!(cluster.holding(&file.hash()), [server]);
        (0..3).for_each(|other| file.is_at(&cluster, other));
    }
}

#[test]
fn more_replicas_than_other_servers_are_refused_by_all() {
    let cluster = Cluster::shared();
    let file = File::new("a.bin", 1000);
    file.deposit(&cluster, 0, 2);
    for server in 0..3 {
        let mut client = cluster.raw(server);
        let asked = [
            client.deposit_as(&file.header(3), &file.bytes),
            client.ask(file.header(255).prepare()),
            client.ask(headers::set_replicas(&file.id, 3, &file.name)),
        ];
        answer::all_refused(&asked, "replicas_indisponiveis");
        client.stays_open();
    }
}

#[test]
fn the_number_of_replicas_can_be_raised_by_an_equal_deposit_and_by_a_word() {
    let cluster = Cluster::shared();
    let (file, other) = (File::new("a.bin", 100_000), File::new("b.bin", 100_000));
    for file in [&file, &other] {
        file.deposit(&cluster, 0, 0);
    }
    let claim = file.header(2).offset(file.bytes.len());
    promised(&cluster.raw(1).deposit_as(&claim, b""), 2, &file.hash());
    let line = cluster.raw(2).ask(headers::set_replicas(&other.id, 2, &other.name));
    assert_eq!(answer::number(&line, "qtd_replicas"), 2, "{line}");
    for file in [&file, &other] {
        cluster.wait_copies(0, &file.id, &file.name, 2);
        assert_eq!(cluster.holding(&file.hash()), [0, 1, 2]);
    }
}

#[test]
fn any_one_and_then_any_two_may_die_and_all_is_there_and_right() {
    let mut cluster = Cluster::of(3).start();
    let files = [0, 1, 2].map(|server| {
        let file = File::new("kept.bin", 200_000);
        file.deposit_whole(&cluster, server, 2);
        file
    });
    // Each one is dead alone, then with the next one; then the first comes back.
    cluster.kill9(0);
    for (dead, next, last) in [(0, 1, 2), (1, 2, 0), (2, 0, 1)] {
        for server in [next, last] {
            eventually_within(ELECTION, "two are a majority", || cluster.serves(server));
            files.iter().for_each(|file| file.is_at(&cluster, server));
        }
        cluster.kill9(next);
        for file in &files {
            let (bytes, seen) = cluster.raw(last).read(&file.id, &file.name);
            assert!(bytes == file.bytes && seen == Seen::Local, "one alone");
        }
        cluster.start(dead);
    }
}

#[test]
fn killed_at_once_after_the_answer_it_is_there() {
    let mut cluster = Cluster::of(3).start();
    for server in 0..3 {
        let file = File::new("at-once.bin", 500_000);
        let copies = file.deposit(&cluster, server, 2);
        // With one replica any one server may go, with two any two.
        cluster.kill9(server);
        let others = cluster.others(server);
        if copies == 2 {
            assert_eq!(cluster.holding(&file.hash()), [0, 1, 2]);
        }
        for &other in &others {
            eventually_within(ELECTION, "two are a majority", || cluster.serves(other));
            file.is_at(&cluster, other);
        }
        cluster.start(server);
        cluster.ready();
        file.is_at(&cluster, server);
        cluster.wait_copies(server, &file.id, &file.name, 2);
    }
}

#[test]
fn all_killed_at_once_after_the_answer_it_is_there() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("at-once.bin", 500_000);
    file.deposit(&cluster, 1, 2);
    (0..3).for_each(|server| cluster.kill9(server));
    cluster.start_all();
    cluster.ready();
    (0..3).for_each(|server| file.is_at(&cluster, server));
    cluster.wait_copies(0, &file.id, &file.name, 2);
}

#[test]
fn too_few_live_for_all_copies_the_part_is_kept_and_goes_on_when_they_are_back() {
    let mut cluster = Cluster::of(3).section("deposit", "ack = \"all\"").start();
    cluster.kill9(2);
    cluster.ready();
    let (file, size) = (File::new("part.bin", 3_000_000), 3_000_000);
    let line = cluster.raw(0).deposit_as(&file.header(2), &file.bytes);
    answer::refused(&line, "copias_insuficientes");
    answer::refused(&file.stat(&cluster, 1), "arquivo_inexistente");
    let mut client = cluster.raw(0);
    assert_eq!(client.prepare(&file.header(2), &file.bytes), size);
    // Fewer replicas are possible meanwhile, of other files.
    assert_eq!(File::new("fewer.bin", 1000).deposit(&cluster, 0, 1), 1);
    cluster.start(2);
    cluster.ready();
    assert_eq!(client.prepare(&file.header(2), &file.bytes), size);
    let line = client.deposit_as(&file.header(2).offset(size), b"");
    assert_eq!(promised(&line, 2, &file.hash()), 2);
    (0..3).for_each(|server| file.is_at(&cluster, server));
}

#[test]
fn an_equal_deposit_that_too_few_can_hold_leaves_the_old_number() {
    let mut cluster = Cluster::of(3).section("deposit", "ack = \"all\"").start();
    let file = File::new("a.bin", 100_000);
    assert_eq!(file.deposit(&cluster, 0, 0), 0);
    cluster.kill9(1);
    cluster.ready();
    let line = cluster.raw(0).deposit_as(&file.header(2), &file.bytes);
    answer::refused(&line, "copias_insuficientes");
    let line = file.stat(&cluster, 2);
    assert_eq!(answer::number(&line, "qtd_replicas"), 0, "{line}");
    file.is_at(&cluster, 2);
}

#[test]
fn no_server_tells_one_client_of_anothers_files() {
    let cluster = Cluster::shared();
    let file = File::new("mine.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    let stranger = made_up_id();
    for server in 0..3 {
        let mut client: Raw = cluster.raw(server);
        let recovered = client.try_recover(&stranger, &file.name);
        let Recovered::Refused(line) = recovered else { panic!("a stranger got it") };
        answer::refused(&line, "arquivo_inexistente");
        let same = Deposit::of(&stranger, "same.bin", &file.bytes).replicas(2);
        assert_eq!(client.prepare(&same, &file.bytes), 0);
        let claim = same.offset(file.bytes.len());
        answer::refused(&client.ask(claim.header()), "deslocamento_invalido");
        cluster.server(server).log_is_silent_on(&file.id);
        cluster.folder(server).knows_nothing_of(&file.id);
    }
}
