//! Recovers of files whose copies are elsewhere, or rot while they are read.

use std::sync::Arc;

use depot_protocol::ErrorCode;
use depot_tests::in_process::{life, settle};

use crate::bench::{Server, Site, content, digest};
use crate::peer::{ABSENT, BAD, Faulty, PIECE, Wrong};

/// What a client gets of a file of this size whose copies are on b and c.
struct Elsewhere {
    a: Server,
    content: Vec<u8>,
    _peers: [Server; 2],
}

impl Elsewhere {
    async fn new(size: usize, b: Wrong, c: Wrong) -> Self {
        let site = Site::of(&["a", "b", "c"]);
        let (a, content) = (site.server("a").await, content(size));
        let b = site.peer("b", Arc::new(Faulty::new("b", &content, b))).await;
        let c = site.peer("c", Arc::new(Faulty::new("c", &content, c))).await;
        a.until_up(&["b", "c"]).await;
        let receipts = vec![a.receipt("b"), a.receipt("c")];
        a.record_of("file", &content, receipts, &[]).await;
        Elsewhere { a, content, _peers: [b, c] }
    }

    async fn recovers(&self, offset: u64) {
        let (bytes, whole) = self.a.recover("file", offset).await.unwrap();
        assert!(whole, "cut at {}", bytes.len());
        assert!(bytes == self.content[offset as usize..], "the bytes are the file's");
    }
}

#[test]
fn a_file_comes_through_a_server_that_has_no_copy() {
    for size in [0, 1, PIECE, 65_536, 65_537, 300_000] {
        life(async move {
            let file = Elsewhere::new(size, Wrong::Nowhere, Wrong::Nowhere).await;
            for offset in [0, 1, size / 2, size] {
                file.recovers(offset.min(size) as u64).await;
            }
        });
    }
}

#[test]
fn the_client_notices_nothing_of_a_holder_that_breaks_off() {
    let size = 4 * PIECE + 1000;
    for pieces in 0..6 {
        let faults = [
            Wrong::Dies(pieces),
            Wrong::Stalls(pieces),
            Wrong::EndsEarly(pieces),
            Wrong::Refuses(pieces, BAD),
            Wrong::GoesOn,
        ];
        for fault in faults {
            life(async move {
                let file = Elsewhere::new(size, fault, Wrong::Nowhere).await;
                file.recovers(0).await;
                file.recovers(PIECE as u64 + 1).await;
            });
        }
    }
}

#[test]
fn a_lie_is_never_a_whole_file() {
    let size = 4 * PIECE;
    for at in [0, PIECE, size - 65_536, size - 1] {
        life(async move {
            let file = Elsewhere::new(size, Wrong::Lies(at), Wrong::Lies(at)).await;
            let (bytes, whole) = file.a.recover("file", 0).await.unwrap();
            assert!(!whole);
            assert_eq!(bytes.len(), size - 65_536, "the last 64 KiB are withheld");
        });
    }
}

#[test]
fn of_a_small_file_nothing_was_sent_yet_so_another_holder_is_asked() {
    life(async {
        let file = Elsewhere::new(65_536, Wrong::Lies(7), Wrong::Nowhere).await;
        file.recovers(0).await;
        let file = Elsewhere::new(65_536, Wrong::Lies(7), Wrong::Lies(8)).await;
        let refusal = file.a.recover("file", 0).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::CopyUnavailable);
    });
}

#[test]
fn without_a_holder_that_has_it_the_client_is_told_so() {
    life(async {
        let refuses = Wrong::Refuses(0, ABSENT);
        let file = Elsewhere::new(10_000, refuses, refuses).await;
        let refusal = file.a.recover("file", 0).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::CopyUnavailable);
        let file = Elsewhere::new(12 * PIECE, Wrong::Dies(2), Wrong::Dies(1)).await;
        let (bytes, whole) = file.a.recover("file", 0).await.unwrap();
        assert!(!whole && bytes == file.content[..bytes.len()]);
    });
}

#[test]
fn a_rotten_copy_here_goes_into_quarantine_and_the_rest_comes_from_elsewhere() {
    let size = 10 * 65_536;
    for at in [0, 65_536, 9 * 65_536 + 100] {
        life(async move {
            let site = Site::of(&["a", "b"]);
            let (a, b) = (site.server("a").await, site.server("b").await);
            a.until_up(&["b"]).await;
            let content = content(size);
            a.put(&content);
            b.put(&content);
            a.record("file", &content, &["b"]).await;
            a.rot(&content, at);
            let (bytes, whole) = a.recover("file", 0).await.unwrap();
            assert!(whole && bytes == content, "rot at {at}");
            settle().await;
            let (digest, size) = (digest(&content), size as u64);
            assert!(a.volume().open_blob(&digest, size).unwrap().is_none(), "it is in quarantine");
        });
    }
}

#[test]
fn a_holder_whose_copy_rots_says_so_and_puts_it_into_quarantine() {
    life(async {
        let site = Site::of(&["a", "b", "c"]);
        let (a, b, c) = (site.server("a").await, site.server("b").await, site.server("c").await);
        a.until_up(&["b", "c"]).await;
        let content = content(10 * 65_536);
        b.put(&content);
        c.put(&content);
        a.record_of("file", &content, vec![a.receipt("b"), a.receipt("c")], &[]).await;
        b.rot(&content, 5 * 65_536);
        let (bytes, whole) = a.recover("file", 0).await.unwrap();
        assert!(whole && bytes == content);
        settle().await;
        assert!(!b.holds(&content) && c.holds(&content));
    });
}
