//! Servers whose disks were rolled back, or that run twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use depot_server::cluster::{LinkError, StartSeen};
use depot_tests::in_process::life;

use crate::site::{Kept, SECOND, Server, Site, name};

#[test]
fn a_server_that_was_rolled_back_is_kept_out_and_hears_of_it() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").run().await;
        let mut b = site.server("b");
        b.start = 7;
        let b = b.run().await;
        a.until_up("b").await;
        b.cut().await;

        let mut b = site.server("b");
        b.start = 6;
        let b = b.run().await;
        let mut fenced = b.starts.fenced();
        let why = fenced.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert!(why.starts_with("a has met start 7 of incarnation 1 of this server"), "{why}");
        tokio::time::sleep(10 * SECOND).await;
        assert!(!a.links.is_up(&name("b")) && !b.links.is_up(&name("a")));
        assert!(b.ask("a", b"hello").await.unwrap_err().unsent());
        assert_eq!(a.echo.served(), 0);
        assert!(a.starts.fenced().borrow().is_none());
    });
}

#[test]
fn what_was_met_outlives_the_one_who_met_it() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let kept = Arc::new(Kept::default());
        let mut plan = site.server("a");
        plan.kept = Arc::clone(&kept);
        let a = plan.clone().run().await;
        let b = site.server("b").run().await;
        a.until_up("b").await;
        // Raised while it runs, it is told by the pings.
        b.start.store(2, Ordering::SeqCst);
        tokio::time::sleep(SECOND).await;
        let two = StartSeen { incarnation: 1, start: 2, process: 1 };
        assert_eq!(*kept.0.lock().unwrap(), [(name("b"), two)]);
        assert!(a.links.is_up(&name("b")));
        a.cut().await;
        b.cut().await;

        plan.start = 2;
        let (a, b) = (plan.run().await, site.server("b").run().await);
        assert_eq!(a.starts.seen(&name("b")), Some(two));
        b.starts.fenced().wait_for(Option::is_some).await.unwrap();
        tokio::time::sleep(5 * SECOND).await;
        assert!(!a.links.is_up(&name("b")));
    });
}

/// The copy is fenced, and so it stays; the first `b` and `a` do not suffer from it.
async fn is_fenced_for_good(copy: &Server, first: &Server, a: &Server) {
    copy.starts.fenced().wait_for(Option::is_some).await.unwrap();
    tokio::time::sleep(10 * SECOND).await;
    assert!(first.starts.fenced().borrow().is_none());
    assert!(a.links.is_up(&name("b")) && first.links.is_up(&name("a")));
    assert!(!copy.links.is_up(&name("a")));
}

#[test]
fn of_two_servers_with_one_name_the_one_that_is_behind_is_fenced_by_pings() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").run().await;
        let first = site.server("b").run().await;
        a.until_up("b").await;
        // A copy of its disk, started elsewhere: it can dial, though nobody dials it.
        let mut copy = site.server("b");
        copy.elsewhere = true;
        let copy = copy.run().await;
        copy.until_up("a").await;
        first.start.store(2, Ordering::SeqCst);
        is_fenced_for_good(&copy, &first, &a).await;
    });
}

#[test]
fn of_two_processes_that_were_started_equally_often_the_later_one_is_fenced() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").run().await;
        let first = site.server("b").run().await;
        a.until_up("b").await;
        let mut copy = site.server("b");
        (copy.process, copy.elsewhere) = (2, true);
        let copy = copy.run().await;
        is_fenced_for_good(&copy, &first, &a).await;
        first.cut().await;

        // Nor does it come in when the other one is gone: what was met stays met.
        let mut copy = site.server("b");
        copy.process = 3;
        let copy = copy.run().await;
        copy.starts.fenced().wait_for(Option::is_some).await.unwrap();
        tokio::time::sleep(10 * SECOND).await;
        assert!(!a.links.is_up(&name("b")));
    });
}

#[test]
fn an_earlier_life_of_a_server_is_not_heard_any_more() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, old) = (site.server("a").run().await, site.server("b").run().await);
        assert_eq!(old.ask("a", b"hello").await.unwrap(), "b: hello");
        let mut new = site.server("b");
        (new.incarnation, new.elsewhere) = (2, true);
        let new = new.run().await;
        assert_eq!(new.ask("a", b"hello").await.unwrap(), "b: hello");
        let error = old.ask("a", b"hello").await.unwrap_err();
        assert!(matches!(&error, LinkError::Refused(_)), "{error:?}");
        old.starts.fenced().wait_for(Option::is_some).await.unwrap();
        assert_eq!(a.echo.served(), 2);
    });
}
