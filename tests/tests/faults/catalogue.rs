//! Row 80: the disk fails the catalogue.

use std::path::Path;
use std::time::Duration;

use depot_server::home::HomeError;
use depot_server::node::StartError;
use depot_server::seams::disk::Disk;
use depot_tests::in_process::{ID, Ledger, Server, Site, audit, found, left_behind, life, settle};
use depot_tests::twins::memory_disk::{CrashMode, Errno, Fault, MemoryDisk, Op};

/// The catalogue's next operation of this kind fails, in the middle of a deposit: the process would
/// be gone at once. This one, which cannot go, says no more than that nobody knows.
async fn meets(server: &Server, disk: &MemoryDisk, fault: Fault, ledger: &mut Ledger) {
    let mut client = server.connect().await;
    let name = "sem resposta";
    ledger.asks(name, Some(b"bytes".as_slice().into()));
    disk.inject(fault.under("catalogue"));
    let heard = client.deposit(ID, name, b"bytes").await;
    assert_eq!(heard.error(), Some("resultado_desconhecido"), "{heard:?}");
    ledger.hears(name, &heard);
    assert_eq!(server.aborts.reasons().len(), 1);
    assert!(disk.read("ABORTS").is_ok(), "it is noted");
}

async fn deposit(server: &Server, ledger: &mut Ledger, name: &str) {
    let heard = server.connect().await.deposit(ID, name, name.as_bytes()).await;
    assert!(heard.is_done());
    ledger.settle(name, Some(name.as_bytes().to_vec().into()));
}

fn stays_down(start: Result<Server, StartError>) -> String {
    match start.err() {
        Some(StartError::Home(HomeError::Damaged(why))) => why,
        other => panic!("a server that stays down, not {other:?}"),
    }
}

#[test]
fn row_80_a_catalogue_that_cannot_be_written_ends_the_server_and_loses_nothing() {
    let founded = MemoryDisk::new();
    found(&founded);
    // Into the log's journal, which takes one write and one sync, or into the tables.
    let journal = [(Op::Write, 1, 1 << 20), (Op::Sync, 1, 1 << 20)];
    let tables = [(Op::Write, 1, 0), (Op::Write, 3, 0), (Op::Sync, 1, 0), (Op::Sync, 2, 0)];
    for (op, nth, room) in journal.into_iter().chain(tables) {
        for lost in [CrashMode::DropAll, CrashMode::KeepAll, CrashMode::Random(nth)] {
            let (disk, mut ledger) = (founded.copy(), Ledger::default());
            life(async {
                let site = Site::new(1).with(|settings| settings.catalogue.journal = room);
                let server = site.start(&disk).await.unwrap();
                deposit(&server, &mut ledger, "antes").await;
                let fault = Fault::at(nth, Errno::EIO).of(op);
                meets(&server, &disk, fault, &mut ledger).await;
            });
            let disk = disk.crash(lost);
            life(async {
                let server = Site::new(2).start(&disk).await.expect("it was only once");
                settle().await;
                let mut client = server.connect().await;
                let violations = audit(&mut client, &mut ledger).await;
                assert!(violations.is_empty(), "{op:?} {nth} {lost:?}: {violations:?}");
                settle().await;
                assert_eq!(left_behind(&disk, &ledger).len(), 0, "{op:?} {nth} {lost:?}");
            });
        }
    }
}

#[test]
fn row_80_a_full_disk_is_no_better_under_the_catalogue() {
    let (disk, mut ledger) = (MemoryDisk::new(), Ledger::default());
    life(async {
        let server = Site::new(1).start(&disk).await.unwrap();
        deposit(&server, &mut ledger, "antes").await;
        meets(&server, &disk, Fault::at(1, Errno::ENOSPC).of(Op::Write), &mut ledger).await;
    });
    let disk = disk.kill();
    life(async {
        let server = Site::new(2).start(&disk).await.expect("it was only once");
        let mut client = server.connect().await;
        assert!(audit(&mut client, &mut ledger).await.is_empty());
    });
}

/// Two lives that end in an abort, the second after running for `between`.
fn two_aborts(between: Duration) -> (MemoryDisk, Ledger) {
    let (disk, mut ledger) = (MemoryDisk::new(), Ledger::default());
    life(async {
        let server = Site::new(1).start(&disk).await.unwrap();
        deposit(&server, &mut ledger, "antes").await;
        meets(&server, &disk, Fault::at(1, Errno::EIO).of(Op::Sync), &mut ledger).await;
    });
    let disk = disk.kill();
    life(async {
        let server = Site::new(2).start(&disk).await.expect("it was only once");
        tokio::time::sleep(between).await;
        deposit(&server, &mut ledger, "entre").await;
        meets(&server, &disk, Fault::at(1, Errno::EIO).of(Op::Sync), &mut ledger).await;
    });
    (disk.kill(), ledger)
}

#[test]
fn row_80_after_two_aborts_within_a_day_of_running_it_stays_down() {
    let (disk, mut ledger) = two_aborts(Duration::from_secs(23 * 3600));
    life(async {
        let why = stays_down(Site::new(3).start(&disk).await);
        assert!(why.contains("remove the file ABORTS"), "{why}");
    });
    let disk = disk.kill();
    disk.remove_file(Path::new("ABORTS")).unwrap();
    life(async {
        let server = Site::new(4).start(&disk).await.expect("somebody has looked at the disk");
        let mut client = server.connect().await;
        assert!(audit(&mut client, &mut ledger).await.is_empty());
    });
}

#[test]
fn row_80_two_aborts_more_than_a_day_apart_are_two_accidents() {
    let (disk, mut ledger) = two_aborts(Duration::from_secs(25 * 3600));
    life(async {
        let server = Site::new(3).start(&disk).await.expect("it may happen once a day");
        let mut client = server.connect().await;
        assert!(audit(&mut client, &mut ledger).await.is_empty());
    });
}
