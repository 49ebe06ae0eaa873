//! The peer port: takes connections of other servers and of operators, has them prove themselves,
//! and hands their conversations to the services.

mod complaints;
mod seats;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tracing::Instrument;

use self::complaints::Complaints;
use self::seats::Seats;
use super::conversation::{Conversation, Peer, STALL, Serve, Service};
use super::handshake::{Class, Hex, LIMIT, NotTaken, Taken, Taker, take};
use super::identity::LinkIdentity;
use super::link::{Ping, Pong};
use super::members::Members;
use super::wire::{FRAME_MAX, Frame, Wire};
use crate::seams::Seams;
use crate::seams::network::{Listener, Stream};
use crate::tasks::Tasks;

/// How long after a failed accept the next is tried: most failures pass when a connection ends.
const BACKOFF: Duration = Duration::from_millis(100);
/// How long a connection is kept with nothing said on it: longer than the other end keeps it.
const IDLE: Duration = Duration::from_secs(120);
/// How long one for pings is kept: they come twice a second.
const PING_IDLE: Duration = Duration::from_secs(10);
/// How long the first frame of a conversation may take from its first byte to its last.
const FIRST: Duration = Duration::from_secs(30);

/// What is behind the peer port.
pub struct Door {
    members: Arc<Members>,
    identity: Mutex<LinkIdentity>,
    services: Mutex<BTreeMap<Service, Arc<dyn Serve>>>,
    seams: Seams,
    seats: Seats,
    complaints: Complaints,
}

impl Door {
    /// A door with no service behind it: whoever asks is refused and told so, and pings are
    /// answered.
    pub fn new(members: Arc<Members>, identity: LinkIdentity, seams: &Seams) -> Arc<Self> {
        Arc::new(Door {
            members,
            identity: Mutex::new(identity),
            services: Mutex::default(),
            seams: seams.clone(),
            seats: Seats::default(),
            complaints: Complaints::default(),
        })
    }

    /// Conversations that begin from now on go to this one.
    pub fn set_service(&self, service: Service, serve: Arc<dyn Serve>) {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).insert(service, serve);
    }

    /// Connections that come from now on meet this identity: the server was founded, or admitted.
    pub fn set_identity(&self, identity: LinkIdentity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    fn service(&self, service: Service) -> Option<Arc<dyn Serve>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).get(&service).cloned()
    }

    fn identity(&self) -> LinkIdentity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

/// Takes connections until `tasks` are stopping. Then conversations that are under way may finish,
/// until `tasks` are stopped; whoever would begin one is refused.
///
/// Limits: 128 connections that have not proven themselves (a newcomer takes the oldest one's
/// place), each for at most 5 s; 2,048 for payloads and commands; by peer 2 for pings, 16 for the
/// catalogue, 1,536 for payloads; 16 operators. A frame is at most [`FRAME_MAX`] long.
pub async fn listen(mut listener: Box<dyn Listener>, door: Arc<Door>, tasks: Tasks) {
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let span = tracing::info_span!("peer", %from, name = tracing::field::Empty);
                    let connection = Arc::clone(&door).connection(stream, from, tasks.clone());
                    tasks.spawn(connection.instrument(span));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of a peer");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = tasks.stopping().cancelled() => {}
        () = accepting => {}
    }
}

impl Door {
    async fn connection(self: Arc<Self>, stream: Box<dyn Stream>, from: SocketAddr, tasks: Tasks) {
        let wire = Wire::new(stream);
        let serving = async {
            if let Some((wire, taken)) = self.meet(wire, from, &tasks).await {
                self.converse(wire, &taken, &tasks).await;
            }
        };
        tokio::select! {
            biased;
            () = tasks.stopped().cancelled() => {}
            () = serving => {}
        }
    }

    /// The handshake.
    async fn meet(&self, mut wire: Wire, from: SocketAddr, tasks: &Tasks) -> Option<(Wire, Taken)> {
        let seat = self.seats.unproven();
        let identity = self.identity();
        let (members, entropy) = (&*self.members, &self.seams.entropy);
        let taker = Taker { members, identity: &identity, entropy };
        let taken = tokio::select! {
            biased;
            () = tasks.stopping().cancelled() => return None,
            () = seat.taken_away() => return None,
            taken = timeout(LIMIT, take(&mut wire, &taker)) => taken,
        };
        match taken {
            Ok(Ok(taken)) => Some((wire, taken)),
            Ok(Err(not_taken)) => {
                self.complain(from, &not_taken, &identity);
                None
            }
            Err(_late) => {
                tracing::debug!("no handshake in time");
                None
            }
        }
    }

