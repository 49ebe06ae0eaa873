//! Servers that come in, and servers that come back without their disk.

use depot_server::catalogue::members::AdmitError;
use depot_server::catalogue::{Catalogue, Incarnation, LogLimits};

use super::cluster::{Cluster, Server, server};

fn votes(server: &Server, name: &str, incarnation: u64) -> bool {
    server.catalogue.status().members.iter().any(|member| {
        member.server == name && member.incarnation == Incarnation(incarnation) && member.votes
    })
}

/// With the whole log there, and with a snapshot in the place of its beginning.
#[tokio::test(start_paused = true)]
async fn a_server_that_lost_its_disk_comes_back_in_another_life() {
    for limits in [LogLimits::default(), LogLimits { drop_every: 10, keep: 5 }] {
        let mut cluster = Cluster::with(&["a", "b", "c"], limits).await;
        for n in 0..40 {
            cluster.leader().await.put(&format!("file {n:02}")).await;
        }
        // Not the one whose receipts these tests put files with.
        let followers = cluster.followers().await;
        let lost = followers.iter().find(|it| it.name != server("a")).unwrap().name.clone();
        cluster.kill(&lost).await;
        let leader = cluster.leader().await;
        let incarnation = leader.catalogue.admit(&lost).await.unwrap();
        assert_eq!(incarnation, Incarnation(2));
        cluster.found(&lost, incarnation, vec![]);
        cluster.start(&lost).await;
        let name = lost.as_str();
        cluster
            .until("it votes, and its earlier life is gone", |cluster| {
                let mut all = cluster.running.values();
                all.all(|server| {
                    votes(server, name, 2) && server.catalogue.status().members.len() == 3
                })
            })
            .await;
        let back = &cluster.running[&lost];
        assert_eq!(back.names().await.len(), 40);
        let view = back.catalogue.view().await.unwrap();
        assert_eq!(view.incarnation(&lost).unwrap(), Some(Incarnation(2)));
        for other in ["a", "b", "c"].map(server).iter().filter(|other| **other != lost) {
            assert_eq!(view.incarnation(other).unwrap(), Some(Incarnation(1)), "of the founding");
        }
        // It counts: with another one down there is still a majority.
        let other =
            cluster.followers().await.iter().find(|it| it.name != lost).unwrap().name.clone();
        let victim = if cluster.leader().await.name == other { lost.clone() } else { other };
        cluster.kill(&victim).await;
        cluster.leader().await.put("and on").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_server_comes_in() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    cluster.leader().await.put("x").await;
    let new = server("d");
    let incarnation = cluster.leader().await.catalogue.admit(&new).await.unwrap();
    assert_eq!(incarnation, Incarnation(1));
    cluster.found(&new, incarnation, vec![]);
    cluster.start(&new).await;
    cluster.until("it votes", |cluster| cluster.running.values().all(|it| votes(it, "d", 1))).await;
    assert_eq!(cluster.running[&new].names().await, ["x"]);
    cluster.running[&new].put("y").await;
    assert_eq!(cluster.server("a").names().await, ["x", "y"]);
}

/// Admitted twice before it ever came up: the life that never was is forgotten.
#[tokio::test(start_paused = true)]
async fn a_server_can_be_admitted_again() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    let new = server("d");
    for life in 1..=2 {
        let admitted = cluster.leader().await.catalogue.admit(&new).await.unwrap();
        assert_eq!(admitted, Incarnation(life));
    }
    cluster.found(&new, Incarnation(2), vec![]);
    cluster.start(&new).await;
    cluster
        .until("it votes, in one life", |cluster| {
            let mut all = cluster.running.values();
            all.all(|it| votes(it, "d", 2) && it.catalogue.status().members.len() == 4)
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_admits() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let leader = cluster.leader().await.name.clone();
    let follower = cluster.followers().await[0];
    let refused = follower.catalogue.admit(&server("d")).await;
    let Err(AdmitError::NotLeader { leader: Some(told) }) = refused else { panic!("{refused:?}") };
    assert_eq!(told, leader);
}

/// A server that was wiped and runs under its old life's name, or under no life that anybody
/// admitted, is nobody: it votes for nobody and founds nothing.
#[tokio::test(start_paused = true)]
async fn a_server_that_nobody_admitted_waits() {
    let mut cluster = Cluster::of(&["a", "b", "c"]).await;
    cluster.leader().await.put("x").await;
    let lost = cluster.followers().await[0].name.clone();
    cluster.kill(&lost).await;
    cluster.found(&lost, Incarnation(2), vec![]);
    cluster.start(&lost).await;
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    let (names, _) = cluster.running[&lost].names_as_they_are().await;
    assert!(names.is_empty());
    assert_eq!(cluster.running[&lost].catalogue.status().leader, None);
    assert_eq!(cluster.leader().await.names().await, ["x"]);
}
