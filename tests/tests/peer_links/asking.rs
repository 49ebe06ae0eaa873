//! Questions and answers.

use std::time::Duration;

use depot_server::cluster::{LinkError, Service};
use depot_tests::in_process::{life, settle};

use crate::site::{SECOND, Site, name};

#[test]
fn a_question_gets_its_answer_and_says_who_asked() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        assert_eq!(a.ask("b", b"hello").await.unwrap(), "a: hello");
        assert_eq!(b.ask("a", b"hello").await.unwrap(), "b: hello");
    });
}

#[test]
fn questions_one_after_the_other_share_a_connection() {
    life(async {
        let mut site = Site::of(&["a", "b"]);
        let proxy = site.proxy("b").await;
        let (a, _b) = (site.server("a").run().await, site.server("b").run().await);
        a.until_up("b").await;
        let long = vec![5; 4 << 20];
        for question in [b"1".as_slice(), &long, b"3"] {
            assert_eq!(a.ask("b", question).await.unwrap().len(), question.len() + 3);
        }
        assert_eq!(proxy.made(), 2, "one for pings, one for questions");
        // Both ends keep it for a while, and the one that dialled lets it go first.
        tokio::time::sleep(59 * SECOND).await;
        assert_eq!(proxy.open(), 2);
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(proxy.open(), 1);
    });
}

#[test]
fn connections_are_kept_up_to_32_and_no_more_are_made_than_are_allowed() {
    life(async {
        let mut site = Site::of(&["a", "b"]);
        let proxy = site.proxy("b").await;
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        a.until_up("b").await;
        let (peer, mut waiting) = (name("b"), Vec::new());
        for _ in 0..8 {
            let first: &[&[u8]] = &[b"wait"];
            waiting.push(a.links.open(&peer, Service::Catalogue, first, SECOND).await.unwrap());
        }
        settle().await;
        assert_eq!((b.echo.open(), proxy.open()), (8, 9));
        let error = a.ask("b", b"one too many").await.unwrap_err();
        assert!(matches!(&error, LinkError::Unreachable(_)) && error.unsent(), "{error:?}");
        assert_eq!(b.echo.served(), 8);

        for _ in 0..40 {
            let first: &[&[u8]] = &[b"wait"];
            waiting.push(a.links.open(&peer, Service::Transfer, first, SECOND).await.unwrap());
        }
        for mut conversation in waiting {
            conversation.send(&[b"go on"]).await.unwrap();
            assert_eq!(conversation.receive(SECOND).await.unwrap(), "a: wait");
            conversation.finish();
        }
        settle().await;
        assert_eq!(proxy.open(), 1 + 8 + 32, "for pings, for the catalogue, for transfers");
        assert_eq!(a.ask("b", b"again").await.unwrap(), "a: again");
    });
}

#[test]
fn transfers_leave_the_catalogue_its_slots() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        let (peer, mut waiting) = (name("b"), Vec::new());
        for _ in 0..1024 {
            let first: &[&[u8]] = &[b"wait"];
            waiting.push(a.links.open(&peer, Service::Transfer, first, SECOND).await.unwrap());
        }
        settle().await;
        assert_eq!(b.echo.open(), 1024);
        let more = a.links.open(&peer, Service::Transfer, &[b"wait"], SECOND).await;
        assert!(more.unwrap_err().unsent());
        assert_eq!(a.ask("b", b"vote").await.unwrap(), "a: vote");
        // Who waits gets the next slot that becomes free.
        let next = a.links.ask(&peer, Service::Transfer, &[b"next"], SECOND);
        let (next, ()) = tokio::join!(next, async { drop(waiting.pop()) });
        assert_eq!(next.unwrap(), "a: next");
    });
}

#[test]
fn a_question_that_is_given_up_closes_its_connection() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        let error = a.ask("b", b"wait").await.unwrap_err();
        assert!(matches!(error, LinkError::TimedOut) && !error.unsent(), "{error:?}");
        settle().await;
        assert_eq!((b.echo.served(), b.echo.open()), (1, 0));
        {
            let asking = a.ask("b", b"wait");
            assert!(tokio::time::timeout(SECOND / 2, asking).await.is_err());
        }
        settle().await;
        assert_eq!((b.echo.served(), b.echo.open()), (2, 0));
        assert_eq!(a.ask("b", b"not the late answer").await.unwrap(), "a: not the late answer");
    });
}

#[test]
fn an_answer_that_was_not_waited_for_never_reaches_the_next_question() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, _b) = (site.server("a").run().await, site.server("b").run().await);
        let peer = name("b");
        let open =
            async || a.links.open(&peer, Service::Catalogue, &[b"wait"], SECOND).await.unwrap();
        // Gave up waiting, then says that it is through.
        let mut conversation = open().await;
        let none = conversation.receive(Duration::ZERO).await;
        assert!(matches!(none, Err(LinkError::TimedOut)));
        conversation.send(&[b"go on"]).await.unwrap();
        conversation.finish();
        assert_eq!(a.ask("b", b"1").await.unwrap(), "a: 1");
        // Gave up waiting, and then got it: the connection is as good as any.
        let mut conversation = open().await;
        assert!(conversation.receive(Duration::ZERO).await.is_err());
        conversation.send(&[b"go on"]).await.unwrap();
        assert_eq!(conversation.receive(SECOND).await.unwrap(), "a: wait");
        conversation.finish();
        assert_eq!(a.ask("b", b"2").await.unwrap(), "a: 2");
    });
}

#[test]
fn what_was_kept_to_a_server_that_was_restarted_fails_no_question() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        assert_eq!(a.ask("b", b"1").await.unwrap(), "a: 1");
        b.cut().await;
        let error = a.ask("b", b"nobody there").await.unwrap_err();
        assert!(matches!(&error, LinkError::Unreachable(_)) && error.unsent(), "{error:?}");
        let mut plan = site.server("b");
        plan.start = 2;
        let _b = plan.run().await;
        assert_eq!(a.ask("b", b"2").await.unwrap(), "a: 2");
    });
}

#[test]
fn a_connection_that_breaks_under_a_question_says_that_it_may_have_arrived() {
    life(async {
        let mut site = Site::of(&["a", "b"]);
        let proxy = site.proxy("b").await;
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        let (broken, ()) = tokio::join!(a.ask("b", b"wait"), async {
            tokio::time::sleep(SECOND / 2).await;
            proxy.cut();
        });
        let error = broken.unwrap_err();
        assert!(matches!(&error, LinkError::Broken(_)) && !error.unsent(), "{error:?}");
        assert_eq!(b.echo.served(), 1);
    });
}

#[test]
fn who_is_not_in_the_list_or_not_there_is_unreachable() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").run().await;
        for peer in ["z", "b", "a"] {
            let error = a.ask(peer, b"hello").await.unwrap_err();
            assert!(matches!(&error, LinkError::Unreachable(_)) && error.unsent(), "{error:?}");
        }
    });
}
