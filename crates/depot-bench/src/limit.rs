//! What this machine can do: the same bytes in one plain program, with nothing of a server in it but
//! what cannot be left out. Threads and blocking calls, one thread or pair of threads a worker.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

use crate::content::{Content, FileKey, digest};
use crate::load::{Load, Measured, Tally, Work};

/// A receiver asks for a file with so many bytes, about as many as a request has.
const REQUEST: usize = 64;

/// How much a receiver reads at once.
const BUFFER: usize = 256 * 1024;

/// The limit of `load` with so many `copies` of each file made on this machine, its files in `folder`.
pub(crate) fn of(load: Load, copies: u32, folder: &Path, session: u64) -> Result<Measured> {
    match load.work {
        Work::Recover => over_loopback(load, None, session),
        Work::Deposit | Work::Mix { .. } if load.large() => {
            large_deposits(load, copies, folder, session)
        }
        Work::Deposit | Work::Mix { .. } => small_deposits(load, copies, folder, session),
    }
}

/// Every copy of every file is received over loopback, hashed, written and synced, all copies of a
/// file at the same time.
fn large_deposits(load: Load, copies: u32, folder: &Path, session: u64) -> Result<Measured> {
    let all = Load { workers: load.workers * copies, ..load };
    let mut measured = over_loopback(all, Some(folder), session)?;
    measured.rate /= f64::from(copies);
    Ok(measured)
}

/// Runs `worker` in as many threads as the load has workers.
fn in_threads(
    load: Load,
    worker: impl Fn(u32, Instant) -> Result<Tally> + Sync,
) -> Result<Measured> {
    let start = Instant::now();
    let tallies: Result<Vec<Tally>> = thread::scope(|scope| {
        let worker = &worker;
        let threads: Vec<_> =
            (0..load.workers).map(|number| scope.spawn(move || worker(number, start))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|tally| tally.map_err(|_| anyhow!("a thread of the limit panicked"))?).collect()
    });
    Measured::since(start, load, &tallies?)
}

/// Each worker receives from a sender of its own; with a folder it writes and syncs what it receives.
fn over_loopback(load: Load, folder: Option<&Path>, session: u64) -> Result<Measured> {
    in_threads(load, |worker, start| {
        let listener = TcpListener::bind("127.0.0.1:0").context("can't listen on loopback")?;
        let to_sender = TcpStream::connect(listener.local_addr()?)?;
        let (to_receiver, _) = listener.accept()?;
        thread::scope(|scope| {
            let sender = scope.spawn(move || send(to_receiver, load, worker, session));
            // When this returns, the connection is closed, and with it the sender ends.
            let tally = receive(to_sender, load, folder, worker, start);
            sender.join().map_err(|_| anyhow!("a sender of the limit panicked"))??;
            tally
        })
    })
}

/// Sends a file for each request until the connection ends.
fn send(mut stream: TcpStream, load: Load, worker: u32, session: u64) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut content = Content::new(load.bytes, session);
    let mut request = [0; REQUEST];
    for number in 0.. {
        match stream.read_exact(&mut request) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            asked => asked?,
        }
        let key = FileKey { session, series: u64::from(worker), number, size: load.bytes };
        let mut offset = 0;
        while offset < load.bytes {
            let block = content.block(key, offset);
            stream.write_all(block)?;
            offset += block.len() as u64;
        }
    }
    Ok(())
}

/// Asks for one file after the other and hashes each; with a folder it is written and synced.
fn receive(
    mut stream: TcpStream,
    load: Load,
    folder: Option<&Path>,
    worker: u32,
    start: Instant,
) -> Result<Tally> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    let mut tally = Tally::new();
    for number in load.turns(worker, start) {
        let begun = Instant::now();
        let path = folder.map(|folder| folder.join(format!("limit-{worker}-{number}")));
        let mut file = path.as_deref().map(new_file).transpose()?;
        stream.write_all(&[0; REQUEST])?;
        let mut hash = Sha256::new();
        let mut left = load.bytes;
        while left > 0 {
            let room = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            let read = stream.read(&mut buffer[..room])?;
            if read == 0 {
                return Err(anyhow!("the sender of the limit ended early"));
            }
            hash.update(&buffer[..read]);
            if let Some(file) = &mut file {
                file.write_all(&buffer[..read])?;
            }
            left -= read as u64;
        }
        std::hint::black_box(digest(hash));
        if let Some(file) = file {
            file.sync_data()?;
        }
        tally.file_done(begun);
    }
    Ok(tally)
}

