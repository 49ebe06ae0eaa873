//! Copies that a server shall have and fetches by itself.

use std::sync::Arc;
use std::task::Poll;

use depot_server::catalogue::Event;
use depot_server::repair::{self, sweep};
use depot_server::volume::layout;
use depot_tests::in_process::life;
use tokio::sync::{Notify, mpsc};

use crate::bench::{SECOND, Server, Site, content, digest};
use crate::peer::{ABSENT, Faulty, Wrong};

const LARGE: usize = 500_000;

/// Waits until this server's own catalogue lists its copy; how many seconds that took at most.
async fn healed(a: &Server, file: &str) -> u64 {
    for second in 0..600 {
        if a.look(file).await.is_some_and(|record| record.held_by(a.depot.members.me())) {
            return second;
        }
        tokio::time::sleep(SECOND).await;
    }
    panic!("no copy of {file} came")
}

#[test]
fn a_wanted_copy_is_fetched_and_listed() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").await, site.server("b").await);
        for size in [0, 10, LARGE] {
            let (file, content) = (format!("file of {size}"), content(size));
            b.put(&content);
            a.record_of(&file, &content, vec![a.receipt("b")], &["a"]).await;
            assert!(healed(&a, &file).await < 5);
            assert!(a.holds(&content));
        }
    });
}

#[test]
fn a_copy_that_is_here_already_is_only_listed() {
    life(async {
        let a = Site::of(&["a", "b"]).server("a").await;
        let content = content(LARGE);
        a.put(&content);
        a.record_of("file", &content, vec![a.receipt("b")], &["a"]).await;
        assert!(healed(&a, "file").await < 5);
    });
}

#[test]
fn what_cannot_be_had_is_tried_again_and_at_once_when_a_peer_comes_up() {
    life(async {
        let site = Site::of(&["a", "b", "c"]);
        let (a, content) = (site.server("a").await, content(LARGE));
        let b = Arc::new(Faulty::new("b", &content, Wrong::Refuses(0, ABSENT)));
        let _b = site.peer("b", b.clone()).await;
        a.record_of("file", &content, vec![a.receipt("b"), a.receipt("c")], &["a"]).await;
        tokio::time::sleep(300 * SECOND).await;
        assert!((6..20).contains(&b.asked()), "ever less often: {} times", b.asked());
        let c = site.server("c").await;
        c.put(&content);
        assert!(healed(&a, "file").await < 10);
    });
}

#[test]
fn what_is_no_longer_wanted_is_not_fetched() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, content) = (site.server("a").await, content(LARGE));
        let record = a.record_of("file", &content, vec![a.receipt("b")], &["a"]).await;
        a.remove("file", &record).await;
        let b = site.server("b").await;
        b.put(&content);
        tokio::time::sleep(120 * SECOND).await;
        assert!(!a.holds(&content));
    });
}

#[test]
fn what_was_not_heard_of_is_found_by_looking_at_all() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.deaf("a").await, site.server("b").await);
        let contents: Vec<_> = (1..30).map(|at| content(at * 100)).collect();
        for (at, content) in contents.iter().enumerate() {
            b.put(content);
            a.record_of(&format!("file {at}"), content, vec![a.receipt("b")], &["a"]).await;
        }
        tokio::time::sleep(100 * SECOND).await;
        assert!(!a.holds(&contents[0]));
        a.healer.look_at_all();
        for (at, content) in contents.iter().enumerate() {
            healed(&a, &format!("file {at}")).await;
            assert!(a.holds(content));
        }
    });
}

#[test]
fn a_push_of_something_of_that_size_is_waited_for_but_not_for_ever() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").await, site.server("b").await);
        let content = content(LARGE);
        b.put(&content);
        let push = b.transfer().push(a.depot.members.me(), LARGE as u64).await.unwrap();
        a.record_of("file", &content, vec![a.receipt("b")], &["a"]).await;
        tokio::time::sleep(5 * SECOND).await;
        assert!(!a.holds(&content));
        assert!(healed(&a, "file").await < 10);
        drop(push);
    });
}

#[test]
fn when_events_were_dropped_the_sweeper_looks_through_the_whole_volume() {
    life(async {
        let a = Site::of(&["a"]).deaf("a").await;
        let (tell, events) = mpsc::channel(1);
        let (tasks, missed) = (a.depot.tasks.clone(), Arc::new(Notify::new()));
        let (custody, courier) = (Arc::clone(&a.depot.custody), a.depot.courier.clone());
        tasks.spawn(repair::hear(events, courier, None, Arc::clone(&missed), tasks.clone()));
        tasks.spawn(sweep::run(custody, a.depot.seams.clone(), missed, tasks.clone()));
        tokio::time::sleep(10 * SECOND).await; // it has looked
        let content = content(LARGE);
        a.put(&content);
        let lies_there = || a.disk.read(layout::blob(&digest(&content))).is_ok();
        tokio::time::sleep(10 * SECOND).await;
        assert!(lies_there());
        tell.send(Event::LookAtAll).await.unwrap();
        tokio::time::sleep(10 * SECOND).await;
        assert!(!lies_there(), "no record lists it");
    });
}

#[test]
fn a_sweep_that_nobody_waits_for_any_more_forgets_nothing() {
    life(async {
        let a = Site::of(&["a"]).deaf("a").await;
        let (content, custody) = (content(10), &a.depot.custody);
        a.put(&content);
        let lies_there = || a.disk.read(layout::blob(&digest(&content))).is_ok();
        custody.let_go(digest(&content));
        let mut dropped = 0;
        while lies_there() {
            assert!(custody.wants_sweep(), "dropped {dropped} times, each a moment later");
            dropped += 1;
            let mut sweep = Box::pin(custody.sweep());
            for _ in 0..dropped {
                if let Poll::Ready(ended) = futures_util::poll!(&mut sweep) {
                    ended.unwrap();
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        assert!(dropped > 1, "it was dropped on its way: {dropped}");
    });
}
