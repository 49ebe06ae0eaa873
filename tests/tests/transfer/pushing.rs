//! Pushing to a server, and having it vouch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::Digest;
use depot_server::transfer::{No, TransferError};
use depot_server::volume::layout;
use depot_tests::in_process::{life, settle};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::bench::{Server, Site, content, digest, name};
use crate::peer::{Faulty, Wrong};

async fn two() -> (Server, Server) {
    let site = Site::of(&["a", "b"]);
    let (a, b) = (site.server("a").await, site.server("b").await);
    a.until_up(&["b"]).await;
    (a, b)
}

/// Pushes this with that hash.
async fn push(a: &Server, bytes: &[u8], size: usize, hash: Digest) -> Result<(), TransferError> {
    let mut push = a.transfer().push(&name("b"), size as u64).await?;
    for piece in bytes.chunks(push.most().min(77_777)) {
        push.data(&Bytes::copy_from_slice(piece)).await?;
    }
    let receipt = push.end(hash).await?;
    assert_eq!(receipt, a.receipt("b"));
    Ok(())
}

#[test]
fn a_payload_is_stored_when_its_receipt_is_there() {
    life(async {
        let (a, b) = two().await;
        for size in [0, 1, 65_536, 1_000_000] {
            let content = content(size);
            push(&a, &content, size, digest(&content)).await.unwrap();
            assert!(b.holds(&content), "{size} bytes");
        }
        let small = content(4096);
        let receipt =
            a.transfer().whole(&name("b"), small.clone().into(), &digest(&small)).await.unwrap();
        assert_eq!(receipt, a.receipt("b"));
        assert!(b.holds(&small));
        assert_eq!(b.staged(), 0);
    });
}

#[test]
fn bytes_that_have_another_hash_or_size_are_not_stored() {
    life(async {
        let (a, b) = two().await;
        let content = content(200_000);
        let wrong = push(&a, &content, content.len(), Digest::EMPTY).await.unwrap_err();
        assert!(matches!(wrong, TransferError::Refused(No::WrongHash)), "{wrong}");
        let short = push(&a, &content, content.len() + 1, digest(&content)).await.unwrap_err();
        assert!(matches!(short, TransferError::Refused(No::WrongHash)), "{short}");
        let long = push(&a, &content, content.len() - 1, digest(&content)).await.unwrap_err();
        assert!(matches!(long, TransferError::Link(_)), "{long}");
        let small =
            a.transfer().whole(&name("b"), content[..9].to_vec().into(), &Digest::EMPTY).await;
        assert!(matches!(small.unwrap_err(), TransferError::Refused(No::WrongHash)));
        settle().await;
        assert_eq!(b.staged(), 0);
        assert!(!b.holds(&content));
    });
}

#[test]
fn what_is_given_up_or_cut_leaves_nothing() {
    life(async {
        let (a, b) = two().await;
        for abort in [true, false] {
            let mut push = a.transfer().push(&name("b"), 1_000_000).await.unwrap();
            push.data(&Bytes::from(content(100_000))).await.unwrap();
            settle().await;
            assert_eq!(b.staged(), 1);
            assert!(b.depot.courier.arrivals.expects(1_000_000));
            match abort {
                true => push.abort().await.unwrap(),
                false => drop(push),
            }
            settle().await;
            assert_eq!(b.staged(), 0);
            assert!(!b.depot.courier.arrivals.expects(1_000_000));
        }
    });
}

#[test]
fn a_full_server_says_so_before_a_byte_is_sent() {
    life(async {
        let (a, b) = two().await;
        b.disk.set_capacity(2_000_000);
        let full = a.transfer().push(&name("b"), 10_000_000).await.err().unwrap();
        assert!(matches!(full, TransferError::Refused(No::Full)), "{full}");
    });
}

#[test]
fn a_silent_pusher_is_given_up_after_a_minute() {
    life(async {
        let (a, b) = two().await;
        let push = a.transfer().push(&name("b"), 1_000_000).await.unwrap();
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(b.staged(), 0);
        drop(push);
    });
}

