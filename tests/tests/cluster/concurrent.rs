//! Row 46 in a cluster: many clients change one name at once, through all servers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use depot_tests::content::{made_up_id, random_bytes};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, Raw, Recovered, answer};

use crate::client::{Over, promised};

/// What the round of one server deposits: recognisable, and of its own size.
fn version(server: usize, round: usize) -> Vec<u8> {
    random_bytes((server * 1000 + round) as u64, 60_000 + server * 1000 + round)
}

#[test]
fn row_46_deposits_of_one_name_through_all_servers_are_one_order_and_no_mix() {
    const ROUNDS: usize = 8;
    let (cluster, id, over) = (Cluster::shared(), made_up_id(), AtomicBool::new(false));
    let whole = |bytes: &Vec<u8>| {
        let ours = |server| (0..ROUNDS).any(|round| version(server, round) == *bytes);
        assert!((0..3).any(ours), "a mix of {} bytes", bytes.len());
    };
    thread::scope(|scope| {
        let ends = Over(&over);
        let reading = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                match cluster.raw(1).try_recover(&id, "one") {
                    Recovered::Whole(bytes) => whole(&bytes),
                    Recovered::Refused(line) => drop(answer::refused(&line, "arquivo_inexistente")),
                    // The version was replaced meanwhile, and its copy is gone.
                    Recovered::Cut(_) => {}
                }
            }
        });
        let writing = [0, 1, 2].map(|server| {
            let (cluster, id) = (&cluster, &id);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let bytes = version(server, round);
                    let deposit = Deposit::of(id, "one", &bytes).replicas(2);
                    let line = cluster.raw(server).deposit_as(&deposit, &bytes);
                    promised(&line, 2, answer::field(&line, "hash_arquivo"));
                }
            })
        });
        writing.into_iter().for_each(|writer| writer.join().expect("all are acknowledged"));
        drop(ends);
        reading.join().expect("no mix was read");
    });
    // The last one in the order is some server's last one, and all tell the same.
    let last = cluster.raw(0).recover(&id, "one");
    assert!((0..3).any(|server| version(server, ROUNDS - 1) == last), "an earlier one is the last");
    assert!((1..3).all(|server| cluster.raw(server).recover(&id, "one") == last), "they differ");
}

#[test]
fn row_47_one_content_from_many_at_once_is_one_blob_on_each() {
    let cluster = Cluster::shared();
    let (bytes, ids) = (random_bytes(99, 200_000), [(); 12].map(|()| made_up_id()));
    thread::scope(|scope| {
        for (number, id) in ids.iter().enumerate() {
            let (cluster, bytes) = (&cluster, &bytes);
            scope.spawn(move || {
                let deposit = Deposit::of(id, "same.bin", bytes).replicas(2);
                let line = cluster.raw(number % 3).deposit_as(&deposit, bytes);
                promised(&line, 2, answer::field(&line, "hash_arquivo"));
            });
        }
    });
    for id in &ids {
        cluster.wait_copies(0, id, "same.bin", 2);
        assert!(cluster.raw(1).recover(id, "same.bin") == bytes, "other bytes");
    }
    // One client's removal takes nothing from the others.
    assert_eq!(cluster.raw(2).ask(headers::remove(&ids[0], "same.bin")), "resultado:1");
    assert!(cluster.raw(2).recover(&ids[1], "same.bin") == bytes, "other bytes");
}

#[test]
fn deposits_changes_and_removals_of_one_name_at_once_are_all_answered_and_all_agree() {
    let (cluster, id) = (Cluster::shared(), made_up_id());
    thread::scope(|scope| {
        for server in 0..3 {
            let (cluster, id) = (&cluster, &id);
            scope.spawn(move || (0..10).for_each(|round| change(cluster, server, round, id)));
        }
    });
    let stats = [0, 1, 2].map(|server| {
        let line = cluster.raw(server).ask(headers::stat(&id, "one"));
        // Copies may still be on their way; all else is one.
        line.split('|').filter(|field| !field.starts_with("copias:")).collect::<String>()
    });
    assert!(stats.iter().all(|stat| *stat == stats[0]), "{stats:?}");
}

/// Each answer is a done one, or that there is no such file.
fn change(cluster: &Cluster, server: usize, round: usize, id: &str) {
    let mut client: Raw = cluster.raw(server);
    let line = match (server + round) % 3 {
        0 => client.ask(headers::remove(id, "one")),
        1 => client.ask(headers::set_replicas(id, round % 3, "one")),
        _ => client.deposit(id, "one", &version(server, round)),
    };
    if !(line == "resultado:1" || line.starts_with("resultado:1|")) {
        answer::refused(&line, "arquivo_inexistente");
    }
}
