//! Peers that don't do what they should. They speak the messages by hand: a mistake in the server's
//! own cannot hide behind the same mistake here.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use depot_server::cluster::{Conversation, LinkError, Peer, Serve};

use crate::bench::digest;

const DATA: u8 = 0;
const WHOLE: u8 = 1;
const PUSH: u8 = 2;
const END: u8 = 3;
const ABORT: u8 = 4;
const VOUCH: u8 = 5;
const PULL: u8 = 6;
const READY: u8 = 7;
const RECEIPT: u8 = 8;
const REFUSED: u8 = 9;
const BATCH: u8 = 10;
const RECEIPTS: u8 = 11;
pub(crate) const FULL: u8 = 0;
pub(crate) const ABSENT: u8 = 4;
pub(crate) const BAD: u8 = 5;

/// The size of the pieces that a peer sends.
pub(crate) const PIECE: usize = 50_000;

/// How a peer goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It does not.
    Nowhere,
    /// After so many pieces, or messages, the connection is gone.
    Dies(usize),
    /// After so many nothing comes any more.
    Stalls(usize),
    /// After so many it says that all has come.
    EndsEarly(usize),
    /// It sends so many more than there are.
    GoesOn,
    /// One bit of this byte is wrong.
    Lies(usize),
    /// It takes so long for each piece.
    Slow(Duration),
    /// It refuses after so many.
    Refuses(usize, u8),
    /// It is of a release that knows no batches of payloads.
    KnowsNoBatches,
    /// To the first thing that it is asked it gives no answer.
    StallsOnce,
}

/// A peer with one content, which it sends or takes.
pub(crate) struct Faulty {
    pub(crate) name: &'static str,
    pub(crate) content: Vec<u8>,
    pub(crate) wrong: Wrong,
    /// How often it was asked for anything.
    pub(crate) asked: AtomicUsize,
    /// The bytes that it was last sent, and whether it was told that no more come.
    pub(crate) taken: Mutex<(Vec<u8>, bool)>,
}

impl Faulty {
    pub(crate) fn new(name: &'static str, content: &[u8], wrong: Wrong) -> Self {
        Faulty {
            name,
            content: content.to_vec(),
            wrong,
            asked: AtomicUsize::new(0),
            taken: Mutex::default(),
        }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Goes wrong, if now is the time.
    async fn maybe(&self, done: usize, with: &mut Conversation) -> Result<bool, LinkError> {
        match self.wrong {
            Wrong::Dies(at) if at == done => Err(gone()),
            Wrong::Stalls(at) if at == done => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                Err(gone())
            }
            Wrong::Refuses(at, why) if at == done => {
                with.send(&[&[REFUSED, why]]).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn give(&self, offset: usize, with: &mut Conversation) -> Result<(), LinkError> {
        let mut content = self.content.clone();
        if let Wrong::Lies(at) = self.wrong {
            content[at] ^= 1;
        }
        let end = [&[END][..], digest(&self.content).as_bytes()].concat();
        for (done, piece) in content[offset..].chunks(PIECE).enumerate() {
            if self.maybe(done, with).await? {
                return Ok(());
            }
            if self.wrong == Wrong::EndsEarly(done) {
                return with.send(&[&end]).await;
            }
            with.send(&[&[DATA], piece]).await?;
        }
        if self.wrong == Wrong::GoesOn {
            with.send(&[&[DATA], &[0; 1000]]).await?;
        }
        with.send(&[&end]).await
    }

    async fn take(&self, with: &mut Conversation) -> Result<(), LinkError> {
        *self.taken.lock().unwrap() = Default::default();
        if self.maybe(0, with).await? {
            return Ok(());
        }
        match self.wrong {
            Wrong::Slow(_) => with.send(&[&[READY, 0x80, 0x80, 0x10]]).await?, // 256 KiB
            _ => with.send(&[&[READY, 200, 1]]).await?,                        // 200 bytes
        }
        for done in 1.. {
            let frame = with.receive(Duration::from_secs(600)).await?;
            if let Wrong::Slow(each) = self.wrong {
                tokio::time::sleep(each).await;
            }
            match frame.first() {
                Some(&DATA) => self.taken.lock().unwrap().0.extend_from_slice(&frame[1..]),
                Some(&END) => break,
                Some(&ABORT) => {
                    self.taken.lock().unwrap().1 = true;
                    return Ok(());
                }
                _ => return Err(gone()),
            }
            if self.maybe(done, with).await? {
                return Err(gone());
            }
        }
        if self.maybe(usize::MAX, with).await? {
            return Ok(());
        }
        self.receipt(with).await
    }

    async fn receipts(&self, count: u64, with: &mut Conversation) -> Result<(), LinkError> {
        assert!(count < 128, "a number of one byte");
        let name = self.name.as_bytes();
        let one = [&[0, name.len() as u8], name, &[1, 0]].concat();
        with.send(&[&[RECEIPTS, count as u8], &one.repeat(count as usize)]).await
    }

    async fn receipt(&self, with: &mut Conversation) -> Result<(), LinkError> {
        let name = self.name.as_bytes();
        with.send(&[&[RECEIPT, name.len() as u8], name, &[1, 0]]).await
    }
}

#[async_trait]
impl Serve for Faulty {
    async fn serve(
        &self,
        _: &Peer,
        first: Bytes,
        with: &mut Conversation,
    ) -> Result<(), LinkError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 && self.wrong == Wrong::StallsOnce {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        match first.first() {
            Some(&BATCH) if self.wrong != Wrong::KnowsNoBatches => {
                self.receipts(varint(&first[1..]).0, with).await
            }
            Some(&PUSH) => self.take(with).await,
            Some(&(WHOLE | VOUCH)) => match self.maybe(0, with).await? {
                true => Ok(()),
                false => self.receipt(with).await,
            },
            Some(&PULL) => {
                let (_size, rest) = varint(&first[1 + 32..]);
                let (offset, _) = varint(rest);
                self.give(offset as usize, with).await
            }
            _ => Err(gone()),
        }
    }
}

fn gone() -> LinkError {
    LinkError::Broken(io::ErrorKind::ConnectionReset.into())
}

fn varint(bytes: &[u8]) -> (u64, &[u8]) {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (value, &bytes[at + 1..]);
        }
    }
    panic!("a number has an end")
}
