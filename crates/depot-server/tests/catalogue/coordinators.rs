//! Coordinators that come late, copies that are made later, servers that begin another life; and
//! what each of it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use depot_server::catalogue::command::{AddCopy, Admit, Put};
use depot_server::catalogue::{
    Catalogue, Command, Event, Freshness, Incarnation, Outcome, Receipt, Record, Store,
    SweepNumber, Version,
};

use depot_server::seams::{Blocking, Seams};

use crate::disk::MemDisk;
use crate::world::{
    CHECKED, World, client, digest, found, name, put, receipt, remove, server, set_replicas,
};

async fn world() -> World {
    let disk = MemDisk::default();
    found(&disk);
    World::start(Store::open(&disk, &CHECKED, false).unwrap()).await
}

async fn seen(world: &World) -> u64 {
    world.view().await.applied().unwrap()
}

fn events(world: &mut World) -> Vec<Event> {
    std::iter::from_fn(|| world.events.try_recv().ok()).collect()
}

/// Stands still between its look and its command, for as long as it takes. Without the check of the
/// version, or without tombstones, one of these would bring back what was replaced or removed.
#[tokio::test]
async fn a_paused_coordinator_that_wakes_late_changes_nothing() {
    let world = world().await;
    let paused = Put { seen: seen(&world).await, ..put("x") };

    // Somebody else was faster: the name is there.
    let record = world.put(&Put { digest: digest(2), ..put("x") }).await;
    let late = world.outcome(Command::Put(paused.clone())).await;
    assert_eq!(late, Outcome::Moved { current: Some(record.clone()) });

    // It was there, and went again: by the version alone nothing would show.
    world.propose(remove(&paused, record.version)).await;
    let late = world.outcome(Command::Put(paused.clone())).await;
    assert_eq!(late, Outcome::Moved { current: None });
    assert!(world.all().await.is_empty());

    // Who looks again may put it.
    let again = Put { seen: seen(&world).await, ..paused.clone() };
    assert!(matches!(world.outcome(Command::Put(again)).await, Outcome::Done(_)));
}

/// The same, its own first try having been done, answered and undone by somebody meanwhile.
#[tokio::test]
async fn a_late_duplicate_of_a_put_does_not_bring_a_removed_file_back() {
    let world = world().await;
    let first = Put { seen: seen(&world).await, ..put("x") };
    let record = world.put(&first).await;
    assert_eq!(world.put(&first).await, record, "it is known while the record is there");
    world.propose(remove(&first, record.version)).await;
    let late = world.outcome(Command::Put(first.clone())).await;
    assert_eq!(late, Outcome::Moved { current: None });
    assert!(world.all().await.is_empty());
}

#[tokio::test]
async fn a_late_change_of_a_record_that_was_put_anew_changes_nothing() {
    let world = world().await;
    let first = world.put(&put("x")).await;
    world.propose(remove(&put("x"), first.version)).await;
    let anew = world.put(&put("x")).await;
    let moved = Outcome::Moved { current: Some(anew.clone()) };
    assert_eq!(world.outcome(set_replicas(&put("x"), first.version, 3)).await, moved);
    assert_eq!(world.outcome(remove(&put("x"), first.version)).await, moved);
    assert_eq!(world.outcome(add_copy(&first, "a", 7)).await, moved);
    assert_eq!(world.all().await, [(0, name("x"), anew)]);
}

fn add_copy(of: &Record, by: &str, life: u64) -> Command {
    let receipt =
        Receipt { server: server(by), incarnation: Incarnation(life), sweep: SweepNumber(0) };
    let (namespace, name) = (client(0), name("x"));
    Command::AddCopy(AddCopy { namespace, name, version: of.version, receipt })
}

fn admit(name: &str, life: u64) -> Command {
    Command::Admit(Admit { server: server(name), incarnation: Incarnation(life) })
}

#[tokio::test]
async fn a_copy_made_later_counts_and_leaves_the_record_as_it_was() {
    let world = world().await;
    assert_eq!(world.outcome(admit("b", 1)).await, Outcome::Admitted);
    let file = Put { wanted: vec![server("b")], ..put("x") };
    let record = world.put(&file).await;
    assert!(record.wants(&server("b")));
    assert_eq!(world.view().await.copies(&record).unwrap(), 0);
    let Outcome::Done(copied) = world.outcome(add_copy(&record, "b", 1)).await else {
        panic!("no copy")
    };
    assert!(copied.held_by(&server("b")));
    assert_eq!((copied.version, copied.operation), (record.version, record.operation));
    assert_eq!(world.view().await.copies(&copied).unwrap(), 1);
    // Told twice, it is the same.
    assert_eq!(world.outcome(add_copy(&record, "b", 1)).await, Outcome::Done(copied));
    let unknown = Outcome::WrongIncarnation { server: server("c"), current: None };
    assert_eq!(world.outcome(add_copy(&record, "c", 1)).await, unknown);
    let gone = Record { version: Version(99), ..record };
    assert!(matches!(world.outcome(add_copy(&gone, "b", 1)).await, Outcome::Moved { .. }));
}

