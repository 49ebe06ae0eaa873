//! Row 79: the disk fails a payload.

use std::time::Duration;

use depot_tests::content::sha256;
use depot_tests::in_process::{ID, Ledger, Server, Site, found, left_behind, life, settle};
use depot_tests::twins::memory_disk::{Errno, Fault, MemoryDisk, Op};
use tokio::time::sleep;

use crate::{files_in, is_whole, refused};

/// How long a server waits after a scrub that did not pass.
const NEXT_SCRUB: Duration = Duration::from_secs(601);

fn founded() -> MemoryDisk {
    let disk = MemoryDisk::new();
    found(&disk);
    disk
}

/// Scrubs can't read the volume, until the faults are cleared.
fn fail_scrubs(disk: &MemoryDisk) {
    disk.inject(Fault::at(1, Errno::EIO).of(Op::List).under("volume/blobs/00").for_ever());
}

/// How often a staged payload was synced since the operation of this number.
fn payload_syncs(disk: &MemoryDisk, since: usize) -> usize {
    let is_sync = |path: &std::path::Path| path.extension().is_some_and(|kind| kind == "data");
    disk.operations()[since..].iter().filter(|o| o.op == Op::Sync && is_sync(&o.path)).count()
}

/// What a fault of `op` beneath `folder` does, of which `syncs` syncs of the payload's file are made:
/// one where it is not in a pack.
fn a_deposit_meets(op: Op, folder: &str, syncs: usize, pack: u64) {
    let (disk, mut ledger) = (founded(), Ledger::default());
    life(async {
        let site = Site::new(1).packing(pack);
        let server = site.start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "antes", b"here before").await.is_done());
        ledger.settle("antes", Some(b"here before".as_slice().into()));
        settle().await;
        fail_scrubs(&disk);
        disk.inject(Fault::at(1, Errno::EIO).of(op).under(folder));

        let before = disk.operations().len();
        assert_eq!(client.deposit(ID, "novo", b"in vain").await.error(), Some("interno"));
        settle().await;
        assert_eq!(payload_syncs(&disk, before), syncs, "a failed sync is never tried again");
        let left: Vec<String> =
            left_behind(&disk, &ledger).into_iter().map(|left| left.what).collect();
        assert_eq!(left, ["volume/SUSPECT"]);
        assert_eq!(refused(&mut client, "novo").await, "arquivo_inexistente");
        is_whole(client.recover(ID, "antes").await, b"here before");
        let answer = client.deposit(ID, "outro", b"not now").await;
        assert_eq!(answer.error(), Some("servidor_indisponivel"));

        disk.clear_faults();
        sleep(NEXT_SCRUB).await;
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "novo", b"at last").await.is_done(), "a scrub has passed");
        assert_eq!(files_in(&disk, "volume/SUSPECT").len(), 0);
        assert!(server.aborts.is_empty());
    });
}

/// In packs of this size.
const PACKED: u64 = 1 << 20;

#[test]
fn row_79_a_payload_that_cannot_be_written() {
    a_deposit_meets(Op::Write, "volume/staging", 0, 0);
    a_deposit_meets(Op::Write, "volume/packs", 0, PACKED);
}

#[test]
fn row_79_a_payload_that_cannot_be_synced() {
    a_deposit_meets(Op::Sync, "volume/staging", 1, 0);
    a_deposit_meets(Op::Sync, "volume/packs", 0, PACKED);
}

#[test]
fn row_79_a_payload_that_cannot_be_closed() {
    a_deposit_meets(Op::Close, "volume/staging", 1, 0);
}

#[test]
fn row_79_a_payload_that_cannot_be_renamed() {
    a_deposit_meets(Op::Rename, "volume/staging", 1, 0);
}

#[test]
fn row_79_a_folder_of_blobs_that_cannot_be_synced() {
    a_deposit_meets(Op::SyncDir, "volume/blobs", 1, 0);
}

#[test]
fn row_79_a_scrub_that_passes_makes_the_volume_writable_by_itself() {
    let disk = founded();
    life(async {
        let server = Site::new(1).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        settle().await;
        disk.inject(Fault::at(1, Errno::EIO).of(Op::Sync).under("volume"));
        assert_eq!(client.deposit(ID, "a", b"bytes").await.error(), Some("interno"));
        settle().await;
        assert!(client.deposit(ID, "a", b"bytes").await.is_done());
    });
}

#[test]
fn row_79_a_suspect_volume_is_suspect_after_a_restart_too() {
    let disk = founded();
    life(async {
        let server = Site::new(1).start(&disk).await.unwrap();
        settle().await;
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "antes", b"here before").await.is_done());
        fail_scrubs(&disk);
        disk.inject(Fault::at(1, Errno::EIO).of(Op::Sync).under("volume"));
        assert_eq!(client.deposit(ID, "a", b"bytes").await.error(), Some("interno"));
    });
    let disk = disk.kill();
    fail_scrubs(&disk);
    life(async {
        let server = Site::new(2).start(&disk).await.unwrap();
        settle().await;
        let mut client = server.connect().await;
        let answer = client.deposit(ID, "a", b"bytes").await;
        assert_eq!(answer.error(), Some("servidor_indisponivel"));
        is_whole(client.recover(ID, "antes").await, b"here before");
        disk.clear_faults();
        sleep(NEXT_SCRUB).await;
        writes_again(&server).await;
    });
}

#[test]
fn row_79_a_scrub_that_finds_a_bad_copy_does_not_pass_and_the_next_one_does() {
    let (disk, rotten) = (founded(), sha256(b"rots"));
    life(async {
        let server = Site::new(1).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "podre", b"rots").await.is_done());
        settle().await;
        assert!(disk.flip(format!("volume/blobs/{}/{rotten}", &rotten[..2]), 1, 0).unwrap());
        disk.inject(Fault::at(1, Errno::EIO).of(Op::Sync).under("volume"));
        assert_eq!(client.deposit(ID, "a", b"bytes").await.error(), Some("interno"));
        settle().await;
        assert_eq!(files_in(&disk, "volume/quarantine").len(), 1);
        let answer = client.deposit(ID, "a", b"bytes").await;
        assert_eq!(answer.error(), Some("servidor_indisponivel"));
        sleep(NEXT_SCRUB).await;
        writes_again(&server).await;
        let mut client = server.connect().await;
        assert_eq!(refused(&mut client, "podre").await, "copia_indisponivel");
        assert!(client.deposit(ID, "podre", b"rots").await.is_done(), "its client has it still");
        is_whole(client.recover(ID, "podre").await, b"rots");
    });
}

async fn writes_again(server: &Server) {
    let mut client = server.connect().await;
    assert!(client.deposit(ID, "a", b"bytes").await.is_done());
}
