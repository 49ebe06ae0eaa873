//! Which records lack copies, and who shall make them. Only the server that leads plans; another
//! one that believes the same adds wanted holders too many, which leave again.
//!
//! It goes through all records, page by page with pauses in between: when it comes to lead, when
//! servers went or came, and once an hour; from where it was, which is kept in the data folder. A
//! record lacks a copy while fewer than the wished replicas and one count or are on their way. A
//! single one it looks at soon after a change left it with too few copies that are proven. The next by
//! placement are wanted then, those that are up and have room; the copies they make themselves
//! (`heal`).

mod round;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::{FileName, ServerName};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::kept::Keeper;
use super::watch::Sight;
use crate::catalogue::command::Want;
use crate::catalogue::{Command, Incarnation, Namespace, Outcome, Page, Record, Servers, View};
use crate::cluster::members::{Member, Members};
use crate::cluster::placement;
use crate::config::ClusterSettings;
use crate::custody::{Custody, CustodyError};
use crate::tasks::Tasks;
use crate::transfer::Transfer;
pub(super) use round::{Place, Round};

/// So many records are looked at in one go.
const PAGE: usize = 512;
/// And so long is rested after each.
const PAUSE: Duration = Duration::from_millis(20);
/// How long until all records are looked at again though nothing was heard of.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// How long until it is looked again who leads, and the least time between two passes.
const REST: Duration = Duration::from_secs(1);

/// How long after a record was told to lack copies it is looked at: those that are on their way have
/// come, and what a peer can take is known.
const SETTLE: Duration = Duration::from_secs(5);
/// So many of those are known at once; of more, a pass tells.
const TOLD_MAX: usize = 4096;

/// Sees to it that every record has its copies.
pub struct Planner {
    pub(super) custody: Arc<Custody>,
    pub(super) members: Arc<Members>,
    pub(super) transfer: Transfer,
    pub(super) sight: Sight,
    pub(super) settings: ClusterSettings,
    pub(super) wake: Notify,
    /// Records that may lack copies.
    pub(super) told: Mutex<BTreeSet<(Namespace, FileName)>>,
    pub(super) told_any: Notify,
    /// How many records lacked copies in the last whole pass.
    pub(super) lacking: AtomicU64,
    /// Where it is.
    pub(super) place: Mutex<Place>,
    pub(super) keeper: Keeper<Place>,
}

/// What decides over a page of records.
struct Moment<'p> {
    planner: &'p Planner,
    servers: &'p Servers,
    /// Peers that are down for so long that a last copy is not left to wait for them.
    late: BTreeSet<ServerName>,
    /// How much this server itself can take.
    room: u64,
}

impl Planner {
    /// Other copies count than before, or other servers are there to make some.
    pub fn look(&self) {
        self.wake.notify_one();
    }

    /// A record counts too few copies.
    pub fn look_at(&self, namespace: Namespace, name: FileName) {
        let mut told = self.told();
        match told.len() < TOLD_MAX {
            true => drop(told.insert((namespace, name))),
            false => self.look(),
        }
        self.told_any.notify_one();
    }

    /// How many records lacked copies in the last pass of this server.
    pub fn lacking(&self) -> u64 {
        self.lacking.load(Ordering::Relaxed)
    }