#[test]
fn a_server_vouches_for_what_it_has_and_for_nothing_else() {
    life(async {
        let (a, b) = two().await;
        let content = content(100_000);
        let (hash, size) = (digest(&content), content.len() as u64);
        assert_eq!(a.transfer().vouch(&name("b"), &hash, size).await.unwrap(), None);
        b.put(&content);
        let receipt = a.transfer().vouch(&name("b"), &hash, size).await.unwrap();
        assert_eq!(receipt, Some(a.receipt("b")));
        assert_eq!(a.transfer().vouch(&name("b"), &hash, size + 1).await.unwrap(), None);
        settle().await;
        assert!(b.holds(&content), "a wrong question harms no copy");
        b.rot(&content, layout::footer_offset(size) as usize);
        assert_eq!(a.transfer().vouch(&name("b"), &hash, size).await.unwrap(), None);
        settle().await;
        assert!(!b.holds(&content), "it is in quarantine");
    });
}

#[test]
fn nobody_gives_a_receipt_for_another() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").await;
        let liar = Faulty::new("c", &[], Wrong::Nowhere);
        let _b = site.peer("b", Arc::new(liar)).await;
        let small = content(10);
        let answer = a.transfer().whole(&name("b"), small.clone().into(), &digest(&small)).await;
        assert!(matches!(answer.unwrap_err(), TransferError::OutOfStep(_)));
        let answer = a.transfer().vouch(&name("b"), &digest(&small), 10).await;
        assert!(matches!(answer.unwrap_err(), TransferError::OutOfStep(_)));
        let push = a.transfer().push(&name("b"), 0).await.unwrap();
        assert!(matches!(push.end(Digest::EMPTY).await.unwrap_err(), TransferError::OutOfStep(_)));
    });
}

/// Pushes these small payloads at the same time; says for which there was a receipt of b's.
async fn at_once(a: &Server, payloads: &[(Vec<u8>, Digest)]) -> Vec<bool> {
    let receipt = a.receipt("b");
    let pushes = payloads.iter().map(|(payload, digest)| async {
        match a.transfer().whole(&name("b"), payload.clone().into(), digest).await {
            Ok(answer) => answer == receipt,
            Err(TransferError::Refused(No::WrongHash)) => false,
            Err(error) => panic!("{error}"),
        }
    });
    join_all(pushes).await
}

fn many() -> Vec<(Vec<u8>, Digest)> {
    let sizes = [4096, 0, 1, 60_000, 30_000, 65_536, 7, 32_768, 32_769, 100].into_iter().cycle();
    let payload = |(at, size): (usize, usize)| {
        let mut bytes = content(size);
        bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(at as u8));
        let digest = digest(&bytes);
        (bytes, digest)
    };
    sizes.take(200).enumerate().map(payload).collect()
}

#[test]
fn payloads_that_come_at_the_same_time_are_stored_each_for_itself() {
    life(async {
        let (a, b) = two().await;
        let mut payloads = many();
        for wrong in [0, 8, 150] {
            payloads[wrong].1 = Digest::from_bytes([wrong as u8; 32]);
        }
        let received = at_once(&a, &payloads).await;
        for (at, (payload, _)) in payloads.iter().enumerate() {
            let right = ![0, 8, 150].contains(&at);
            assert_eq!(received[at], right, "{at}");
            if right {
                assert!(b.holds(payload), "{at}");
            }
        }
        assert_eq!(b.staged(), 0);
    });
}

#[test]
fn they_go_in_a_few_messages() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").await;
        let peer = Arc::new(Faulty::new("b", &[], Wrong::Nowhere));
        let _b = site.peer("b", Arc::clone(&peer) as _).await;
        assert_eq!(at_once(&a, &many()).await, [true; 200]);
        assert!(peer.asked() < 20, "{}", peer.asked());
    });
}

#[test]
fn a_peer_of_a_release_that_knows_no_batches_gets_them_one_by_one() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").await;
        let peer = Arc::new(Faulty::new("b", &[], Wrong::KnowsNoBatches));
        let _b = site.peer("b", Arc::clone(&peer) as _).await;
        assert_eq!(at_once(&a, &many()).await, [true; 200]);
        assert!(peer.asked() >= 200, "{}", peer.asked());
    });
}

#[test]
fn one_message_that_stands_still_holds_up_no_other() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").await;
        let peer = Arc::new(Faulty::new("b", &[], Wrong::StallsOnce));
        let _b = site.peer("b", Arc::clone(&peer) as _).await;
        let payloads = many();
        let first = &payloads[..1];
        let stands_still = at_once(&a, first);
        let others = timeout(Duration::from_secs(5), at_once(&a, &payloads));
        tokio::select! {
            biased;
            answer = stands_still => panic!("{answer:?}"),
            others = others => assert_eq!(others.expect("in time"), [true; 200]),
        }
    });
}
