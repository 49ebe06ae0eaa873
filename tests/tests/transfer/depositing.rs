//! Deposits whose copies go to other servers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use depot_server::catalogue::command::{Admit, Sweep};
use depot_server::catalogue::{Command, Incarnation, Outcome, SweepNumber};
use depot_server::config::Ack;
use depot_server::deposit::Interrupted;
use depot_server::volume::PartKey;
use depot_tests::in_process::{life, settle};
use tokio::time::Instant;

use crate::bench::{Done, SECOND, Server, Site, client, content, digest, name, upload};
use crate::peer::{FULL, Faulty, Wrong};

const LARGE: usize = 1_500_000;

fn too_many() -> Done {
    Done::Refused("replicas_indisponiveis".into())
}

fn too_few() -> Done {
    Done::Refused("copias_insuficientes".into())
}

/// Servers a, b and c that do as they should.
async fn three(site: &Site) -> [Server; 3] {
    let all = [site.server("a").await, site.server("b").await, site.server("c").await];
    all[0].until_up(&["b", "c"]).await;
    all
}

/// A server whose peers b and c go wrong so, and the two.
async fn faulty(b: Wrong, c: Wrong) -> (Server, [Arc<Faulty>; 2]) {
    let site = Site::of(&["a", "b", "c"]);
    let a = site.server("a").await;
    let (b, c) = (Arc::new(Faulty::new("b", &[], b)), Arc::new(Faulty::new("c", &[], c)));
    let _b = site.peer("b", b.clone()).await;
    let _c = site.peer("c", c.clone()).await;
    a.until_up(&["b", "c"]).await;
    (a, [b, c])
}

/// What is held of an upload of this.
fn part(a: &Server, content: &[u8]) -> u64 {
    let namespace = a.depot.namespace(&client());
    let key = PartKey::by_hash(namespace.as_bytes(), &digest(content), content.len() as u64);
    a.volume().part(&key, a.depot.custody.now()).map_or(0, |(held, _)| held)
}

#[test]
fn every_server_has_it_when_the_answer_comes() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        for size in [0, 1, 4096, 65_536, 65_537, LARGE] {
            let (file, content) = (format!("file of {size}"), content(size));
            assert_eq!(all[0].deposit(&file, &content, 2).await, Done::Copies(2), "{size} bytes");
            assert!(all.iter().all(|server| server.holds(&content) && server.staged() == 0));
            assert_eq!(all[0].look(&file).await.unwrap().confirmed().count(), 3);
        }
    });
}

#[test]
fn as_many_as_were_asked_for_and_no_more() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        assert_eq!(all[0].deposit("none", b"none", 0).await, Done::Copies(0));
        assert_eq!(all[0].deposit("one", b"one", 1).await, Done::Copies(1));
        let holders = |content: &[u8]| all.iter().filter(|server| server.holds(content)).count();
        assert_eq!((holders(b"none"), holders(b"one")), (1, 2));
        assert_eq!(all[0].deposit("many", b"many", 3).await, too_many());
    });
}

#[test]
fn it_goes_out_while_it_comes_in() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        let content = content(LARGE);
        let (client, mut upload) = upload(&content);
        let send = async {
            client.send(Some(Bytes::copy_from_slice(&content[..LARGE / 2]))).await.unwrap();
            settle().await;
            assert!(all[1].staged() == 1 && all[2].staged() == 1);
            client.send(Some(Bytes::copy_from_slice(&content[LARGE / 2..]))).await.unwrap();
            client.send(None).await.unwrap();
        };
        let deposit = all[0].deposit_of("file", &content, 2, 0, &mut upload);
        assert_eq!(tokio::join!(deposit, send).0, Done::Copies(2));
    });
}

