//! Does the size of the catalogue show? A server's catalogue is filled with entries, and then a
//! client that waits for each answer looks one up, reads a page of a list, deposits.
//!
//! The entries go into the data folder of a server that was stopped, through the catalogue itself and
//! many at a time: over sockets ten million would take an hour. All list one file that is really there.
//!
//! Then the server is started once more and one of the files recovered; where this program may make the
//! kernel forget what it has read (root may), from a cold start.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use depot_protocol::{ClientId, Digest, FileName, FileSize, ReplicaCount, UtcSeconds};
use depot_server::catalogue::command::Put;
use depot_server::catalogue::{
    Catalogue, Command, Identity, Namespace, OperationId, Outcome, RaftCatalogue, Receipt, Store,
    StoreSettings, Version,
};
use depot_server::seams::Seams;
use depot_server::seams::system_disk::SystemDisk;
use hdrhistogram::Histogram;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::content::{Content, FileKey, split_mix};
use crate::depot::Depot;
use crate::wire::Connection;

/// How many commands wait for the catalogue at once: as many as it takes into one entry of its log.
const AT_ONCE: usize = 1024;

/// How many items a page has: the most that there may be.
const PAGE: u16 = 1000;

/// The memory for the catalogue's pages while it is filled.
const CACHE: usize = 256 * 1024 * 1024;

/// The size of the one file.
const SIZE: u64 = 4096;

/// What was measured with so many entries.
pub(crate) struct Measured {
    entries: u64,
    /// From the start of the process to its first answer, in milliseconds.
    start_ms: f64,
    /// From a cold start of the process until a file is recovered, in milliseconds.
    cold_ms: Option<f64>,
    lookup: Histogram<u64>,
    page: Histogram<u64>,
    deposit: Histogram<u64>,
}

/// Fills a new server's catalogue in `folder` with so many entries, and measures `turns` of each kind.
pub(crate) fn measure(
    runtime: &Runtime,
    binary: &Path,
    folder: &Path,
    entries: u64,
    turns: u32,
) -> Result<Measured> {
    let depot = Depot::start(binary, folder, 1)?;
    let (client, file) = runtime.block_on(the_file(&depot.addresses[0]))?;
    depot.stop()?;
    let begun = Instant::now();
    runtime.block_on(fill(&Depot::data(folder), client, file, entries))?;
    eprintln!("  {entries} entries in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let depot = Depot::restart(binary, folder)?;
    let work = ask(&depot.addresses[0], client, entries, turns, begun);
    let mut measured = runtime.block_on(work)?;
    depot.stop()?;
    measured.cold_ms = match drop_caches() {
        Ok(()) => Some(start_cold(runtime, binary, folder, client, entries)?),
        Err(error) => {
            eprintln!("  no cold start, only root can drop the kernel's caches: {error}");
            None
        }
    };
    Ok(measured)
}

fn start_cold(
    runtime: &Runtime,
    binary: &Path,
    folder: &Path,
    client: ClientId,
    entries: u64,
) -> Result<f64> {
    let begun = Instant::now();
    let depot = Depot::restart(binary, folder)?;
    runtime.block_on(async {
        let mut connection = Connection::open(&depot.addresses[0], SIZE).await?;
        connection.recover(client, name(entries / 2)?).await?;
        connection.recovered().await
    })?;
    let cold = millis(begun);
    depot.stop()?;
    Ok(cold)
}

/// The heading of the lines that [`Measured`] is shown as.
pub(crate) const HEADING: &str = "\
|    entries | first answer ms | cold, a recover ms | lookup us p50 | p99 | page of 1000 us p50 | p99 | deposit us p50 | p99 |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

impl std::fmt::Display for Measured {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "| {:>10} | {:>15.0} |", self.entries, self.start_ms)?;
        match self.cold_ms {
            Some(cold_ms) => write!(out, " {cold_ms:>18.0} |")?,
            None => write!(out, " {:>18} |", "-")?,
        }
        for latency in [&self.lookup, &self.page, &self.deposit] {
            let at = |quantile| latency.value_at_quantile(quantile);
            write!(out, " {} | {} |", at(0.5), at(0.99))?;
        }
        Ok(())
    }
}

/// Makes the kernel forget what it has read of files and folders.
fn drop_caches() -> io::Result<()> {
    nix::unistd::sync();
    fs::write("/proc/sys/vm/drop_caches", "3")
}

/// Deposits the file that all entries are to list; tells whose it is, and its hash.
async fn the_file(address: &str) -> Result<(ClientId, Digest)> {
    let mut connection = Connection::open(address, SIZE).await?;
    let client = connection.first_connection().await?;
    let key = FileKey { session: 0, series: 0, number: 0, size: SIZE };
    let (mut content, name) = (Content::new(SIZE, 0), FileName::parse("the-file")?);
    let hash = connection.deposit(client, name, 0, &mut content, key).await?;
    connection.deposited(hash).await?;
    Ok((client, hash))
}

