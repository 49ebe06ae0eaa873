//! Drives servers with a load: as many connections as workers, each a client of its own.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use depot_protocol::{ClientId, Digest, FileName};
use tokio::task::JoinSet;

use crate::content::{Content, FileKey};
use crate::load::{Load, Measured, Tally, Turn};
use crate::wire::Connection;

/// Where a worker goes on when it recovers: a prime, so that every file has its turn and neighbours
/// are not asked for one after the other.
const STRIDE: u64 = 7919;

/// A client, and what it has deposited: its files are numbered from 0 on.
#[derive(Clone)]
pub(crate) struct Client {
    id: ClientId,
    session: u64,
    series: u64,
    size: u64,
    files: u64,
}

impl Client {
    fn key(&self, number: u64) -> FileKey {
        FileKey { session: self.session, series: self.series, number, size: self.size }
    }

    fn name(number: u64) -> Result<FileName> {
        Ok(FileName::parse(&format!("bench/file-{number}"))?)
    }
}

/// A client for each of the load's workers, with no files yet. `session` and `series` make the files
/// different from those of any other call.
pub(crate) async fn clients(
    address: &str,
    load: Load,
    session: u64,
    series: u32,
) -> Result<Vec<Client>> {
    let mut connection = Connection::open(address, 0).await?;
    let mut clients = Vec::new();
    for worker in 0..load.workers {
        let id = connection.first_connection().await?;
        let series = u64::from(series) << 32 | u64::from(worker);
        clients.push(Client { id, session, series, size: load.bytes, files: 0 });
    }
    Ok(clients)
}

/// Does the load, worker after worker on the next of the addresses; tells what each client has then, in the
/// same order. /// Of every file that comes back the hash is checked, and that it is the one that was asked for.
pub(crate) async fn drive(
    addresses: &[String],
    load: Load,
    clients: Vec<Client>,
) -> Result<(Measured, Vec<Client>)> {
    let mut ready = Vec::new();
    for (client, address) in clients.into_iter().zip(addresses.iter().cycle()) {
        let connection = Connection::open(address, load.bytes).await?;
        let content = Content::new(load.bytes, client.session);
        let (tally, pending) = (Tally::new(), VecDeque::new());
        ready.push(Worker { load, connection, client, content, tally, pending });
    }
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for (number, worker) in (0..).zip(ready) {
        workers.spawn(worker.run(number, start));
    }
    let mut done = Vec::new();
    // The first failure ends this function, and with the set all other workers.
    while let Some(joined) = workers.join_next().await {
        done.push(joined.context("a worker panicked")??);
    }
    let (tallies, mut clients): (Vec<_>, Vec<Client>) = done.into_iter().unzip();
    clients.sort_unstable_by_key(|client| client.series);
    Ok((Measured::since(start, load, &tallies)?, clients))
}

struct Worker {
    load: Load,
    connection: Connection,
    client: Client,
    content: Content,
    tally: Tally,
    pending: VecDeque<Pending>,
}

/// An answer that stands out.
struct Pending {
    begun: Instant,
    answer: Awaited,
}

enum Awaited {
    Deposited(Digest),
    Recovered(FileKey),
}

impl Worker {
    async fn run(mut self, number: u32, start: Instant) -> Result<(Tally, Client)> {
        for turn in self.load.turns(number, start) {
            if self.pending.len() >= self.load.pipelining {
                self.finish_one().await?;
            }
            let begun = Instant::now();
            let answer = match self.load.work.turn(turn) {
                Turn::Deposit => self.deposit().await?,
                Turn::Recover => self.recover(turn).await?,
            };
            self.pending.push_back(Pending { begun, answer });
        }
        while !self.pending.is_empty() {
            self.finish_one().await?;
        }
        Ok((self.tally, self.client))
    }

    async fn deposit(&mut self) -> Result<Awaited> {
        let number = self.client.files;
        let (key, name) = (self.client.key(number), Client::name(number)?);
        let (id, replicas) = (self.client.id, self.load.replicas);
        let hash = self.connection.deposit(id, name, replicas, &mut self.content, key).await?;
        self.client.files += 1;
        Ok(Awaited::Deposited(hash))
    }

    async fn recover(&mut self, turn: u64) -> Result<Awaited> {
        ensure!(self.client.files > 0, "nothing was deposited that could be recovered");
        let number = turn.wrapping_mul(STRIDE) % self.client.files;
        self.connection.recover(self.client.id, Client::name(number)?).await?;
        Ok(Awaited::Recovered(self.client.key(number)))
    }

    /// Takes the oldest answer that stands out.
    async fn finish_one(&mut self) -> Result<()> {
        let Some(Pending { begun, answer }) = self.pending.pop_front() else { return Ok(()) };
        match answer {
            Awaited::Deposited(hash) => self.connection.deposited(hash).await?,
            Awaited::Recovered(key) => {
                let recovered = self.connection.recovered().await?;
                let right = recovered.size == key.size && recovered.stamp == key.stamp(0);
                ensure!(right, "another file was recovered");
            }
        }
        self.tally.file_done(begun);
        Ok(())
    }
}

/// So many connections that have each made themselves known and then do nothing.
pub(crate) async fn idle(address: &str, connections: u32) -> Result<Vec<Connection>> {
    let mut idle = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(address, 0).await?;
        connection.first_connection().await?;
        idle.push(connection);
    }
    Ok(idle)
}