#[test]
fn a_cut_upload_leaves_its_part_here_and_nothing_elsewhere() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        let content = content(LARGE);
        let (client, mut upload_) = upload(&content);
        let send = async {
            client.send(Some(Bytes::copy_from_slice(&content[..LARGE / 2]))).await.unwrap();
            settle().await;
            drop(client);
        };
        let deposit = all[0].deposit_of("file", &content, 2, 0, &mut upload_);
        let cut = Done::Interrupted(Interrupted::Broken);
        assert_eq!(tokio::join!(deposit, send).0, cut);
        settle().await;
        assert_eq!(part(&all[0], &content), LARGE as u64 / 2);
        assert_eq!((all[1].staged(), all[2].staged()), (0, 0));

        // Resumed, the lanes begin at byte 0.
        let (client, mut upload) = upload(&content);
        let send = async {
            client.send(Some(Bytes::copy_from_slice(&content[LARGE / 2..]))).await.unwrap();
            client.send(None).await.unwrap();
        };
        let deposit = all[0].deposit_of("file", &content, 2, LARGE as u64 / 2, &mut upload);
        assert_eq!(tokio::join!(deposit, send).0, Done::Copies(2));
        assert!(all.iter().all(|server| server.holds(&content) && server.staged() == 0));
    });
}

#[test]
fn wrong_bytes_leave_nothing_anywhere() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        for size in [10, LARGE] {
            let (announced, mut sent) = (content(size), content(size));
            sent[3] ^= 1;
            let (client, mut upload) = upload(&announced);
            let send = async {
                client.send(Some(Bytes::copy_from_slice(&sent))).await.unwrap();
                client.send(None).await.unwrap();
            };
            let deposit = all[0].deposit_of("file", &announced, 2, 0, &mut upload);
            let refused = Done::Refused("hash_divergente".into());
            assert_eq!(tokio::join!(deposit, send).0, refused);
            settle().await;
            assert!(all.iter().all(|server| server.staged() == 0 && !server.holds(&sent)));
            assert_eq!(all[0].look("file").await, None);
        }
    });
}

#[test]
fn a_peer_that_goes_wrong_costs_nothing_but_its_copy() {
    let faults = [
        Wrong::Dies(0),
        Wrong::Dies(3),
        Wrong::Dies(usize::MAX),
        Wrong::Refuses(0, FULL),
        Wrong::Refuses(3, FULL),
        Wrong::Refuses(usize::MAX, FULL),
        Wrong::Stalls(3),
    ];
    for (fault, size) in faults.into_iter().flat_map(|fault| [(fault, 4096), (fault, LARGE)]) {
        life(async move {
            let (a, _) = faulty(fault, Wrong::Nowhere).await;
            let (content, begun) = (content(size), Instant::now());
            let done = a.deposit("file", &content, 2).await;
            assert!(matches!(done, Done::Copies(1 | 2)), "{fault:?}: {done:?}");
            assert!(begun.elapsed() < SECOND, "{fault:?}: one receipt is enough");
            let record = a.look("file").await.unwrap();
            assert_eq!(record.servers().count(), 3, "who has none shall have one");
        });
    }
}

#[test]
fn the_next_candidate_begins_at_byte_0_while_the_upload_runs() {
    for fault in [Wrong::Dies(2), Wrong::Stalls(2), Wrong::Refuses(0, FULL)] {
        for (b, c) in [(fault, Wrong::Nowhere), (Wrong::Nowhere, fault)] {
            life(async move {
                let (a, peers) = faulty(b, c).await;
                let content = content(LARGE);
                let (client, mut upload) = upload(&content);
                let send = async {
                    for piece in content.chunks(LARGE / 10) {
                        client.send(Some(Bytes::copy_from_slice(piece))).await.unwrap();
                        tokio::time::sleep(2 * SECOND).await;
                    }
                    client.send(None).await.unwrap();
                };
                let deposit = a.deposit_of("file", &content, 1, 0, &mut upload);
                assert_eq!(tokio::join!(deposit, send).0, Done::Copies(1), "{b:?} {c:?}");
                let whole = |peer: &Arc<Faulty>| peer.taken.lock().unwrap().0 == content;
                assert!(peers.iter().any(whole), "one of them has all of it");
            });
        }
    }
}

#[test]
fn with_too_few_copies_nothing_is_visible_and_the_upload_is_kept() {
    let faults = [Wrong::Dies(3), Wrong::Refuses(0, FULL), Wrong::Stalls(3)];
    for fault in faults {
        life(async move {
            let (a, peers) = faulty(fault, fault).await;
            let (content, begun) = (content(LARGE), Instant::now());
            assert_eq!(a.deposit("file", &content, 2).await, too_few(), "{fault:?}");
            assert!(begun.elapsed() < 60 * SECOND, "{fault:?}: {:?}", begun.elapsed());
            assert_eq!(a.look("file").await, None);
            assert!(!a.holds(&content), "it has no name");
            assert_eq!(part(&a, &content), LARGE as u64);
            assert!(peers.iter().all(|peer| peer.asked() > 0));
        });
    }
}

