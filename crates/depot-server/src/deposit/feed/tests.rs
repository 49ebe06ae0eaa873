//! A feed's lanes get all of it in order, however pieces come and lanes lag.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::*;
use crate::config::VolumeSettings;
use crate::seams::system_disk::SystemDisk;
use crate::volume::{Seal, Staging};

/// A volume in a folder of its own.
struct Bench {
    _folder: tempfile::TempDir,
    volume: Arc<Volume>,
    seams: Seams,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = SystemDisk::open(folder.path()).unwrap();
        Volume::found(&disk).unwrap();
        let (seams, settings) = (Seams::system(), VolumeSettings::default());
        let settings = VolumeSettings { reserve: 0, reserve_percent: 0, ..settings };
        let volume = Volume::open(Arc::new(disk), &seams, settings).unwrap();
        Bench { _folder: folder, volume: Arc::new(volume), seams }
    }

    fn stage(&self, size: usize) -> Staging {
        self.volume.stage(size as u64).unwrap()
    }

    fn cursor(&self, feed: &Arc<Feed>) -> Cursor {
        feed.cursor(&self.seams, &Buffers::new(0))
    }
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(at) >> 5) as u8).collect()
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// What a cursor can have now, at most so many pieces.
async fn read(cursor: &mut Cursor, pieces: usize, most: usize) -> (Vec<u8>, Option<Next>) {
    let mut bytes = Vec::new();
    for _ in 0..pieces {
        match timeout(Duration::ZERO, tokio::task::unconstrained(cursor.next(most))).await {
            Ok(Ok(Next::Piece(piece))) => {
                assert!(!piece.is_empty() && piece.len() <= most);
                bytes.extend_from_slice(&piece);
            }
            Ok(Ok(end)) => return (bytes, Some(end)),
            Ok(Err(error)) => panic!("it can be read: {error}"),
            Err(_waits) => break,
        }
    }
    (bytes, None)
}

async fn rest(cursor: &mut Cursor, most: usize) -> (Vec<u8>, Next) {
    let mut bytes = Vec::new();
    loop {
        match cursor.next(most).await.expect("it can be read") {
            Next::Piece(piece) => bytes.extend_from_slice(&piece),
            end => return (bytes, end),
        }
    }
}

/// One step of an upload: a piece comes, then perhaps what has come is written, and each of two
/// lanes takes at most so many pieces.
type Step = (usize, bool, usize, usize);

async fn upload(bench: &Bench, held: usize, steps: &[Step], most: usize) {
    let size = held + steps.iter().map(|(piece, ..)| piece).sum::<usize>();
    let content = content(size);
    let mut staging = bench.stage(size);
    staging.append(&content[..held]).unwrap();
    let reader = Some(staging.reader().unwrap());
    let feed = Arc::new(Feed::arriving(size as u64, held as u64, reader));
    let mut lanes = [(bench.cursor(&feed), Vec::new()), (bench.cursor(&feed), Vec::new())];
    let (mut at, mut unwritten) = (held, Vec::new());
    for (piece, write, first, second) in steps {
        let piece = Bytes::copy_from_slice(&content[at..at + piece]);
        at += piece.len();
        unwritten.extend_from_slice(&piece);
        feed.push(&piece);
        if *write {
            staging.append(&std::mem::take(&mut unwritten)).unwrap();
            feed.written(staging.written());
        }
        for ((cursor, got), pieces) in lanes.iter_mut().zip([first, second]) {
            let (bytes, end) = read(cursor, *pieces, most).await;
            got.extend(bytes);
            assert_eq!(end, None, "its hash is not known");
        }
    }
    staging.append(&unwritten).unwrap();
    feed.written(staging.written());
    feed.right(digest(&content));
    let sealed = staging.seal(&digest(&content)).unwrap();
    assert!(matches!(sealed, Seal::Done(_)));
    for (mut cursor, mut got) in lanes {
        let (bytes, end) = rest(&mut cursor, most).await;
        got.extend(bytes);
        assert!(got == content, "{} of {size} bytes", got.len());
        assert_eq!(end, Next::End(digest(&content)));
    }
    let (late, _) = rest(&mut bench.cursor(&feed), most).await;
    assert!(late == content, "a lane that begins when all is over");
}

