//! The other end of a transfer: what this server does for its peers. It stores bytes that it has
//! hashed itself, vouches for copies that it has, and sends verified ones. It passes nothing on.
//!
//! Memory is the pool's: with a lease, pieces of 256 KiB; without, pieces of 64 KiB.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use depot_protocol::Digest;
use tokio::sync::oneshot;

use super::message::{self, DATA, Message};
use super::{Arrivals, Courier, No, WHOLE_MAX};
use crate::buffers::{Buffers, LARGE, pieces};
use crate::cluster::members::Members;
use crate::cluster::{Conversation, LinkError, Peer, Serve};
use crate::custody::Custody;
use crate::intake::{Intake, IntakeError};
use crate::seams::{Seams, blocking};
use crate::volume::layout::CHUNK;
use crate::volume::{Blob, BlobError, Seal, Sealed, Staging, VolumeError};

/// A peer pushes as its client sends, and pulls as its client takes: that may pause for 30 s, or it
/// is cut.
const PAUSE: Duration = Duration::from_secs(60);

/// Serves transfers to peers.
pub struct TransferService {
    seams: Seams,
    custody: Arc<Custody>,
    buffers: Buffers,
    arrivals: Arrivals,
    witness: bool,
}

/// A small payload on its way to the disk.
type Landing = oneshot::Receiver<Result<Sealed, No>>;
/// A piece on its way from it.
type Reading = oneshot::Receiver<(Result<Bytes, BlobError>, Blob)>;

#[async_trait]
impl Serve for TransferService {
    async fn serve(
        &self,
        peer: &Peer,
        first: Bytes,
        conversation: &mut Conversation,
    ) -> Result<(), LinkError> {
        if peer.name.is_none() {
            return Err(out_of_step("an operator asks for a transfer"));
        }
        match parse(first)? {
            Message::Push { size } => self.take(size, conversation).await,
            Message::Whole { payload, digest } => {
                let taken = landed(self.take_whole(payload, digest).await).await;
                self.answer(taken, conversation).await
            }
            Message::Batch { sizes, raw } => self.take_batch(sizes, raw, conversation).await,
            Message::Vouch { digest, size } => {
                let vouched = self.vouch(digest, size).await;
                self.answer(vouched, conversation).await
            }
            Message::Pull { digest, size, offset, most } => {
                self.give((digest, size), offset, most as usize, conversation).await
            }
            other => Err(out_of_step(&format!("{other:?} begins nothing"))),
        }
    }
}

impl TransferService {
    /// Over this server's volume, where it is no witness.
    pub fn new(courier: Courier, members: &Members) -> Self {
        let witness = members.get(members.me()).is_some_and(|me| me.witness);
        let Courier { seams, custody, buffers, arrivals, .. } = courier;
        TransferService { seams, custody, buffers, arrivals, witness }
    }

    /// Takes a payload as it comes.
    async fn take(&self, size: u64, conversation: &mut Conversation) -> Result<(), LinkError> {
        let staging = match self.stage(size).await {
            Ok(staging) => staging,
            Err(no) => return refuse(conversation, no).await,
        };
        let _arrival = self.arrivals.begin(size);
        let lease = self.buffers.try_lease();
        let most = if lease.is_some() { LARGE } else { CHUNK as usize };
        message::send(conversation, &Message::Ready { most: most as u32 }).await?;
        let mut intake = Intake::new(&self.seams.blocking, staging, pieces(&lease));
        let end = loop {
            let missing = intake.missing();
            let said = match intake.meanwhile(conversation.receive(PAUSE)).await {
                Ok(received) => parse(received?)?,
                Err(error) => {
                    refuse(conversation, unwritten(&error)).await?;
                    return Err(out_of_step("more is on its way than can be taken"));
                }
            };
            match said {
                Message::Data(piece) if piece.len() <= most && piece.len() as u64 <= missing => {
                    intake.push(piece);
                }
                Message::End { digest } => break Some(digest),
                Message::Abort => break None,
                other => {
                    return Err(out_of_step(&format!("{other:?}, and {missing} bytes missing")));
                }
            }
        };
        let (mut staging, rest) = match intake.end().await {
            Ok(ended) => ended,
            Err(error) => return refuse(conversation, unwritten(&error)).await,
        };
        let Some(digest) = end else { return self.run(move || drop(staging)).await.or(Ok(())) };
        let seal = move || staging.append_all(rest).and_then(|()| staging.seal(&digest));
        let sealed = self.run(seal).await.and_then(sealing);
        self.answer(sealed, conversation).await
    }

