//! What the catalogue does for those who use it, on a real disk.

use std::sync::Arc;
use std::time::Duration;

use depot_protocol::{ReplicaCount, UtcSeconds};
use depot_server::catalogue::command::{Lost, Put};
use depot_server::catalogue::{
    Catalogue, Command, Freshness, HolderState, Incarnation, OpenError, Outcome, ProposeError,
    Store, SweepNumber, Version,
};
use depot_server::seams::system_disk::SystemDisk;
use depot_server::seams::{Disk, Seams};

use crate::disk::{Dice, MemDisk};
use crate::world::{
    CHECKED, UNCHECKED, World, client, digest, found, founding, identity, name, put, receipt,
    remove, server, set_replicas, sweep,
};

/// A data folder with the folder `catalogue` in it.
fn folder() -> (tempfile::TempDir, SystemDisk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(folder.path()).unwrap();
    disk.create_dir("catalogue".as_ref()).unwrap();
    (folder, disk)
}

/// A running catalogue in a new folder.
async fn world() -> (tempfile::TempDir, World) {
    let (folder, disk) = folder();
    found(&disk);
    (folder, World::start(Store::open(&disk, &CHECKED, false).unwrap()).await)
}

#[tokio::test]
async fn a_founded_catalogue_opens_empty_and_knows_whose_it_is() {
    let (_folder, disk) = folder();
    found(&disk);
    let store = Store::open(&disk, &CHECKED, true).unwrap();
    assert_eq!(store.identity(), &identity());
    assert_eq!(store.start_number(), 0);
    let world = World::start(store).await;
    let view = world.view().await;
    assert_eq!(view.freshness(), Freshness::Linearizable);
    assert_eq!(view.applied().unwrap(), 0);
    assert_eq!(view.incarnation(&server("a")).unwrap(), Some(Incarnation(7)));
    assert_eq!(view.incarnation(&server("b")).unwrap(), None);
    assert_eq!(view.sweep_number(&server("a")).unwrap(), SweepNumber(0));
    assert_eq!(view.verify().unwrap().records, 0);
    assert!(world.all().await.is_empty());
}

#[test]
fn without_founding_it_is_missing() {
    let (_folder, disk) = folder();
    assert!(matches!(Store::open(&disk, &CHECKED, false), Err(OpenError::Missing)));
}

#[tokio::test]
async fn founding_anew_replaces_only_what_was_never_used() {
    let (_folder, disk) = folder();
    found(&disk);
    found(&disk);
    let world = World::start(Store::open(&disk, &CHECKED, false).unwrap()).await;
    world.put(&put("x")).await;
    world.close().await;
    let again = Store::found(&disk, founding());
    assert!(matches!(again, Err(OpenError::Occupied { changes: 1 })), "{again:?}");
}

#[test]
fn a_catalogue_just_founded_survives_a_power_cut() {
    for seed in 0..20 {
        let disk = MemDisk::default();
        found(&disk);
        let after = disk.after_power_cut(&mut Dice(seed));
        assert_eq!(Store::open(&after, &CHECKED, false).unwrap().identity(), &identity());
    }
}

#[test]
fn the_start_number_only_rises_and_is_kept() {
    let (_folder, disk) = folder();
    found(&disk);
    let store = Store::open(&disk, &CHECKED, false).unwrap();
    store.raise_start_number(5).unwrap();
    store.raise_start_number(3).unwrap();
    assert_eq!(store.start_number(), 5);
    drop(store);
    assert_eq!(Store::open(&disk, &CHECKED, false).unwrap().start_number(), 5);
}

#[tokio::test]
async fn that_a_copy_is_lost_is_said_of_so_many_records_at_once_and_no_more() {
    let disk = MemDisk::default();
    found(&disk);
    let world = World::start(Store::open(&disk, &CHECKED, false).unwrap()).await;
    let names: Vec<String> = (0..600).map(|n| format!("{n:03}")).collect();
    for name in &names {
        world.put(&put(name)).await;
    }
    world.put(&Put { digest: digest(2), ..put("other") }).await;
    let (mut after, mut told) = (None, 0);
    loop {
        let (server, incarnation, digest) = (server("a"), Incarnation(7), digest(1));
        let lost = Lost { server, incarnation, digest, after, most: 256 };
        let outcome = world.outcome(Command::Lost(lost)).await;
        let all = world.all().await;
        let wanted = all.iter().filter(|(_, _, record)| record.confirmed().count() == 0).count();
        assert!(wanted - told <= 256, "{wanted} after {told}");
        told = wanted;
        match outcome {
            Outcome::NotedUpTo { namespace, name } => {
                assert_eq!((namespace, name.as_str()), (client(0), &*names[told - 1]));
                after = Some((namespace, name));
            }
            other => break assert_eq!(other, Outcome::Noted),
        }
    }
    assert_eq!(told, 600, "all but the other content");
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let (_folder, disk) = folder();
    found(&disk);
    let world = World::start(Store::open(&disk, &CHECKED, false).unwrap()).await;
    let record = world.put(&put("dir/file")).await;
    assert_eq!((record.version, record.confirmed().count()), (Version(1), 1));
    assert!(record.held_by(&server("a")));
    world.close().await;
    for settings in [CHECKED, UNCHECKED] {
        let world = World::start(Store::open(&disk, &settings, false).unwrap()).await;
        let found = world.view().await.get(&client(0), &name("dir/file")).unwrap();
        assert_eq!(found.as_ref(), Some(&record));
        assert_eq!(world.view().await.get(&client(1), &name("dir/file")).unwrap(), None);
        world.close().await;
    }
}

