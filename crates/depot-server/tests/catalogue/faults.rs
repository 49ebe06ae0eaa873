//! Disks that fail and machines that lose power, at every call in turn: nothing is answered that
//! could be untrue, and afterwards each change is there whole or not at all.

use std::time::Duration;

use depot_protocol::FileName;
use depot_server::catalogue::command::Put;
use depot_server::catalogue::{
    Catalogue, Command, OpenError, ReadError, Record, Store, StoreSettings,
};

use crate::disk::{Dice, Fault, MemDisk};
use crate::world::{CHECKED, World, client, digest, found, founding, put, remove};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// The log's journal takes one or two records between two durable transactions of the tables.
const SMALL: StoreSettings = StoreSettings { journal: 8 << 10, ..CHECKED };
const UNCACHED: StoreSettings = StoreSettings { cache: 0, ..SMALL };
/// Changes proposed at once, which share a transaction.
const AT_ONCE: usize = 3;
const ROUNDS: usize = 5;

type Files = Vec<(u8, FileName, Record)>;

/// The changes of one round, given what the one before has left.
fn round(n: usize, files: &Files) -> Vec<Command> {
    let mut commands: Vec<_> = (1..AT_ONCE)
        .map(|k| {
            let text = format!("{n}/{k}{}", "/and so on".repeat(40));
            Command::Put(Put { namespace: client(0), digest: digest(k as u8), ..put(&text) })
        })
        .collect();
    match files.first() {
        None => commands.push(Command::Put(put("first"))),
        Some((_, name, record)) => {
            commands.push(remove(&put(name.as_str()), record.version));
        }
    }
    commands
}

/// What a run of the workload on a disk came to.
struct Run {
    world: World,
    /// The files after each round, as long as they could be read; the empty catalogue first.
    states: Vec<Files>,
    last: Last,
}

/// What became of the round after the last state.
#[derive(Debug, PartialEq, Eq)]
enum Last {
    /// There was none.
    Finished,
    /// It was answered, and then nothing could be read.
    Answered,
    /// It was not answered.
    Unanswered,
}

async fn run(world: World) -> Run {
    let mut states = vec![];
    let mut last = Last::Answered;
    for n in 0..=ROUNDS {
        let Ok(files) = world.try_all().await else { return Run { world, states, last } };
        states.push(files);
        if n == ROUNDS {
            break;
        }
        let commands = round(n, &states[n]);
        let proposals = commands.iter().map(|command| world.catalogue.propose(command.clone()));
        let answers = answered(proposals.collect()).await;
        last = if answers == 0 { Last::Unanswered } else { Last::Answered };
        if last == Last::Unanswered {
            return Run { world, states, last };
        }
        assert_eq!(answers, commands.len(), "one transaction, answered in part");
    }
    Run { world, states, last: Last::Finished }
}

/// How many of these are answered. Blocking work is inline and time stands still while anybody has
/// something to do: who is not answered before it passes never is.
async fn answered<F: Future>(futures: Vec<F>) -> usize {
    let mut waiting: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut answered = 0;
    let idle = tokio::time::sleep(Duration::from_millis(20));
    tokio::pin!(idle);
    std::future::poll_fn(|cx| {
        waiting.retain_mut(|future| {
            let done = future.as_mut().poll(cx).is_ready();
            answered += usize::from(done);
            !done
        });
        if waiting.is_empty() || idle.as_mut().poll(cx).is_ready() {
            return std::task::Poll::Ready(answered);
        }
        std::task::Poll::Pending
    })
    .await
}

/// Opens what is left of a disk: it must hold the last state, or that and the changes of the round
/// after it, which were one transaction; and that it must where the round was answered.
async fn check_after(disk: &MemDisk, run: &Run, what: &str) {
    let store = Store::open(disk, &CHECKED, true)
        .unwrap_or_else(|error| panic!("{what}: not opened: {error}"));
    let world = World::start(store).await;
    let files = world.all().await;
    let applied = world.view().await.applied().unwrap();
    let Some(seen) = run.states.last() else { return assert_eq!(applied, 0) };
    let before = ((run.states.len() - 1) * AT_ONCE) as u64;
    if applied == before {
        assert!(files == *seen, "{what}: a seen change is gone");
        assert!(run.last != Last::Answered, "{what}: an answered change is gone");
    } else {
        assert!(run.last != Last::Finished, "{what}: a change that nobody asked for");
        assert_eq!(applied, before + AT_ONCE as u64, "{what}: a transaction in part");
        // The last change of a round puts the first file, or removes one.
        let expected = seen.len() + if seen.is_empty() { AT_ONCE } else { AT_ONCE - 2 };
        assert_eq!(files.len(), expected, "{what}: a transaction in part");
    }
}

