//! How often each server was started, as it has told. A server that tells of fewer starts than it
//! told before runs on an older image of its disk: what it knew in between it has forgotten, its
//! votes included, so it must take no part (RELIABILITY.md, C13). It is refused, and told so; when
//! it hears that, it stops ([`Starts::fenced`]). So is one that tells of as many starts as it told
//! before and is another process: its image was started as often as the disk that it replaced, or
//! it is a second server under one name.
//!
//! Both ends of a link tell each other the highest that they have met of the other. What is met is
//! kept ([`KeepStarts`]) before the other end is answered, so that a crash does not forget it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{self, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use depot_protocol::ServerName;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::seams::{Blocking, blocking};

/// Which life of a server, how often it was started in it, and which process that was. A later one is
/// greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StartSeen {
    /// Counts the times that its data folder was lost and made anew.
    pub incarnation: u64,
    /// Counts its starts, and every ten minutes of running.
    pub start: u64,
    /// A random number of the process.
    pub process: u32,
}

impl StartSeen {
    /// Whether one who tells of `told` is not the server that told of this, later in its life.
    fn rules_out(&self, told: &StartSeen) -> bool {
        let times = |seen: &StartSeen| (seen.incarnation, seen.start);
        match times(self).cmp(&times(told)) {
            Ordering::Greater => true,
            Ordering::Equal => self.process != told.process,
            Ordering::Less => false,
        }
    }
}

impl fmt::Display for StartSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start {} of incarnation {}", self.start, self.incarnation)
    }
}

/// Keeps the highest start met of each server.
pub trait KeepStarts: Send + Sync {
    /// All that is kept.
    fn load(&self) -> io::Result<Vec<(ServerName, StartSeen)>>;

    /// Keeps one, durably, where none as high is kept. May block; may be called from several
    /// threads at once.
    fn store(&self, server: &ServerName, seen: StartSeen) -> io::Result<()>;
}

/// The starts that were met, and one's own.
pub struct Starts {
    incarnation: u64,
    start: Arc<AtomicU64>,
    process: u32,
    seen: Mutex<BTreeMap<ServerName, StartSeen>>,
    kept: Arc<dyn KeepStarts>,
    blocking: Arc<dyn Blocking>,
    fenced: watch::Sender<Option<String>>,
}

impl Starts {
    /// Reads what is kept: this blocks. `start` is this server's own number, which whoever raises
    /// it stores here *after* it is synced; it is told to the others from then on. `process` is
    /// drawn anew at each start.
    pub fn load(
        incarnation: u64,
        start: Arc<AtomicU64>,
        process: u32,
        kept: Arc<dyn KeepStarts>,
        blocking: Arc<dyn Blocking>,
    ) -> io::Result<Self> {
        let seen = Mutex::new(kept.load()?.into_iter().collect());
        let fenced = watch::Sender::new(None);
        Ok(Starts { incarnation, start, process, seen, kept, blocking, fenced })
    }

    /// Says why, as soon as another server has met a higher start of this one: its disk was rolled
    /// back, or a second server runs under its name. It must stop, and must not start again by
    /// itself.
    pub fn fenced(&self) -> watch::Receiver<Option<String>> {
        self.fenced.subscribe()
    }

    /// This server's own.
    #[must_use]
    pub fn own(&self) -> StartSeen {
        let start = self.start.load(atomic::Ordering::SeqCst);
        StartSeen { incarnation: self.incarnation, start, process: self.process }
    }

    /// The highest that was met of another server.
    #[must_use]
    pub fn seen(&self, server: &ServerName) -> Option<StartSeen> {
        self.lock().get(server).copied()
    }

    /// Another server tells of its start; what is higher than before is kept before this returns.
    ///
    /// # Errors
    /// The one that was met and rules it out.
    pub(super) async fn meet(&self, server: &ServerName, told: StartSeen) -> Result<(), StartSeen> {
        {
            let mut seen = self.lock();
            match seen.get(server) {
                Some(met) if met.rules_out(&told) => return Err(*met),
                Some(same) if *same == told => return Ok(()),
                _ => drop(seen.insert(server.clone(), told)),
            }
        }
        let (kept, name) = (Arc::clone(&self.kept), server.clone());
        match blocking::run(&self.blocking, move || kept.store(&name, told)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%server, %error, "cannot keep how often a server was started");
            }
            Err(lost) => {
                tracing::warn!(%server, %lost, "cannot keep how often a server was started")
            }
        }
        Ok(())
    }

    /// Another server tells what it has met of this one. A number that was told and overtaken while
    /// the message was on its way is no fault: what counts is this server's number now.
    pub(super) fn told_of_us(&self, by: &str, met: Option<StartSeen>) {
        let own = self.own();
        let Some(met) = met.filter(|met| met.rules_out(&own)) else { return };
        let why = format!(
            "{by} has met {met} of this server, which is at {own}: its disk was rolled back to an \
             older image, or a second server runs under its name"
        );
        let fence = |fenced: &mut Option<String>| match fenced {
            Some(_) => false,
            None => {
                tracing::error!(%why, "this server must not take part");
                *fenced = Some(why);
                true
            }
        };
        self.fenced.send_if_modified(fence);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerName, StartSeen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Starts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starts").field("own", &self.own()).finish_non_exhaustive()
    }
}