    /// Takes a small payload; it has landed when the receiver says so.
    async fn take_whole(&self, payload: Bytes, digest: Digest) -> Result<Landing, No> {
        if payload.len() as u64 > WHOLE_MAX {
            return Err(No::WrongHash);
        }
        let mut staging = self.stage(payload.len() as u64).await?;
        if staging.is_held() {
            staging.append(&payload).map_err(|error| not_stored(&error))?;
            return Ok(staging.seal_soon(digest, sealing));
        }
        let seal = move || staging.append(&payload).and_then(|()| staging.seal(&digest));
        Ok(blocking::start(&self.seams.blocking, move || sealing(seal())))
    }

    /// Takes small payloads that came together, and tells of each what became of it.
    async fn take_batch(
        &self,
        sizes: Vec<u32>,
        raw: Bytes,
        conversation: &mut Conversation,
    ) -> Result<(), LinkError> {
        let mut landing = Vec::with_capacity(sizes.len());
        for (payload, digest) in message::payloads(sizes, raw) {
            landing.push(self.take_whole(payload, digest).await);
        }
        let (mut there, mut answers) = (Vec::new(), Vec::with_capacity(landing.len()));
        for taken in landing {
            let sealed = landed(taken).await;
            answers.push(sealed.map(|sealed| {
                there.push(sealed.digest());
                self.custody.receipt(&sealed)
            }));
        }
        let sent = message::send(conversation, &Message::Receipts(answers)).await;
        if sent.is_err() {
            there.into_iter().for_each(|digest| self.custody.let_go(digest));
        }
        sent
    }

    async fn stage(&self, size: u64) -> Result<Staging, No> {
        if self.witness {
            return Err(No::Witness);
        }
        match self.custody.stage(size).await {
            Ok(staged) => staged.map_err(|error| not_stored(&error)),
            Err(error) => {
                tracing::error!(%error, "cannot make room for a peer's payload");
                Err(No::Fault)
            }
        }
    }

    /// Vouches for a copy under this server's current sweep.
    async fn vouch(&self, digest: Digest, size: u64) -> Result<Sealed, No> {
        match self.custody.vouch(digest, size).await {
            Ok(Ok(sealed)) => sealed.ok_or(No::Absent),
            Ok(Err(error)) if error.condemns() => Err(No::Bad),
            Ok(Err(error)) => Err(fault(&error)),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Sends a copy, each chunk verified before; the next piece is read while one is sent.
    async fn give(
        &self,
        (digest, size): (Digest, u64),
        mut offset: u64,
        most: usize,
        conversation: &mut Conversation,
    ) -> Result<(), LinkError> {
        conversation.set_stall(PAUSE);
        let lease = self.buffers.try_lease();
        let most = most.min(if lease.is_some() { LARGE } else { CHUNK as usize });
        let custody = Arc::clone(&self.custody);
        // One job for both: a small copy needs no other.
        let open = move || match opened(&custody, &digest, size) {
            Ok(Some(mut blob)) => Ok((blob.read(offset, most), blob)),
            Ok(None) => {
                custody.condemn(digest); // if any record counts it
                Err(No::Absent)
            }
            Err(error) => Err(not_read(&custody, &error, &digest)),
        };
        let (mut piece, mut blob) = match self.run(open).await.and_then(|opened| opened) {
            Ok(opened) => opened,
            Err(no) => return refuse(conversation, no).await,
        };
        loop {
            let sent = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    let no = not_read(&self.custody, &error, &digest);
                    return refuse(conversation, no).await;
                }
            };
            offset += sent.len() as u64;
            if offset == size {
                if !sent.is_empty() {
                    conversation.send(&[&[DATA], &sent]).await?;
                }
                return message::send(conversation, &Message::End { digest }).await;
            }
            let ahead = self.read(blob, offset, most);
            conversation.send(&[&[DATA], &sent]).await?;
            (piece, blob) = match ahead.await {
                Ok(read) => read,
                Err(_) => return refuse(conversation, fault(&blocking::Lost)).await,
            };
        }
    }

