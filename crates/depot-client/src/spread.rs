//! Many files over a few connections: so many workers take what is next from one queue, and one
//! listener is told what became of each. Both ways, deposit and recover, are spread by this.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::Error;

/// How many small files are under way at a time on one connection.
pub(crate) const FILES: usize = 32;

/// The most connections.
const CONNECTIONS: usize = 64;

/// What is still to be done.
pub(crate) struct Queue<T>(Mutex<vec::IntoIter<T>>);

impl<T> Queue<T> {
    /// The next of it; nothing when all has been taken.
    pub(crate) fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

/// Runs a worker for each connection until all of them have ended. The first error ends all, since a
/// worker's error is not one file's alone.
pub(crate) async fn spread<T, W>(
    files: Vec<T>,
    connections: usize,
    worker: impl Fn(Arc<Queue<T>>) -> W,
) -> Result<(), Error>
where
    W: Future<Output = Result<(), Error>>,
{
    let queue = Arc::new(Queue(Mutex::new(files.into_iter())));
    let workers = (0..connections.clamp(1, CONNECTIONS)).map(|_| worker(Arc::clone(&queue)));
    let mut workers = workers.collect::<FuturesUnordered<_>>();
    while let Some(ended) = workers.next().await {
        ended?;
    }
    Ok(())
}

/// Lets several workers tell the one listener that there is.
pub(crate) fn taking_turns<T>(listener: impl FnMut(T) + Send) -> impl Fn(T) + Send + Sync {
    let listener = Mutex::new(listener);
    move |told| (listener.lock().unwrap_or_else(PoisonError::into_inner))(told)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn each_file_is_taken_once_and_no_connection_is_none() {
        for (connections, workers) in [(0, 1), (3, 3), (1000, CONNECTIONS)] {
            let (begun, mut told) = (AtomicUsize::new(0), Vec::new());
            {
                let tell = taking_turns(|file: usize| told.push(file));
                let worker = |queue: Arc<Queue<usize>>| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    let tell = &tell;
                    async move {
                        while let Some(file) = queue.next() {
                            tell(file);
                        }
                        Ok(())
                    }
                };
                spread((0..100).collect(), connections, worker).await.unwrap();
            }
            told.sort_unstable();
            assert!(told.into_iter().eq(0..100));
            assert_eq!(begun.into_inner(), workers);
        }
    }

    #[tokio::test]
    async fn the_first_error_ends_all() {
        let worker = |queue: Arc<Queue<bool>>| async move {
            match queue.next() {
                Some(true) => std::future::pending().await,
                _ => Err(Error::Writer(io::Error::other("no"))),
            }
        };
        assert!(spread(vec![true, false], 2, worker).await.is_err());
    }
}
