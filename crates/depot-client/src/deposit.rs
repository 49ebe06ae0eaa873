//! Files in. A small file is read, hashed and sent in one go; a large one is read once, piece by
//! piece, and goes on from what the server holds of it; a reader's bytes are sent as they come.

mod many;
mod reader;
mod small;
mod source;
mod upload;

use std::path::Path;

use depot_protocol::{
    Announced, Answer, Deposit, Digest, FileName, FileSize, Prepare, ReplicaCount, Request,
};

use crate::blocking::blocking;
use crate::connection::Connection;
use crate::pool::{Attempts, Pool};
use crate::{Error, Progress};
use small::Small;
use source::{Opened, Prefix, Source};

pub(crate) use many::many;
pub(crate) use reader::reader;

/// How many bytes a file must have for what the server holds of it to be asked; and how many more
/// it must hold for a try to have got on.
const RESUME_MIN: u64 = 1 << 20;

/// A deposit that is done: on disk on 1 + `copies` servers, and known to a majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deposited {
    /// How many replicas are wanted.
    pub replicas: ReplicaCount,
    /// How many were durable when the server answered; the rest follows in the background.
    pub copies: u8,
    /// The hash of what was deposited.
    pub hash: Digest,
    /// Its size.
    pub size: FileSize,
    /// From which byte the last try sent it; 0 where nothing of it was there before.
    pub resumed_from: u64,
}

/// What is deposited by one call.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) replicas: ReplicaCount,
    pub(crate) progress: &'a dyn Progress,
}

/// Deposits a regular file.
pub(crate) async fn path(
    wanted: Wanted<'_>,
    path: &Path,
    name: &FileName,
) -> Result<Deposited, Error> {
    let opened = path.to_owned();
    match blocking(move || source::open(&opened)).await? {
        Opened::Small(bytes, hash) => {
            let (path, name) = (path.to_owned(), name.clone());
            small::one(wanted, Small { path, name, bytes, hash }).await
        }
        Opened::Large(source) => {
            let done = large(wanted, &source, name).await;
            wanted.progress.end(name);
            done
        }
    }
}

/// What is known of a large file's deposit from one try to the next.
struct Large<'a> {
    wanted: Wanted<'a>,
    source: &'a Source,
    /// The header of a whole upload, its hash last.
    deposit: Deposit,
    /// What the server held, and was ours.
    prefix: Prefix,
    /// The hash, where all was sent by the try before: then it may be done.
    told: Option<Digest>,
}

/// Tries until it is done, each time from where the server says.
async fn large(wanted: Wanted<'_>, source: &Source, name: &FileName) -> Result<Deposited, Error> {
    let deposit = Deposit {
        client: wanted.pool.id,
        replicas: wanted.replicas,
        size: source.size(),
        hash: Announced::Last,
        offset: None,
        name: name.clone(),
    };
    let mut large = Large { wanted, source, deposit, prefix: Prefix::default(), told: None };
    let (mut attempts, mut best) = (Attempts::new(wanted.pool), 0);
    loop {
        let error = match large.once(&mut attempts).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if large.prefix.size() >= best + RESUME_MIN {
            best = large.prefix.size();
            attempts.got_on();
        }
        attempts.after(error, |error| wanted.progress.retrying(name, error)).await?;
    }
}

impl Large<'_> {
    async fn once(&mut self, attempts: &mut Attempts<'_>) -> Result<Deposited, Error> {
        let mut connection = attempts.connection().await?;
        let done = self.on(&mut connection).await?;
        self.wanted.pool.keep(connection);
        Ok(done)
    }

    async fn on(&mut self, connection: &mut Connection) -> Result<Deposited, Error> {
        if let Some(hash) = self.told.take()
            && let Some(done) = deposit_again(connection, &self.deposit, hash).await?
        {
            return Ok(done);
        }
        let held = held(connection, &self.deposit, self.source, &mut self.prefix).await?;
        let (offset, Wanted { progress, .. }) = (held.size(), self.wanted);
        let name = &self.deposit.name;
        progress.begin(name, self.deposit.size.get(), offset);
        let offset = Some(offset).filter(|&offset| offset > 0);
        let deposit = Deposit { offset, ..self.deposit.clone() };
        let advance = |bytes| progress.advance(name, bytes);
        let mut rest = held.rest(self.source);
        upload::upload(connection, &deposit, &mut rest, advance, &mut self.told).await
    }
}

/// Asks for the deposit of what the try before may have deposited, without a byte of it. Nothing
/// where the server does not have it.
async fn deposit_again(
    connection: &mut Connection,
    deposit: &Deposit,
    hash: Digest,
) -> Result<Option<Deposited>, Error> {
    let size = deposit.size;
    let hash = Announced::Known(hash);
    let whole = Deposit { hash, offset: Some(size.get()), ..deposit.clone() };
    if prepare(connection, &whole).await?.0 != size.get() {
        return Ok(None);
    }
    match connection.ask(&Request::Deposit(whole)).await.map_err(Error::after_a_change)? {
        Answer::Deposited { replicas, copies, hash: done } if Announced::Known(done) == hash => {
            let resumed_from = size.get();
            Ok(Some(Deposited { replicas, copies, hash: done, size, resumed_from }))
        }
        Answer::Refused(refusal) => Err(Error::refused(refusal)),
        _ => Err(connection.receiving.broken("it has stored another hash than it was told")),
    }
}

/// How much of the file the server holds, as our own bytes say; none where it holds other bytes.
async fn held(
    connection: &mut Connection,
    deposit: &Deposit,
    source: &Source,
    known: &mut Prefix,
) -> Result<Prefix, Error> {
    if deposit.size.get() <= RESUME_MIN {
        return Ok(Prefix::default());
    }
    let (offset, partial) = prepare(connection, deposit).await?;
    if offset == 0 {
        return Ok(Prefix::default());
    }
    *known = known.clone().reaching(offset, source).await?;
    Ok(if known.digest() == partial { known.clone() } else { Prefix::default() })
}

/// Asks how many bytes of an upload are held, and for their hash.
async fn prepare(connection: &mut Connection, deposit: &Deposit) -> Result<(u64, Digest), Error> {
    let Deposit { client, replicas, size, hash, ref name, .. } = *deposit;
    let prepare = Prepare { client, replicas, size, hash, name: name.clone() };
    match connection.ask(&Request::Prepare(prepare)).await? {
        Answer::Prepared { offset, .. } if offset > size.get() => {
            Err(connection.receiving.broken("it holds more than the file has"))
        }
        Answer::Prepared { offset, partial } => Ok((offset, partial)),
        Answer::Refused(refusal) => Err(Error::refused(refusal)),
        _ => Err(connection.receiving.broken("an answer that prepares nothing")),
    }
}
