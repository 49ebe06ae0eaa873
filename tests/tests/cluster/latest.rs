//! What was answered through one server is what every other one tells, from that moment on.

use depot_tests::content::made_up_id;
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, answer};

/// Each server, and each that is asked after it.
const PAIRS: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];

#[test]
fn a_deposit_and_its_replacements_are_told_by_all_at_once() {
    let (cluster, id) = (Cluster::shared(), made_up_id());
    for round in 0..5 {
        for (by, reader) in PAIRS {
            let bytes = format!("{round} {by} {reader}").into_bytes();
            let deposit = Deposit::of(&id, "a.txt", &bytes).replicas(round % 3);
            let line = cluster.raw(by).deposit_as(&deposit, &bytes);
            assert!(line.starts_with("resultado:1|"), "{line}");
            let hash = answer::field(&line, "hash_arquivo");
            let mut client = cluster.raw(reader);
            assert_eq!(client.recover(&id, "a.txt"), bytes);
            let stat = client.ask(headers::stat(&id, "a.txt"));
            assert_eq!(answer::field(&stat, "hash_arquivo"), hash);
            assert_eq!(answer::number(&stat, "qtd_replicas"), round % 3);
            let (list, _) = client.list(&id, 10, "");
            assert!(list.len() == 1 && list[0].contains(hash), "{list:?}");
        }
    }
}

#[test]
fn a_change_of_replicas_is_told_by_all_at_once() {
    let (cluster, id) = (Cluster::shared(), made_up_id());
    assert!(cluster.raw(0).deposit(&id, "a.txt", b"hello").starts_with("resultado:1|"));
    for (round, (by, reader)) in PAIRS.into_iter().enumerate() {
        let wanted = round % 3;
        let line = cluster.raw(by).ask(headers::set_replicas(&id, wanted, "a.txt"));
        assert_eq!(answer::number(&line, "qtd_replicas"), wanted, "{line}");
        let line = cluster.raw(reader).ask(headers::stat(&id, "a.txt"));
        assert_eq!(answer::number(&line, "qtd_replicas"), wanted, "{line}");
        assert_eq!(cluster.raw(reader).recover(&id, "a.txt"), b"hello");
    }
}

#[test]
fn a_removal_is_told_by_all_at_once() {
    let (cluster, id) = (Cluster::shared(), made_up_id());
    for (by, reader) in PAIRS {
        let deposit = Deposit::of(&id, "a.txt", b"hello").replicas(1);
        let line = cluster.raw(reader).deposit_as(&deposit, b"hello");
        assert!(line.starts_with("resultado:1|"), "{line}");
        assert_eq!(cluster.raw(by).ask(headers::remove(&id, "a.txt")), "resultado:1");
        let mut client = cluster.raw(reader);
        for ask in [headers::stat(&id, "a.txt"), headers::recover(&id, "a.txt")] {
            answer::refused(&client.ask(ask), "arquivo_inexistente");
        }
        assert_eq!(client.names(&id), [""; 0]);
        answer::refused(&client.ask(headers::remove(&id, "a.txt")), "arquivo_inexistente");
    }
}

#[test]
fn an_id_that_one_server_issued_is_good_at_all() {
    let cluster = Cluster::shared();
    let id = cluster.raw(0).new_id();
    for server in 0..3 {
        let mut client = cluster.raw(server);
        assert_eq!(client.ask(format!("id_cliente:{id}")), format!("resultado:1|id_cliente:{id}"));
        assert_eq!(client.names(&id), [""; 0]);
    }
}

#[test]
fn every_server_tells_of_all_three() {
    let cluster = Cluster::shared();
    for server in 0..3 {
        let mut states = cluster.states(server);
        states.sort();
        let state = |other: usize| {
            let (name, address) = (cluster.name(other), cluster.address(other));
            format!("servidor:{name}|endereco:{address}|ativo:1")
        };
        assert_eq!(states, [0, 1, 2].map(state));
    }
}