async fn sweep_of_faults(fault: fn(u64) -> Fault, errno: i32, settings: StoreSettings) {
    for nth in 1.. {
        let disk = MemDisk::default();
        found(&disk);
        let world = World::start(Store::open(&disk, &settings, false).unwrap()).await;
        disk.plan(fault(nth), errno);
        let run = run(world).await;
        if !disk.fired() {
            assert!(nth > 20 && run.world.aborts().is_empty(), "{nth}: {:?}", run.world.aborts());
            return;
        }
        let what = format!("{:?}, errno {errno}", fault(nth));
        assert!(!run.world.aborts().is_empty(), "{what}: no abort");
        assert!(run.last != Last::Finished, "{what}: everything was answered");
        let read = run.world.catalogue.view().await;
        assert!(matches!(read, Err(ReadError::Down)), "{what}: {read:?}");
        let late = answered(vec![run.world.catalogue.propose(Command::Put(put("late")))]).await;
        assert_eq!(late, 0, "{what}: answered after the abort");
        check_after(&disk.after_kill(), &run, &what).await;
        for seed in 0..2 {
            let cut = disk.after_power_cut(&mut Dice(nth * 100 + seed));
            check_after(&cut, &run, &format!("{what}, power cut {seed}")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_io_error_at_any_call_ends_it_and_loses_nothing() {
    sweep_of_faults(Fault::Once, EIO, SMALL).await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_for_good_ends_it_and_loses_nothing() {
    sweep_of_faults(Fault::From, EIO, SMALL).await;
}

/// Without room in its cache redb writes pages long before a commit, and takes it lightly if that
/// fails.
#[tokio::test(start_paused = true)]
async fn an_io_error_before_the_commit_ends_it_too() {
    sweep_of_faults(Fault::Once, EIO, UNCACHED).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_it_and_loses_nothing() {
    sweep_of_faults(Fault::Once, ENOSPC, SMALL).await;
}

#[tokio::test(start_paused = true)]
async fn after_the_abort_nothing_is_written_any_more() {
    let disk = MemDisk::default();
    found(&disk);
    let world = World::start(Store::open(&disk, &CHECKED, false).unwrap()).await;
    disk.plan(Fault::Once(8), EIO);
    let run = run(world).await;
    assert!(disk.fired());
    let path = "catalogue/catalogue.redb".as_ref();
    let before = disk.bytes(path);
    assert!(run.world.store.raise_start_number(9).is_err());
    run.world.close().await;
    assert!(disk.bytes(path) == before);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_cannot_be_read_ends_it() {
    let disk = MemDisk::default();
    found(&disk);
    let world = World::start(Store::open(&disk, &UNCACHED, false).unwrap()).await;
    world.put(&put("x")).await;
    let view = world.view().await;
    disk.fail_reads();
    assert!(matches!(view.list(&client(0), "", 10), Err(ReadError::Down)));
    assert!(!world.aborts().is_empty());
    assert!(matches!(world.catalogue.view().await, Err(ReadError::Down)));
}

#[tokio::test]
async fn a_founding_that_fails_anywhere_can_be_done_again() {
    for nth in 1.. {
        let disk = MemDisk::default();
        disk.plan(Fault::From(nth), EIO);
        let founded = Store::found(&disk, founding());
        if !disk.fired() {
            assert!(nth > 8 && founded.is_ok());
            return;
        }
        assert!(matches!(founded, Err(OpenError::Io(_))), "{nth}: {founded:?}");
        let cuts = (0..4).map(|seed| disk.after_power_cut(&mut Dice(nth * 100 + seed)));
        for (seed, cut) in [disk.after_kill()].into_iter().chain(cuts).enumerate() {
            found(&cut);
            assert!(Store::open(&cut, &CHECKED, false).is_ok(), "{nth}, {seed}");
        }
    }
}
