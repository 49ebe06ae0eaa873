//! Founding: three empty folders and one file become a cluster once, by a word of the operator.

use std::thread;
use std::time::Duration;

use depot_server::config::Config;
use depot_server::operator::{self, Founding, Question, REACH_WITHIN, Reply};
use depot_server::seams::Seams;
use depot_tests::cluster::Told;
use depot_tests::content::made_up_id;
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, answer, eventually, free_address, timed, within};

use crate::client::File;

#[test]
fn three_servers_from_one_file_wait_are_founded_and_serve() {
    let cluster = Cluster::of(3).waiting();
    for server in 0..3 {
        let (line, name) = (cluster.server(server).ready_line(), cluster.name(server));
        let (address, data) = (cluster.address(server), cluster.folder(server));
        let wait = format!("depot-server {name}: waits to be founded or admitted: ");
        let place = format!("clients on {address}, data in {}", data.root().display());
        assert_eq!(line, wait + &place);
    }
    let founded = cluster.operator(&["init"]).done();
    assert!(founded.contains("a, b, c"), "{founded}");
    cluster.ready();
    for server in 0..3 {
        let serves = format!("depot-server {}: clients on ", cluster.name(server));
        eventually("its line", || cluster.server(server).stdout().contains(&serves));
        let file = File::new("first.bin", 100_000);
        file.deposit_whole(&cluster, server, 2);
        assert_eq!(cluster.holding(&file.hash()), [0, 1, 2]);
    }
}

#[test]
fn a_waiting_server_refuses_changes_and_says_what_it_waits_for() {
    let mut cluster = Cluster::of(3).stopped();
    cluster.start(1);
    let (mut client, id) = (cluster.raw(1), made_up_id());
    let deposit = Deposit::of(&id, "a.txt", b"hello");
    let answers = [
        client.deposit_as(&deposit, b"hello"),
        client.ask(deposit.prepare()),
        client.ask(headers::set_replicas(&id, 1, "a.txt")),
        client.ask(headers::remove(&id, "a.txt")),
        // A client goes on to a server that can do something for it.
        client.ask("id_cliente:"),
    ];
    for line in answers {
        let message = answer::refused(&line, "servidor_indisponivel");
        assert!(message.contains("founded") || message.contains("init"), "{line}");
    }
    // What it does not know it must not deny.
    for ask in [headers::recover(&id, "a.txt"), headers::stat(&id, "a.txt")] {
        let line = client.ask(ask);
        assert!(line.starts_with("resultado:0|"), "{line}");
        assert!(!line.contains("arquivo_inexistente"), "{line}");
    }
    assert!(cluster.folder(1).blobs().is_empty() && cluster.folder(1).staged().is_empty());
}

#[test]
fn init_that_misses_a_server_names_it_and_founds_nothing() {
    let mut cluster = Cluster::of(3).stopped();
    cluster.start(0);
    cluster.start(1);
    // It waits 5 s for a server that is not there.
    within(Duration::ZERO, Duration::from_secs(30), || {
        cluster.operator(&["init"]).refused(&["server c"]);
    });
    nothing_is_founded(&cluster, 2);
    cluster.start(2);
    cluster.operator(&["init"]).done();
    cluster.ready();
}

#[test]
fn init_by_another_list_or_secret_is_refused_and_founds_nothing() {
    let mut cluster = Cluster::of(3).stopped();
    let own = cluster.address(2).to_string();
    let other = free_address().to_string();
    let list = cluster.another_config("list", |text| text.replace(&own, &other));
    let secret = cluster.another_config("secret", |text| {
        text.replace("secret = \"", "secret = \"not the one of the others ")
    });
    cluster.start(0);
    cluster.start(1);
    cluster.start_with(2, &list);
    cluster.operator(&["init"]).refused(&["server c", "list"]);
    cluster.operator_with(&list, &["init"]).refused(&["server a", "list"]);
    nothing_is_founded(&cluster, 3);
    cluster.kill9(2);
    cluster.start_with(2, &secret);
    cluster.operator(&["init"]).refused(&["server c"]);
    cluster.operator_with(&secret, &["init"]).refused(&["server a"]);
    cluster.kill9(2);
    cluster.start(2);
    nothing_is_founded(&cluster, 3);
    cluster.operator(&["init"]).done();
    cluster.ready();
}

#[test]
fn a_second_init_is_refused_and_changes_nothing() {
    let cluster = Cluster::of(3).start();
    let file = File::new("kept.bin", 1000);
    file.deposit_whole(&cluster, 0, 2);
    let before = clusters(&cluster.operator(&["status"]));
    cluster.operator(&["init"]).refused(&["already"]);
    assert_eq!(clusters(&cluster.operator(&["status"])), before);
    (0..3).for_each(|server| file.is_at(&cluster, server));
}

#[test]
fn two_inits_at_once_found_one_cluster() {
    let cluster = Cluster::of(3).waiting();
    let told = thread::scope(|scope| {
        let init = || scope.spawn(|| cluster.operator(&["init"]));
        let both = [init(), init()];
        both.map(|init| init.join().expect("it ends"))
    });
    let done = told.iter().filter(|told| told.code == Some(0)).count();
    assert!(done >= 1, "none founded: {told:#?}");
    cluster.ready();
    let all = clusters(&cluster.operator(&["status"]));
    assert!(all.len() == 3 && all.iter().all(|id| *id == all[0]), "{all:?}");
    File::new("a.bin", 10).deposit_whole(&cluster, 1, 2);
}

