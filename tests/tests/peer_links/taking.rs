//! The peer port: whom it takes, for how long, and what becomes of them when it stops.

use std::sync::Arc;
use std::time::Duration;

use depot_server::cluster::{LinkError, Service, operator};
use depot_server::seams::Network;
use depot_tests::in_process::{life, settle};
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::network::MemoryNetwork;
use depot_tests::twins::seams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::site::{SECOND, Site, address, name};

/// What the port says to one who says this and no more, and when it closes.
async fn says(network: &MemoryNetwork, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let mut stream = Network::connect(network, address("a")).await.unwrap();
    let begun = Instant::now();
    stream.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    (heard, begun.elapsed())
}

#[test]
fn who_says_nothing_or_half_is_closed_after_five_seconds() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let _a = site.server("a").run().await;
        let hello = [&b"depot peer"[..], &[1], &[9; 32]].concat();
        let frame = [&43_u32.to_le_bytes()[..], &hello].concat();
        for half in [&frame[..0], &frame[..3], &frame[..20]] {
            assert_eq!(says(&site.network, half).await, (vec![], 5 * SECOND));
        }
        let (heard, took) = says(&site.network, &frame).await;
        assert_eq!((heard.len(), took), (36, 5 * SECOND), "a nonce, and patience for a proof");
    });
}

#[test]
fn garbage_and_endless_lengths_are_closed_at_once() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let _a = site.server("a").run().await;
        for garbage in [&[0xff; 4][..], b"GET / HTTP/1.1\r\n\r\n", &[0; 4], &[1, 0, 0, 0x80, 0]] {
            assert_eq!(says(&site.network, garbage).await, (vec![], Duration::ZERO));
        }
    });
}

#[test]
fn a_crowd_that_says_nothing_keeps_no_server_out() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").run().await;
        let mut crowd = Vec::new();
        for _ in 0..1000 {
            crowd.push(Network::connect(&site.network, address("a")).await.unwrap());
        }
        let b = site.server("b").run().await;
        let before = Instant::now();
        b.until_up("a").await;
        assert_eq!(b.ask("a", b"hello").await.unwrap(), "b: hello");
        assert!(before.elapsed() < SECOND);
        // Of the crowd only the latest are still there.
        let mut open = 0;
        for stream in &mut crowd {
            let mut byte = [0];
            let reading = stream.read(&mut byte);
            open += usize::from(tokio::time::timeout(Duration::ZERO, reading).await.is_err());
        }
        assert!((100..=128).contains(&open), "{open}");
        drop(a);
    });
}

#[test]
fn an_endless_length_or_garbage_after_the_handshake_closes_the_connection() {
    life(async {
        for garbage in [&[0xff; 4][..], &[0xff, 0xff, 0xff, 0x7f], &[1, 0, 0, 0, 77], &[0; 4]] {
            let mut site = Site::of(&["a", "b"]);
            let proxy = site.proxy("a").await;
            let (a, b) = (site.server("a").run().await, site.server("b").run().await);
            b.until_up("a").await;
            b.ask("a", b"hello").await.unwrap();
            let made = proxy.made();
            proxy.say(garbage);
            settle().await;
            assert_eq!(proxy.open(), 0, "{garbage:?}");
            b.ask("a", b"hello").await.unwrap();
            assert!(proxy.made() > made);
            assert_eq!(a.echo.served(), 2);
        }
    });
}

#[test]
fn half_a_question_is_waited_for_half_a_minute() {
    life(async {
        let mut site = Site::of(&["a", "b"]);
        let proxy = site.proxy("a").await;
        let (_a, b) = (site.server("a").run().await, site.server("b").run().await);
        b.ask("a", b"hello").await.unwrap();
        b.tasks.stop(Duration::ZERO, &CancellationToken::new()).await;
        settle().await;
        assert_eq!(proxy.open(), 1, "no ping any more, and one kept");
        proxy.say(&[9, 0, 0, 0, 1]);
        tokio::time::sleep(29 * SECOND).await;
        assert_eq!(proxy.open(), 1);
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(proxy.open(), 0);
    });
}

#[test]
fn a_service_that_is_not_there_is_refused() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let mut plan = site.server("a");
        plan.services = vec![Service::Operator];
        let (a, b) = (plan.run().await, site.server("b").run().await);
        let error = b.ask("a", b"hello").await.unwrap_err();
        assert!(matches!(&error, LinkError::Refused(_)) && error.unsent(), "{error:?}");
        b.until_up("a").await;
        a.door.set_service(Service::Catalogue, a.echo.clone());
        assert_eq!(b.ask("a", b"hello").await.unwrap(), "b: hello");
    });
}

#[test]
fn an_operator_talks_to_a_server_that_waits_to_be_founded() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let mut plan = site.server("a");
        plan.cluster = None;
        let (keys, members) = (plan.keys.clone().unwrap(), site.members("a"));
        let a = plan.run().await;
        let network = Arc::new(site.network.clone());
        let (seams, _) = seams(Arc::new(TokioClock::start()), network, 1);
        let server = members.get(&name("a")).unwrap();
        let opened = operator::open(&seams, &keys, server, &[b"status"], SECOND).await;
        let (proven, mut conversation) = opened.unwrap();
        assert_eq!((proven.name, proven.cluster), (name("a"), None));
        assert_eq!(proven.fingerprint, members.fingerprint());
        assert_eq!(conversation.receive(SECOND).await.unwrap(), "operator: status");
        drop(a);

        let nobody = members.get(&name("b")).unwrap();
        let error = operator::open(&seams, &keys, nobody, &[b"status"], SECOND).await.unwrap_err();
        assert!(error.unsent());
    });
}

#[test]
fn want_of_descriptors_passes() {
    life(async {
        let site = Site::of(&["a", "b"]);
        site.network.fail_accepts(20);
        let (_a, b) = (site.server("a").run().await, site.server("b").run().await);
        let before = Instant::now();
        b.until_up("a").await;
        assert!(before.elapsed() >= SECOND && before.elapsed() < 5 * SECOND);
    });
}

#[test]
fn a_door_that_stops_lets_conversations_finish_and_takes_no_new_ones() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        let peer = name("a");
        let mut long = b.links.open(&peer, Service::Transfer, &[b"wait"], SECOND).await.unwrap();
        b.ask("a", b"hello").await.unwrap();
        let hurry = CancellationToken::new();
        let talking = async {
            settle().await;
            let error = b.ask("a", b"another").await.unwrap_err();
            assert!(error.unsent(), "{error:?}");
            long.send(&[b"go on"]).await.unwrap();
            assert_eq!(long.receive(SECOND).await.unwrap(), "b: wait");
            long.finish();
        };
        let before = Instant::now();
        tokio::join!(a.tasks.stop(30 * SECOND, &hurry), talking);
        assert!(before.elapsed() < SECOND);
    });
}

#[test]
fn a_door_whose_time_is_over_cuts() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").run().await, site.server("b").run().await);
        let peer = name("a");
        let mut long = b.links.open(&peer, Service::Transfer, &[b"wait"], SECOND).await.unwrap();
        settle().await; // before that it would be refused
        let before = Instant::now();
        let hurry = CancellationToken::new();
        let (cut, ()) = tokio::join!(long.receive(60 * SECOND), a.tasks.stop(3 * SECOND, &hurry));
        assert!(matches!(cut, Err(LinkError::Broken(_))), "{cut:?}");
        assert_eq!(before.elapsed(), 3 * SECOND);
        assert_eq!(a.echo.served(), 1);
    });
}
