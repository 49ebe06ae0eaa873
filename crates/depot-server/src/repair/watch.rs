//! Who is gone for long. Every server watches its peers; the one that leads puts what it sees into
//! the catalogue: a server that was down for `repair_after` is away, one that is up again is not. One
//! that is no longer in the list of servers is down.
//!
//! How long is measured by the running time of the process that saw it go down, so neither a clock
//! nor a new leader's first minutes make anybody away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use depot_protocol::ServerName;

use super::plan::Planner;
use crate::catalogue::command::Away;
use crate::catalogue::{Command, Outcome, Servers};
use crate::cluster::Links;
use crate::cluster::members::Members;
use crate::config::ClusterSettings;
use crate::custody::{Custody, CustodyError};
use crate::seams::Seams;
use crate::tasks::Tasks;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// For so long a server is up before it counts as back.
const BACK_AFTER: Duration = Duration::from_secs(1);

/// What this server sees of its peers.
#[derive(Clone)]
pub struct Sight {
    links: Arc<Links>,
    members: Arc<Members>,
    seams: Seams,
    /// Since when, of its running time.
    since: Duration,
}

impl Sight {
    /// From now on.
    pub fn new(links: Arc<Links>, members: Arc<Members>, seams: Seams) -> Self {
        let since = seams.clock.uptime();
        Sight { links, members, seams, since }
    }

    /// Those of all servers that are down for so long. Nobody pings one that was taken out of the
    /// list: it is down for as long as this server runs.
    pub fn down<'s>(
        &self,
        servers: impl Iterator<Item = &'s ServerName>,
        least: Duration,
    ) -> BTreeSet<ServerName> {
        let mut down = self.peers(false, least);
        if self.seams.clock.uptime().saturating_sub(self.since) >= least {
            down.extend(servers.filter(|name| self.members.get(name).is_none()).cloned());
        }
        down
    }

    /// The peers that are down, or up, for so long.
    pub fn peers(&self, up: bool, least: Duration) -> BTreeSet<ServerName> {
        let now = self.seams.clock.uptime();
        let states = self.links.states().into_iter();
        let so_long =
            states.filter(|peer| peer.up == up && now.saturating_sub(peer.since) >= least);
        so_long.map(|peer| peer.name).collect()
    }
}

/// Puts into the catalogue who is away.
pub struct Watch {
    pub(super) custody: Arc<Custody>,
    pub(super) members: Arc<Members>,
    pub(super) sight: Sight,
    pub(super) settings: ClusterSettings,
    pub(super) planner: Arc<Planner>,
}

impl Watch {
    /// Runs until the server stops.
    pub async fn run(self, tasks: Tasks) {
        let work = async {
            let mut late = BTreeSet::new();
            loop {
                tokio::time::sleep(LOOK).await;
                if !self.custody.catalogue.leads() {
                    continue;
                }
                if let Err(error) = self.tell(&mut late).await {
                    tracing::warn!(%error, "cannot say who is away now");
                }
            }
        };
        tokio::select! {
            biased;
            () = work => {}
            () = tasks.stopping().cancelled() => {}
        }
    }

    async fn tell(&self, late: &mut BTreeSet<ServerName>) -> Result<(), CustodyError> {
        let servers: Servers = self.custody.ask(|view, _| view.servers()).await?;
        // Copies of which one is left are made elsewhere before anybody is away.
        let now_late = self.sight.down(servers.names(), self.settings.repair_after_last);
        if now_late != std::mem::replace(late, now_late.clone()) {
            self.planner.look();
        }
        let gone = self.sight.down(servers.names(), self.settings.repair_after);
        let mut here = self.sight.peers(true, BACK_AFTER);
        here.insert(self.members.me().clone());
        let gone = gone.iter().map(|server| (server, true));
        for (server, away) in gone.chain(here.iter().map(|server| (server, false))) {
            let Some(now) = servers.get(server).filter(|now| now.away != away) else { continue };
            let said = Away { server: server.clone(), incarnation: now.incarnation, away };
            match self.custody.catalogue.propose(Command::Away(said)).await?.outcome {
                Outcome::Noted if away => {
                    tracing::warn!(%server, "gone for long: its copies don't count any more");
                }
                Outcome::Noted => tracing::info!(%server, "back: its copies count again"),
                other => tracing::info!(%server, ?other, "it has begun another life meanwhile"),
            }
        }
        Ok(())
    }
}
