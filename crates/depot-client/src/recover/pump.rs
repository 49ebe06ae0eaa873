//! From a connection to where the bytes go, a piece being received while the last one is written.

use std::future::Future;

use bytes::Bytes;
use futures_util::future::join;

use crate::Error;
use crate::connection::{Gathered, Receiving};

/// Where a file's bytes go.
pub(crate) trait Sink: Send {
    /// Takes the next bytes, all or none that count.
    fn take(&mut self, chunks: Vec<Bytes>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Moves a file's bytes until its last. Bytes that came before a cut are taken, too.
pub(crate) async fn pump(
    receiving: &mut Receiving,
    sink: &mut impl Sink,
    advance: impl Fn(u64) + Send + Sync,
) -> Result<(), Error> {
    let mut ready = Gathered::default();
    let mut gathered = receiving.gather(&mut ready).await;
    loop {
        let size = u64::try_from(ready.size).unwrap_or(u64::MAX);
        if gathered.is_err() || ready.ended {
            if size > 0 {
                sink.take(ready.chunks).await?;
                advance(size);
            }
            return gathered;
        }
        let mut next = Gathered::default();
        let (taken, after) = join(sink.take(ready.chunks), receiving.gather(&mut next)).await;
        taken?;
        advance(size);
        (ready, gathered) = (next, after);
    }
}
