//! The same over real sockets.

use bytes::Bytes;
use depot_server::cluster::Service;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::site::{SECOND, Server, Site, name};

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(story)
}

/// Asks the other one, with all the patience that a busy machine needs.
async fn ask(a: &Server, question: &[u8]) -> Bytes {
    a.links.ask(&name("b"), Service::Catalogue, &[question], 60 * SECOND).await.unwrap()
}

#[test]
fn small_questions_do_not_wait_for_acknowledgements() {
    run(async {
        let site = Site::over_tcp(&["a", "b"]);
        let (a, _b) = (site.server("a").run().await, site.server("b").run().await);
        a.until_up("b").await;
        let mut took = Vec::new();
        for _ in 0..200 {
            let begun = Instant::now();
            assert_eq!(ask(&a, b"hello").await, "a: hello");
            took.push(begun.elapsed());
        }
        // Waiting costs 40 ms almost each time, a busy machine not so often.
        took.sort_unstable();
        assert!(took[100] < SECOND / 30, "half of them took {:?}", took[100]);
    });
}

#[test]
fn long_frames_go_both_ways() {
    run(async {
        let site = Site::over_tcp(&["a", "b"]);
        let (a, _b) = (site.server("a").run().await, site.server("b").run().await);
        let piece: Vec<u8> = (0..4_u32 << 20).map(|at| (at % 251) as u8).collect();
        let question: &[&[u8]] = &[&piece[..100], &piece[100..]];
        for _ in 0..8 {
            let answer = a.links.ask(&name("b"), Service::Transfer, question, 60 * SECOND).await;
            assert!(answer.unwrap()[3..] == piece);
        }
    });
}

#[test]
fn a_restart_fails_no_question() {
    run(async {
        let site = Site::over_tcp(&["a", "b"]);
        let (a, mut b) = (site.server("a").run().await, site.server("b").run().await);
        a.until_up("b").await;
        for start in 2..12 {
            assert_eq!(ask(&a, b"1").await, "a: 1");
            b.tasks.stop(SECOND, &CancellationToken::new()).await;
            drop(b);
            let mut plan = site.server("b");
            plan.start = start;
            b = plan.run().await;
            assert_eq!(ask(&a, b"2").await, "a: 2");
        }
    });
}
