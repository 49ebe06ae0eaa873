//! Servers that reach each other, or are gone.

use std::time::Duration;

use depot_server::catalogue::{Catalogue, Command, Event, LogLimits, Outcome};
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, client, name, put, server};

#[tokio::test(start_paused = true)]
async fn three_servers_elect_one_and_change_and_read_through_any() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let mut names = vec![];
    for (n, server) in cluster.running.values().enumerate() {
        server.put(&format!("file {n}")).await;
        names.push(format!("file {n}"));
        // At once, through each of them.
        for reader in cluster.running.values() {
            assert_eq!(reader.names().await, names, "put through {}", server.name);
            assert!(reader.catalogue.has_quorum());
        }
    }
    let leaders: Vec<_> = cluster.running.values().filter(|server| server.leads()).collect();
    assert_eq!(leaders.len(), 1);
    let status = leaders[0].catalogue.status();
    assert_eq!(status.members.len(), 3);
    assert!(status.members.iter().all(|member| member.votes && member.behind.is_some()));
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_is_lost_another_one_goes_on_and_nothing_acknowledged_is_gone() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    let mut names = vec![];
    for round in 0..4 {
        let leader = cluster.leader().await.name.clone();
        let through = cluster.followers().await[0].name.clone();
        cluster.running[&through].put(&format!("file {round}")).await;
        names.push(format!("file {round}"));
        cluster.kill(&leader).await;
        let begun = Instant::now();
        cluster.leader().await;
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        for reader in cluster.running.values() {
            assert_eq!(reader.names().await, names);
        }
        cluster.start(&leader).await;
        assert_eq!(cluster.running[&leader].names().await, names, "the one that came back");
    }
}

/// The whole cluster loses its power at once; what was acknowledged is there.
#[tokio::test(start_paused = true)]
async fn all_at_once_come_back_with_all_that_was_acknowledged() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    for n in 0..5 {
        cluster.server("b").put(&format!("file {n}")).await;
    }
    let all: Vec<_> = cluster.running.keys().cloned().collect();
    for name in &all {
        cluster.kill(name).await;
    }
    for name in &all {
        cluster.start(name).await;
    }
    cluster.leader().await;
    for reader in cluster.running.values() {
        assert_eq!(reader.names().await.len(), 5);
    }
}

/// A leader that is restarted leads on in its term, and does not know yet of all that it had
/// committed. Before it has heard that again, it must not show less than it had answered.
#[tokio::test(start_paused = true)]
async fn a_leader_that_comes_back_at_once_shows_all_that_it_had_answered() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    cluster.net.slow_but_for_heartbeats();
    for round in 0..3 {
        let leader = cluster.leader().await.name.clone();
        let term = cluster.running[&leader].catalogue.status().term;
        cluster.running[&leader].put(&format!("file {round}")).await;
        cluster.kill(&leader).await;
        cluster.start(&leader).await;
        let back = &cluster.running[&leader];
        let status = back.catalogue.status();
        assert!(back.leads() && status.term == term && status.applied < status.last_log);
        assert_eq!(back.names().await.len(), round + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lags_gets_a_snapshot_and_the_log_stays_short() {
    let limits = LogLimits { drop_every: 10, keep: 5 };
    let mut cluster = Cluster::with(&["a", "b", "c"], limits).await;
    let away = cluster.followers().await[0].name.clone();
    cluster.kill(&away).await;
    for n in 0..60 {
        cluster.leader().await.put(&format!("file {n:02}")).await;
    }
    cluster.start(&away).await;
    let back = cluster.running.get_mut(&away).unwrap();
    assert_eq!(back.names().await.len(), 60);
    let events: Vec<_> = std::iter::from_fn(|| back.events.try_recv().ok()).collect();
    assert_eq!(events, [Event::LookAtAll], "one snapshot came, in the place of the commands");
    back.put("and on").await;
    for server in cluster.running.values() {
        assert_eq!(server.names().await.len(), 61);
        assert_eq!(server.catalogue.view().await.unwrap().verify().unwrap().records, 61);
    }
    // And it is all there after a restart.
    cluster.kill(&away).await;
    cluster.start(&away).await;
    assert_eq!(cluster.running[&away].names().await.len(), 61);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_away_shortly_gets_the_log() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    let away = cluster.followers().await[0].name.clone();
    cluster.kill(&away).await;
    for n in 0..20 {
        cluster.leader().await.put(&format!("file {n:02}")).await;
    }
    cluster.start(&away).await;
    let back = cluster.running.get_mut(&away).unwrap();
    assert_eq!(back.names().await.len(), 20);
    assert!(back.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn pitfall_2_many_changes_through_a_follower_share_few_entries() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let follower = cluster.followers().await[0];
    let before = follower.catalogue.status().last_log.unwrap();
    let mut changes = tokio::task::JoinSet::new();
    for n in 0..500 {
        let catalogue = follower.catalogue.clone();
        changes.spawn(async move {
            catalogue.propose(Command::Put(put(&format!("file {n}")))).await.unwrap().outcome
        });
    }
    while let Some(outcome) = changes.join_next().await {
        assert!(matches!(outcome.unwrap(), Outcome::Done(_)));
    }
    assert_eq!(follower.names().await.len(), 500);
    let entries = follower.catalogue.status().last_log.unwrap() - before;
    assert!(entries <= 10, "{entries} entries for 500 changes");
}

#[tokio::test(start_paused = true)]
async fn pitfall_8_a_server_that_is_down_is_not_asked_without_a_pause() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    let away = cluster.followers().await[0].name.clone();
    cluster.kill(&away).await;
    let before = cluster.net.asked();
    for n in 0..10 {
        cluster.leader().await.put(&format!("file {n}")).await;
        sleep(Duration::from_secs(1)).await;
    }
    // Two servers, a heartbeat a quarter second at the most, and ten changes.
    let asked = cluster.net.asked() - before;
    assert!(asked < 200, "{asked} questions in 10 s");
}

#[tokio::test(start_paused = true)]
async fn large_batches_reach_the_others_in_frames_that_fit() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    let away = cluster.followers().await[0].name.clone();
    cluster.kill(&away).await;
    let leader = cluster.leader().await;
    let long = "x".repeat(1000);
    let mut changes = tokio::task::JoinSet::new();
    for n in 0..8_000 {
        let (catalogue, text) = (leader.catalogue.clone(), format!("{n:04}{long}"));
        changes.spawn(async move { catalogue.propose(Command::Put(put(&text))).await.is_ok() });
    }
    while let Some(done) = changes.join_next().await {
        assert!(done.unwrap());
    }
    cluster.start(&away).await;
    let begun = Instant::now();
    while cluster.running[&away].names().await.len() < 8_000 {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    let view = cluster.running[&away].catalogue.view().await.unwrap();
    assert!(view.get(&client(), &name(&format!("7999{long}"))).unwrap().is_some());
    assert_eq!(view.incarnation(&server("a")).unwrap().unwrap().0, 1);
}
