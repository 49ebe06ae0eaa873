//! The server that a client talks to dies in the middle: whole or not at all, and the client goes on
//! elsewhere.

use std::time::Duration;

use depot_tests::content::{Random, seed, sha256};
use depot_tests::headers;
use depot_tests::{Cluster, Recovered, answer, eventually, eventually_within};

use crate::client::{File, promised};

/// How long a majority may take to lead on without one of its servers.
const ELECTION: Duration = Duration::from_secs(60);

#[test]
fn killed_in_the_middle_of_a_deposit_nothing_of_it_is_there() {
    let mut cluster = Cluster::of(3).start();
    for server in 0..3 {
        let file = File::new("half.bin", 8 << 20);
        let mut client = cluster.raw(server);
        client.begin(&file.header(2), &file.bytes[..4 << 20]);
        eventually("it is being sent on", || cluster.staging().len() == 3);
        cluster.kill9(server);
        client.until_cut();
        let others = cluster.others(server);
        for &other in &others {
            eventually_within(ELECTION, "two are a majority", || cluster.serves(other));
            answer::refused(&file.stat(&cluster, other), "arquivo_inexistente");
        }
        // The same again, elsewhere, is a deposit like any other.
        file.deposit(&cluster, others[0], 1);
        file.is_at(&cluster, others[1]);
        cluster.start(server);
        cluster.ready();
        file.is_at(&cluster, server);
        let id = cluster.folder(server).staged();
        assert!(id.iter().all(|name| name.ends_with(".part") || name.ends_with(".data")), "{id:?}");
    }
}

#[test]
fn killed_around_the_answer_of_a_deposit_it_is_there_whole_or_not_at_all() {
    let (mut cluster, mut random) = (Cluster::of(3).start(), Random::new(seed()));
    for server in 0..3 {
        let old = File::new("a.bin", 200_000);
        old.deposit(&cluster, (server + 1) % 3, 2);
        let new = old.changed();
        let mut client = cluster.raw(server);
        client.begin(&new.header(2), &new.bytes);
        // The instant of the kill is the point: no condition stands for it.
        std::thread::sleep(Duration::from_millis(random.below(40)));
        cluster.kill9(server);
        let answer = String::from_utf8(client.until_cut()).expect("a line");
        let other = (server + 1) % 3;
        eventually_within(ELECTION, "two are a majority", || cluster.serves(other));
        let found = cluster.raw(other).recover(&old.id, "a.bin");
        let acknowledged = answer.starts_with("resultado:1|");
        assert!(found == new.bytes || found == old.bytes && !acknowledged, "{answer:?}");
        let line = cluster.raw(other).deposit_as(&new.header(2), &new.bytes);
        promised(&line, 2, &new.hash());
        cluster.start(server);
        cluster.ready();
        new.is_at(&cluster, server);
    }
}

#[test]
fn killed_in_the_middle_of_a_recover_it_is_a_cut_and_goes_on_elsewhere() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 24 << 20);
    file.deposit_whole(&cluster, 0, 2);
    let mut client = cluster.raw(1);
    let line = client.ask(headers::recover(&file.id, &file.name));
    assert_eq!(answer::field(&line, "hash_arquivo"), file.hash());
    let mut bytes = client.exact(1 << 20);
    cluster.kill9(1);
    bytes.extend(client.until_cut());
    assert!(bytes.len() < file.bytes.len(), "it was not cut");
    eventually_within(ELECTION, "two are a majority", || cluster.serves(2));
    let mut client = cluster.raw(2);
    let line = client.ask(headers::recover_from(&file.id, bytes.len(), &file.name));
    assert_eq!(answer::field(&line, "hash_arquivo"), file.hash());
    bytes.extend(client.exact(file.bytes.len() - bytes.len()));
    assert_eq!(sha256(&bytes), file.hash());
}

#[test]
fn a_sender_of_copies_that_dies_leaves_no_file_half_there() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 16 << 20);
    let mut client = cluster.raw(0);
    client.begin(&file.header(2), &file.bytes[..8 << 20]);
    eventually("it is being sent on", || cluster.staging().len() == 3);
    // The two that receive die and come back: they have no half of anything.
    cluster.kill9(1);
    cluster.kill9(2);
    cluster.start_all();
    client.send(&file.bytes[8 << 20..]);
    let line = client.line();
    if line.starts_with("resultado:1|") {
        promised(&line, 2, &file.hash());
    } else {
        let code = answer::field(&line, "erro").to_owned();
        let known = ["copias_insuficientes", "sem_quorum", "resultado_desconhecido"];
        assert!(known.contains(&code.as_str()), "{line}");
    }
    cluster.ready();
    let found = cluster.raw(1).try_recover(&file.id, &file.name);
    match found {
        Recovered::Whole(bytes) => assert!(bytes == file.bytes, "other bytes"),
        Recovered::Refused(found) => {
            answer::refused(&found, "arquivo_inexistente");
            assert!(!line.starts_with("resultado:1|"), "acknowledged and lost");
        }
        Recovered::Cut(bytes) => panic!("cut after {}", bytes.len()),
    }
    file.deposit_whole(&cluster, 0, 2);
}