#[test]
fn every_lane_gets_every_byte_however_far_it_lags() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let bench = Bench::new();
    let step = (1..120_000_usize, any::<bool>(), 0..4_usize, 0..2_usize);
    let cases = (0..90_000_usize, vec(step, 1..12), 1_000..300_000_usize);
    let mut runner = TestRunner::new(Config::with_cases(40));
    let uploads = runner.run(&cases, |(held, steps, most)| {
        runtime.block_on(upload(&bench, held, &steps, most));
        Ok(())
    });
    uploads.unwrap();
}

#[tokio::test]
async fn memory_is_bounded_by_what_is_not_written_and_a_little() {
    let bench = Bench::new();
    let size = 8 << 20;
    let mut staging = bench.stage(size);
    let feed = Feed::arriving(size as u64, 0, Some(staging.reader().unwrap()));
    let piece = Bytes::from(vec![7; 100_000]);
    let kept = || match &*lock(&feed.memory) {
        Memory::Recent(recent) => (recent.bytes, recent.pieces.len()),
        Memory::Whole(_) => panic!("it is a large one"),
    };
    for _ in 0..40 {
        feed.push(&piece);
        staging.append(&piece).unwrap();
        feed.written(staging.written());
        assert!(kept().0 < RECENT_BYTES + piece.len());
    }
    for _ in 0..500 {
        feed.push(&Bytes::from_static(b"1"));
        staging.append(b"1").unwrap();
        feed.written(staging.written());
    }
    assert!(kept().1 <= RECENT_PIECES);
    feed.push(&piece);
    feed.push(&piece);
    feed.push(&piece);
    feed.push(&piece);
    assert!(kept().0 >= 4 * piece.len(), "what is not written stays");
}

#[tokio::test]
async fn a_small_payload_is_gathered() {
    assert!(Feed::gathers(WHOLE_MAX, 0) && !Feed::gathers(WHOLE_MAX + 1, 0));
    assert!(!Feed::gathers(10, 5), "what is held is not in memory");
    let feed = Feed::arriving(5, 0, None);
    feed.push(&Bytes::from_static(b"de"));
    feed.push(&Bytes::from_static(b"pot"));
    feed.right(digest(b"depot"));
    assert_eq!(feed.whole().await, Some(digest(b"depot")));
    assert_eq!(feed.gathered(), &b"depot"[..]);
}

#[tokio::test]
async fn what_lies_in_the_volume_is_fed_too() {
    let bench = Bench::new();
    let content = content(200_000);
    let mut staging = bench.stage(content.len());
    staging.append(&content).unwrap();
    assert!(matches!(staging.seal(&digest(&content)).unwrap(), Seal::Done(_)));
    let feed = Feed::sealed(Arc::clone(&bench.volume), digest(&content), content.len() as u64);
    let (bytes, end) = rest(&mut bench.cursor(&Arc::new(feed)), 50_000).await;
    assert!(bytes == content);
    assert_eq!(end, Next::End(digest(&content)));
}

#[tokio::test]
async fn who_waits_hears_that_it_was_given_up() {
    let bench = Bench::new();
    let mut staging = bench.stage(1 << 20);
    let feed = Arc::new(Feed::arriving(1 << 20, 0, Some(staging.reader().unwrap())));
    let mut cursor = bench.cursor(&feed);
    let (next, whole, ()) = tokio::join!(cursor.next(1), feed.whole(), async { feed.give_up() });
    assert_eq!((next.unwrap(), whole), (Next::GivenUp, None));
    feed.right(Digest::EMPTY);
    assert_eq!(feed.whole().await, None, "that is final");
    feed.given_up().await;
}
