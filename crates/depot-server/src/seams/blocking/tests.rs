use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;

/// Each job on a thread of its own.
#[derive(Debug)]
struct Threads;

impl Blocking for Threads {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        drop(thread::spawn(job));
    }
}

fn threads() -> Arc<dyn Blocking> {
    Arc::new(Threads)
}

#[test]
fn what_comes_while_a_job_runs_is_done_by_it_at_once() {
    let (began, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let gathered = Gathered::new(&threads(), 1, move |pieces: Vec<u32>| {
        began.send(pieces).unwrap();
        gone.lock().unwrap().recv().unwrap();
    });
    gathered.add(1);
    assert_eq!(begun.recv().unwrap(), [1]);
    (2..5).for_each(|piece| gathered.add(piece));
    go.send(()).unwrap();
    assert_eq!(begun.recv().unwrap(), [2, 3, 4]);
    go.send(()).unwrap();
}

#[test]
fn no_more_jobs_run_than_may() {
    let running = Arc::new(AtomicUsize::new(0));
    let (told, tells) = mpsc::channel();
    let count = Arc::clone(&running);
    let gathered = Gathered::new(&threads(), 3, move |pieces: Vec<u32>| {
        let others = count.fetch_add(1, Ordering::SeqCst);
        thread::yield_now();
        count.fetch_sub(1, Ordering::SeqCst);
        pieces.iter().for_each(|_| told.send(others).unwrap());
    });
    (0..2_000).for_each(|piece| gathered.add(piece));
    let most = tells.iter().take(2_000).max().unwrap();
    assert!(most < 3, "{most} others");
}

#[test]
fn both_halves_are_done_at_the_same_time() {
    let (told, tells) = mpsc::channel();
    let (apart, here) = both(&threads(), move || told.send(1).unwrap(), || tells.recv().unwrap());
    assert_eq!((apart, here), ((), 1), "one waited for the other");
}

/// As a pool does whose threads all wait for such halves.
#[test]
fn a_half_that_no_thread_comes_for_is_done_by_the_other() {
    #[derive(Default)]
    struct Never(Mutex<Vec<Box<dyn FnOnce() + Send>>>);
    impl fmt::Debug for Never {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Never")
        }
    }
    impl Blocking for Never {
        fn start(&self, job: Box<dyn FnOnce() + Send>) {
            self.0.lock().unwrap().push(job);
        }
    }
    let never = Arc::new(Never::default());
    let blocking: Arc<dyn Blocking> = never.clone();
    assert_eq!(both(&blocking, || 1, || 2), (1, 2));
    let late = std::mem::take(&mut *never.0.lock().unwrap());
    late.into_iter().for_each(|job| job()); // finds nothing to do
}

/// Many that come just as a job ends.
#[test]
fn nothing_is_left_waiting() {
    let (told, tells) = mpsc::channel();
    let gathered = Gathered::new(&threads(), 1, move |pieces: Vec<u32>| {
        pieces.into_iter().for_each(|piece| told.send(piece).unwrap());
    });
    for piece in 0..2_000 {
        gathered.add(piece);
        assert_eq!(tells.recv().unwrap(), piece);
    }
}

#[test]
fn a_piece_that_panics_holds_up_nobody() {
    let gathered = short(&threads(), 1);
    for number in 0..50 {
        let lost = gathered.start(|| panic!("here"));
        assert!(lost.blocking_recv().is_err());
        assert_eq!(gathered.start(move || number).blocking_recv(), Ok(number));
    }
}
