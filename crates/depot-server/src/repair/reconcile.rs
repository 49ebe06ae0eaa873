//! What records count on this server, held against its disk: at start, and once a day. A copy that
//! is not there is told to be lost, so that it is not counted and another is made.
//!
//! **A partial loss must not be made total.** Nothing is concluded from a disk that can't be read;
//! and where much is missing, only if the volume's folders and its marker are all there: else it is
//! a mount that is gone, and a person must look.

use std::sync::Arc;
use std::time::Duration;

use depot_protocol::{Digest, FileName};
use tokio::time::sleep;

use crate::catalogue::{Freshness, Incarnation, Namespace, View};
use crate::custody::{Custody, CustodyError, Loss};
use crate::seams::{Seams, blocking};
use crate::tasks::Tasks;
use crate::volume::Verdict;

/// So many records are looked at in one go.
const PAGE: usize = 256;
/// And so long is rested after each.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a copy that was missing has until the second look.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// How long after the start, for the catalogue to be caught up with, or after what failed.
const BEGIN: Duration = Duration::from_secs(1);
/// How long until all is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Much is missing: one in so many, of at least so many looked at.
const MUCH: (u64, u64) = (4, 1000);

/// A pass did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Custody(#[from] CustodyError),
    #[error("no majority can be asked")]
    Local,
    #[error("{missing} of {looked} copies are missing, and so is part of the volume")]
    NotWhole {
        missing: u64,
        looked: u64,
        #[source]
        source: std::io::Error,
    },
}

/// What a pass has seen so far.
#[derive(Debug, Default)]
struct Seen {
    looked: u64,
    missing: u64,
}

/// Runs until the server stops.
pub async fn run(custody: Arc<Custody>, seams: Seams, tasks: Tasks) {
    let work = async {
        loop {
            sleep(BEGIN).await;
            if once(&custody, &seams).await {
                sleep(LOOK_AGAIN).await;
            }
        }
    };
    tokio::select! {
        biased;
        () = work => {}
        () = tasks.stopping().cancelled() => {}
    }
}

/// Holds all records against the disk; whether it came to an end, good or bad.
pub async fn once(custody: &Arc<Custody>, seams: &Seams) -> bool {
    match pass(custody, seams).await {
        Ok(Seen { looked, missing }) => {
            tracing::info!(looked, missing, "held the records' copies against the disk");
            true
        }
        Err(error @ Stopped::NotWhole { .. }) => {
            tracing::error!(
                error = crate::telemetry::chain(&error),
                "nothing more is told lost: is the volume mounted?"
            );
            true
        }
        Err(error) => {
            tracing::debug!(%error, "cannot hold the records against the disk");
            false
        }
    }
}

async fn pass(custody: &Arc<Custody>, seams: &Seams) -> Result<Seen, Stopped> {
    let (mut seen, mut after) = (Seen::default(), None);
    // Nothing is told before enough was looked at to judge by.
    let mut untold = Vec::new();
    loop {
        let view = custody.catalogue.view().await.map_err(CustodyError::from)?;
        if view.freshness() == Freshness::Local {
            return Err(Stopped::Local);
        }
        let keeper = Arc::clone(custody);
        let look = move || look_at_page(&keeper, &view, after.as_ref());
        let Looked { last, looked, gone } =
            blocking::run(&seams.blocking, look).await.map_err(CustodyError::from)??;
        seen.looked += looked;
        if !gone.is_empty() {
            sleep(SECOND_LOOK).await;
            let Absent { mut gone, unsure } = second_look(custody, seams, gone).await?;
            seen.missing += gone.len() as u64 + unsure;
            untold.append(&mut gone);
        }
        after = last;
        if after.is_none() || seen.looked >= MUCH.1 {
            judge(custody, seams, &seen).await?;
            untold.drain(..).for_each(|digest| custody.lost(digest, Loss::Gone));
        }
        if after.is_none() {
            return Ok(seen);
        }
        sleep(PAUSE).await;
    }
}