#[tokio::test]
async fn a_late_command_with_an_old_version_changes_nothing() {
    let (_folder, world) = world().await;
    let first = put("x");
    let one = world.put(&first).await;
    let two = world.put(&Put { read: one.version, digest: digest(2), ..put("x") }).await;
    let stale = Put { read: one.version, digest: digest(3), ..put("x") };
    for late in [
        Command::Put(stale),
        Command::Put(first.clone()),
        remove(&first, one.version),
        set_replicas(&first, one.version, 2),
    ] {
        let applied = world.propose(late).await;
        assert_eq!(applied.outcome, Outcome::Moved { current: Some(two.clone()) });
        assert_eq!(applied.released, None);
    }
    assert_eq!(world.view().await.get(&client(0), &name("x")).unwrap(), Some(two));
}

#[tokio::test]
async fn a_request_repeated_is_answered_alike_and_done_once() {
    let (_folder, world) = world().await;
    let request = put("x");
    let once = world.put(&request).await;
    let twice = world.propose(Command::Put(request)).await;
    assert_eq!((twice.index, twice.outcome), (2, Outcome::Done(once.clone())));
    let change = set_replicas(&put("x"), once.version, 3);
    let changed = world.outcome(change.clone()).await;
    assert_eq!(world.outcome(change).await, changed);
}

#[tokio::test]
async fn another_content_releases_the_one_before() {
    let (_folder, world) = world().await;
    let one = world.put(&put("x")).await;
    let other = Put { read: one.version, digest: digest(2), ..put("x") };
    let applied = world.propose(Command::Put(other)).await;
    assert_eq!(applied.released, Some(digest(1)));
    let view = world.view().await;
    assert!(!view.lists_blob(&digest(1), &server("a")).unwrap());
    assert!(view.lists_blob(&digest(2), &server("a")).unwrap());
    assert!(!view.lists_blob(&digest(2), &server("b")).unwrap());
}

#[tokio::test]
async fn the_same_content_again_keeps_its_moment_and_its_holders() {
    let (_folder, world) = world().await;
    let one = world.put(&Put { wanted: vec![server("b")], ..put("x") }).await;
    let again = Put {
        read: one.version,
        replicas: ReplicaCount::new(2),
        deposited: UtcSeconds::new(9_999),
        wanted: vec![server("a"), server("c")],
        ..put("x")
    };
    let applied = world.propose(Command::Put(again)).await;
    assert_eq!(applied.released, None);
    let Outcome::Done(two) = applied.outcome else { panic!() };
    assert_eq!((two.deposited, two.replicas.get()), (one.deposited, 2));
    let states: Vec<_> = two.holders.iter().map(|holder| holder.state).collect();
    let confirmed = HolderState::Confirmed { incarnation: Incarnation(7) };
    assert_eq!(states, [confirmed, HolderState::Wanted, HolderState::Wanted]);
    assert!(two.held_by(&server("a")) && two.lists(&server("b")) && two.lists(&server("c")));
}

#[tokio::test]
async fn removing_releases_the_content_and_the_name() {
    let (_folder, world) = world().await;
    let file = put("x");
    let record = world.put(&file).await;
    let applied = world.propose(remove(&file, record.version)).await;
    assert_eq!((applied.outcome, applied.released), (Outcome::Removed, Some(digest(1))));
    assert_eq!(world.outcome(remove(&file, record.version)).await, Outcome::Absent);
    assert_eq!(world.outcome(set_replicas(&file, record.version, 1)).await, Outcome::Absent);
    let late = Put { read: record.version, ..put("x") };
    assert_eq!(world.outcome(Command::Put(late)).await, Outcome::Moved { current: None });
    assert!(world.all().await.is_empty());
}

#[tokio::test]
async fn receipts_from_before_a_sweep_or_another_life_are_refused() {
    let (_folder, world) = world().await;
    assert_eq!(world.outcome(sweep(1)).await, Outcome::Swept);
    assert_eq!(world.outcome(sweep(1)).await, Outcome::Swept);
    let due = Outcome::SweepOutOfTurn { current: Some(SweepNumber(1)) };
    assert_eq!(world.outcome(sweep(3)).await, due);
    assert_eq!(world.outcome(sweep(0)).await, due);

    let with = |receipts| Command::Put(Put { receipts, ..put("x") });
    let stale = Outcome::StaleReceipt { server: server("a"), current: SweepNumber(1) };
    assert_eq!(world.outcome(with(vec![receipt(0)])).await, stale);
    let mut other_life = receipt(1);
    other_life.incarnation = Incarnation(6);
    let wrong = Outcome::WrongIncarnation { server: server("a"), current: Some(Incarnation(7)) };
    assert_eq!(world.outcome(with(vec![other_life])).await, wrong);
    let mut stranger = receipt(1);
    stranger.server = server("b");
    let unknown = Outcome::WrongIncarnation { server: server("b"), current: None };
    assert_eq!(world.outcome(with(vec![receipt(1), stranger])).await, unknown);
    assert_eq!(world.outcome(with(vec![])).await, Outcome::NoReceipt);
    assert!(world.all().await.is_empty());
    assert!(matches!(world.outcome(with(vec![receipt(1)])).await, Outcome::Done(_)));
}

