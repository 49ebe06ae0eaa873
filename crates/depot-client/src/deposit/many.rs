//! Many files over a few connections. Each worker has one, takes what is next, sends the small files
//! together and a large one alone, and reads its next ones meanwhile.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::vec;

use depot_protocol::FileName;
use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;

use crate::blocking::blocking;
use crate::client::EachDeposited;
use crate::deposit::small::{self, Small, WINDOW};
use crate::deposit::source::{self, Opened};
use crate::deposit::{Wanted, path};
use crate::{Deposited, Error};

/// How many small files are under way at a time on one connection.
const FILES: usize = 32;

/// The most connections.
const CONNECTIONS: usize = 64;

type Queue = Mutex<vec::IntoIter<(PathBuf, FileName)>>;

/// What a worker does next.
#[derive(Default)]
struct Load {
    small: VecDeque<Small>,
    large: Option<(PathBuf, FileName)>,
    failed: Vec<(PathBuf, FileName, Error)>,
}

impl Load {
    fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_none() && self.failed.is_empty()
    }
}

/// Deposits each file; the first error that is not one file's alone ends all.
pub(crate) async fn many(
    wanted: Wanted<'_>,
    files: Vec<(PathBuf, FileName)>,
    connections: usize,
    each: &mut EachDeposited<'_>,
) -> Result<(), Error> {
    let queue = Arc::new(Mutex::new(files.into_iter()));
    let each = Mutex::new(each);
    let tell = |path: &Path, name: &FileName, done: Result<Deposited, Error>| {
        (each.lock().unwrap_or_else(PoisonError::into_inner))(path, name, done);
    };
    let workers = (0..connections.clamp(1, CONNECTIONS)).map(|_| worker(wanted, &queue, &tell));
    let mut workers = workers.collect::<FuturesUnordered<_>>();
    while let Some(ended) = workers.next().await {
        ended?;
    }
    Ok(())
}

async fn worker(
    wanted: Wanted<'_>,
    queue: &Arc<Queue>,
    tell: &(impl Fn(&Path, &FileName, Result<Deposited, Error>) + Send + Sync),
) -> Result<(), Error> {
    let mut load = load(queue).await;
    while !load.is_empty() {
        let Load { small, large, failed } = load;
        for (path, name, error) in failed {
            tell(&path, &name, Err(error));
        }
        let deposits = async {
            small::all(wanted, small, |file, done| tell(&file.path, &file.name, done)).await?;
            if let Some((local, name)) = large {
                tell(&local, &name, path(wanted, &local, &name).await);
            }
            Ok(())
        };
        let (deposited, next) = join(deposits, self::load(queue)).await;
        deposited?;
        load = next;
    }
    Ok(())
}

/// Takes files from the queue until it has enough small ones, or a large one.
async fn load(queue: &Arc<Queue>) -> Load {
    let queue = Arc::clone(queue);
    blocking(move || {
        let (mut load, mut size) = (Load::default(), 0);
        while load.small.len() < FILES && load.failed.len() < FILES && size < WINDOW {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((path, name)) = next else { break };
            match source::open(&path) {
                Ok(Opened::Small(bytes, hash)) => {
                    let file = Small { path, name, bytes, hash };
                    size += file.size();
                    load.small.push_back(file);
                }
                Ok(Opened::Large(_)) => {
                    load.large = Some((path, name));
                    break;
                }
                Err(error) => load.failed.push((path, name, error)),
            }
        }
        load
    })
    .await
}