/// Each worker hashes a file once for each copy and appends it to as many logs, and goes on when it
/// is durable in all. A log writes and syncs together what waits for it.
fn small_deposits(load: Load, copies: u32, folder: &Path, session: u64) -> Result<Measured> {
    let logs: Vec<Log> = (0..copies).map(|_| Log::default()).collect();
    let files: Result<Vec<File>> =
        (0..copies).map(|copy| new_file(&folder.join(format!("limit-log-{copy}")))).collect();
    let files = files?;
    thread::scope(|scope| {
        for (log, file) in logs.iter().zip(files) {
            scope.spawn(move || log.write_to(file));
        }
        let measured = in_threads(load, |worker, start| {
            let mut content = Content::new(load.bytes, session);
            let mut tally = Tally::new();
            for number in load.turns(worker, start) {
                let begun = Instant::now();
                let key = FileKey { session, series: u64::from(worker), number, size: load.bytes };
                let payload = content.block(key, 0);
                let mut batches = Vec::new();
                for log in &logs {
                    std::hint::black_box(digest(Sha256::new_with_prefix(payload)));
                    batches.push(log.append(payload));
                }
                for (log, batch) in logs.iter().zip(batches) {
                    log.durable(batch)?;
                }
                tally.file_done(begun);
            }
            Ok(tally)
        });
        logs.iter().for_each(Log::close);
        measured
    })
}

/// A log with group commit: who appends waits for the batch that the bytes are in.
#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    appended: Condvar,
    synced: Condvar,
}

#[derive(Default)]
struct LogState {
    waiting: Vec<u8>,
    /// The number of the batch that `waiting` will be.
    batch: u64,
    /// How many batches are durable.
    durable: u64,
    failed: Option<String>,
    closed: bool,
}

impl Log {
    /// Tells in which batch the bytes are.
    fn append(&self, payload: &[u8]) -> u64 {
        let mut state = self.lock();
        state.waiting.extend_from_slice(payload);
        self.appended.notify_one();
        state.batch
    }

    /// Waits until the batch is durable.
    fn durable(&self, batch: u64) -> Result<()> {
        let state = self.lock();
        let state = self
            .synced
            .wait_while(state, |state| state.durable <= batch && state.failed.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.failed.as_ref().map_or(Ok(()), |failed| Err(anyhow!("can't write: {failed}")))
    }

    /// Nothing more comes.
    fn close(&self) {
        self.lock().closed = true;
        self.appended.notify_one();
    }

    /// Writes batch after batch until the log is closed, or the disk fails.
    fn write_to(&self, mut file: File) {
        let mut batch = Vec::new();
        loop {
            let waits = |state: &mut LogState| state.waiting.is_empty() && !state.closed;
            let state = self.appended.wait_while(self.lock(), waits);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                return;
            }
            batch.clear();
            std::mem::swap(&mut batch, &mut state.waiting);
            state.batch += 1;
            drop(state);
            let written = file.write_all(&batch).and_then(|()| file.sync_data());
            let mut state = self.lock();
            state.durable += 1;
            let failed = written.is_err();
            state.failed = written.err().map(|error| error.to_string());
            self.synced.notify_all();
            if failed {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_file(path: &Path) -> Result<File> {
    File::create_new(path).with_context(|| format!("can't create {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::load::Until;

    fn load(work: Work, bytes: u64) -> Load {
        let until = Until::Count(4);
        Load { work, bytes, workers: 2, pipelining: 1, replicas: 0, until }
    }

    #[test]
    fn every_limit_can_be_measured() {
        for (bytes, copies) in [(3 << 20, 1), (4096, 1), (3 << 20, 3), (4096, 3)] {
            let folder = tempfile::tempdir().unwrap();
            let deposits = of(load(Work::Deposit, bytes), copies, folder.path(), 1).unwrap();
            let recovers = of(load(Work::Recover, bytes), copies, folder.path(), 1).unwrap();
            assert!(deposits.rate > 0.0 && recovers.rate > 0.0);
        }
    }

    #[test]
    fn the_limit_of_small_deposits_writes_every_copy() {
        let folder = tempfile::tempdir().unwrap();
        of(load(Work::Deposit, 4096), 2, folder.path(), 1).unwrap();
        for log in ["limit-log-0", "limit-log-1"] {
            assert_eq!(fs::metadata(folder.path().join(log)).unwrap().len(), 4 * 4096);
        }
    }
}
