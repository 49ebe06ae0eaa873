use depot_protocol::FileName;
use tempfile::TempDir;

use super::*;
use crate::catalogue::record::{Incarnation, Namespace, SweepNumber, Version};
use crate::catalogue::rows::Server;
use crate::catalogue::store::{Founding, Identity, StoreSettings};
use crate::catalogue::{Freshness, walk};
use crate::seams::Disk;
use crate::seams::system_disk::SystemDisk;

const FILES: u64 = 4_000;

fn namespace() -> Namespace {
    Namespace::from_bytes([1; 32])
}

fn name(n: u64) -> FileName {
    FileName::parse(&format!("{n:06}{}", "/long".repeat(100))).unwrap()
}

fn store(cluster: u8) -> (TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(folder.path()).unwrap();
    disk.create_dir("catalogue".as_ref()).unwrap();
    let server = ServerName::parse("a").unwrap();
    let identity = Identity { cluster: [cluster; 16], server, incarnation: Incarnation(1) };
    Store::found(&disk, Founding::alone(identity)).unwrap();
    let settings = StoreSettings { cache: 1 << 20, check_on_open: 0, journal: 64 << 10 };
    let store = Arc::new(Store::open(&disk, &settings, false).unwrap());
    (folder, store)
}

/// A catalogue with files, removals and a server in it.
fn full() -> (TempDir, Arc<Store>) {
    let (folder, store) = store(1);
    let fill = |tables: &mut Tables<'_>| {
        for n in 1..=FILES {
            let record = Record { version: Version(n), ..walk::tests::record(n as u8) };
            tables.put_record(&namespace(), &name(n), None, &record)?;
        }
        tables.bury(&namespace(), &name(FILES + 1), FILES + 1, 10)?;
        let row = Server { sweep: SweepNumber(9), ..Server::new(Incarnation(3)) };
        tables.set_server(&ServerName::parse("b").unwrap(), row)?;
        tables.set_applied(FILES + 1)?;
        let log_id = openraft::LogId::new(openraft::CommittedLeaderId::new(1, 2), 77);
        tables.set_progress(&Progress { log_id: Some(log_id), ..Progress::default() })
    };
    store.write(fill).unwrap();
    (folder, store)
}

/// All frames of a snapshot, its end, and up to where it goes.
fn frames(store: &Arc<Store>) -> (Vec<Vec<u8>>, End, Progress) {
    let (progress, SnapshotData::Taken(taken)) = take(store).unwrap() else { panic!("not taken") };
    let (mut sending, mut frames) = (Sending::new(taken), vec![]);
    loop {
        let (rest, next) = sending.next().unwrap();
        sending = rest;
        match next {
            Next::Frame(frame) => frames.push(frame),
            Next::End(end) => return (frames, end, progress),
        }
    }
}

fn received(
    store: &Store,
    frames: &[Vec<u8>],
    end: &End,
    progress: &Progress,
) -> Result<SnapshotData, Refused> {
    let mut receiving = receive(store)?;
    for frame in frames {
        receiving = receiving.take(store, frame)?;
    }
    receiving.finish(end, progress)
}

/// Everything shared, as it would be sent.
fn contents(store: &Arc<Store>) -> Vec<Vec<u8>> {
    frames(store).0
}

#[test]
fn it_takes_the_place_of_all_that_is_shared_and_of_nothing_else() {
    let ((_from_folder, from), (_folder, to)) = (full(), store(1));
    to.raise_start_number(5).unwrap();
    let (frames, end, progress) = frames(&from);
    assert!(frames.len() > 2, "one frame holds no more than a part");
    let data = received(&to, &frames, &end, &progress).unwrap();
    let before = to.transactions();
    install(&to, data, &progress).unwrap();
    assert_eq!(to.transactions(), before + 1, "one durable transaction");
    assert_eq!(contents(&to), contents(&from));
    let view = to.view(Freshness::Local).unwrap();
    let walked = view.verify().unwrap();
    assert_eq!((walked.records, walked.applied), (FILES, FILES + 1));
    to.raise_start_number(4).unwrap();
    assert_eq!(to.start_number(), 5);
    assert!(to.read(super::super::log_tables::vote).unwrap().is_none());
}

#[test]
fn one_that_is_cut_or_damaged_anywhere_is_refused_and_the_old_state_kept() {
    let ((_from_folder, from), (_folder, to)) = (full(), store(1));
    let (frames, end, progress) = frames(&from);
    let old = contents(&to);
    let refuse = |frames: &[Vec<u8>], end: &End, progress: &Progress, what: &str| {
        let refused = received(&to, frames, end, progress);
        assert!(matches!(refused, Err(Refused::Snapshot(_))), "{what}");
        assert_eq!(contents(&to), old, "{what}");
        assert!(!to.is_down(), "{what}");
    };
    for cut in 0..frames.len() {
        let mut without = frames.clone();
        without.remove(cut);
        refuse(&without, &end, &progress, "a frame is missing");
    }
    let mut doubled = frames.clone();
    doubled.push(frames[frames.len() - 1].clone());
    refuse(&doubled, &end, &progress, "a frame came twice");
    let mut swapped = frames.clone();
    swapped.swap(0, 1);
    refuse(&swapped, &end, &progress, "frames came in another order");
    for place in (0..frames[1].len()).step_by(frames[1].len() / 50) {
        let mut rotten = frames.clone();
        rotten[1][place] ^= 4;
        refuse(&rotten, &end, &progress, &format!("a bit at {place}"));
    }
    let other = Progress::default();
    refuse(&frames, &end, &other, "it was announced as another one");
    refuse(&frames, &End { rows: end.rows + 1, ..end.clone() }, &progress, "a row is missing");
}

#[test]
fn a_row_that_is_a_servers_own_is_refused() {
    let (_folder, to) = store(1);
    let key = b"start".to_vec();
    let row = FrameRow { part: Part::Meta, row: 9_u64.seal(&key), key };
    let frame = postcard::to_stdvec(&vec![row]).unwrap();
    let taken = receive(&to).unwrap().take(&to, &frame);
    assert!(matches!(taken, Err(Refused::Snapshot(_))));
}

#[test]
fn a_later_one_takes_the_place_of_one_that_is_on_its_way() {
    let ((_from_folder, from), (_folder, to)) = (full(), store(1));
    let (frames, end, progress) = frames(&from);
    let first = receive(&to).unwrap().take(&to, &frames[0]).unwrap();
    let data = received(&to, &frames, &end, &progress).unwrap();
    assert!(matches!(first.take(&to, &frames[1]), Err(Refused::Snapshot(_))));
    install(&to, data, &progress).unwrap();
    assert_eq!(contents(&to), contents(&from));
}

#[test]
fn what_is_written_meanwhile_is_not_in_it() {
    let (_folder, from) = full();
    let (_, SnapshotData::Taken(taken)) = take(&from).unwrap() else { panic!("not taken") };
    from.write(|tables| tables.set_applied(9_999)).unwrap();
    let (_, next) = Sending::new(taken).next().unwrap();
    let Next::Frame(frame) = next else { panic!("no frame") };
    let applied = decode(&frame).unwrap().into_iter().find(|row| row.key == APPLIED).unwrap();
    assert_eq!(u64::unseal(APPLIED, &applied.row).unwrap(), FILES + 1);
}