#[test]
fn what_was_kept_needs_no_byte_more() {
    life(async {
        let site = Site::of(&["a", "b"]);
        let a = site.server("a").await;
        let content = content(LARGE);
        assert_eq!(a.deposit("file", &content, 1).await, too_few());
        let b = site.server("b").await;
        a.until_up(&["b"]).await;
        assert_eq!(a.prepare("file", &content).await, Ok(LARGE as u64));
        assert_eq!(a.deposit_held("file", &content, 1).await, Done::Copies(1));
        assert!(a.holds(&content) && b.holds(&content));
        assert_eq!((a.staged(), part(&a, &content)), (0, 0));
    });
}

#[test]
fn a_straggler_goes_on_and_is_listed_when_it_has_its_copy() {
    life(async {
        let site = Site::of(&["a", "b", "c"]);
        let (a, b) = (site.server("a").await, site.server("b").await);
        let c = site.slow("c", Duration::from_secs(3)).await;
        a.until_up(&["b", "c"]).await;
        let (content, begun) = (content(LARGE), Instant::now());
        assert_eq!(a.deposit("file", &content, 2).await, Done::Copies(1));
        assert!(begun.elapsed() < SECOND);
        assert!(a.holds(&content) && b.holds(&content) && !c.holds(&content));
        tokio::time::sleep(5 * SECOND).await;
        assert!(c.holds(&content));
        assert_eq!(a.look("file").await.unwrap().confirmed().count(), 3);
    });
}

#[test]
fn a_peer_that_never_syncs_is_overtaken_by_the_next() {
    life(async {
        let (a, peers) = faulty(Wrong::Stalls(usize::MAX), Wrong::Nowhere).await;
        for (file, size) in [("small", 100), ("large", LARGE)] {
            let (content, begun) = (content(size), Instant::now());
            assert_eq!(a.deposit(file, &content, 1).await, Done::Copies(1));
            assert!(begun.elapsed() < 12 * SECOND, "{:?}", begun.elapsed());
        }
        assert!(peers.iter().all(|peer| peer.asked() > 0) || peers[1].asked() == 2);
    });
}

#[test]
fn where_all_copies_are_asked_for_all_are_waited_for() {
    let mut site = Site::of(&["a", "b", "c"]);
    site.ack = Ack::All;
    life(async move {
        let (a, b) = (site.server("a").await, site.server("b").await);
        a.until_up(&["b"]).await;
        let content = content(100);
        assert_eq!(a.deposit("file", &content, 2).await, too_few());
        let c = site.server("c").await;
        a.until_up(&["c"]).await;
        assert_eq!(a.deposit("file", &content, 2).await, Done::Copies(2));
        assert!(b.holds(&content) && c.holds(&content));
    });
}

#[test]
fn a_slow_client_is_no_reason_to_let_a_peer_go() {
    life(async {
        let (a, peers) = faulty(Wrong::Nowhere, Wrong::Nowhere).await;
        let content = content(200_000);
        let (client, mut upload) = upload(&content);
        let send = async {
            for piece in content.chunks(50_000) {
                client.send(Some(Bytes::copy_from_slice(piece))).await.unwrap();
                tokio::time::sleep(29 * SECOND).await;
            }
            client.send(None).await.unwrap();
        };
        let deposit = a.deposit_of("file", &content, 2, 0, &mut upload);
        assert_eq!(tokio::join!(deposit, send).0, Done::Copies(2));
        assert!(peers.iter().all(|peer| peer.asked() == 1), "no lane was let go");
    });
}

#[test]
fn an_equal_deposit_has_its_holders_vouch_and_sends_no_byte() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        let content = content(LARGE);
        assert_eq!(all[0].deposit("file", &content, 1).await, Done::Copies(1));
        for (file, replicas, copies) in [("file", 1, 1), ("other", 2, 2), ("file", 2, 2)] {
            let done = all[0].deposit_held(file, &content, replicas).await;
            assert_eq!(done, Done::Copies(copies), "{file} {replicas}");
        }
        assert!(all.iter().all(|server| server.holds(&content) && server.staged() == 0));
    });
}

