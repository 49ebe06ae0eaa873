//! Row 76: the disk is full.

use depot_server::seams::disk::Disk;
use depot_tests::content::random_bytes;
use depot_tests::headers::Deposit;
use depot_tests::in_process::{ID, Site, found, life, settle};
use depot_tests::twins::memory_disk::{Errno, Fault, MemoryDisk, Op};

use crate::{files_in, is_whole};

const MIB: usize = 1 << 20;

/// A founded depot on a disk with so much room left.
fn disk_with_room(room: usize) -> MemoryDisk {
    let disk = MemoryDisk::new();
    found(&disk);
    set_room(&disk, room);
    disk
}

fn set_room(disk: &MemoryDisk, room: usize) {
    let space = disk.space().unwrap();
    disk.set_capacity((space.total - space.free) as usize + room);
}

/// A server that keeps `reserve` bytes free.
fn site(reserve: usize) -> Site {
    Site::new(1).with(|settings| {
        settings.volume.reserve = reserve as u64;
        settings.volume.reserve_percent = 0;
    })
}

#[test]
fn row_76_a_disk_that_fills_up_in_mid_deposit_takes_nothing_and_loses_nothing() {
    let disk = disk_with_room(8 * MIB);
    let (mine, theirs) = (random_bytes(1, 5 * MIB), random_bytes(2, 5 * MIB));
    life(async {
        let server = site(0).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "antes", b"here before").await.is_done());

        let mut slow = server.connect().await;
        slow.send_line(Deposit::of(ID, "lento", &mine).header()).await;
        settle().await;
        assert_eq!(files_in(&disk, "volume/staging").len(), 1, "it was let in");
        assert!(client.deposit(ID, "depressa", &theirs).await.is_done());
        slow.send(&mine).await;
        assert_eq!(slow.hear().await.error(), Some("sem_espaco"));

        settle().await;
        assert_eq!(files_in(&disk, "volume/staging").len(), 0);
        is_whole(client.recover(ID, "antes").await, b"here before");
        is_whole(client.recover(ID, "depressa").await, &theirs);
        assert!(client.deposit(ID, "pequeno", b"there is room for it").await.is_done());

        set_room(&disk, 8 * MIB);
        assert!(client.deposit(ID, "lento", &mine).await.is_done(), "it goes on by itself");
    });
}

#[test]
fn row_76_a_full_disk_is_no_disk_fault_wherever_it_shows() {
    for op in [Op::Create, Op::Reserve, Op::Write, Op::Sync, Op::Rename, Op::SyncDir] {
        for error in [Errno::ENOSPC, Errno::EDQUOT] {
            let disk = disk_with_room(80 * MIB);
            life(async {
                let server = site(0).start(&disk).await.unwrap();
                let mut client = server.connect().await;
                settle().await;
                disk.inject(Fault::at(1, error).of(op).under("volume").for_ever());
                let answer = client.deposit(ID, "a", &[7; 100_000]).await;
                assert_eq!(answer.error(), Some("sem_espaco"), "{op:?}: {answer:?}");
                disk.clear_faults();
                settle().await;
                assert_eq!(files_in(&disk, "volume/staging").len(), 0, "{op:?}");
                assert_eq!(files_in(&disk, "volume/SUSPECT").len(), 0, "{op:?}");
                assert!(client.deposit(ID, "a", &[7; 100_000]).await.is_done(), "{op:?}");
            });
        }
    }
}

#[test]
fn row_76_removing_makes_room_at_once_where_it_is_needed() {
    let disk = disk_with_room(8 * MIB);
    let (old, new) = (random_bytes(1, 5 * MIB), random_bytes(2, 5 * MIB));
    life(async {
        let server = site(0).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "velho", &old).await.is_done());
        let full = client.deposit(ID, "novo", &new).await;
        assert_eq!(full.error(), Some("sem_espaco"));
        let mut client = server.connect().await;
        is_whole(client.recover(ID, "velho").await, &old);
        assert!(client.remove(ID, "velho").await.is_done());
        assert!(client.deposit(ID, "novo", &new).await.is_done(), "no day in the trash");
        is_whole(client.recover(ID, "novo").await, &new);
        assert_eq!(files_in(&disk, "volume/trash").len(), 0);
    });
}

#[test]
fn row_76_where_there_is_room_what_was_removed_stays_in_the_trash() {
    let disk = disk_with_room(8 * MIB);
    life(async {
        let server = site(0).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "a", b"kept for a day").await.is_done());
        assert!(client.remove(ID, "a").await.is_done());
        assert!(client.deposit(ID, "b", &[1; MIB]).await.is_done());
        settle().await;
        assert_eq!(files_in(&disk, "volume/trash").len(), 1);
    });
}

#[test]
fn row_76_the_reserve_is_not_for_deposits() {
    let disk = disk_with_room(8 * MIB);
    life(async {
        let server = site(4 * MIB).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        let answer = client.deposit(ID, "a", &vec![1; 5 * MIB]).await;
        assert_eq!(answer.error(), Some("sem_espaco"));
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "b", &vec![1; 2 * MIB]).await.is_done());
        assert!(disk.space().unwrap().free >= 4 * MIB as u64);
    });
}
