use depot_protocol::{FileName, FileSize, ReplicaCount, UtcSeconds};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, WriteTransaction};

use super::*;
use crate::catalogue::record::{Incarnation, Namespace, OperationId, SweepNumber};
use crate::catalogue::rows::Identity;
use crate::catalogue::tables::{META, Tables};

pub(in crate::catalogue) fn record(content: u8) -> Record {
    Record {
        version: Version(1),
        digest: Digest::from_bytes([content; 32]),
        size: FileSize::new(1).unwrap(),
        replicas: ReplicaCount::new(0),
        deposited: UtcSeconds::new(0),
        holders: vec![],
        operation: OperationId([0; 16]),
    }
}

fn place() -> (Namespace, FileName) {
    (Namespace::from_bytes([1; 32]), FileName::parse("x").unwrap())
}

/// A whole catalogue with one file, at command 1, and one more change to it; then the walk.
fn walk_after(change: impl FnOnce(&WriteTransaction)) -> Result<Walked, StoreError> {
    let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut tables = Tables::open(&transaction).unwrap();
        let server = ServerName::parse("a").unwrap();
        let incarnation = Incarnation(1);
        let identity = Identity { cluster: [0; 16], server: server.clone(), incarnation };
        tables.set_identity(&identity).unwrap();
        tables.set_start_number(0).unwrap();
        tables.set_applied(1).unwrap();
        tables.set_floor(0).unwrap();
        tables.set_founders(&Default::default()).unwrap();
        tables.set_progress(&Default::default()).unwrap();
        tables.set_server(&server, Server { incarnation, sweep: SweepNumber(0) }).unwrap();
        tables.put_record(&place().0, &place().1, None, &record(1)).unwrap();
    }
    change(&transaction);
    transaction.commit().unwrap();
    walk(&database.begin_read().unwrap())
}

fn assert_damaged(says: &str, change: impl FnOnce(&WriteTransaction)) {
    let error = walk_after(change).unwrap_err();
    assert!(error.is_corruption() && error.what().contains(says), "{error:?}");
}

fn listed(content: u8) -> Vec<u8> {
    tables::content_key(&Digest::from_bytes([content; 32]), &place().0, "x")
}

#[test]
fn a_whole_catalogue_passes() {
    assert_eq!(walk_after(|_| {}).unwrap(), Walked { records: 1, applied: 1 });
}

#[test]
fn a_file_that_is_not_under_its_content_shows() {
    assert_damaged("not under its content", |transaction| {
        let mut contents = transaction.open_table(CONTENTS).unwrap();
        contents.remove(listed(1).as_slice()).unwrap();
    });
}

#[test]
fn a_content_of_no_file_shows() {
    assert_damaged("listed under their content", |transaction| {
        let mut contents = transaction.open_table(CONTENTS).unwrap();
        contents.insert(listed(2).as_slice(), ()).unwrap();
    });
}

#[test]
fn a_version_yet_to_come_shows() {
    assert_damaged("yet to come", |transaction| {
        Tables::open(transaction).unwrap().set_applied(0).unwrap();
    });
}

#[test]
fn a_row_under_another_key_shows() {
    assert_damaged("checksum", |transaction| {
        let mut records = transaction.open_table(RECORDS).unwrap();
        let row = record(1).seal(&tables::record_key(&place().0, "x"));
        records.insert(tables::record_key(&place().0, "y").as_slice(), row.as_slice()).unwrap();
    });
}

#[test]
fn a_key_that_is_none_shows() {
    for name in ["", "..", "a//b"] {
        assert_damaged("name", |transaction| {
            let mut records = transaction.open_table(RECORDS).unwrap();
            let key = tables::record_key(&place().0, name);
            records.insert(key.as_slice(), record(1).seal(&key).as_slice()).unwrap();
        });
    }
    assert_damaged("server's name", |transaction| {
        let mut servers = transaction.open_table(SERVERS).unwrap();
        servers.insert(b"A!".as_slice(), [].as_slice()).unwrap();
    });
}

#[test]
fn a_missing_number_shows() {
    for key in ["identity", "applied", "start"] {
        assert_damaged(key, |transaction| {
            let mut meta = transaction.open_table(META).unwrap();
            meta.remove(key.as_bytes()).unwrap();
        });
    }
}

#[test]
fn a_missing_table_shows() {
    assert_damaged("contents", |transaction| {
        transaction.delete_table(CONTENTS).unwrap();
    });
}

#[test]
fn the_place_behind_a_digest_is_the_next_one() {
    assert_eq!(successor(&Digest::from_bytes([0xFF; 32])), None);
    let mut bytes = [0; 32];
    bytes[30..].copy_from_slice(&[3, 0xFF]);
    let mut next = [0; 32];
    next[30] = 4;
    assert_eq!(successor(&Digest::from_bytes(bytes)), Some(next));
}