#[test]
fn an_equal_deposit_keeps_a_deposits_promise() {
    life(async {
        let a = faulty(Wrong::Dies(0), Wrong::Dies(0)).await.0;
        let content = content(100);
        a.put(&content);
        let record = a.record("file", &content, &[]).await;
        assert_eq!(a.deposit_held("file", &content, 1).await, too_few());
        assert_eq!(a.look("file").await, Some(record), "the old number stands");
        assert!(a.holds(&content));
    });
}

#[test]
fn an_equal_deposit_fetches_the_copy_that_this_server_lacks() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        let content = content(LARGE);
        all[1].put(&content);
        all[0].record_of("file", &content, vec![all[0].receipt("b")], &[]).await;
        assert_eq!(all[0].prepare("file", &content).await, Ok(LARGE as u64));
        assert_eq!(all[0].deposit_held("file", &content, 1).await, Done::Copies(1));
        assert!(all[0].holds(&content) && !all[2].holds(&content));
    });
}

#[test]
fn without_a_majority_no_byte_is_read() {
    life(async {
        let a = Site::of(&["a", "b"]).server("a").await;
        a.catalogue.has_quorum.store(false, Ordering::SeqCst);
        let refused = Done::Refused("sem_quorum".into());
        assert_eq!(a.deposit("file", b"content", 0).await, refused);
        assert_eq!(a.prepare("file", b"content").await, Err("sem_quorum".into()));
        assert_eq!(a.deposit("file", b"content", 2).await, too_many(), "that is told first");
        assert_eq!(a.staged(), 0);
    });
}

#[test]
fn what_could_not_be_proposed_is_kept_though_it_was_sealed() {
    for (replicas, size) in [(0, 10), (0, LARGE), (1, 10), (1, LARGE)] {
        life(async move {
            let site = Site::of(&["a", "b"]);
            let (a, _b) = (site.server("a").await, site.server("b").await);
            a.until_up(&["b"]).await;
            let content = content(size);
            a.catalogue.refuses.store(true, Ordering::SeqCst);
            let refused = Done::Refused("sem_quorum".into());
            assert_eq!(a.deposit("file", &content, replicas).await, refused);
            assert_eq!(a.look("file").await, None);
            assert_eq!(a.prepare("file", &content).await, Ok(size as u64));
            let done = a.deposit_held("file", &content, replicas).await;
            assert_eq!(done, Done::Copies(replicas));
            assert_eq!((a.staged(), part(&a, &content)), (0, 0));
        });
    }
}

#[test]
fn a_receipt_from_before_a_sweep_is_asked_for_again() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        for server in ["a", "b", "c"] {
            let sweep = || Sweep { server: name(server), number: SweepNumber(1) };
            for knows in &all {
                assert_eq!(knows.change(Command::Sweep(sweep())).await, Outcome::Swept);
            }
        }
        for size in [10, LARGE] {
            let done = all[0].deposit(&format!("file of {size}"), &content(size), 2).await;
            assert_eq!(done, Done::Copies(2));
        }
    });
}

#[test]
fn a_receipt_of_an_earlier_life_counts_for_nothing() {
    life(async {
        let all = three(&Site::of(&["a", "b", "c"])).await;
        let admit = Admit { server: name("b"), incarnation: Incarnation(2) };
        assert_eq!(all[0].change(Command::Admit(admit)).await, Outcome::Admitted);
        for file in ["one", "two", "three", "four"] {
            let content = content(file.len() * 1000);
            assert_eq!(all[0].deposit(file, &content, 1).await, Done::Copies(1));
            assert!(all[2].holds(&content), "c comes in for b");
            assert_eq!(all[0].deposit(file, &content, 2).await, Done::Copies(1));
        }
        let admit = Admit { server: name("c"), incarnation: Incarnation(2) };
        assert_eq!(all[0].change(Command::Admit(admit)).await, Outcome::Admitted);
        let content = content(LARGE);
        assert_eq!(all[0].deposit("none", &content, 1).await, too_few());
        assert_eq!(all[0].prepare("none", &content).await, Ok(LARGE as u64), "it is kept");
    });
}
