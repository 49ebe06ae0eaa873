//! A snapshot is the tables as they are at one moment: a read transaction, which costs nothing to
//! take and lets the writing go on. There are no snapshot files.
//!
//! It goes to a server that lags as frames of rows, each row with the checksum that it has in the
//! tables. There the frames are checked as they come and laid into a table of their own, beside the
//! catalogue that is there; the end tells how many rows there were and the SHA-256 of them all.
//! Only a snapshot that is whole takes, in one durable transaction, the place of all that the
//! servers share. One that is cut, damaged or another cluster's is dropped, and nothing was lost.
//! What is a server's own (identity, start number, vote, log) is never in it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use depot_protocol::ServerName;
use redb::{ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::fault::{Corrupt, StoreError};
use super::log_rows::Progress;
use super::record::Record;
use super::rows::{Row, Server};
use super::store::Store;
use super::tables::{
    self, APPLIED, FLOOR, INCOMING, META, PROGRESS, RECORDS, SERVERS, TOMBSTONES, Tables,
};

/// A frame takes no more rows when it has so many bytes. Rows are small (`tables`).
const FRAME: usize = 1 << 20;

/// What openraft carries about for a snapshot.
pub enum SnapshotData {
    /// Taken here, to be sent.
    Taken(Taken),
    /// Received here whole, to be installed.
    Received(Received),
}

/// The tables at one moment.
pub struct Taken {
    store: Arc<Store>,
    transaction: ReadTransaction,
}

/// A snapshot that lies whole in the table `incoming`.
pub struct Received {
    /// Which of those that were begun.
    transfer: u64,
    frames: u64,
}

/// A snapshot cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It is not whole.
    #[error("the snapshot is refused: {0}")]
    Snapshot(String),
    /// This server's own file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn refused(what: impl Into<String>) -> Refused {
    Refused::Snapshot(what.into())
}

/// Which table a row of a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Part {
    Meta,
    Servers,
    Records,
    Tombstones,
}

const PARTS: [Part; 4] = [Part::Meta, Part::Servers, Part::Records, Part::Tombstones];

#[derive(Serialize, Deserialize)]
struct FrameRow {
    part: Part,
    key: Vec<u8>,
    row: Vec<u8>,
}

/// What stands at the end of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    rows: u64,
    hash: [u8; 32],
}

/// Counts and hashes what went by.
#[derive(Default)]
struct Sum {
    rows: u64,
    hash: Sha256,
}

impl Sum {
    fn add(&mut self, rows: usize, frame: &[u8]) {
        self.rows += rows as u64;
        self.hash.update((frame.len() as u64).to_le_bytes());
        self.hash.update(frame);
    }

    fn end(self) -> End {
        End { rows: self.rows, hash: self.hash.finalize().into() }
    }
}

/// Takes a snapshot, and says up to where it goes.
pub(super) fn take(store: &Arc<Store>) -> Result<(Progress, SnapshotData), StoreError> {
    let transaction = store.snapshot()?;
    let progress = tables::progress(&transaction).inspect_err(|error| store.fail(error))?;
    let taken = Taken { store: Arc::clone(store), transaction };
    Ok((progress.unwrap_or_default(), SnapshotData::Taken(taken)))
}

/// Goes through a snapshot, frame by frame.
pub(super) struct Sending {
    taken: Taken,
    part: usize,
    /// The last key of this part that was sent.
    after: Option<Vec<u8>>,
    sum: Sum,
}

/// What is to be sent next.
pub(super) enum Next {
    Frame(Vec<u8>),
    End(End),
}

impl Sending {
    pub(super) fn new(taken: Taken) -> Self {
        Sending { taken, part: 0, after: None, sum: Sum::default() }
    }

    /// The next frame. Blocks. A fault of this server's own file is final, as everywhere.
    pub(super) fn next(mut self) -> Result<(Self, Next), StoreError> {
        let rows = self.rows().inspect_err(|error| self.taken.store.fail(error))?;
        if rows.is_empty() {
            let end = std::mem::take(&mut self.sum).end();
            return Ok((self, Next::End(end)));
        }
        let frame = postcard::to_stdvec(&rows).expect("numbers and bytes encode into memory");
        self.sum.add(rows.len(), &frame);
        Ok((self, Next::Frame(frame)))
    }

