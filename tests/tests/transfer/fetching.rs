//! Fetching a copy from holders that die, stall and lie.

use std::sync::Arc;

use depot_server::transfer::FetchError;
use depot_tests::in_process::life;

use crate::bench::{Site, content, digest, name};
use crate::peer::{ABSENT, BAD, Faulty, PIECE, Wrong};

/// Fetches from b, which goes wrong so, then from c, which does otherwise; whether it came.
fn fetch(first: Wrong, second: Wrong) -> bool {
    life(async move {
        let site = Site::of(&["a", "b", "c"]);
        let a = site.server("a").await;
        let content = content(3 * PIECE + 10);
        let _b = site.peer("b", Arc::new(Faulty::new("b", &content, first))).await;
        let _c = site.peer("c", Arc::new(Faulty::new("c", &content, second))).await;
        let blob = (digest(&content), content.len() as u64);
        let fetched = a.depot.courier.fetch(blob, &[name("b"), name("c")]).await;
        assert_eq!(a.holds(&content), fetched.is_ok());
        assert_eq!(a.staged(), 0);
        match fetched {
            Ok(sealed) => {
                assert_eq!(sealed.digest(), blob.0);
                true
            }
            Err(FetchError::NoHolder(_)) => false,
            Err(error) => panic!("{error}"),
        }
    })
}

#[test]
fn the_next_holder_goes_on_where_one_breaks_off() {
    for pieces in 0..5 {
        assert!(fetch(Wrong::Dies(pieces), Wrong::Nowhere), "dies after {pieces}");
        assert!(fetch(Wrong::Stalls(pieces), Wrong::Nowhere), "stalls after {pieces}");
        assert!(fetch(Wrong::EndsEarly(pieces), Wrong::Nowhere), "ends after {pieces}");
        assert!(fetch(Wrong::Refuses(pieces, BAD), Wrong::Nowhere), "refuses after {pieces}");
    }
    assert!(fetch(Wrong::GoesOn, Wrong::Nowhere));
}

#[test]
fn wrong_bytes_are_never_stored() {
    for at in [0, PIECE, 3 * PIECE] {
        assert!(fetch(Wrong::Lies(at), Wrong::Nowhere), "a lie at {at}");
        assert!(!fetch(Wrong::Lies(at), Wrong::Lies(at)));
        assert!(!fetch(Wrong::Lies(at), Wrong::Refuses(0, ABSENT)));
    }
}

#[test]
fn who_lied_in_the_half_that_it_sent_does_not_spoil_the_other_half() {
    life(async {
        let site = Site::of(&["a", "b", "c"]);
        let a = site.server("a").await;
        let content = content(4 * PIECE);
        let mut lies = content.clone();
        lies[10] ^= 1;
        let b = Faulty { content: lies, ..Faulty::new("b", &content, Wrong::Dies(2)) };
        let _b = site.peer("b", Arc::new(b)).await;
        let _c = site.peer("c", Arc::new(Faulty::new("c", &content, Wrong::Nowhere))).await;
        let blob = (digest(&content), content.len() as u64);
        a.depot.courier.fetch(blob, &[name("b"), name("c")]).await.unwrap();
        assert!(a.holds(&content));
    });
}

/// The peer may not have heard yet that no record lists it there any more: it gets the copy, and that
/// goes again.
#[test]
fn a_copy_that_was_in_the_trash_and_that_no_record_lists_goes_there_again() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let (a, b) = (site.server("a").await, site.server("b").await);
        a.until_up(&["b"]).await;
        let content = content(1_000);
        b.put(&content);
        let (custody, blob) = (&b.depot.custody, (digest(&content), content.len() as u64));
        custody.let_go(blob.0);
        assert_eq!(custody.sweep().await.unwrap(), 1);
        a.depot.courier.fetch(blob, &[name("b")]).await.unwrap();
        assert!(a.holds(&content));
        assert!(custody.wants_sweep());
        assert_eq!(custody.sweep().await.unwrap(), 1);
    });
}
