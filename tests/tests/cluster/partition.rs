//! Row 74: the network between the servers is cut, whole or one way, again and again. The side
//! without a majority says so, and nothing that was acknowledged is lost.

use std::thread;
use std::time::Duration;

use depot_tests::content::made_up_id;
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, Recovered, Seen, answer, eventually_within, timed, within};

use crate::client::{File, knows_no_majority};

/// How long anything may take on a side that has no majority; an answer to a deposit, too. It takes
/// up to 14 s, and longer on a busy machine.
const BOUNDED: Duration = Duration::from_secs(40);

/// Told at once, by a server that knows that it has no majority. One that still tries does so for 9 s.
const AT_ONCE: Duration = Duration::from_secs(8);

#[test]
fn row_74_a_follower_that_is_cut_off_refuses_changes_and_reads_its_own() {
    the_minority_is_right(|cluster| (cluster.leader() + 1) % 3);
}

#[test]
fn row_74_a_leader_that_is_cut_off_refuses_changes_and_reads_its_own() {
    the_minority_is_right(Cluster::leader);
}

/// One of three is cut off; what it says, what the others do meanwhile, and what is there after.
#[track_caller]
fn the_minority_is_right(choose: impl FnOnce(&Cluster) -> usize) {
    let cluster = Cluster::of(3).through_proxies().start();
    let (alone, file) = (choose(&cluster), File::new("known.bin", 100_000));
    file.deposit_whole(&cluster, alone, 2);
    let gone = File { name: "gone.bin".into(), ..file.changed() };
    gone.deposit_whole(&cluster, alone, 2);
    cluster.isolate(alone);
    // What is asked before it has noticed ends too, and in time.
    within(Duration::ZERO, BOUNDED, || {
        let line = cluster.raw(alone).deposit(&made_up_id(), "a.txt", b"hello");
        let code = answer::field(&line, "erro");
        assert!(["sem_quorum", "resultado_desconhecido"].contains(&code), "{line}");
    });
    knows_no_majority(&cluster, alone);
    within(Duration::ZERO, AT_ONCE, || changes_are_refused(&cluster, alone, &file));
    reads_are_local(&cluster, alone, &file);
    // The others go on: a replacement, a removal, a new file.
    let others = cluster.others(alone);
    for &other in &others {
        eventually_within(BOUNDED, "two are a majority", || cluster.serves(other));
    }
    let (new, added) = (file.changed(), File { name: "added.bin".into(), ..file.changed() });
    new.deposit(&cluster, others[0], 1);
    added.deposit(&cluster, others[1], 1);
    let line = cluster.raw(others[1]).ask(headers::remove(&gone.id, &gone.name));
    assert_eq!(line, "resultado:1");
    reads_are_local(&cluster, alone, &file);
    cluster.heal();
    cluster.ready();
    for server in 0..3 {
        new.is_at(&cluster, server);
        added.is_at(&cluster, server);
        answer::refused(&gone.stat(&cluster, server), "arquivo_inexistente");
        assert_eq!(cluster.raw(server).names(&file.id), ["added.bin", "known.bin"]);
    }
}

#[track_caller]
fn changes_are_refused(cluster: &Cluster, server: usize, file: &File) {
    let mut client = cluster.raw(server);
    let new = file.changed();
    let answers = [
        client.deposit_as(&new.header(0), &new.bytes),
        client.deposit_as(&new.header(2), &new.bytes),
        client.ask(headers::set_replicas(&file.id, 1, &file.name)),
        client.ask(headers::remove(&file.id, &file.name)),
        client.ask(headers::remove(&file.id, "unknown.bin")),
    ];
    answer::all_refused(&answers, "sem_quorum");
    client.stays_open();
}

#[track_caller]
fn reads_are_local(cluster: &Cluster, server: usize, file: &File) {
    let mut client = cluster.raw(server);
    let (bytes, seen) = client.read(&file.id, &file.name);
    assert!(bytes == file.bytes && seen == Seen::Local, "its own version");
    let line = client.ask(headers::stat(&file.id, &file.name));
    assert!(line.starts_with("resultado:1|") && line.ends_with("|leitura:local"), "{line}");
    let line = client.ask(headers::list(&file.id, 10, ""));
    assert_eq!(line, "resultado:1|itens:2|mais:0|leitura:local");
    (0..2).for_each(|_| drop(client.line()));
    for ask in [headers::recover(&file.id, "unknown.bin"), headers::stat(&file.id, "unknown.bin")] {
        answer::refused(&client.ask(ask), "sem_quorum");
    }
    answer::refused(&client.ask(headers::stat(&made_up_id(), "known.bin")), "sem_quorum");
}

#[test]
fn row_74_one_way_is_as_good_as_none_and_all_comes_right() {
    let cluster = Cluster::of(3).through_proxies().start();
    let leader = cluster.leader();
    let others = cluster.others(leader);
    // What the leader says is lost; what the others say reaches it.
    others.iter().for_each(|&other| cluster.cut_one_way(leader, other));
    let file = File::new("a.bin", 100_000);
    within(Duration::ZERO, BOUNDED, || {
        let line = cluster.raw(leader).deposit_as(&file.header(0), &file.bytes);
        let code = answer::field(&line, "erro");
        assert!(["sem_quorum", "resultado_desconhecido"].contains(&code), "{line}");
    });
    for &other in &others {
        eventually_within(BOUNDED, "two are a majority", || cluster.serves(other));
    }
    let new = file.changed();
    new.deposit(&cluster, others[0], 1);
    cluster.heal();
    cluster.ready();
    (0..3).for_each(|server| new.is_at(&cluster, server));
}