    fn rows(&mut self) -> Result<Vec<FrameRow>, StoreError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(part) = PARTS.get(self.part) {
            let definition = match part {
                Part::Meta => META,
                Part::Servers => SERVERS,
                Part::Records => RECORDS,
                Part::Tombstones => TOMBSTONES,
            };
            let table = self.taken.transaction.open_table(definition)?;
            let after = self.after.take().unwrap_or_default();
            for row in table.range(after.as_slice()..)? {
                let (key, row) = row?;
                let (key, row) = (key.value(), row.value());
                let shared = *part != Part::Meta || [APPLIED, FLOOR, PROGRESS].contains(&key);
                if !shared || key <= after.as_slice() {
                    continue;
                }
                bytes += key.len() + row.len();
                rows.push(FrameRow { part: *part, key: key.to_vec(), row: row.to_vec() });
                if bytes >= FRAME {
                    self.after = Some(key.to_vec());
                    return Ok(rows);
                }
            }
            self.part += 1;
        }
        Ok(rows)
    }
}

/// A snapshot on its way here.
pub(super) struct Receiving {
    transfer: u64,
    frames: u64,
    sum: Sum,
    last: Option<(Part, Vec<u8>)>,
    progress: Option<Progress>,
    meta: usize,
}

/// Begins to take over a snapshot; one that was on its way before is given up. Blocks.
pub(super) fn receive(store: &Store) -> Result<Receiving, StoreError> {
    let transfer = store.transact_soon(|transaction| {
        transaction.delete_table(INCOMING)?;
        Ok(store.transfers.fetch_add(1, Ordering::SeqCst) + 1)
    })?;
    let (sum, last, progress) = (Sum::default(), None, None);
    Ok(Receiving { transfer, frames: 0, sum, last, progress, meta: 0 })
}

impl Receiving {
    /// Checks a frame and lays it down. Blocks.
    pub(super) fn take(mut self, store: &Store, frame: &[u8]) -> Result<Self, Refused> {
        let rows = decode(frame).map_err(|corrupt| refused(corrupt.to_string()))?;
        for FrameRow { part, key, row } in &rows {
            if self.last.as_ref().is_some_and(|(at, last)| (*at, last) >= (*part, key)) {
                return Err(refused("its rows are out of order"));
            }
            check_row(*part, key, row).map_err(|corrupt| refused(corrupt.to_string()))?;
            if *part == Part::Meta {
                self.meta += 1;
                if key == PROGRESS {
                    self.progress = Row::unseal(key, row).ok();
                }
            }
            self.last = Some((*part, key.clone()));
        }
        self.sum.add(rows.len(), frame);
        let (transfer, number) = (self.transfer, self.frames);
        let current = store.transact_soon(|transaction| {
            if store.transfers.load(Ordering::SeqCst) != transfer {
                return Ok(false);
            }
            let mut incoming = transaction.open_table(INCOMING)?;
            incoming.insert(number.to_be_bytes().as_slice(), frame)?;
            Ok(true)
        })?;
        self.frames += 1;
        if current { Ok(self) } else { Err(refused("another one has come in its place")) }
    }

    /// It has come to its end: is it whole, and the one that was announced?
    pub(super) fn finish(self, end: &End, announced: &Progress) -> Result<SnapshotData, Refused> {
        if self.sum.end() != *end {
            return Err(refused("its rows are not the ones that were sent"));
        }
        if self.meta != 3 || self.progress.as_ref() != Some(announced) {
            return Err(refused("it is not of the moment that was announced"));
        }
        Ok(SnapshotData::Received(Received { transfer: self.transfer, frames: self.frames }))
    }
}

/// An empty one, for openraft to fill: nothing is ever received into it.
pub(super) fn begin(store: &Store) -> Result<SnapshotData, StoreError> {
    let receiving = receive(store)?;
    Ok(SnapshotData::Received(Received { transfer: receiving.transfer, frames: 0 }))
}