/// Whether what was missing so far may be concluded to be lost.
async fn judge(custody: &Arc<Custody>, seams: &Seams, seen: &Seen) -> Result<(), Stopped> {
    let Seen { looked, missing } = *seen;
    if looked < MUCH.1 || missing * MUCH.0 <= looked {
        return Ok(());
    }
    let volume = Arc::clone(&custody.volume);
    let whole = blocking::run(&seams.blocking, move || volume.check_whole()).await;
    let whole = whole.map_err(CustodyError::from)?;
    whole.map_err(|source| Stopped::NotWhole { missing, looked, source })
}

/// One page of records.
struct Looked {
    last: Option<(Namespace, FileName)>,
    /// How many of them count a copy here.
    looked: u64,
    gone: Vec<Digest>,
}

/// Copies that were missing at the second look, too.
#[derive(Debug, Default)]
struct Absent {
    gone: Vec<Digest>,
    /// So many of which the disk does not even say that they are gone.
    unsure: u64,
}

fn look_at_page(
    custody: &Arc<Custody>,
    view: &View,
    after: Option<&(Namespace, FileName)>,
) -> Result<Looked, CustodyError> {
    let page = view.page(after, PAGE)?;
    let identity = custody.home.identity();
    let me = (&identity.server, Incarnation(identity.incarnation));
    let mine = page.files.iter().map(|(_, _, record)| record);
    let mine = mine.filter(|record| record.confirmed().any(|holder| holder == me));
    let mine: Vec<_> = mine.map(|record| (record.digest, record.size.get())).collect();
    let looked = mine.len() as u64;
    Ok(Looked { last: page.last, looked, gone: missing(custody, mine) })
}

/// Those that are not here; one that is here and bad goes the way of bad copies.
fn missing(custody: &Arc<Custody>, copies: Vec<(Digest, u64)>) -> Vec<Digest> {
    let gone = |(digest, size): &(Digest, u64)| match custody.volume.open_blob(digest, *size) {
        Ok(Some(_)) => false,
        Ok(None) => true,
        Err(error) if error.condemns() => {
            tracing::error!(blob = %digest, %error, "a copy that records count is bad");
            custody.condemn(*digest);
            false
        }
        Err(error) => {
            tracing::warn!(blob = %digest, %error, "cannot look at a copy that records count");
            false
        }
    };
    copies.into_iter().filter(gone).map(|(digest, _)| digest).collect()
}

/// Those that are still missing, and that records still count here: a copy may have been swept since
/// its record was read. Each is judged where no other can take its place meanwhile, and missing only
/// where the volume is there.
async fn second_look(
    custody: &Arc<Custody>,
    seams: &Seams,
    gone: Vec<Digest>,
) -> Result<Absent, CustodyError> {
    let counted = move |view: &View, custody: &Custody| {
        let identity = custody.home.identity();
        let me = (&identity.server, Incarnation(identity.incarnation));
        let mut counted = Vec::new();
        for digest in gone {
            if view.counts_blob(&digest, me)? {
                counted.push(digest);
            }
        }
        Ok(counted)
    };
    let counted = custody.ask(counted).await?;
    let keeper = Arc::clone(custody);
    Ok(blocking::run(&seams.blocking, move || judge_all(&keeper, counted)).await?)
}

fn judge_all(custody: &Custody, copies: Vec<Digest>) -> Absent {
    let mut absent = Absent::default();
    for digest in copies {
        match custody.volume.condemn_at(&digest, 0) {
            Ok(Verdict::Good) => {}
            Ok(Verdict::Bad | Verdict::Unreadable) => custody.lost(digest, Loss::Bad),
            Ok(Verdict::Absent) => absent.gone.push(digest),
            Err(error) => {
                tracing::warn!(blob = %digest, %error, "cannot tell whether a copy is here");
                absent.unsure += 1;
            }
        }
    }
    absent
}
