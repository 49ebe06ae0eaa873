//! Copies too many: when servers that were away are back, when a file's wished number went down,
//! when two planned for the same record. Of the holders that count, the one that placement ranks
//! last takes itself out of the record; the catalogue refuses that where its copy is needed, and the
//! sweeper frees the bytes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::{FileName, ServerName};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::catalogue::command::Leave;
use crate::catalogue::{
    Command, Incarnation, Namespace, Outcome, ProposeError, Record, Servers, View,
};
use crate::cluster::members::Members;
use crate::cluster::placement;
use crate::custody::{Custody, CustodyError};
use crate::tasks::Tasks;
use crate::transfer::{Courier, Transfer};

/// So many records are looked at in one go.
const PAGE: usize = 512;
/// And so long is rested after each, or after what failed.
const PAUSE: Duration = Duration::from_millis(20);
const BACKOFF: Duration = Duration::from_secs(1);
/// So many records are known at once; of more, a look at all tells.
const KNOWN_MAX: usize = 4096;
/// How long until all are looked at again though nothing was heard of.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

type Key = (Namespace, FileName);

/// Takes this server out of records that need it no more.
pub struct Surplus {
    custody: Arc<Custody>,
    members: Arc<Members>,
    transfer: Transfer,
    heard: Mutex<Heard>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    files: BTreeSet<Key>,
    look_at_all: bool,
}

impl Surplus {
    /// For this server.
    pub fn new(courier: &Courier, members: Arc<Members>) -> Arc<Self> {
        let (custody, transfer) = (Arc::clone(&courier.custody), courier.transfer.clone());
        let heard = Mutex::new(Heard { look_at_all: true, ..Heard::default() });
        Arc::new(Surplus { custody, members, transfer, heard, wake: Notify::new() })
    }

    /// A record that lists this server may list too many.
    pub fn look_at(&self, namespace: Namespace, name: FileName) {
        let mut heard = self.heard();
        match heard.files.len() < KNOWN_MAX {
            true => drop(heard.files.insert((namespace, name))),
            false => heard.look_at_all = true,
        }
        drop(heard);
        self.wake.notify_one();
    }

    /// Other copies count than before.
    pub fn look_at_all(&self) {
        self.heard().look_at_all = true;
        self.wake.notify_one();
    }

    /// Runs until the server stops. `peers` changes when one comes up.
    pub async fn run(self: Arc<Self>, mut peers: watch::Receiver<u64>, tasks: Tasks) {
        let work = async {
            loop {
                if let Err(error) = self.work_off().await {
                    tracing::warn!(%error, "cannot look for copies too many");
                    self.heard().look_at_all = true;
                    sleep(BACKOFF).await;
                    continue;
                }
                tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    Ok(()) = peers.changed() => self.heard().look_at_all = true,
                    () = sleep(LOOK_AGAIN) => self.heard().look_at_all = true,
                }
            }
        };
        tokio::select! {
            biased;
            () = work => {}
            () = tasks.stopping().cancelled() => {}
        }
    }

    async fn work_off(&self) -> Result<(), CustodyError> {
        loop {
            let (first, all) = {
                let mut heard = self.heard();
                (heard.files.pop_first(), std::mem::take(&mut heard.look_at_all))
            };
            if all {
                self.find_all().await?;
            }
            match first {
                Some(key) => self.look(key).await?,
                None if all => {}
                None => return Ok(()),
            }
        }
    }

    async fn find_all(&self) -> Result<(), CustodyError> {
        let mut after = None;
        loop {
            let look = move |view: &View, _: &Custody| {
                Ok((view.page(after.as_ref(), PAGE)?, view.servers()?))
            };
            let (page, servers) = self.custody.ask(look).await?;
            for (namespace, name, record) in &page.files {
                self.consider((namespace, name), record, &servers).await?;
            }
            after = page.last;
            if after.is_none() {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&self, (namespace, name): Key) -> Result<(), CustodyError> {
        let asked = name.clone();
        let look =
            move |view: &View, _: &Custody| Ok((view.get(&namespace, &asked)?, view.servers()?));
        match self.custody.ask(look).await? {
            (Some(record), servers) => self.consider((&namespace, &name), &record, &servers).await,
            (None, _) => Ok(()),
        }
    }

    async fn consider(
        &self,
        (namespace, name): (&Namespace, &FileName),
        record: &Record,
        servers: &Servers,
    ) -> Result<(), CustodyError> {
        let suffice = others_suffice(record, servers, (self.members.me(), &self.transfer));
        if suffice && is_one_too_many(&self.members, &namespace.key(name), record, servers) {
            leave(&self.custody, (namespace, name), record).await?;
        }
        Ok(())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether enough others have copies that count, and are up: one that is down may be about to be
/// away, and a last copy was made here because it is.
pub(super) fn others_suffice(
    record: &Record,
    servers: &Servers,
    (me, transfer): (&ServerName, &Transfer),
) -> bool {
    let others = servers.counting(record).filter(|server| *server != me);
    others.filter(|server| transfer.is_up(server)).count() > usize::from(record.replicas.get())
}

/// Whether this server is the one that leaves where one shall.
fn is_one_too_many(members: &Members, key: &[u8], record: &Record, servers: &Servers) -> bool {
    let me = members.me();
    if !record.lists(me) {
        return false;
    }
    let counting: BTreeSet<&ServerName> = servers.counting(record).collect();
    if !counting.contains(me) {
        // Its copy is not there; or it is away, as far as the others know.
        return servers.get(me).is_some_and(|now| !now.away);
    }
    let ranked = placement::rank(members, key, &[], |member| counting.contains(&member.name));
    let last = ranked.into_iter().rev().find(|member| counting.contains(&member.name));
    last.is_some_and(|last| last.name == *me)
}

/// Takes this server out of a record, unless the catalogue knows better. Whether it is out.
pub(super) async fn leave(
    custody: &Custody,
    (namespace, name): (&Namespace, &FileName),
    record: &Record,
) -> Result<bool, ProposeError> {
    let identity = custody.home.identity();
    let leave = Leave {
        namespace: *namespace,
        name: name.clone(),
        version: record.version,
        server: identity.server.clone(),
        incarnation: Incarnation(identity.incarnation),
    };
    let outcome = custody.catalogue.propose(Command::Leave(leave)).await?.outcome;
    let left = matches!(outcome, Outcome::Done(_));
    if left {
        tracing::info!(blob = %record.digest, "enough others have a copy: this server leaves");
    }
    Ok(left)
}
