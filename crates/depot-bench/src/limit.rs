//! What this machine can do: the same bytes in one plain program, with nothing of a server in it but
//! what cannot be left out. Threads and blocking calls, one thread or pair of threads a worker.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

use crate::cli::Size;
use crate::content::{Content, FileKey, hex};
use crate::load::{Load, Measured, Tally};

/// A receiver asks for a file with so many bytes, about as many as a request has.
const REQUEST: usize = 64;

/// How much a receiver reads at once.
const BUFFER: usize = 256 * 1024;

/// The limit of a deposit. Of large files: receive over loopback, hash, write, fdatasync. Of small
/// ones, where the disk is asked and not the network: a new file, synced, renamed, its folder synced.
pub(crate) fn deposit(load: Load, folder: &Path, session: u64) -> Result<Measured> {
    match load.size {
        Size::Large => over_loopback(load, Some(folder), session),
        Size::Small => as_new_files(load, folder, session),
    }
}

/// The limit of a recover: ask, receive over loopback from memory, hash.
pub(crate) fn recover(load: Load, session: u64) -> Result<Measured> {
    over_loopback(load, None, session)
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
        let mut file = match folder {
            Some(folder) => Some(new_file(&folder.join(format!("limit-{worker}-{number}")))?),
            None => None,
        };
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
        std::hint::black_box(hex(hash));
        if let Some(file) = file {
            file.sync_data()?;
        }
        tally.file_done(begun);
    }
    Ok(tally)
}

/// Each worker hashes and writes files under a temporary name, syncs, renames and syncs the folder.
fn as_new_files(load: Load, folder: &Path, session: u64) -> Result<Measured> {
    in_threads(load, |worker, start| {
        let mut content = Content::new(load.bytes, session);
        let directory = File::open(folder)?;
        let temporary = folder.join(format!("temporary-{worker}"));
        let mut tally = Tally::new();
        for number in load.turns(worker, start) {
            let begun = Instant::now();
            let key = FileKey { session, series: u64::from(worker), number, size: load.bytes };
            let payload = content.block(key, 0);
            std::hint::black_box(hex(Sha256::new_with_prefix(payload)));
            let mut file = new_file(&temporary)?;
            file.write_all(payload)?;
            file.sync_all()?;
            fs::rename(&temporary, folder.join(format!("limit-{worker}-{number}")))?;
            directory.sync_all()?;
            tally.file_done(begun);
        }
        Ok(tally)
    })
}

fn new_file(path: &Path) -> Result<File> {
    File::create_new(path).with_context(|| format!("can't create {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Until;

    #[test]
    fn every_limit_can_be_measured() {
        for (size, bytes) in [(Size::Large, 3 << 20), (Size::Small, 4096)] {
            let folder = tempfile::tempdir().unwrap();
            let load = Load { size, bytes, workers: 2, until: Until::Count(4) };
            assert!(deposit(load, folder.path(), 1).unwrap().rate > 0.0);
            assert!(recover(load, 1).unwrap().rate > 0.0);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
        }
    }
}
