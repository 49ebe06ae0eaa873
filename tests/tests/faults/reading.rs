//! Row 81: a blob can't be read.

use depot_tests::Recovered;
use depot_tests::content::{random_bytes, sha256};
use depot_tests::in_process::{ID, Site, life, settle};
use depot_tests::twins::memory_disk::{Errno, Fault, MemoryDisk, Op};

use crate::{files_in, is_whole, refused};

fn blob(bytes: &[u8]) -> String {
    let hash = sha256(bytes);
    format!("volume/blobs/{}/{hash}", &hash[..2])
}

#[test]
fn row_81_a_blob_that_cannot_be_read_is_told_and_set_aside_and_the_server_lives() {
    for op in [Op::Open, Op::Read] {
        let disk = MemoryDisk::new();
        life(async {
            let server = Site::new(1).start(&disk).await.unwrap();
            let mut client = server.connect().await;
            assert!(client.deposit(ID, "ruim", b"on a bad spot").await.is_done());
            assert!(client.deposit(ID, "bom", b"on a good one").await.is_done());
            settle().await;
            let bad = blob(b"on a bad spot");
            disk.inject(Fault::at(1, Errno::EIO).of(op).under(&bad).for_ever());

            assert_eq!(refused(&mut client, "ruim").await, "copia_indisponivel", "{op:?}");
            assert_eq!(refused(&mut client, "ruim").await, "copia_indisponivel", "{op:?}");
            is_whole(client.recover(ID, "bom").await, b"on a good one");
            assert_eq!(files_in(&disk, "volume/quarantine").len(), 1, "kept for a person");

            disk.clear_faults();
            assert!(client.deposit(ID, "ruim", b"on a bad spot").await.is_done());
            is_whole(client.recover(ID, "ruim").await, b"on a bad spot");
            assert!(server.aborts.is_empty());
        });
    }
}

#[test]
fn row_81_a_read_that_fails_once_costs_one_answer_and_no_copy() {
    let disk = MemoryDisk::new();
    life(async {
        let server = Site::new(1).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "a", b"bytes").await.is_done());
        settle().await;
        disk.inject(Fault::at(1, Errno::EIO).of(Op::Read).under(blob(b"bytes")));
        assert_eq!(refused(&mut client, "a").await, "copia_indisponivel");
        is_whole(client.recover(ID, "a").await, b"bytes");
        assert_eq!(files_in(&disk, "volume/quarantine").len(), 0);
    });
}

#[test]
fn row_81_a_blob_that_fails_further_in_is_cut_never_wrong() {
    let (disk, bytes) = (MemoryDisk::new(), random_bytes(1, 1 << 20));
    life(async {
        let server = Site::new(1).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "a", &bytes).await.is_done());
        settle().await;
        let reads = disk.count(Op::Read);
        is_whole(client.recover(ID, "a").await, &bytes);
        let reads = (disk.count(Op::Read) - reads) as u64;
        disk.inject(Fault::at(reads, Errno::EIO).of(Op::Read).under("volume/blobs"));
        match client.recover(ID, "a").await {
            Recovered::Cut(start) => assert!(!start.is_empty() && bytes.starts_with(&start)),
            other => panic!("a cut, not {other:?}"),
        }
        let mut client = server.connect().await;
        is_whole(client.recover(ID, "a").await, &bytes);
    });
}