/// Puts a snapshot in the place of all that the servers share. Blocks; durable when it returns.
pub(super) fn install(
    store: &Store,
    data: SnapshotData,
    progress: &Progress,
) -> Result<(), StoreError> {
    let received = match data {
        SnapshotData::Received(received) => received,
        SnapshotData::Taken(taken) => hand_over(store, taken, progress)?,
    };
    store.transact(|transaction| {
        if store.transfers.load(Ordering::SeqCst) != received.transfer {
            return Err(Corrupt::new("a snapshot was overtaken by another one").into());
        }
        let mut tables = Tables::open(transaction)?;
        tables.clear_shared()?;
        let incoming = transaction.open_table(INCOMING)?;
        for number in 0..received.frames {
            let frame = incoming.get(number.to_be_bytes().as_slice())?;
            let frame = frame.ok_or_else(|| Corrupt::new("a snapshot's frame is missing"))?;
            for row in decode(frame.value())? {
                insert(&mut tables, &row)?;
            }
        }
        if tables.progress()?.as_ref() != Some(progress) {
            return Err(Corrupt::new("a snapshot is not of the moment that was announced").into());
        }
        drop(incoming);
        transaction.delete_table(INCOMING)?;
        Ok(())
    })
}

/// From one store of this process to another.
fn hand_over(store: &Store, taken: Taken, progress: &Progress) -> Result<Received, StoreError> {
    let whole = |refusal| match refusal {
        Refused::Store(error) => error,
        Refused::Snapshot(what) => Corrupt::new(what).into(),
    };
    let (mut sending, mut receiving) = (Sending::new(taken), receive(store)?);
    loop {
        let (rest, next) = sending.next()?;
        sending = rest;
        match next {
            Next::Frame(frame) => receiving = receiving.take(store, &frame).map_err(whole)?,
            Next::End(end) => match receiving.finish(&end, progress).map_err(whole)? {
                SnapshotData::Received(received) => return Ok(received),
                SnapshotData::Taken(_) => unreachable!("what was received was not taken here"),
            },
        }
    }
}

fn decode(frame: &[u8]) -> Result<Vec<FrameRow>, Corrupt> {
    let cannot = |error| Corrupt::new(format!("a frame cannot be decoded: {error}"));
    let (rows, rest) = postcard::take_from_bytes(frame).map_err(cannot)?;
    if rest.is_empty() { Ok(rows) } else { Err(Corrupt::new("a frame goes on behind its end")) }
}

/// Whether a row is whole and belongs where it says.
fn check_row(part: Part, key: &[u8], row: &[u8]) -> Result<(), Corrupt> {
    match part {
        Part::Meta if key == PROGRESS => drop(Progress::unseal(key, row)?),
        Part::Meta if key == APPLIED || key == FLOOR => drop(u64::unseal(key, row)?),
        Part::Meta => return Err(Corrupt::new("a row is a server's own")),
        Part::Servers => {
            server_of(key)?;
            Server::unseal(key, row)?;
        }
        Part::Records => {
            tables::split_record_key(key)?;
            Record::unseal(key, row)?;
        }
        Part::Tombstones => {
            tables::split_record_key(key)?;
            u64::unseal(key, row)?;
        }
    }
    Ok(())
}

fn server_of(key: &[u8]) -> Result<ServerName, Corrupt> {
    let name = std::str::from_utf8(key).map_err(|_| Corrupt::new("a server's name is no text"))?;
    ServerName::parse(name).map_err(|_| Corrupt::new("a server's name is none"))
}

fn insert(tables: &mut Tables<'_>, row: &FrameRow) -> Result<(), StoreError> {
    let FrameRow { part, key, row } = row;
    match part {
        Part::Meta if key == PROGRESS => tables.set_progress(&Row::unseal(key, row)?),
        Part::Meta if key == APPLIED => tables.set_applied(Row::unseal(key, row)?),
        Part::Meta => tables.set_floor(Row::unseal(key, row)?),
        Part::Servers => tables.set_server(&server_of(key)?, Server::unseal(key, row)?),
        Part::Records => {
            let (namespace, name) = tables::split_record_key(key)?;
            tables.put_record(&namespace, &name, None, &Record::unseal(key, row)?)
        }
        Part::Tombstones => {
            let (namespace, name) = tables::split_record_key(key)?;
            tables.bury(&namespace, &name, Row::unseal(key, row)?, u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests;
