//! Many files over a few connections. Each worker has one, and asks for several files at a time
//! while they are small; a part that is there already is gone on with alone.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use depot_protocol::{Answer, FileName, Recover, Reply, Request};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::blocking::blocking;
use crate::client::EachRecovered;
use crate::connection::{Connection, Gathered, Receiving, converse};
use crate::pool::Attempts;
use crate::recover::part::{self, Part, SMALL_MAX};
use crate::recover::place::{Place, sync_names};
use crate::recover::target::Target;
use crate::recover::{Head, Recovered, Wanted, land, place};
use crate::spread::{FILES, Queue, spread, taking_turns};
use crate::{Error, Existing};

/// How many files are asked for at a time on one connection before they have proved small.
const FIRST_FILES: usize = 8;

type Told = (FileName, PathBuf, Result<Recovered, Error>);

/// Recovers each file; the first error that is not one file's alone ends all.
pub(crate) async fn many(
    wanted: Wanted<'_>,
    files: Vec<(FileName, Place)>,
    existing: Existing,
    connections: usize,
    each: &mut EachRecovered<'_>,
) -> Result<(), Error> {
    let tell = taking_turns(|(name, path, done): Told| each(&name, &path, done));
    spread(files, connections, |queue| worker(wanted, existing, queue, &tell)).await
}

async fn worker(
    wanted: Wanted<'_>,
    existing: Existing,
    queue: Arc<Queue<(FileName, Place)>>,
    tell: &(impl Fn(Told) + Send + Sync),
) -> Result<(), Error> {
    let mut most = FIRST_FILES;
    loop {
        let Load { together, mut alone, failed } = load(&queue, most, existing).await;
        if together.is_empty() && alone.is_empty() && failed.is_empty() {
            return Ok(());
        }
        failed.into_iter().for_each(tell);
        most = FILES;
        let mut batch = Batch {
            wanted,
            existing,
            files: together,
            alone: Vec::new(),
            again: VecDeque::new(),
            in_hand: None,
            tell,
        };
        batch.recover().await?;
        if !batch.alone.is_empty() {
            most = 1;
        }
        alone.append(&mut batch.alone);
        for (name, target) in alone {
            let path = target.path();
            let done = place(wanted, &name, target, existing).await;
            tell((name, path, done));
        }
    }
}

/// What a worker does next.
#[derive(Default)]
struct Load {
    together: VecDeque<(FileName, Place)>,
    alone: Vec<(FileName, Place)>,
    failed: Vec<Told>,
}

/// Takes files from the queue and looks what is there. Folders are made when a file comes for them.
async fn load(queue: &Arc<Queue<(FileName, Place)>>, most: usize, existing: Existing) -> Load {
    let queue = Arc::clone(queue);
    blocking(move || {
        let mut load = Load::default();
        for (name, target) in std::iter::from_fn(|| queue.next()).take(most) {
            match part::look(&target, existing) {
                Ok(false) => load.together.push_back((name, target)),
                Ok(true) => load.alone.push((name, target)),
                Err(error) => load.failed.push((name, target.path(), Err(error))),
            }
        }
        load
    })
    .await
}

/// Files that are asked for together.
struct Batch<'a, T> {
    wanted: Wanted<'a>,
    existing: Existing,
    /// Those that have not come, in the order in which they are asked for.
    files: VecDeque<(FileName, Place)>,
    /// Those that turned out to be large, and were cut.
    alone: Vec<(FileName, Place)>,
    /// Those that were refused and may pass later.
    again: VecDeque<(FileName, Place)>,
    /// The one whose bytes are coming: where that is dropped, it is asked for again.
    in_hand: Option<(FileName, Place)>,
    tell: &'a T,
}

/// Whether more can be asked on a connection.
#[derive(PartialEq, Eq)]
enum After {
    Good,
    Spent,
}

/// A small file on its way to the disk.
type Landing = BoxFuture<'static, (FileName, Place, Result<Recovered, Error>)>;