#[test]
fn an_init_that_was_cut_short_is_gone_on_with() {
    let cluster = Cluster::of(3).waiting();
    found(&cluster, &[0]);
    let told = cluster.operator(&["init"]).done();
    assert!(told.contains("a, b, c"), "{told}");
    cluster.ready();
    let all = clusters(&cluster.operator(&["status"]));
    assert_eq!(all, ["07".repeat(16), "07".repeat(16), "07".repeat(16)]);
    File::new("a.bin", 10_000).deposit_whole(&cluster, 2, 2);
}

#[test]
fn where_an_init_was_cut_short_after_a_majority_the_last_one_is_admitted() {
    let cluster = Cluster::of(3).waiting();
    found(&cluster, &[0, 1]);
    eventually("two are a majority", || cluster.serves(0) && cluster.serves(1));
    let file = File::new("a.bin", 10_000);
    file.deposit(&cluster, 0, 1);
    cluster.operator(&["init"]).refused(&["admit", "c"]);
    cluster.operator(&["admit", "c"]).done();
    cluster.ready();
    file.is_at(&cluster, 2);
    File::new("b.bin", 10_000).deposit_whole(&cluster, 2, 2);
}

/// Founds only some of three, as an `init` does that is killed in the middle.
fn found(cluster: &Cluster, servers: &[usize]) {
    let config = Config::load(&cluster.config()).expect("the cluster's file").config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let founders = ["a", "b", "c"].map(str::to_owned).to_vec();
    let question = Question::Found(Founding { cluster: [7; 16], incarnation: 1, founders });
    runtime.expect("a runtime").block_on(async {
        for &server in servers {
            let (seams, server) = (Seams::system(), &config.servers()[server]);
            let asked = operator::ask(&seams, &config, server, &question, REACH_WITHIN).await;
            assert_eq!(asked.expect("it answers").1, Reply::Founded);
        }
    });
    eventually("they know it themselves", || {
        clusters(&cluster.operator(&["status"])).len() == servers.len()
    });
}

#[test]
fn init_where_one_was_founded_before_says_admit_and_founds_nothing() {
    let mut cluster = Cluster::of(3).start();
    cluster.stop(2);
    std::fs::remove_dir_all(cluster.folder(2).root()).expect("emptied");
    cluster.start(2);
    cluster.operator(&["init"]).refused(&["admit", "c"]);
    let status = cluster.operator(&["status"]).done();
    assert_eq!(status.matches("waits to be founded").count(), 1, "{status}");
}

#[test]
fn all_restarted_serve_what_was_deposited() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("kept.bin", 70_000);
    file.deposit_whole(&cluster, 1, 2);
    (0..3).for_each(|server| cluster.kill9(server));
    cluster.start_all();
    for server in 0..3 {
        let line = cluster.server(server).ready_line();
        assert!(!line.contains("waits"), "it was founded: {line}");
    }
    cluster.ready();
    (0..3).for_each(|server| file.is_at(&cluster, server));
    (0..3).for_each(|server| cluster.stop(server));
    cluster.start_all();
    cluster.ready();
    (0..3).for_each(|server| file.is_at(&cluster, server));
}

#[test]
fn one_that_was_restarted_serves_at_once() {
    let mut cluster = Cluster::of(3).start();
    let follower = (cluster.leader() + 1) % 3;
    let file = File::new("kept.bin", 70_000);
    file.deposit_whole(&cluster, follower, 2);
    // Whoever waits for an election to be over takes 5 s each time, a busy machine not each time.
    eventually("a restart that takes less than 4 s", || {
        cluster.kill9(follower);
        let (took, ()) = timed(|| {
            cluster.start(follower);
            eventually("it is heard and hears", || cluster.serves(follower));
        });
        took < Duration::from_secs(4)
    });
    file.is_at(&cluster, follower);
}

#[test]
fn row_103_a_differing_list_after_the_founding_only_warns() {
    let mut cluster = Cluster::of(3).start();
    let (own, other) = (cluster.address(0).to_string(), free_address().to_string());
    let differing = cluster.another_config("differing", |text| text.replace(&own, &other));
    cluster.stop(2);
    cluster.start_with(2, &differing);
    cluster.ready();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 2, 2);
    (0..3).for_each(|server| file.is_at(&cluster, server));
    eventually("the difference is told", || {
        let warns = |server: usize| {
            let log = cluster.server(server).log();
            log.lines().any(|line| line.contains("WARN") && line.contains("list"))
        };
        (0..3).any(warns)
    });
}

#[test]
fn status_tells_how_each_server_is_and_fails_only_when_none_answers() {
    let mut cluster = Cluster::of(3).start();
    eventually("a majority answers all three", || {
        cluster.operator(&["status"]).done().matches("a majority answers").count() == 3
    });
    cluster.kill9(1);
    eventually("it is seen to be down", || {
        let told = cluster.operator(&["status"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        told.stdout.contains("b: not reached") && told.stdout.matches("b: DOWN").count() == 2
    });
    cluster.kill9(0);
    cluster.kill9(2);
    cluster.operator(&["status"]).refused(&["c"]);
}

/// So many servers are reached, and all of them wait.
#[track_caller]
fn nothing_is_founded(cluster: &Cluster, servers: usize) {
    let status = cluster.operator(&["status"]).done();
    assert_eq!(status.matches("waits to be founded").count(), servers, "{status}");
    assert!(!status.contains("incarnation"), "{status}");
}

/// The ids of the clusters that the servers belong to.
fn clusters(status: &Told) -> Vec<String> {
    let ids = status.stdout.lines().filter_map(|line| line.split_once(": cluster "));
    ids.map(|(_, rest)| rest.split(',').next().unwrap_or_default().to_owned()).collect()
}