#[test]
fn row_74_two_that_do_not_hear_each_other_live_on_by_the_third() {
    let cluster = Cluster::of(3).through_proxies().start();
    let leader = cluster.leader();
    let others = cluster.others(leader);
    cluster.cut(others[0], others[1]);
    for server in [leader, others[0], others[1]] {
        let file = File::new("a.bin", 100_000);
        let line = cluster.raw(server).deposit_as(&file.header(1), &file.bytes);
        assert!(line.starts_with("resultado:1|"), "{line}");
        // A copy on the other side of the cut is reached through no one: then it is said so.
        let holding = cluster.holding(&file.hash());
        for reader in 0..3 {
            let cut = |holder: &usize| *holder != reader && *holder != leader && reader != leader;
            match cluster.raw(reader).try_recover(&file.id, &file.name) {
                Recovered::Whole(bytes) => assert!(bytes == file.bytes, "wrong bytes"),
                Recovered::Refused(line) => {
                    answer::refused(&line, "copia_indisponivel");
                    assert!(holding.iter().all(cut), "{holding:?} for {reader}");
                }
                Recovered::Cut(bytes) => panic!("cut after {}", bytes.len()),
            }
        }
    }
    cluster.heal();
    cluster.ready();
}

#[test]
fn row_74_three_islands_change_nothing_and_go_on_when_healed() {
    let cluster = Cluster::of(3).through_proxies().start();
    let file = File::new("known.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    File { name: "other.bin".into(), ..file.changed() }.deposit_whole(&cluster, 0, 2);
    (0..3).for_each(|server| cluster.isolate(server));
    for server in 0..3 {
        knows_no_majority(&cluster, server);
        changes_are_refused(&cluster, server, &file);
        reads_are_local(&cluster, server, &file);
    }
    cluster.heal();
    eventually_within(BOUNDED, "all go on", || (0..3).all(|server| cluster.serves(server)));
    (0..3).for_each(|server| file.is_at(&cluster, server));
    cluster.ready();
    file.changed().deposit_whole(&cluster, 2, 2);
}

#[test]
fn row_74_a_network_that_flaps_every_200_ms_loses_nothing_acknowledged() {
    let cluster = Cluster::of(3).through_proxies().start();
    let leader = cluster.leader();
    let acknowledged = thread::scope(|scope| {
        let working = (0..3).map(|server| {
            let cluster = &cluster;
            scope.spawn(move || (server, deposits_for(cluster, server, Duration::from_secs(6))))
        });
        let working = working.collect::<Vec<_>>();
        for _ in 0..15 {
            cluster.isolate(leader);
            thread::sleep(Duration::from_millis(200));
            cluster.heal();
            thread::sleep(Duration::from_millis(200));
        }
        working.into_iter().map(|work| work.join().expect("no panic")).collect::<Vec<_>>()
    });
    cluster.ready();
    let all = acknowledged.iter().map(|(_, (_, names))| names.len()).sum::<usize>();
    assert!(all > 0, "nothing was ever acknowledged");
    for (server, (id, names)) in acknowledged {
        let other = (server + 1) % 3;
        let there = cluster.raw(other).names(&id);
        let lost = names.iter().filter(|name| !there.contains(name)).collect::<Vec<_>>();
        assert!(lost.is_empty(), "acknowledged by {server} and lost: {lost:?}");
        for name in &names {
            assert_eq!(cluster.raw(other).recover(&id, name), name.as_bytes());
        }
    }
}

/// Deposits for a while through one server; returns the client and what was acknowledged.
fn deposits_for(cluster: &Cluster, server: usize, time: Duration) -> (String, Vec<String>) {
    let (id, mut client, mut names) = (made_up_id(), cluster.raw(server), Vec::new());
    let (mut took, mut number) = (Duration::ZERO, 0);
    while took < time {
        let name = format!("{server}-{number:04}.txt");
        let deposit = Deposit::of(&id, &name, name.as_bytes()).replicas(1);
        let (more, line) = timed(|| client.deposit_as(&deposit, name.as_bytes()));
        (took, number) = (took + more, number + 1);
        if line.starts_with("resultado:1|") {
            names.push(name);
        }
    }
    (id, names)
}

#[test]
fn row_95_a_leader_that_was_paused_answers_nothing_stale() {
    let cluster = Cluster::of(3).start();
    let (leader, file) = (cluster.leader(), File::new("a.bin", 100_000));
    file.deposit_whole(&cluster, leader, 2);
    let (mut waiting, other) = (cluster.raw(leader), (leader + 1) % 3);
    waiting.stays_open();
    cluster.pause(leader);
    // It will find these when it wakes, and believe that it still leads.
    waiting.send_line(headers::stat(&file.id, &file.name));
    eventually_within(BOUNDED, "two are a majority", || cluster.serves(other));
    let new = file.changed();
    new.deposit(&cluster, other, 1);
    cluster.resume(leader);
    let line = waiting.line();
    let latest = answer::field(&line, "hash_arquivo") == new.hash();
    assert!(latest || line.ends_with("|leitura:local"), "stale: {line}");
    let (bytes, seen) = cluster.raw(leader).read(&file.id, &file.name);
    assert!(bytes == new.bytes || seen == Seen::Local, "stale");
    cluster.ready();
    new.is_at(&cluster, leader);
}
