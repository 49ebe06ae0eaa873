//! Drives a server with a load: as many connections as workers, each with an id of its own.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::content::{Content, FileKey};
use crate::load::{Load, Measured, Tally};
use crate::wire::Connection;

/// Where a worker goes on when it recovers: a prime, so that every file has its turn and neighbours
/// are not asked for one after the other.
const STRIDE: u64 = 7919;

/// What one worker has deposited: its files are numbered from 0 on.
pub(crate) struct Deposited {
    id: String,
    session: u64,
    series: u64,
    size: u64,
    files: u64,
}

impl Deposited {
    fn key(&self, number: u64) -> FileKey {
        FileKey { session: self.session, series: self.series, number, size: self.size }
    }

    fn name(number: u64) -> String {
        format!("bench/file-{number}")
    }
}

/// Deposits files until the load is over; tells who deposited what. `session` and `run` make the
/// files different from those of any other call.
pub(crate) async fn deposit(
    address: &str,
    load: Load,
    session: u64,
    run: u32,
) -> Result<(Measured, Vec<Deposited>)> {
    let mut ready = Vec::new();
    for worker in 0..load.workers {
        let mut connection = Connection::open(address, load.bytes).await?;
        let id = connection.first_connection().await?;
        let series = u64::from(run) << 32 | u64::from(worker);
        let deposited = Deposited { id, session, series, size: load.bytes, files: 0 };
        ready.push((worker, connection, deposited));
    }
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for (worker, mut connection, mut deposited) in ready {
        workers.spawn(async move {
            let mut content = Content::new(load.bytes, session);
            let mut tally = Tally::new();
            for number in load.turns(worker, start) {
                let begun = Instant::now();
                let (name, key) = (Deposited::name(number), deposited.key(number));
                connection.deposit(&deposited.id, &name, &mut content, key).await?;
                tally.file_done(begun);
            }
            deposited.files = tally.files();
            anyhow::Ok((tally, deposited))
        });
    }
    let (tallies, mut deposited): (Vec<_>, Vec<_>) = all(workers).await?.into_iter().unzip();
    let measured = Measured::since(start, load, &tallies)?;
    deposited.retain(|deposited| deposited.files > 0);
    Ok((measured, deposited))
}

/// Recovers what was deposited, again and again until the load is over. Every file's hash is checked,
/// and that it is the one that was asked for.
pub(crate) async fn recover(
    address: &str,
    load: Load,
    deposits: Vec<Deposited>,
) -> Result<Measured> {
    let load = Load { workers: u32::try_from(deposits.len())?, ..load };
    let mut ready = Vec::new();
    for (worker, deposited) in (0..load.workers).zip(deposits) {
        ready.push((worker, Connection::open(address, load.bytes).await?, deposited));
    }
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for (worker, mut connection, deposited) in ready {
        workers.spawn(async move {
            let mut tally = Tally::new();
            for turn in load.turns(worker, start) {
                let number = turn.wrapping_mul(STRIDE) % deposited.files;
                let name = Deposited::name(number);
                let begun = Instant::now();
                let recovered = connection.recover(&deposited.id, &name).await?;
                tally.file_done(begun);
                let whole = recovered.size == load.bytes;
                let asked_for = recovered.stamp == deposited.key(number).stamp(0);
                ensure!(whole && asked_for, "{name}: another file was recovered");
            }
            anyhow::Ok(tally)
        });
    }
    let tallies = all(workers).await?;
    Measured::since(start, load, &tallies)
}

/// What every worker brought, or the first failure; the others are then cut off.
async fn all<T: 'static>(mut workers: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut brought = Vec::new();
    while let Some(joined) = workers.join_next().await {
        brought.push(joined.context("a worker panicked")??);
    }
    Ok(brought)
}
