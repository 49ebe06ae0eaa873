//! Pushing to a server, and having it vouch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::Digest;
use depot_server::transfer::{No, TransferError};
use depot_server::volume::layout;
use depot_tests::in_process::{life, settle};

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
        let receipt = a.transfer().whole(&name("b"), &small, &digest(&small)).await.unwrap();
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
        let small = a.transfer().whole(&name("b"), &content[..9], &Digest::EMPTY).await;
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
        let answer = a.transfer().whole(&name("b"), &small, &digest(&small)).await;
        assert!(matches!(answer.unwrap_err(), TransferError::OutOfStep(_)));
        let answer = a.transfer().vouch(&name("b"), &digest(&small), 10).await;
        assert!(matches!(answer.unwrap_err(), TransferError::OutOfStep(_)));
        let push = a.transfer().push(&name("b"), 0).await.unwrap();
        assert!(matches!(push.end(Digest::EMPTY).await.unwrap_err(), TransferError::OutOfStep(_)));
    });
}
