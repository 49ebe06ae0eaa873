//! One other server: the connections kept to it ([`pool`]), and whether it is up ([`ping`]).

mod ping;
mod pool;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::ServerName;
use tokio::sync::watch;
use tokio::time::Instant;

use super::conversation::{LinkError, Service};
use super::handshake::{Class, Dialler, Proven, call};
use super::identity::LinkIdentity;
use super::members::{Member, Members};
use super::wire::Wire;
use crate::seams::Seams;

pub(super) use ping::{Ping, Pong};
pub(super) use pool::{Place, Pool};

/// Conversations with one peer that are open at once: small questions.
const CATALOGUE_MAX: usize = 8;
/// Conversations with one peer that are open at once: payloads. An upload holds one for as long as
/// its client sends, so slow clients must not use them up.
pub(super) const TRANSFER_MAX: usize = 1024;

/// This end of all links.
pub(super) struct Near {
    pub(super) members: Arc<Members>,
    pub(super) identity: LinkIdentity,
    pub(super) seams: Seams,
    /// Counts the changes of all peers' states.
    pub(super) changes: watch::Sender<u64>,
}

/// What is known of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerState {
    /// Its name.
    pub name: ServerName,
    /// Whether it answered a ping within the last 3 seconds.
    pub up: bool,
    /// Since when, in this server's uptime.
    pub since: Duration,
    /// Why it is not up.
    pub why: Option<String>,
    /// How many bytes it can still take, as it last told.
    pub free: Option<u64>,
    /// Whether its configuration lists other servers than this one's, or lists them otherwise.
    pub other_list: bool,
}

/// One other server.
pub(super) struct Link {
    name: ServerName,
    address: Option<SocketAddr>,
    catalogue: Arc<Pool>,
    transfer: Arc<Pool>,
    state: Mutex<State>,
}

struct State {
    up: bool,
    since: Duration,
    /// When it last answered a ping.
    answered: Option<Instant>,
    /// What last went wrong; it becomes the reason when the peer is taken for down.
    fault: Option<String>,
    free: Option<u64>,
    other_list: bool,
}

impl Link {
    pub(super) fn new(member: &Member, seams: &Seams) -> Self {
        Link {
            name: member.name.clone(),
            address: member.peer,
            catalogue: Arc::new(Pool::new(CATALOGUE_MAX)),
            transfer: Arc::new(Pool::new(TRANSFER_MAX)),
            state: Mutex::new(State {
                up: false,
                since: seams.clock.uptime(),
                answered: None,
                fault: None,
                free: None,
                other_list: false,
            }),
        }
    }

    /// The connections that a service's conversations go over.
    pub(super) fn pool(&self, service: Service) -> (Class, &Arc<Pool>) {
        match service {
            Service::Catalogue | Service::Operator => (Class::Catalogue, &self.catalogue),
            Service::Transfer => (Class::Transfer, &self.transfer),
        }
    }

    /// A new connection to it, both ends proven, within the limit of a handshake.
    pub(super) async fn dial(
        &self,
        near: &Near,
        class: Class,
    ) -> Result<(Wire, Proven), LinkError> {
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "it has no `peer` address");
        let address = self.address.ok_or_else(|| LinkError::Unreachable(nowhere()))?;
        let LinkIdentity { cluster, keys, starts, .. } = &near.identity;
        let (Some(cluster), Some(keys)) = (*cluster, keys) else {
            return Err(LinkError::NotProven("this server belongs to no cluster yet".into()));
        };
        let name = near.members.me();
        let dialler = Dialler::Server { name, cluster, starts, class };
        call(&near.seams, address, &dialler, &self.name, keys).await
    }

    pub(super) fn is_up(&self) -> bool {
        self.lock().up
    }

    pub(super) fn state(&self) -> PeerState {
        let state = self.lock();
        let unasked = || "it has not answered yet".to_owned();
        PeerState {
            name: self.name.clone(),
            up: state.up,
            since: state.since,
            why: (!state.up).then(|| state.fault.clone().unwrap_or_else(unasked)),
            free: state.free,
            other_list: state.other_list,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
