//! A catalogue that the first release wrote opens for ever.

use depot_server::catalogue::command::Put;
use depot_server::catalogue::{
    Command, Holder, HolderId, HolderState, Incarnation, Outcome, Record, Store, SweepNumber,
    Version,
};

use crate::disk::MemDisk;
use crate::world::{
    CHECKED, UNCHECKED, World, client, digest, found, identity, name, put, receipt, server, sweep,
};

/// Never replaced: a change of the format brings a file of its own, and a reader for both.
const FIRST_RELEASE: &[u8] = include_bytes!("first-release.redb");

/// What is in it: client 0's "a/b" under content 1, and client 1's "ä" under content 2, put after
/// a sweep.
fn files() -> Vec<(u8, depot_protocol::FileName, Record)> {
    let confirmed = Holder {
        who: HolderId::Server(server("a")),
        state: HolderState::Confirmed { incarnation: Incarnation(7) },
    };
    let wanted = Holder { who: HolderId::Server(server("b")), state: HolderState::Wanted };
    let record = |put: Put, version, holders| Record {
        version: Version(version),
        digest: put.digest,
        size: put.size,
        replicas: put.replicas,
        deposited: put.deposited,
        holders,
        operation: put.operation,
    };
    let [first, second] = puts();
    vec![
        (0, name("a/b"), record(first, 1, vec![confirmed.clone(), wanted])),
        (1, name("ä"), record(second, 3, vec![confirmed])),
    ]
}

fn puts() -> [Put; 2] {
    let operation = |n| depot_server::catalogue::OperationId([n; 16]);
    [
        Put { wanted: vec![server("b")], operation: operation(1), ..put("a/b") },
        Put {
            namespace: client(1),
            digest: digest(2),
            receipts: vec![receipt(1)],
            operation: operation(2),
            ..put("ä")
        },
    ]
}

#[tokio::test]
async fn a_catalogue_of_the_first_release_opens() {
    for settings in [CHECKED, UNCHECKED] {
        let disk = MemDisk::with("catalogue/catalogue.redb".as_ref(), FIRST_RELEASE.to_vec());
        let store = Store::open(&disk, &settings, false).unwrap();
        assert_eq!((store.identity(), store.start_number()), (&identity(), 4));
        let world = World::start(store).await;
        assert_eq!(world.all().await, files());
        let view = world.view().await;
        assert_eq!(view.applied().unwrap(), 3);
        assert_eq!(view.sweep_number(&server("a")).unwrap(), SweepNumber(1));
    }
}

/// It gets a log, begun where its commands ended, and goes on as any other.
#[tokio::test]
async fn a_catalogue_of_the_first_release_goes_on() {
    let disk = MemDisk::with("catalogue/catalogue.redb".as_ref(), FIRST_RELEASE.to_vec());
    for n in 0..3 {
        let world = World::start(Store::open(&disk, &CHECKED, true).unwrap()).await;
        let seen = world.view().await.applied().unwrap();
        assert_eq!(seen, 3 + n);
        let file = Put { seen, receipts: vec![receipt(1)], ..put(&format!("new {n}")) };
        assert_eq!(world.put(&file).await.version, Version(4 + n));
        let status = world.catalogue.status();
        assert_eq!(status.members.len(), 1);
        assert_eq!((status.members[0].server.as_str(), status.members[0].votes), ("a", true));
        world.view().await.verify().unwrap();
        world.close().await;
    }
}

/// Nothing is known of what was removed from it: who looked before that is asked to look again.
#[tokio::test]
async fn in_a_catalogue_of_the_first_release_an_early_look_is_too_early() {
    let disk = MemDisk::with("catalogue/catalogue.redb".as_ref(), FIRST_RELEASE.to_vec());
    let world = World::start(Store::open(&disk, &CHECKED, false).unwrap()).await;
    let early = Put { seen: 2, receipts: vec![receipt(1)], ..put("x") };
    let moved = Outcome::Moved { current: None };
    assert_eq!(world.outcome(Command::Put(early.clone())).await, moved);
    let again = Put { seen: 4, ..early };
    assert!(matches!(world.outcome(Command::Put(again)).await, Outcome::Done(_)));
}

/// How that file was made.
#[tokio::test]
async fn today_writes_what_it_holds() {
    let disk = MemDisk::default();
    found(&disk);
    let store = Store::open(&disk, &CHECKED, false).unwrap();
    store.raise_start_number(4).unwrap();
    let world = World::start(store).await;
    let [first, second] = puts();
    world.put(&first).await;
    world.propose(sweep(1)).await;
    world.put(&second).await;
    assert_eq!(world.all().await, files());
    world.close().await; // and then its bytes were kept
}
