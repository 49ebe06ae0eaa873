//! Deposits whose peers are slower than their client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use depot_tests::in_process::life;
use tokio::time::Instant;

use crate::bench::{Done, SECOND, Server, Site, content, upload};
use crate::peer::{Faulty, Wrong};

const MIB: usize = 1 << 20;
/// How far a client may be ahead of the copies that it needs: so much anyhow, and the end.
const AHEAD: usize = 64 * MIB;
const END: usize = 16 * MIB;

/// A server whose only peer takes so long for each 256 KiB.
async fn slow(each: Duration) -> (Server, Arc<Faulty>) {
    let site = Site::of(&["a", "b"]);
    let a = site.server("a").await;
    let b = Arc::new(Faulty::new("b", &[], Wrong::Slow(each)));
    let _b = site.peer("b", b.clone()).await;
    a.until_up(&["b"]).await;
    (a, b)
}

fn taken(peer: &Faulty) -> usize {
    peer.taken.lock().unwrap().0.len()
}

#[test]
fn a_client_that_is_faster_than_its_peers_is_slowed_and_served() {
    life(async {
        let (a, b) = slow(SECOND / 10).await;
        let content = content(128 * MIB);
        let (client, mut upload) = upload(&content);
        let send = async {
            let (mut sent, mut ahead) = (0, 0);
            for piece in content.chunks(256 << 10) {
                client.send(Some(Bytes::copy_from_slice(piece))).await.unwrap();
                sent += piece.len();
                ahead = ahead.max(sent - taken(&b));
            }
            client.send(None).await.unwrap();
            ahead
        };
        let deposit = a.deposit_of("file", &content, 1, 0, &mut upload);
        let (done, ahead) = tokio::join!(deposit, send);
        assert_eq!(done, Done::Copies(1));
        assert!(ahead.abs_diff(AHEAD + END) < 4 * MIB, "{} MiB", ahead / MIB);
        assert!(*content == b.taken.lock().unwrap().0);
    });
}

#[test]
fn a_client_that_is_slowed_gets_rid_of_something_every_second() {
    life(async {
        let (a, b) = slow(4 * SECOND).await;
        let content = content(AHEAD + 2 * END);
        let (client, mut upload) = upload(&content);
        let send = async {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            for piece in content[..AHEAD + MIB].chunks(64 << 10) {
                client.send(Some(Bytes::copy_from_slice(piece))).await.unwrap();
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            drop(client);
            longest
        };
        let deposit = a.deposit_of("file", &content, 1, 0, &mut upload);
        let longest = tokio::join!(deposit, send).1;
        assert!(longest >= SECOND && longest < 2 * SECOND, "{longest:?}");
        assert_eq!(b.asked(), 1, "its lane was not let go");
    });
}

#[test]
fn a_peer_that_stands_still_slows_a_client_no_longer_than_its_lane_has() {
    let mut replaced = 0;
    for (stuck, good) in [("b", "c"), ("c", "b")] {
        replaced += life(async move {
            let site = Site::of(&["a", "b", "c"]);
            let (a, good_) = (site.server("a").await, site.server(good).await);
            let stuck_ = Arc::new(Faulty::new(stuck, &[], Wrong::Stalls(2)));
            let _stuck = site.peer(stuck, stuck_.clone()).await;
            a.until_up(&["b", "c"]).await;
            let (content, begun) = (content(AHEAD + 2 * END), Instant::now());
            assert_eq!(a.deposit("file", &content, 1).await, Done::Copies(1));
            assert!(begun.elapsed() < 7 * SECOND, "{:?}", begun.elapsed());
            assert!(good_.holds(&content));
            stuck_.asked()
        });
    }
    assert_eq!(replaced, 1, "one of the two is the first candidate");
}

/// A server that has all of this, and has refused it for want of a copy that is on its way.
async fn refused(content: &[u8]) -> (Server, Arc<Faulty>) {
    let (a, b) = slow(SECOND).await;
    let begun = Instant::now();
    let too_few = Done::Refused("copias_insuficientes".into());
    assert_eq!(a.deposit("file", content, 1).await, too_few);
    assert!(begun.elapsed() < 60 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(a.prepare("file", content).await, Ok(content.len() as u64));
    (a, b)
}

#[test]
fn copies_that_came_too_late_are_on_their_way_still_when_the_client_comes_back() {
    for (rests, most) in [(0, 45), (100, 1)] {
        life(async move {
            let content = content(16 * MIB);
            let (a, b) = refused(&content).await;
            tokio::time::sleep(rests * SECOND).await;
            let begun = Instant::now();
            assert_eq!(a.deposit_held("file", &content, 1).await, Done::Copies(1));
            assert!(begun.elapsed() < most * SECOND, "{:?}", begun.elapsed());
            assert_eq!(b.asked(), 1, "it was sent the bytes once");
            assert!(*content == b.taken.lock().unwrap().0 && a.holds(&content));
        });
    }
}

#[test]
fn where_they_are_no_longer_wanted_or_the_upload_begins_anew_they_are_given_up() {
    life(async {
        let content = content(16 * MIB);
        let (a, b) = refused(&content).await;
        assert_eq!(a.deposit_held("file", &content, 0).await, Done::Copies(0));
        tokio::time::sleep(5 * SECOND).await;
        let came = taken(&b);
        tokio::time::sleep(100 * SECOND).await;
        assert!(taken(&b) == came && came < content.len(), "no more comes");
    });
    life(async {
        let content = content(16 * MIB);
        let (a, b) = refused(&content).await;
        let (_client, mut upload) = upload(&content);
        let deposit = a.deposit_of("file", &content, 1, 0, &mut upload);
        let looks = async {
            // Over the kept connection it may first have to wait until the peer has taken what was
            // given up.
            tokio::time::sleep(3 * SECOND).await;
            assert_eq!(b.asked(), 2, "from byte 0");
        };
        tokio::select! {
            done = deposit => panic!("it waits for its client: {done:?}"),
            () = looks => {}
        }
    });
}