    /// Runs until the server stops; it acts only while this server leads. `peers` changes when one
    /// comes up.
    pub async fn run(self: Arc<Self>, mut peers: watch::Receiver<u64>, tasks: Tasks) {
        let work = async {
            loop {
                if !self.custody.catalogue.leads() {
                    self.lacking.store(0, Ordering::Relaxed);
                    sleep(REST).await;
                    continue;
                }
                let passed = match self.pass().await {
                    Ok(passed) => passed,
                    Err(error) => {
                        tracing::warn!(%error, "cannot look for records that lack copies");
                        false
                    }
                };
                sleep(REST).await;
                if passed {
                    self.until_woken(&mut peers).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = work => {}
            () = self.look_at_told() => {}
            () = self.keeper.run(|| self.place().clone()) => {}
            () = tasks.stopping().cancelled() => {}
        }
        let place = self.place().clone();
        self.keeper.save(place).await;
    }

    /// Looks at single records, many at once.
    async fn look_at_told(&self) {
        loop {
            self.told_any.notified().await;
            sleep(SETTLE).await;
            let told: Vec<_> = std::mem::take(&mut *self.told()).into_iter().collect();
            for keys in told.chunks(PAGE) {
                if let Err(error) = self.look_at_page(keys.to_vec()).await {
                    tracing::warn!(%error, "cannot look at records that may lack copies");
                    self.look();
                }
            }
        }
    }

    async fn look_at_page(&self, keys: Vec<(Namespace, FileName)>) -> Result<(), CustodyError> {
        if !self.custody.catalogue.leads() {
            return Ok(()); // who leads has heard of them, too
        }
        let look = move |view: &View, custody: &Custody| {
            let mut files = Vec::new();
            for (namespace, name) in keys {
                if let Some(record) = view.get(&namespace, &name)? {
                    files.push((namespace, name, record));
                }
            }
            Ok((files, view.servers()?, room(custody)))
        };
        let (files, servers, room) = self.custody.ask(look).await?;
        let (wants, _) = self.decide(&files, &servers, room);
        for want in wants {
            self.want(want).await?;
        }
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<(Namespace, FileName)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news, as long as this server leads, but no longer than an hour.
    async fn until_woken(&self, peers: &mut watch::Receiver<u64>) {
        let leading = async {
            while self.custody.catalogue.leads() {
                sleep(REST).await;
            }
        };
        let news = async {
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                Ok(()) = peers.changed() => {}
                () = leading => {}
            }
        };
        drop(timeout(LOOK_AGAIN, news).await); // its time has come, too
    }

    /// Goes once round all records; whether it came to the end.
    async fn pass(&self) -> Result<bool, CustodyError> {
        let (mut round, mut lacking) = (Round::begin(self.place().clone()), 0);
        loop {
            if !self.custody.catalogue.leads() {
                return Ok(false);
            }
            let Place(after) = round.at.clone();
            let look = move |view: &View, custody: &Custody| {
                Ok((view.page(after.as_ref(), PAGE)?, view.servers()?, room(custody)))
            };
            let (Page { mut files, last }, servers, room) = self.custody.ask(look).await?;
            files.retain(|(namespace, name, _)| round.covers(&(*namespace, name.clone())));
            let (wants, lack) = self.decide(&files, &servers, room);
            lacking += lack;
            for want in wants {
                self.want(want).await?;
            }
            let done = round.advance(last);
            *self.place() = round.at.clone();
            if done {
                break;
            }
            sleep(PAUSE).await;
        }
        self.lacking.store(lacking, Ordering::Relaxed);
        if lacking > 0 {
            tracing::info!(lacking, "records lack copies");
        }
        Ok(true)
    }

    async fn want(&self, want: Want) -> Result<(), CustodyError> {
        let servers = want.servers.clone();
        match self.custody.catalogue.propose(Command::Want(want)).await?.outcome {
            Outcome::Done(record) => {
                tracing::debug!(blob = %record.digest, ?servers, "wanted to make a copy");
            }
            // It has changed: the next pass sees what it is then.
            _ => self.look(),
        }
        Ok(())
    }

    /// What these records lack, and how many of them lack anything.
    fn decide(
        &self,
        files: &[(Namespace, FileName, Record)],
        servers: &Servers,
        room: u64,
    ) -> (Vec<Want>, u64) {
        let late = self.sight.down(servers.names(), self.settings.repair_after_last);
        let moment = Moment { planner: self, servers, late, room };
        let (mut wants, mut lacking) = (Vec::new(), 0);
        for (namespace, name, record) in files {
            let lack = moment.lack(record);
            lacking += u64::from(lack.missing > 0);
            let servers = moment.next(&namespace.key(name), record, &lack);
            if !servers.is_empty() {
                let (namespace, name, version) = (*namespace, name.clone(), record.version);
                wants.push(Want { namespace, name, version, servers });
            }
        }
        (wants, lacking)
    }
}

/// How much this server itself can take.
fn room(custody: &Custody) -> u64 {
    match custody.volume.check_writable() {
        Ok(()) => custody.volume.room().unwrap_or(0), // it takes nothing now
        Err(_) => 0,
    }
}

/// How many copies a record lacks, and on whom it can build.
struct Lack<'r> {
    missing: usize,
    there: Vec<&'r ServerName>,
    /// Whether anybody is up who can give one.
    given: bool,
}

impl Moment<'_> {
    fn is_up(&self, server: &ServerName) -> bool {
        self.planner.transfer.is_up(server)
    }

    /// Whether a server can take a payload of this size now.
    fn takes(&self, member: &Member, size: u64) -> bool {
        match member.name == *self.planner.members.me() {
            true => self.room >= size,
            false => self.planner.transfer.fit(size)(member),
        }
    }

    fn lack<'r>(&'r self, record: &'r Record) -> Lack<'r> {
        let size = record.size.get();
        // One that is up and has no room does not come to its copy.
        let comes = |server: &&ServerName| {
            let member = self.planner.members.get(server);
            !self.is_up(server) || member.is_some_and(|member| self.takes(member, size))
        };
        let mut there: Vec<_> = self.servers.counting(record).collect();
        let up = there.iter().filter(|server| self.is_up(server)).count();
        there.extend(self.servers.coming(record).filter(comes));
        if up == 1 {
            there.retain(|server| !self.late.contains(*server));
        }
        let missing = (usize::from(record.replicas.get()) + 1).saturating_sub(there.len());
        Lack { missing, there, given: up > 0 }
    }

    /// The servers that come next for what is missing: they take it, and don't hold it already. None
    /// where nobody can give it to them: when somebody can, all records are looked at anyway.
    fn next(&self, key: &[u8], record: &Record, lack: &Lack<'_>) -> Vec<ServerName> {
        if lack.missing == 0 || !lack.given {
            return Vec::new();
        }
        let members = &self.planner.members;
        let taken: Vec<_> = lack.there.iter().filter_map(|name| members.get(name)).collect();
        let fit = |member: &Member| {
            let known = self.servers.get(&member.name);
            known.is_some_and(|now| !now.away && !holds(record, &member.name, now.incarnation))
                && self.takes(member, record.size.get())
        };
        let ranked = placement::rank(members, key, &taken, fit);
        let next = ranked.into_iter().filter(|member| fit(member)).take(lack.missing);
        next.map(|member| member.name.clone()).collect()
    }
}

/// Whether a server is listed for a copy in this life of it.
fn holds(record: &Record, server: &ServerName, life: Incarnation) -> bool {
    record.wants(server) || record.confirmed().any(|holder| holder == (server, life))
}