#[tokio::test]
async fn the_copies_of_a_lost_disk_do_not_count() {
    let world = world().await;
    world.propose(admit("b", 1)).await;
    let mut other = receipt(0);
    (other.server, other.incarnation) = (server("b"), Incarnation(1));
    let receipts = vec![receipt(0), other];
    let record = world.put(&Put { receipts: receipts.clone(), ..put("x") }).await;
    assert_eq!(world.view().await.copies(&record).unwrap(), 1);

    assert_eq!(world.outcome(admit("b", 2)).await, Outcome::Admitted);
    assert_eq!(world.outcome(admit("b", 2)).await, Outcome::Admitted);
    let current = Some(Incarnation(2));
    let wrong = Outcome::WrongIncarnation { server: server("b"), current };
    assert_eq!(world.outcome(admit("b", 1)).await, wrong);
    assert_eq!(world.view().await.copies(&record).unwrap(), 0);
    // Its receipts of then are worth nothing either.
    assert_eq!(world.outcome(Command::Put(Put { receipts, ..put("y") })).await, wrong);
}

#[tokio::test]
async fn the_server_hears_of_what_concerns_it() {
    let mut world = world().await;
    let record = world.put(&Put { wanted: vec![server("b")], ..put("x") }).await;
    assert_eq!(events(&mut world), []);
    let replaced = Put { read: record.version, digest: digest(2), ..put("x") };
    let record = world.put(&replaced).await;
    assert_eq!(events(&mut world), [Event::Released(digest(1))]);
    world.propose(remove(&replaced, record.version)).await;
    assert_eq!(events(&mut world), [Event::Released(digest(2))]);
}

#[tokio::test]
async fn a_lone_change_costs_one_durable_commit_and_a_read_none() {
    let world = world().await;
    for n in 0..3 {
        let before = world.store.transactions();
        world.put(&put(&format!("file {n}"))).await;
        assert_eq!(world.store.transactions(), before + 1);
        let view = world.view().await;
        assert_eq!(view.freshness(), Freshness::Linearizable);
        assert!(view.get(&client(0), &name(&format!("file {n}"))).unwrap().is_some());
        assert_eq!(world.store.transactions(), before + 1);
    }
    assert!(world.catalogue.has_quorum());
    let status = world.catalogue.status();
    assert_eq!((status.leader, status.members.len()), (Some(server("a")), 1));
    assert_eq!(status.applied, status.last_log);
}

/// Work that is handed in and never begins.
#[derive(Debug)]
struct Stuck(AtomicU64);

impl Blocking for Stuck {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        match self.0.fetch_sub(1, Ordering::SeqCst) {
            0 => self.0.store(0, Ordering::SeqCst),
            _ => job(),
        }
    }
}

/// Everything that a change writes, it writes where blocking is allowed: with that at a stand, no
/// thread of the runtime is.
#[tokio::test(start_paused = true)]
async fn pitfall_5_nothing_is_written_but_where_blocking_is_allowed() {
    let disk = MemDisk::default();
    found(&disk);
    let stuck = Arc::new(Stuck(AtomicU64::new(u64::MAX)));
    let seams = Seams { blocking: Arc::clone(&stuck) as Arc<dyn Blocking>, ..Seams::system() };
    let store = Store::open(&disk, &CHECKED, false).unwrap();
    let world = World::start_on(store, seams).await.unwrap();
    world.put(&put("x")).await;
    let before = disk.bytes("catalogue/catalogue.redb".as_ref());
    stuck.0.store(0, Ordering::SeqCst);
    let change = world.catalogue.propose(Command::Put(put("y")));
    assert!(tokio::time::timeout(Duration::from_millis(100), change).await.is_err());
    assert!(disk.bytes("catalogue/catalogue.redb".as_ref()) == before);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped() {
    let disk = MemDisk::default();
    found(&disk);
    let mut before = None;
    for n in 0..4 {
        let world = World::start(Store::open(&disk, &CHECKED, true).unwrap()).await;
        assert_eq!(world.all().await.len(), n);
        world.put(&put(&format!("file {n}"))).await;
        let status = world.catalogue.status();
        // A server that leads alone leads on, without an election.
        assert_eq!(*before.get_or_insert(status.term), status.term);
        world.close().await;
    }
}