/// Puts the entries into the catalogue of the data folder `data`, which no server uses now.
async fn fill(data: &Path, client: ClientId, file: Digest, entries: u64) -> Result<()> {
    let disk = SystemDisk::open(data).context("can't open the data folder")?;
    let settings = StoreSettings { cache: CACHE, check_on_open: 0, journal: 64 << 10 };
    let store = Store::open(&disk, &settings, false).context("can't open the catalogue")?;
    let identity = store.identity().clone();
    let (seams, tasks, stop) = (Seams::system(), TaskTracker::new(), CancellationToken::new());
    let started = RaftCatalogue::start(store, None, &seams, &tasks, stop.clone());
    let (catalogue, mut events) = started.await.context("can't start the catalogue")?;
    // What it tells of its changes is of no use here, and must not fill its queue.
    let ignored = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let filled = propose_all(&catalogue, &identity, client, file, entries).await;
    drop(catalogue);
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    ignored.await?;
    filled
}

/// As many commands as fit into one entry of the log are under way all the time.
async fn propose_all(
    catalogue: &Arc<RaftCatalogue>,
    identity: &Identity,
    client: ClientId,
    file: Digest,
    entries: u64,
) -> Result<()> {
    let sweep = catalogue.view().await?.sweep_number(&identity.server)?;
    let receipt =
        Receipt { server: identity.server.clone(), incarnation: identity.incarnation, sweep };
    let namespace = Namespace::of(&identity.cluster, &client);
    let (numbers, next) = mpsc::channel(AT_ONCE);
    let next = Arc::new(tokio::sync::Mutex::new(next));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (catalogue, next) = (Arc::clone(catalogue), Arc::clone(&next));
        let receipt = receipt.clone();
        workers.spawn(async move {
            loop {
                let Some(number) = next.lock().await.recv().await else { return anyhow::Ok(()) };
                let put = put(namespace, number, file, receipt.clone())?;
                let applied = catalogue.propose(Command::Put(put)).await?;
                let done = matches!(applied.outcome, Outcome::Done(_));
                ensure!(done, "entry {number}: {:?}", applied.outcome);
            }
        });
    }
    for number in 0..entries {
        // Refused only when all workers have failed, which is told below.
        if numbers.send(number).await.is_err() {
            break;
        }
    }
    drop(numbers);
    while let Some(worker) = workers.join_next().await {
        worker.context("a worker panicked")??;
    }
    Ok(())
}

fn put(namespace: Namespace, number: u64, file: Digest, receipt: Receipt) -> Result<Put> {
    Ok(Put {
        namespace,
        name: name(number)?,
        read: Version(0),
        seen: u64::MAX,
        digest: file,
        size: FileSize::new(SIZE).context("no file is as large as this")?,
        replicas: ReplicaCount::new(0),
        deposited: UtcSeconds::new(0),
        receipts: vec![receipt],
        wanted: Vec::new(),
        operation: OperationId(u128::from(number).to_be_bytes()),
    })
}

fn name(number: u64) -> Result<FileName> {
    Ok(FileName::parse(&format!("entries/{number:012}"))?)
}

/// Asks a server that has just been started, `begun` being when.
async fn ask(
    address: &str,
    client: ClientId,
    entries: u64,
    turns: u32,
    begun: Instant,
) -> Result<Measured> {
    let mut connection = Connection::open(address, SIZE).await?;
    connection.stat(client, name(0)?).await?;
    let start_ms = millis(begun);
    let mut random = entries;
    let (mut lookup, mut page, mut deposit) = (latency()?, latency()?, latency()?);
    let mut content = Content::new(SIZE, 1);
    for number in 0..u64::from(turns) {
        let somewhere = split_mix(&mut random) % entries;
        let begun = Instant::now();
        connection.stat(client, name(somewhere)?).await?;
        lookup.saturating_record(micros(begun));

        // A whole page, in the smallest catalogue too.
        let before = somewhere.min(entries.saturating_sub(u64::from(PAGE)));
        let begun = Instant::now();
        connection.list(client, PAGE, &name(before)?).await?;
        page.saturating_record(micros(begun));

        let key = FileKey { session: 1, series: 1, number, size: SIZE };
        let new = FileName::parse(&format!("entries/{somewhere:012}-{number}"))?;
        let begun = Instant::now();
        let hash = connection.deposit(client, new, 0, &mut content, key).await?;
        connection.deposited(hash).await?;
        deposit.saturating_record(micros(begun));
    }
    Ok(Measured { entries, start_ms, cold_ms: None, lookup, page, deposit })
}

fn latency() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000, 2).context("can't make a histogram")
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
}
