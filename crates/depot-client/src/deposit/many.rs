//! Many files over a few connections. Each worker has one, takes what is next, sends the small files
//! together and a large one alone, and reads its next ones meanwhile.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use depot_protocol::FileName;
use futures_util::future::join;

use crate::blocking::blocking;
use crate::client::EachDeposited;
use crate::deposit::small::{self, Small, WINDOW};
use crate::deposit::source::{self, Opened};
use crate::deposit::{Wanted, path};
use crate::spread::{FILES, Queue, spread, taking_turns};
use crate::{Deposited, Error};

type Told = (PathBuf, FileName, Result<Deposited, Error>);

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
    let tell = taking_turns(|(path, name, done): Told| each(&path, &name, done));
    spread(files, connections, |queue| worker(wanted, queue, &tell)).await
}

async fn worker(
    wanted: Wanted<'_>,
    queue: Arc<Queue<(PathBuf, FileName)>>,
    tell: &(impl Fn(Told) + Send + Sync),
) -> Result<(), Error> {
    let mut load = load(&queue).await;
    while !load.is_empty() {
        let Load { small, large, failed } = load;
        for (path, name, error) in failed {
            tell((path, name, Err(error)));
        }
        let deposits = async {
            small::all(wanted, small, |file, done| tell((file.path, file.name, done))).await?;
            if let Some((local, name)) = large {
                let done = path(wanted, &local, &name).await;
                tell((local, name, done));
            }
            Ok(())
        };
        let (deposited, next) = join(deposits, self::load(&queue)).await;
        deposited?;
        load = next;
    }
    Ok(())
}

/// Takes files from the queue until it has enough small ones, or a large one.
async fn load(queue: &Arc<Queue<(PathBuf, FileName)>>) -> Load {
    let queue = Arc::clone(queue);
    blocking(move || {
        let (mut load, mut size) = (Load::default(), 0);
        while load.small.len() < FILES && load.failed.len() < FILES && size < WINDOW {
            let Some((path, name)) = queue.next() else { break };
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