    fn complain(&self, from: SocketAddr, not_taken: &NotTaken, identity: &LinkIdentity) {
        let own = identity.cluster.unwrap_or_default();
        let own = Hex(&own);
        match not_taken {
            NotTaken::Broken(error) => tracing::debug!(%error, "the handshake broke"),
            NotTaken::Garbage => {
                if self.complaints.is_new(from.ip(), "garbage") {
                    tracing::warn!("what came is no handshake of a depot server");
                }
            }
            NotTaken::NotProven { cluster } => {
                if self.complaints.is_new(from.ip(), "not proven") {
                    let theirs = Hex(cluster);
                    tracing::warn!(%theirs, %own, "it does not know the cluster's secret");
                }
            }
            NotTaken::Refused { name, cluster, why } => {
                if self.complaints.is_new(from.ip(), why) {
                    let theirs = Hex(cluster);
                    tracing::warn!(name, %theirs, %own, why, "refused a peer");
                }
            }
        }
    }

    /// One conversation after the other.
    async fn converse(&self, mut wire: Wire, taken: &Taken, tasks: &Tasks) {
        let Taken { peer, class } = taken;
        if let Some(name) = &peer.name {
            tracing::Span::current().record("name", name.as_str());
        }
        let Some(seat) = self.seats.proven(peer.name.as_ref(), *class) else {
            refuse(wire, "it has as many connections of yours, or in all, as it takes").await;
            return;
        };
        let idle = if *class == Class::Ping { PING_IDLE } else { IDLE };
        loop {
            let begun = tokio::select! {
                biased;
                () = tasks.stopping().cancelled() => return refuse(wire, "it is stopping").await,
                () = seat.taken_away() => return,
                begun = timeout(idle, wire.begun()) => begun,
            };
            let Ok(Ok(())) = begun else { return };
            if self.is_of_an_earlier_life(peer) {
                return refuse(wire, "a later incarnation of it was met").await;
            }
            seat.busy();
            match self.one(wire, peer, *class).await {
                Some(kept) => wire = kept,
                None => return,
            }
            seat.idle();
            wire.shrink();
        }
    }

    /// One conversation, whose first frame has begun to come. Gives the connection back if another
    /// can follow.
    async fn one(&self, mut wire: Wire, peer: &Peer, class: Class) -> Option<Wire> {
        let first = match timeout(FIRST, wire.receive(FRAME_MAX)).await {
            Ok(Ok(Frame::Said(first))) => first,
            Ok(Ok(Frame::Refused(_))) | Err(_) => return None,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no conversation has begun");
                return None;
            }
        };
        if class == Class::Ping {
            return self.answer(wire, peer, &Ping::decode(&first)?).await;
        }
        let service = first.first().and_then(|byte| Service::of(*byte));
        let Some(service) = service.filter(|service| is_for(class, *service)) else {
            tracing::warn!(?class, "a conversation that is none");
            return None;
        };
        let Some(serve) = self.service(service) else {
            refuse(wire, "it has no such service yet").await;
            return None;
        };
        let mut conversation = Conversation::new(wire, None);
        match serve.serve(peer, first.slice(1..), &mut conversation).await {
            Ok(()) => conversation.is_whole().then(|| conversation.into_wire()),
            Err(error) => {
                tracing::debug!(?service, %error, "a conversation was cut");
                None
            }
        }
    }

    /// Whether the peer was admitted anew since it proved itself, under another incarnation.
    fn is_of_an_earlier_life(&self, peer: &Peer) -> bool {
        let seen = peer.name.as_ref().and_then(|name| self.identity().starts.seen(name));
        seen.is_some_and(|seen| seen.incarnation > peer.incarnation)
    }

    async fn answer(&self, mut wire: Wire, peer: &Peer, ping: &Ping) -> Option<Wire> {
        let name = peer.name.as_ref()?;
        let LinkIdentity { starts, free, .. } = self.identity();
        // A lower one than was met is answered too, so that it hears of the higher one.
        let met = starts.meet(name, ping.start).await;
        let pong = Pong { free: free(), start: starts.own(), met: starts.seen(name) };
        wire.send(&[&pong.encode()], STALL).await.ok()?;
        met.is_ok().then_some(wire)
    }
}

/// Whether such a connection is there for such a conversation.
fn is_for(class: Class, service: Service) -> bool {
    match service {
        Service::Catalogue => class == Class::Catalogue,
        Service::Transfer => class == Class::Transfer,
        Service::Operator => matches!(class, Class::Operator | Class::Catalogue),
    }
}

/// Says why no conversation is taken, and closes.
async fn refuse(mut wire: Wire, why: &str) {
    if let Err(error) = wire.refuse(why, STALL).await {
        tracing::debug!(%error, "cannot say why it is refused");
    }
}
