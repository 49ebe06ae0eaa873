//! The pieces of a payload on their way to the disk: as many as may wait, and no more.

#![allow(clippy::unwrap_used)] // what a test cannot set up fails it

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use depot_server::config::VolumeSettings;
use depot_server::intake::Intake;
use depot_server::seams::Seams;
use depot_server::seams::blocking::Blocking;
use depot_server::seams::system_disk::SystemDisk;
use depot_server::volume::Volume;

/// Threads that come when they are told to.
#[derive(Default)]
struct Later(Mutex<Vec<Box<dyn FnOnce() + Send>>>);

impl Later {
    /// How many jobs there were.
    fn run(&self) -> usize {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap());
        jobs.into_iter().map(|job| job()).count()
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}

impl Blocking for Later {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        self.0.lock().unwrap().push(job);
    }
}

/// A payload of so many bytes, of which at most 3 pieces wait.
fn intake(size: u64) -> (Intake, Arc<Later>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let disk = SystemDisk::open(folder.path()).unwrap();
    Volume::found(&disk).unwrap();
    let later = Arc::new(Later::default());
    let blocking: Arc<dyn Blocking> = later.clone();
    let seams = Seams { blocking: Arc::clone(&blocking), ..Seams::system() };
    let settings = VolumeSettings { reserve: 0, reserve_percent: 0, ..VolumeSettings::default() };
    let volume = Arc::new(Volume::open(Arc::new(disk), &seams, settings).unwrap());
    (Intake::new(&blocking, volume.stage(size).unwrap(), 3), later, folder)
}

fn piece() -> Bytes {
    Bytes::from_static(&[7; 1000])
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn the_next_piece_is_asked_for_when_there_is_room_for_it() {
    let (mut intake, later, _folder) = intake(100_000);
    for _ in 0..3 {
        assert!(poll(intake.meanwhile(async {})).is_ready());
        intake.push(piece());
    }
    let asked = Mutex::new(false);
    let next = async { *asked.lock().unwrap() = true };
    let mut waiting = Box::pin(intake.meanwhile(next));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(!*asked.lock().unwrap());
    assert_eq!(later.run(), 1, "one job takes them all");
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(*asked.lock().unwrap());
    drop(waiting);
    assert_eq!(intake.missing(), 97_000);
    let Poll::Ready(Ok((staging, rest))) = poll(intake.end()) else { panic!("all is written") };
    assert_eq!((staging.written(), rest.len()), (3000, 0));
}

#[test]
fn the_last_piece_is_left_for_the_seal() {
    let (mut intake, later, _folder) = intake(67_000);
    intake.push(Bytes::from(vec![1; 66_000]));
    assert_eq!(later.run(), 1);
    assert!(poll(intake.meanwhile(async {})).is_ready());
    intake.push(piece());
    assert_eq!(later.run(), 0);
    let Poll::Ready(Ok((staging, rest))) = poll(intake.end()) else { panic!("all is written") };
    assert_eq!((staging.written(), rest), (66_000, vec![piece()]));
}

#[test]
fn a_small_payload_is_left_for_the_seal_unless_it_comes_in_many_pieces() {
    let (mut intake, later, _folder) = intake(50_000);
    (0..2).for_each(|_| intake.push(piece()));
    assert_eq!(later.run(), 0);
    intake.push(piece());
    assert_eq!(later.run(), 1);
}

#[test]
fn behind_the_last_piece_there_is_always_room() {
    let (mut intake, later, _folder) = intake(3_000);
    (0..3).for_each(|_| intake.push(piece()));
    assert_eq!(later.run(), 0);
    assert!(poll(intake.meanwhile(async {})).is_ready());
    let Poll::Ready(Ok((_, rest))) = poll(intake.end()) else { panic!("nothing is under way") };
    assert_eq!(rest.len(), 3);
}
