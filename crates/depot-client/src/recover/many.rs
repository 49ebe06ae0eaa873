//! Many files over a few connections. Each worker has one, and asks for several files at a time
//! while they are small; a part that is there already is gone on with alone.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, vec};

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
use crate::recover::target::Target;
use crate::recover::{Head, Recovered, Wanted, land, path};
use crate::{Error, Existing};

/// How many files are asked for at a time on one connection, once they have proved small.
const FILES: usize = 32;

/// How many at first.
const FIRST_FILES: usize = 8;

/// The most connections.
const CONNECTIONS: usize = 64;

type Queue = Mutex<vec::IntoIter<(FileName, PathBuf)>>;
type Told = (FileName, PathBuf, Result<Recovered, Error>);

/// Recovers each file; the first error that is not one file's alone ends all.
pub(crate) async fn many(
    wanted: Wanted<'_>,
    files: Vec<(FileName, PathBuf)>,
    existing: Existing,
    connections: usize,
    each: &mut EachRecovered<'_>,
) -> Result<(), Error> {
    let queue = Arc::new(Mutex::new(files.into_iter()));
    let each = Mutex::new(each);
    let tell = |(name, path, done): Told| {
        (each.lock().unwrap_or_else(PoisonError::into_inner))(&name, &path, done);
    };
    let worker = |_| worker(wanted, existing, &queue, &tell);
    let workers = (0..connections.clamp(1, CONNECTIONS)).map(worker);
    let mut workers = workers.collect::<FuturesUnordered<_>>();
    while let Some(ended) = workers.next().await {
        ended?;
    }
    Ok(())
}

async fn worker(
    wanted: Wanted<'_>,
    existing: Existing,
    queue: &Arc<Queue>,
    tell: &(impl Fn(Told) + Send + Sync),
) -> Result<(), Error> {
    let mut most = FIRST_FILES;
    loop {
        let Load { together, mut alone, failed } = load(queue, most, existing).await;
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
            let done = path(wanted, &name, &target, existing).await;
            tell((name, target, done));
        }
    }
}

/// What a worker does next.
#[derive(Default)]
struct Load {
    together: VecDeque<(FileName, PathBuf)>,
    alone: Vec<(FileName, PathBuf)>,
    failed: Vec<Told>,
}

/// Takes files from the queue, makes their folders, and looks what is there.
async fn load(queue: &Arc<Queue>, most: usize, existing: Existing) -> Load {
    let queue = Arc::clone(queue);
    blocking(move || {
        let mut load = Load::default();
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        for (name, target) in std::iter::from_fn(next).take(most) {
            let looked = part::may_be_made(&target, existing)
                .and_then(|()| {
                    let folder = part::folder(&target);
                    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))
                })
                .and_then(|()| Part::is_there(&target));
            match looked {
                Ok(false) => load.together.push_back((name, target)),
                Ok(true) => load.alone.push((name, target)),
                Err(error) => load.failed.push((name, target, Err(error))),
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
    files: VecDeque<(FileName, PathBuf)>,
    /// Those that turned out to be large, and were cut.
    alone: Vec<(FileName, PathBuf)>,
    /// Those that were refused and may pass later.
    again: VecDeque<(FileName, PathBuf)>,
    /// The one whose bytes are coming: where that is dropped, it is asked for again.
    in_hand: Option<(FileName, PathBuf)>,
    tell: &'a T,
}

/// Whether more can be asked on a connection.
#[derive(PartialEq, Eq)]
enum After {
    Good,
    Spent,
}

type Landings = FuturesUnordered<BoxFuture<'static, Told>>;

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
        let mut landings = Landings::new();
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
    async fn settle(&self, landings: Landings) {
        let told = landings.collect::<Vec<_>>().await;
        let landed = told.iter().filter(|(_, _, done)| done.is_ok());
        let folders = landed.map(|(_, path, _)| part::folder(path).to_owned());
        let folders = folders.collect::<BTreeSet<_>>();
        let unsynced = blocking(move || {
            let synced = folders.into_iter().map(|folder| (part::sync_folder(&folder), folder));
            let unsynced = synced.filter_map(|(synced, folder)| Some((folder, synced.err()?)));
            unsynced.map(|(folder, error)| (folder, error.to_string())).collect::<Vec<_>>()
        });
        let unsynced = unsynced.await;
        for (name, path, done) in told {
            let folder = part::folder(&path);
            let failed = unsynced.iter().find(|(unsynced, _)| unsynced == folder);
            let done = match failed {
                Some((folder, why)) => {
                    done.and(Err(Error::io(folder, std::io::Error::other(why.clone()))))
                }
                None => done,
            };
            self.wanted.progress.end(&name);
            (self.tell)((name, path, done));
        }
    }

    /// Takes the answers to all that was asked. A refusal that may pass leaves its file where it is,
    /// and is the error once all have come.
    async fn answers(
        &mut self,
        receiving: &mut Receiving,
        landings: &mut Landings,
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
                        (self.tell)((name, target, Err(refused)));
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

    fn landing(
        &self,
        name: FileName,
        target: PathBuf,
        head: Head,
        gathered: Gathered,
    ) -> BoxFuture<'static, Told> {
        let (path, existing) = (target.clone(), self.existing);
        let made = blocking(move || Part::whole(path, existing, head, &gathered.chunks));
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
        target: PathBuf,
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
                (self.tell)((name, target, done));
                Ok(After::Good)
            }
            // They may still be coming.
            Err(_) => {
                (self.tell)((name, target, done));
                Ok(After::Spent)
            }
        }
    }

    async fn large_bytes(
        &self,
        receiving: &mut Receiving,
        name: &FileName,
        target: &Path,
        head: Head,
    ) -> Result<Recovered, Error> {
        let mut target = Target::open(target, self.existing).await?;
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
        target.sync_folder().await?;
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
