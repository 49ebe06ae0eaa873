//! Who is up, as the pings tell.

use depot_server::cluster::{Keys, LinkError};
use depot_tests::in_process::{life, settle};
use tokio::time::Instant;

use crate::site::{SECOND, Site, name};

#[test]
fn a_peer_is_up_once_it_has_answered_and_tells_its_room() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").run().await;
        let state = a.state("b");
        assert!(!state.up && state.free.is_none());
        assert_eq!(state.why.as_deref(), Some("it has not answered yet"));
        settle().await;
        assert!(a.state("b").why.unwrap().starts_with("cannot reach it"));
        assert!(a.links.is_up(&name("a")) && !a.links.is_up(&name("b")));

        let _b = site.server("b").run().await;
        a.until_up("b").await;
        let state = a.state("b");
        assert!(state.up && state.why.is_none() && !state.other_list);
        assert_eq!(state.free, Some(42));
    });
}

#[test]
fn a_peer_that_stands_still_is_down_after_three_seconds_and_comes_back() {
    life(async {
        let mut site = Site::of(&["a", "b"]);
        let proxy = site.proxy("b").await;
        let (a, _b) = (site.server("a").run().await, site.server("b").run().await);
        a.until_up("b").await;
        tokio::time::sleep(10 * SECOND).await;
        assert!(a.links.is_up(&name("b")));

        let (stopped, before) = (Instant::now(), a.state("b").since);
        proxy.stand_still();
        a.until(|links| !links.is_up(&name("b"))).await;
        let took = stopped.elapsed();
        assert!(took > 2 * SECOND && took <= 3 * SECOND, "{took:?}");
        let state = a.state("b");
        assert_eq!(state.why.as_deref(), Some("no answer in time"));
        assert!(state.since > before);

        // In between it is asked nevertheless, for as long as whoever asks wants to wait.
        let asked = Instant::now();
        let error = a.ask("b", b"hello").await.unwrap_err();
        assert!(error.unsent() && asked.elapsed() <= SECOND, "{error:?}");

        tokio::time::sleep(30 * SECOND).await;
        proxy.pass_on();
        let thawed = Instant::now();
        a.until_up("b").await;
        assert!(thawed.elapsed() <= 8 * SECOND, "{:?}", thawed.elapsed());
    });
}

#[test]
fn a_short_cut_takes_nobody_down() {
    life(async {
        let mut site = Site::of(&["a", "b"]);
        let proxy = site.proxy("b").await;
        let (a, _b) = (site.server("a").run().await, site.server("b").run().await);
        a.until_up("b").await;
        let changes = *a.links.changes().borrow();
        for _ in 0..20 {
            proxy.cut();
            tokio::time::sleep(SECOND).await;
        }
        assert_eq!(*a.links.changes().borrow(), changes);
        assert!(proxy.made() > 20);
    });
}

#[test]
fn a_peer_that_is_gone_is_looked_for_without_haste() {
    life(async {
        let mut site = Site::of(&["a", "b"]);
        let proxy = site.proxy("b").await;
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        a.until_up("b").await;
        b.cut().await;
        a.until(|links| !links.is_up(&name("b"))).await;
        let mut plan = site.server("b");
        plan.start = 2;
        tokio::time::sleep(60 * SECOND).await;
        let before = proxy.made();
        let _b = plan.run().await;
        let back = Instant::now();
        a.until_up("b").await;
        assert!(back.elapsed() <= 2 * SECOND);
        assert_eq!(proxy.made(), before + 1);
    });
}

#[test]
fn another_list_is_shown_and_cuts_nothing() {
    life(async {
        let (site, other) = (Site::of(&["a", "b"]), Site::of(&["a", "b", "c"]));
        let mut plan = other.server("b");
        plan.site.network = site.network.clone();
        let (a, _b) = (site.server("a").run().await, plan.run().await);
        a.until_up("b").await;
        assert!(a.state("b").other_list);
        assert_eq!(a.ask("b", b"hello").await.unwrap(), "a: hello");
    });
}

#[test]
fn who_has_another_secret_or_cluster_is_never_up() {
    life(async {
        let site = Site::of(&["a", "b", "c", "d"]);
        let a = site.server("a").run().await;
        let mut b = site.server("b");
        b.keys = Some(Keys::new(b"another secret, of 32 bytes, too", []));
        let mut c = site.server("c");
        c.cluster = Some([9; 16]);
        let mut d = site.server("d");
        d.cluster = None;
        let (b, _c, _d) = (b.run().await, c.run().await, d.run().await);
        tokio::time::sleep(30 * SECOND).await;
        let why = |peer| a.state(peer).why.unwrap_or_default();
        assert!(why("b").contains("did not take our proof"), "{}", why("b"));
        assert!(why("c").contains("c to cluster 0909"), "{}", why("c"));
        assert!(why("d").contains("d waits to be founded"), "{}", why("d"));
        let error = b.ask("a", b"hello").await.unwrap_err();
        assert!(matches!(&error, LinkError::NotProven(_)) && error.unsent(), "{error:?}");
        assert_eq!(a.echo.served(), 0);
    });
}

#[test]
fn the_same_story_is_told_the_same_way_twice() {
    let story = || {
        life(async {
            let mut site = Site::of(&["a", "b", "c"]);
            let proxy = site.proxy("b").await;
            let servers = [site.server("a").run().await, site.server("b").run().await];
            let (begun, mut told) = (Instant::now(), Vec::new());
            for step in 0..20 {
                match step % 4 {
                    0 => proxy.cut(),
                    1 => proxy.stand_still(),
                    _ => proxy.pass_on(),
                }
                let asked = servers[0].ask("b", b"hello").await.map_err(|e| e.to_string());
                tokio::time::sleep(2 * SECOND).await;
                let states: Vec<_> = servers.iter().map(|server| server.links.states()).collect();
                told.push((begun.elapsed(), proxy.made(), proxy.said_in_all(), asked, states));
            }
            told
        })
    };
    assert_eq!(story(), story());
}
