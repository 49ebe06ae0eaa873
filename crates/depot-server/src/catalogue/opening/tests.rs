use std::sync::Arc;

use super::*;
use crate::catalogue::record::Incarnation;
use crate::seams::system_disk::SystemDisk;

const UNCHECKED: StoreSettings =
    StoreSettings { cache: 1 << 20, check_on_open: 0, journal: 64 << 10 };

fn founded() -> (tempfile::TempDir, SystemDisk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(directory.path()).unwrap();
    disk.create_dir(folder()).unwrap();
    let server = depot_protocol::ServerName::parse("a").unwrap();
    let identity = Identity { cluster: [1; 16], server, incarnation: Incarnation(1) };
    Store::found(&disk, Founding::alone(identity)).unwrap();
    (directory, disk)
}

#[test]
fn rows_that_contradict_each_other_are_found_before_the_open() {
    let (_directory, disk) = founded();
    let store = Store::open(&disk, &UNCHECKED, true).unwrap();
    store
        .write(|tables| {
            let namespace = crate::catalogue::Namespace::from_bytes([1; 32]);
            let name = depot_protocol::FileName::parse("x").unwrap();
            tables.put_record(&namespace, &name, None, &super::walk::tests::record(1))
        })
        .unwrap();
    drop(store);
    let opened = Store::open(&disk, &UNCHECKED, true);
    assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{opened:?}");
    Store::open(&disk, &UNCHECKED, false).unwrap(); // each row alone is whole
}

/// redb counts the used pages of such a file anew, which reads all of it without trusting it less:
/// so that is done only to a file that has passed the check.
#[test]
fn a_file_without_the_allocators_state_is_checked_and_then_opened() {
    for damaged in [false, true] {
        let (directory, disk) = founded();
        let file = disk.open(database(), OpenMode::Write).unwrap();
        let backend = Backend::new(file, Fuse::default());
        let redb = Builder::new().create_with_backend(backend).unwrap();
        let mut transaction = redb.begin_write().unwrap();
        transaction.set_two_phase_commit(true);
        let mut tables = Tables::open(&transaction).unwrap();
        tables.set_start_number(7).unwrap();
        if damaged {
            tables.set_applied(0).unwrap();
            drop(tables);
            transaction.delete_table(super::tables::CONTENTS).unwrap();
        } else {
            drop(tables);
        }
        transaction.commit().unwrap();
        let killed = std::fs::read(directory.path().join(database())).unwrap();
        drop(redb);
        std::fs::write(directory.path().join(database()), killed).unwrap();

        let opened = Store::open(&disk, &UNCHECKED, false);
        match damaged {
            false => assert_eq!(opened.unwrap().start_number(), 7),
            true => assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{opened:?}"),
        }
    }
}

#[test]
fn a_panic_in_a_transaction_is_final_and_is_told() {
    let (_directory, disk) = founded();
    let store = Store::open(&disk, &UNCHECKED, true).unwrap();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    store.arm(Arc::new(move |why: &str| log.lock().unwrap().push(why.to_owned())));
    let written: Result<(), _> = store.write(|tables| {
        tables.set_start_number(9)?;
        panic!("a bug");
    });
    assert!(matches!(written, Err(StoreError::Panicked(_))), "{written:?}");
    assert!(told.lock().unwrap()[0].contains("a bug"));
    assert!(store.raise_start_number(3).is_err());
    drop(store);
    assert_eq!(Store::open(&disk, &UNCHECKED, true).unwrap().start_number(), 0);
}
