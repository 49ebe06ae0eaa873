//! The catalogue of three servers over their real links, on real sockets and in memory. What it does
//! when the network does not is told in depot-server's own tests (`tests/catalogue/many`).

#![expect(clippy::unwrap_used, reason = "a test that goes wrong shall end")]

mod site;

use std::time::Duration;

use depot_server::catalogue::{Catalogue, Event, LogLimits};
use tokio::time::Instant;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_change_and_read_through_any_over_real_sockets() {
    let mut site = Site::over_tcp(LogLimits::default());
    site.start_all().await;
    let mut names = Vec::new();
    for through in ["a", "b", "c"] {
        site.put(through, through).await;
        names.push(through.to_owned());
        for reader in ["a", "b", "c"] {
            assert_eq!(site.names(reader).await, names);
        }
    }
}

/// Where a frame is written in two pieces, or TCP waits to fill a segment, each entry takes 40 ms and
/// more; six a second were measured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pitfall_3_an_entry_does_not_wait_for_a_segment_to_fill() {
    let mut site = Site::over_tcp(LogLimits::default());
    site.start_all().await;
    let leader = site.leader().await;
    let mut took = Vec::new();
    for n in 0..100 {
        let begun = Instant::now();
        site.put(leader, &format!("file {n}")).await;
        took.push(begun.elapsed());
    }
    // Not all of them: a busy machine makes some of them late.
    took.sort_unstable();
    assert!(took[50] < Duration::from_millis(40), "half of them took {:?}", took[50]);
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_is_gone_another_one_leads() {
    let mut site = Site::in_memory(LogLimits::default());
    site.start_all().await;
    site.put("b", "before").await;
    let leader = site.leader().await;
    site.stop(leader).await;
    let next = site.leader().await;
    assert_ne!(next, leader);
    site.put(next, "after").await;
    site.start(leader).await;
    assert_eq!(site.names(leader).await, ["after", "before"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lags_gets_a_snapshot_over_its_links() {
    let mut site = Site::in_memory(LogLimits { drop_every: 10, keep: 5 });
    site.start_all().await;
    let leader = site.leader().await;
    let away = ["a", "b", "c"].into_iter().find(|name| *name != leader).unwrap();
    site.stop(away).await;
    for n in 0..40 {
        site.put(leader, &format!("file {n:02}")).await;
    }
    site.start(away).await;
    assert_eq!(site.names(away).await.len(), 40);
    assert_eq!(site.event(away), Some(Event::LookAtAll));
    let view = site.catalogue(away).view().await.unwrap();
    assert_eq!(view.verify().unwrap().records, 40);
}
