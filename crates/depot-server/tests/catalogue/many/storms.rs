//! Servers that lose their power, come back and cannot reach each other, one after the other and at
//! once, while clients go on; each storm from a seed alone.
//!
//! What must hold through all of it: what was acknowledged is there; what was refused is not; a
//! linearizable view shows all that had been acknowledged when it was asked for; and in the end all
//! servers have the same.
//!
//! `DEPOT_STORMS=7` plays the one of seed 7 again, `DEPOT_STORMS=all` plays 300.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use depot_server::catalogue::{Catalogue, Command, Freshness, Outcome, ProposeError, runtime};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::cluster::{Cluster, client, put, server};
use crate::disk::Dice;

const STEPS: u64 = 40;

/// What clients were told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: BTreeSet<String>,
    refused: BTreeSet<String>,
    unknown: usize,
    views: usize,
}

type Ledger = Arc<Mutex<Told>>;

fn put_one(cluster: &Cluster, at: usize, text: String, clients: &mut JoinSet<()>, told: &Ledger) {
    let Some(server) = cluster.running.values().nth(at) else { return };
    let (catalogue, dead, told) = (server.catalogue.clone(), server.dead.clone(), told.clone());
    clients.spawn(async move {
        let outcome = tokio::select! {
            outcome = catalogue.propose(Command::Put(put(&text))) => outcome,
            () = dead.cancelled() => Err(ProposeError::Unknown),
        };
        let mut told = told.lock().unwrap();
        match outcome {
            _ if dead.is_cancelled() => told.unknown += 1,
            Ok(applied) => {
                assert!(matches!(applied.outcome, Outcome::Done(_)), "{applied:?}");
                told.acknowledged.insert(text);
            }
            Err(ProposeError::NoQuorum) => drop(told.refused.insert(text)),
            Err(ProposeError::Unknown) => told.unknown += 1,
        }
    });
}

fn view_one(cluster: &Cluster, at: usize, clients: &mut JoinSet<()>, told: &Ledger) {
    let Some(server) = cluster.running.values().nth(at) else { return };
    let (catalogue, dead, told) = (server.catalogue.clone(), server.dead.clone(), told.clone());
    let name = server.name.clone();
    clients.spawn(async move {
        let before = told.lock().unwrap().acknowledged.clone();
        let view = tokio::select! {
            view = catalogue.view() => view.unwrap(),
            () = dead.cancelled() => return,
        };
        if dead.is_cancelled() || view.freshness() == Freshness::Local {
            return;
        }
        let (page, _) = view.list(&client(), "", 10_000).unwrap();
        let shown: BTreeSet<_> = page.iter().map(|(name, _)| name.as_str().to_owned()).collect();
        let missing: Vec<_> = before.difference(&shown).collect();
        assert!(missing.is_empty(), "a view on {name} is stale: {missing:?} are not in it");
        told.lock().unwrap().views += 1;
    });
}

async fn storm(seed: u64) -> Told {
    let names = &["a", "b", "c", "d", "e"][..if seed.is_multiple_of(3) { 5 } else { 3 }];
    let mut cluster = Cluster::of(names).await;
    runtime::seed(Some(seed));
    let (mut dice, mut clients, told) = (Dice(seed), JoinSet::new(), Ledger::default());
    let all: Vec<_> = names.iter().map(|name| server(name)).collect();
    for step in 0..STEPS {
        let some = dice.roll(all.len() as u64) as usize;
        match dice.roll(10) {
            0 => {
                let (here, there): (Vec<_>, Vec<_>) = all.iter().partition(|_| dice.roll(2) == 0);
                cluster.net.part(&here, &there);
            }
            1 | 2 => cluster.net.heal(),
            3 if cluster.running.contains_key(&all[some]) => {
                cluster.cut_power(&all[some], &mut dice).await;
            }
            4 if cluster.running.contains_key(&all[some]) => cluster.kill(&all[some]).await,
            5 => cluster.net.lose_answers(&all[some], &all[(some + 1) % all.len()]),
            _ => {
                let stopped = all.iter().find(|name| !cluster.running.contains_key(*name));
                if let Some(stopped) = stopped.filter(|_| dice.roll(2) == 0) {
                    cluster.start(stopped).await;
                }
            }
        }
        for n in 0..3 {
            let at = dice.roll(all.len() as u64) as usize;
            put_one(&cluster, at, format!("{step:02}/{n}"), &mut clients, &told);
            view_one(&cluster, dice.roll(all.len() as u64) as usize, &mut clients, &told);
        }
        sleep(Duration::from_millis(dice.roll(4_000))).await;
    }
    cluster.net.heal();
    for name in &all {
        if !cluster.running.contains_key(name) {
            cluster.start(name).await;
        }
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let told = std::mem::take(&mut *told.lock().unwrap());
    cluster
        .until("all have a quorum again", |cluster| {
            cluster.running.values().all(|server| server.catalogue.has_quorum())
        })
        .await;
    cluster.leader().await;
    let first: BTreeSet<_> = cluster.server("a").names().await.into_iter().collect();
    let lost: Vec<_> = told.acknowledged.difference(&first).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    let risen: Vec<_> = told.refused.intersection(&first).collect();
    assert!(risen.is_empty(), "refused and there: {risen:?}");
    for server in cluster.running.values() {
        let names: BTreeSet<_> = server.names().await.into_iter().collect();
        assert_eq!(names, first, "on {}", server.name);
        server.catalogue.view().await.unwrap().verify().unwrap();
    }
    told
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_stale_is_shown_in_any_storm() {
    let seeds = std::env::var("DEPOT_STORMS").ok().map_or(0..12, |text| match text.parse() {
        Ok(seed) => seed..seed + 1,
        Err(_) => 0..300,
    });
    let (mut acknowledged, mut refused, mut views) = (0, 0, 0);
    for seed in seeds {
        println!("DEPOT_STORMS={seed}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let told = runtime.block_on(storm(seed));
        acknowledged += told.acknowledged.len();
        refused += told.refused.len();
        views += told.views;
    }
    println!("{acknowledged} acknowledged, {refused} refused, {views} linearizable views");
    assert!(acknowledged > 0 && views > 0, "a storm in which nothing worked says nothing");
}