#[tokio::test]
async fn lists_come_in_pages_in_byte_order_and_never_mix_clients() {
    let (_folder, world) = world().await;
    let mut names = vec!["a", "a/b", "a0", "b", "z", "ä", "日本"];
    for text in &names {
        world.put(&put(text)).await;
        world.put(&Put { namespace: client(1), ..put(text) }).await;
    }
    names.sort_unstable();
    let view = world.view().await;
    for limit in 1..=names.len() + 1 {
        let (mut seen, mut after) = (vec![], String::new());
        loop {
            let (page, more) = view.list(&client(1), &after, limit).unwrap();
            assert_eq!(more, seen.len() + page.len() < names.len());
            seen.extend(page.into_iter().map(|(name, _)| name.as_str().to_owned()));
            if !more {
                break;
            }
            after.clone_from(seen.last().unwrap());
        }
        assert_eq!(seen, names);
    }
    let (page, more) = view.list(&client(1), "a//", 2).unwrap(); // not a name
    let page: Vec<_> = page.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((page, more), (vec!["a/b", "a0"], true));
    assert_eq!(view.list(&client(2), "", 5).unwrap(), (vec![], false));
}

#[tokio::test]
async fn contents_are_found_by_client_and_listed_once_each() {
    let (_folder, world) = world().await;
    for (text, content) in [("a", 0), ("b", 0), ("c", 5), ("d", 255), ("e", 255)] {
        world.put(&Put { digest: digest(content), ..put(text) }).await;
    }
    let view = world.view().await;
    let record = view.with_content(&client(0), &digest(5)).unwrap().unwrap();
    assert_eq!(Some(record), view.get(&client(0), &name("c")).unwrap());
    assert_eq!(view.with_content(&client(1), &digest(5)).unwrap(), None);
    assert_eq!(view.with_content(&client(0), &digest(6)).unwrap(), None);
    assert_eq!(view.contents(None, 2).unwrap(), (vec![digest(0), digest(5)], true));
    assert_eq!(view.contents(Some(&digest(5)), 2).unwrap(), (vec![digest(255)], false));
    assert_eq!(view.contents(Some(&digest(255)), 2).unwrap(), (vec![], false));
}

#[tokio::test]
async fn a_view_stays_as_it_was() {
    let (_folder, world) = world().await;
    let before = world.view().await;
    world.put(&put("x")).await;
    assert_eq!(before.get(&client(0), &name("x")).unwrap(), None);
    assert_eq!((before.applied().unwrap(), world.view().await.applied().unwrap()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pitfall_2_many_changes_at_once_share_few_transactions() {
    let (_folder, disk) = folder();
    found(&disk);
    let store = Store::open(&disk, &CHECKED, false).unwrap();
    let world = World::start_on(store, Seams::system()).await.unwrap();
    let changes = (0..64).map(|n| {
        let catalogue = Arc::clone(&world.catalogue);
        world.tasks.spawn(async move {
            catalogue.propose(Command::Put(put(&format!("file {n}")))).await.unwrap().index
        })
    });
    let mut indices = vec![];
    for change in changes.collect::<Vec<_>>() {
        indices.push(change.await.unwrap());
    }
    indices.sort_unstable();
    assert_eq!(indices, (1..=64).collect::<Vec<_>>());
    assert_eq!(world.all().await.len(), 64);
    let transactions = world.store.transactions();
    assert!(transactions <= 32, "{transactions} transactions for 64 changes");
}

#[tokio::test]
async fn stopping_finishes_what_was_accepted_and_refuses_the_rest() {
    let (_folder, world) = world().await;
    let catalogue = Arc::clone(&world.catalogue);
    let accepted = async {
        let one = catalogue.propose(Command::Put(put("x")));
        let two = catalogue.propose(Command::Put(put("y")));
        tokio::join!(one, two)
    };
    // Both wait in the queue when the stop comes.
    let (answers, ()) = tokio::join!(accepted, async { world.stop.cancel() });
    assert!(answers.0.is_ok() && answers.1.is_ok());
    world.tasks.close();
    tokio::time::timeout(Duration::from_secs(60), world.tasks.wait()).await.unwrap();
    let late = world.catalogue.propose(Command::Put(put("z"))).await;
    assert!(matches!(late, Err(ProposeError::NoQuorum)), "{late:?}");
    assert_eq!(world.all().await.len(), 2);
    assert!(world.aborts().is_empty());
}
