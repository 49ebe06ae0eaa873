//! Reading one copy whole, and what follows where it is bad; and the rests in between. For the scrub,
//! and for the healer: what makes a copy that was made a good one. Between two pieces the server may
//! stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use depot_protocol::Digest;

use crate::custody::Custody;
use crate::seams::{Seams, blocking};
use crate::volume::{Check, Verdict};

/// A copy is read in pieces of this size.
const PIECE: usize = 1 << 20;
/// After reading for some time it is rested for so many times as long.
const REST: u32 = 4;
/// Rests shorter than this are put together: no timer is finer.
const REST_MIN: Duration = Duration::from_millis(10);

/// How fast copies are read.
pub(super) enum Pace {
    /// As fast as the disk can.
    Full,
    /// With rests, so that clients have the disk for themselves most of the time. Holds the rest
    /// that is still owed.
    Gentle(Duration),
}

impl Pace {
    pub(super) fn gentle() -> Self {
        Pace::Gentle(Duration::ZERO)
    }

    /// Rests from having worked this long.
    async fn rest(&mut self, worked: Duration) {
        let Pace::Gentle(owed) = self else { return };
        *owed += worked * REST;
        if *owed >= REST_MIN {
            tokio::time::sleep(std::mem::take(owed)).await;
        }
    }
}

/// Something can't be read now; no copy is judged by it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingError {
    #[error("the disk cannot be read now")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Lost(#[from] blocking::Lost),
}

/// How far one copy is.
enum Read {
    /// There is more.
    More(Check),
    /// That was all.
    Done(Verdict),
}

/// Reads a copy whole; a bad one is condemned. `Absent` is only said, not judged: a sweep may have
/// come first.
pub(super) async fn read(
    custody: &Arc<Custody>,
    seams: &Seams,
    digest: Digest,
    pace: &mut Pace,
) -> Result<Verdict, ReadingError> {
    let mut begun = None;
    loop {
        let (custody, clock) = (Arc::clone(custody), Arc::clone(&seams.clock));
        let work = move || {
            let from = clock.uptime();
            let read = piece(&custody, digest, begun);
            (read, clock.uptime().saturating_sub(from))
        };
        let (read, worked) = blocking::run(&seams.blocking, work).await?;
        pace.rest(worked).await;
        match read? {
            Read::More(check) => begun = Some(check),
            Read::Done(verdict) => return Ok(verdict),
        }
    }
}

/// Whether a copy that was just made is here and good; a bad one is condemned.
pub(super) async fn is_good(
    custody: &Arc<Custody>,
    seams: &Seams,
    digest: Digest,
) -> Result<bool, ReadingError> {
    Ok(read(custody, seams, digest, &mut Pace::Full).await? == Verdict::Good)
}

/// The next piece. One job opens a copy and reads its first: a small one needs no other.
fn piece(custody: &Custody, digest: Digest, begun: Option<Check>) -> io::Result<Read> {
    let check = begun.map_or_else(|| custody.volume.check(&digest), |check| Ok(Some(check)));
    let (at, read) = match check {
        Ok(None) => return Ok(Read::Done(Verdict::Absent)),
        Ok(Some(check)) => (check.at(), check.step(PIECE)),
        Err(error) => (0, Err(error)),
    };
    match read {
        Ok(Some(check)) => Ok(Read::More(check)),
        Ok(None) => Ok(Read::Done(Verdict::Good)),
        Err(error) if error.condemns() => {
            tracing::error!(blob = %digest, at, %error, "a copy is bad");
            custody.condemn_at(digest, at).map(Read::Done)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_gentle_rests_four_times_as_long_as_it_reads() {
        let (from, mut pace) = (Instant::now(), Pace::gentle());
        for _ in 0..1000 {
            pace.rest(Duration::from_micros(700)).await;
        }
        let rested = from.elapsed().as_millis();
        assert!((2_790..3_100).contains(&rested), "{rested} ms");
        let (from, mut pace) = (Instant::now(), Pace::Full);
        pace.rest(Duration::from_secs(1)).await;
        assert_eq!(from.elapsed(), Duration::ZERO);
    }
}
