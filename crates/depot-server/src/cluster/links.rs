//! This server's connections to all others.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use depot_protocol::ServerName;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::conversation::{Conversation, LinkError, Service};
use super::handshake::Class;
use super::identity::LinkIdentity;
use super::link::{Link, Near, PeerState, Place, Pool};
use super::members::Members;
use super::wire::Wire;
use crate::seams::Seams;
use crate::tasks::Tasks;

/// This server's connections to all others. Made once it belongs to a cluster.
pub struct Links {
    near: Arc<Near>,
    all: BTreeMap<ServerName, Arc<Link>>,
}

impl Links {
    /// Begins to ping all others, and goes on until `tasks` are stopping. Questions can be asked
    /// for as long as the runtime lives; so `tasks` are best those that are stopped last.
    pub fn new(
        members: Arc<Members>,
        identity: LinkIdentity,
        seams: &Seams,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let link = |member| Arc::new(Link::new(member, seams));
        let all: BTreeMap<_, _> =
            members.others().map(|member| (member.name.clone(), link(member))).collect();
        let changes = watch::Sender::new(0);
        let near = Arc::new(Near { members, identity, seams: seams.clone(), changes });
        for link in all.values() {
            let watching = Arc::clone(link).watch(Arc::clone(&near), tasks.stopping().clone());
            tasks.spawn(watching);
        }
        Arc::new(Links { near, all })
    }

    /// Asks one question and gets one answer, each one frame. At most 8 questions to a peer are
    /// open at once, for [`Service::Transfer`] 1,024; further ones wait. All of it happens `within`
    /// that time, but a handshake never lasts longer than 5 s.
    ///
    /// It goes over a kept connection where there is one. Where the peer says on that one that it is
    /// stopping, it is asked once more over a new one. But when it breaks before an answer comes, the
    /// error is `Broken`, since the peer may have had the question: whoever asks knows whether it may
    /// be asked twice. Dropping the future closes the connection.
    ///
    /// # Errors
    /// See [`LinkError::unsent`].
    pub async fn ask(
        &self,
        peer: &ServerName,
        service: Service,
        question: &[&[u8]],
        within: Duration,
    ) -> Result<Bytes, LinkError> {
        let due = Instant::now() + within;
        let (link, class, pool) = self.way(peer, service)?;
        let mut place = free_place(pool, due).await?;
        if let Some(wire) = pool.take() {
            let answer = exchange(wire, place, service, question, due).await;
            let Err(LinkError::Refused(_)) = answer else { return answer };
            // By a process that was about to end: the one that is there now may take it.
            place = free_place(pool, due).await?;
        }
        let wire = self.dial(link, class, due).await?;
        exchange(wire, place, service, question, due).await
    }

    /// Begins a longer conversation with its first frame, `within` that time; the further frames'
    /// limits are their own. The same limits on how many are open hold as for [`Links::ask`].
    ///
    /// # Errors
    /// See [`LinkError::unsent`].
    pub async fn open(
        &self,
        peer: &ServerName,
        service: Service,
        first: &[&[u8]],
        within: Duration,
    ) -> Result<Conversation, LinkError> {
        let due = Instant::now() + within;
        let (link, class, pool) = self.way(peer, service)?;
        let place = free_place(pool, due).await?;
        let wire = match pool.take() {
            Some(wire) => wire,
            None => self.dial(link, class, due).await?,
        };
        begin(wire, place, service, first, due).await
    }

    /// Whether a server has answered a ping within the last 3 seconds; this server itself is up.
    #[must_use]
    pub fn is_up(&self, peer: &ServerName) -> bool {
        peer == self.near.members.me() || self.all.get(peer).is_some_and(|link| link.is_up())
    }

    /// What is known of all others, by name.
    #[must_use]
    pub fn states(&self) -> Vec<PeerState> {
        self.all.values().map(|link| link.state()).collect()
    }

    /// Changes whenever a peer comes up, goes down, is down for another reason, or shows another
    /// list of servers; not when only its free bytes change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.near.changes.subscribe()
    }

    /// What a service's conversations with a peer go over.
    fn way(
        &self,
        peer: &ServerName,
        service: Service,
    ) -> Result<(&Link, Class, &Arc<Pool>), LinkError> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "there is no such server");
        let link = self.all.get(peer).ok_or_else(|| LinkError::Unreachable(unknown()))?;
        let (class, pool) = link.pool(service);
        Ok((link, class, pool))
    }

    async fn dial(&self, link: &Link, class: Class, due: Instant) -> Result<Wire, LinkError> {
        let dialled = timeout_at(due, link.dial(&self.near, class)).await;
        let (wire, _) = dialled.unwrap_or_else(|_| Err(late("no connection in time")))?;
        Ok(wire)
    }
}

async fn free_place(pool: &Arc<Pool>, due: Instant) -> Result<Place, LinkError> {
    timeout_at(due, pool.place()).await.map_err(|_| late("all connections to it are in use"))
}

fn late(what: &str) -> LinkError {
    LinkError::Unreachable(io::Error::new(io::ErrorKind::TimedOut, what))
}

/// Begins a conversation.
async fn begin(
    wire: Wire,
    place: Place,
    service: Service,
    first: &[&[u8]],
    due: Instant,
) -> Result<Conversation, LinkError> {
    let mut conversation = Conversation::new(wire, Some(place));
    let service = [service as u8];
    let frame = [&[&service[..]], first].concat();
    match timeout_at(due, conversation.send(&frame)).await {
        Ok(Ok(())) => Ok(conversation),
        // It may have said why before it closed.
        Ok(Err(broken)) => match conversation.receive(Duration::ZERO).await {
            Err(refused @ LinkError::Refused(_)) => Err(refused),
            _ => Err(broken),
        },
        Err(_late) => Err(LinkError::TimedOut),
    }
}

/// One question, one answer.
async fn exchange(
    wire: Wire,
    place: Place,
    service: Service,
    question: &[&[u8]],
    due: Instant,
) -> Result<Bytes, LinkError> {
    let mut conversation = begin(wire, place, service, question, due).await?;
    let answer = conversation.receive(due.saturating_duration_since(Instant::now())).await?;
    conversation.finish();
    Ok(answer)
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.states()).finish()
    }
}