    fn read(&self, mut blob: Blob, offset: u64, most: usize) -> Reading {
        blocking::start(&self.seams.blocking, move || (blob.read(offset, most), blob))
    }

    /// Gives a receipt. Where it can't be delivered, perhaps no record comes to list the copy.
    async fn answer(
        &self,
        sealed: Result<Sealed, No>,
        conversation: &mut Conversation,
    ) -> Result<(), LinkError> {
        match sealed {
            Ok(sealed) => {
                let receipt = Message::Receipt(self.custody.receipt(&sealed));
                let sent = message::send(conversation, &receipt).await;
                if sent.is_err() {
                    self.custody.let_go(sealed.digest());
                }
                sent
            }
            Err(no) => refuse(conversation, no).await,
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, No> {
        blocking::run(&self.seams.blocking, work).await.map_err(|lost| fault(&lost))
    }
}

/// A copy that a peer asks for. One that lay in the trash is looked at by the sweeper again: the peer
/// may not have heard yet that no record lists it here any more.
fn opened(custody: &Custody, digest: &Digest, size: u64) -> Result<Option<Blob>, BlobError> {
    let there = custody.volume.open_blob_outside_trash(digest, size)?;
    if there.is_some() {
        return Ok(there);
    }
    let restored = custody.volume.open_blob(digest, size)?;
    if restored.is_some() {
        custody.let_go(*digest);
    }
    Ok(restored)
}

fn sealing(sealed: Result<Seal, VolumeError>) -> Result<Sealed, No> {
    match sealed {
        Ok(Seal::Done(sealed)) => Ok(sealed),
        Ok(Seal::WrongHash) => Err(No::WrongHash),
        Err(error) => Err(not_stored(&error)),
    }
}

async fn landed(taken: Result<Landing, No>) -> Result<Sealed, No> {
    taken?.await.unwrap_or_else(|_| Err(fault(&blocking::Lost)))
}

fn unwritten(error: &IntakeError) -> No {
    match error {
        IntakeError::Volume(error) => not_stored(error),
        IntakeError::Lost(lost) => fault(lost),
    }
}

/// What a peer is told whose payload can't be stored. The volume has logged its faults.
fn not_stored(error: &VolumeError) -> No {
    match error {
        VolumeError::Full => No::Full,
        VolumeError::Suspect => No::ReadOnly,
        VolumeError::Fault { .. } => fault(error),
    }
}

/// What a peer is told that asks for a copy which can't be read. A bad one goes into quarantine.
fn not_read(custody: &Arc<Custody>, error: &BlobError, digest: &Digest) -> No {
    if !error.condemns() {
        return fault(error);
    }
    tracing::error!(blob = %digest, %error, "a peer asked for a copy that is bad");
    custody.condemn(*digest);
    No::Bad
}

fn fault(error: &(impl std::error::Error + ?Sized)) -> No {
    tracing::error!(%error, "cannot do what a peer asks for");
    No::Fault
}

async fn refuse(conversation: &mut Conversation, no: No) -> Result<(), LinkError> {
    message::send(conversation, &Message::Refused(no)).await
}

fn parse(frame: Bytes) -> Result<Message, LinkError> {
    Message::parse(frame).map_err(|_unknown| out_of_step("what is no message"))
}

fn out_of_step(what: &str) -> LinkError {
    LinkError::Broken(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()))
}