impl<T: Fn(Told) + Send + Sync> Batch<'_, T> {
    async fn recover(&mut self) -> Result<(), Error> {
        let mut attempts = Attempts::new(self.wanted.pool);
        while let Some((first, _)) = self.files.front() {
            let (first, left) = (first.clone(), self.files.len());
            let error = match self.once(&mut attempts).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            if self.files.len() < left {
                attempts.got_on();
            }
            attempts.after(error, |error| self.wanted.progress.retrying(&first, error)).await?;
        }
        Ok(())
    }

    async fn once(&mut self, attempts: &mut Attempts<'_>) -> Result<(), Error> {
        let mut connection = attempts.connection().await?;
        let mut out = BytesMut::new();
        for (name, _) in &self.files {
            let recover = Recover { client: self.wanted.pool.id, offset: None, name: name.clone() };
            connection.write(&Request::Recover(recover), &mut out)?;
        }
        let mut landings = FuturesUnordered::new();
        let Connection { sending, receiving, sends, .. } = &mut connection;
        let answers = self.answers(receiving, &mut landings);
        let after = converse(sends, sending.send(&out), answers).await;
        self.files.extend(self.in_hand.take());
        self.files.append(&mut self.again);
        self.settle(landings).await;
        if after? == After::Good {
            self.wanted.pool.keep(connection);
        }
        Ok(())
    }

    /// Waits until the small files have landed, makes their names durable, and tells.
    async fn settle(&self, landings: FuturesUnordered<Landing>) {
        let landed = landings.collect::<Vec<_>>().await;
        let settled = blocking(move || {
            let places = landed.iter().filter(|(_, _, done)| done.is_ok());
            let places = places.map(|(_, place, _)| place).collect::<Vec<_>>();
            let mut synced = sync_names(&places).into_iter();
            let settle = |(name, place, done): (FileName, Place, Result<Recovered, Error>)| {
                let done = done.and_then(|done| synced.next().unwrap_or(Ok(())).map(|()| done));
                (name, place.path(), done)
            };
            landed.into_iter().map(settle).collect::<Vec<_>>()
        });
        for (name, path, done) in settled.await {
            self.wanted.progress.end(&name);
            (self.tell)((name, path, done));
        }
    }

    /// Takes the answers to all that was asked. A refusal that may pass leaves its file where it is,
    /// and is the error once all have come.
    async fn answers(
        &mut self,
        receiving: &mut Receiving,
        landings: &mut FuturesUnordered<Landing>,
    ) -> Result<After, Error> {
        let mut later = None;
        let mut after = Ok(After::Good);
        for _ in 0..self.files.len() {
            let reply = match receiving.reply().await {
                Ok(reply) => reply,
                Err(error) => {
                    after = Err(error);
                    break;
                }
            };
            let Some((name, target)) = self.files.pop_front() else { break };
            self.in_hand = Some((name.clone(), target.clone()));
            match (Head::of(&reply), reply) {
                (Some(head), _) if head.size.get() <= SMALL_MAX => {
                    let mut gathered = Gathered::default();
                    if let Err(error) = whole(receiving, &mut gathered).await {
                        after = Err(error);
                        break;
                    }
                    self.wanted.progress.begin(&name, head.size.get(), 0);
                    self.wanted.progress.advance(&name, head.size.get());
                    landings.push(self.landing(name, target, head, gathered));
                }
                (Some(head), _) => {
                    after = self.large(receiving, name, target, head).await;
                    self.in_hand = None;
                    if !matches!(after, Ok(After::Good)) {
                        break;
                    }
                }
                (None, Reply::Answer(Answer::Refused(refusal))) => {
                    let refused = Error::refused(refusal);
                    if refused.may_pass() {
                        later = Some(refused);
                        self.again.push_back((name, target));
                    } else {
                        (self.tell)((name, target.path(), Err(refused)));
                    }
                }
                (None, other) => {
                    after = Err(receiving.unexpected(&other));
                    break;
                }
            }
            self.in_hand = None;
        }
        match (after, later) {
            (Ok(After::Good), Some(later)) => Err(later),
            (after, _) => after,
        }
    }

    fn landing(&self, name: FileName, target: Place, head: Head, gathered: Gathered) -> Landing {
        let (place, existing) = (target.clone(), self.existing);
        let made = blocking(move || Part::whole(place, existing, head, &gathered.chunks));
        Box::pin(async move {
            let done = made.await.map(|()| head.recovered(0));
            (name, target, done)
        })
    }

    /// Takes a large file as it comes. One that was cut is gone on with alone.
    async fn large(
        &mut self,
        receiving: &mut Receiving,
        name: FileName,
        target: Place,
        head: Head,
    ) -> Result<After, Error> {
        let done = self.large_bytes(receiving, &name, &target, head).await;
        self.wanted.progress.end(&name);
        match done {
            Err(error @ Error::Cut { .. }) => {
                self.alone.push((name, target));
                Err(error)
            }
            // Its bytes have all come, right or wrong.
            Ok(_) | Err(Error::HashMismatch) => {
                (self.tell)((name, target.path(), done));
                Ok(After::Good)
            }
            // They may still be coming.
            Err(_) => {
                (self.tell)((name, target.path(), done));
                Ok(After::Spent)
            }
        }
    }

    async fn large_bytes(
        &self,
        receiving: &mut Receiving,
        name: &FileName,
        target: &Place,
        head: Head,
    ) -> Result<Recovered, Error> {
        let mut target = Target::open(target.clone(), self.existing).await?;
        if target.held() > 0 {
            target.discard().await?;
        }
        let landed = land(self.wanted, receiving, name, &mut target, head).await;
        if matches!(landed, Err(Error::HashMismatch)) {
            target.discard().await?;
        }
        if landed.is_err() {
            target.leave().await;
        }
        landed?;
        target.sync_name().await?;
        Ok(head.recovered(0))
    }
}

/// Gathers all of a small file.
async fn whole(receiving: &mut Receiving, gathered: &mut Gathered) -> Result<(), Error> {
    while !gathered.ended {
        receiving.gather(gathered).await?;
    }
    Ok(())
}
