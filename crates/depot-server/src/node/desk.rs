//! Where operators' questions are answered: what a server is, and, while its folder is nobody's, to
//! which cluster it is to belong.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use depot_protocol::ServerName;
use tokio::sync::oneshot;

use super::{StartError, found};
use crate::catalogue::members::AdmitError;
use crate::catalogue::{Catalogue, RaftCatalogue};
use crate::cluster::{Conversation, LinkError, Links, Peer, Serve};
use crate::custody::Custody;
use crate::home::{Found, Home, Identity, Vacant};
use crate::operator::{
    self, CatalogueStatus, Founding, MemberStatus, PeerStatus, Question, RepairStatus, Reply,
    Status,
};
use crate::repair::Repair;
use crate::repair::heal::Healing;
use crate::repair::scrub::Scrubber;
use crate::seams::{Disk, Seams, blocking};
use crate::telemetry;

/// The desk of one server.
pub(super) struct Desk {
    server: ServerName,
    disk: Arc<dyn Disk>,
    seams: Seams,
    waiting: Mutex<Option<Waiting>>,
    open: OnceLock<Open>,
}

/// A folder that is nobody's yet, and whom to tell when it is somebody's.
struct Waiting {
    vacant: Vacant,
    founded: oneshot::Sender<Result<Home, Arc<StartError>>>,
}

/// What there is to tell of, once the server serves.
struct Open {
    catalogue: Arc<RaftCatalogue>,
    custody: Arc<Custody>,
    links: Option<Arc<Links>>,
    repair: Option<Arc<Repair>>,
    scrubber: Arc<Scrubber>,
}

impl Desk {
    pub(super) fn new(server: ServerName, disk: Arc<dyn Disk>, seams: Seams) -> Arc<Self> {
        let (waiting, open) = (Mutex::default(), OnceLock::new());
        Arc::new(Desk { server, disk, seams, waiting, open })
    }

    /// Waits for an operator to say to which cluster this folder is to belong; it is founded then.
    ///
    /// # Errors
    /// That has failed on the way (the disk was full): the next start goes on with what there is.
    pub(super) async fn wait(&self, vacant: Vacant) -> Result<Found, Arc<StartError>> {
        let (founded, home) = oneshot::channel();
        *self.lock() = Some(Waiting { vacant, founded });
        let home = home.await.map_err(|_| Arc::new(StartError::Lost(blocking::Lost)))?;
        home.map(Found::Depot)
    }

    /// The server serves.
    pub(super) fn open(
        &self,
        catalogue: Arc<RaftCatalogue>,
        custody: Arc<Custody>,
        links: Option<Arc<Links>>,
        repair: Option<Arc<Repair>>,
        scrubber: Arc<Scrubber>,
    ) {
        // A server comes to serve once in its life.
        drop(self.open.set(Open { catalogue, custody, links, repair, scrubber }));
    }

    async fn answer(&self, question: Question) -> Reply {
        match question {
            Question::Found(founding) => self.found(founding).await,
            Question::Status => Reply::Status(Box::new(self.status().await)),
            Question::Admit { server } => self.admit(&server).await,
            Question::Scrub => self.scrub(),
        }
    }

    async fn found(&self, founding: Founding) -> Reply {
        let founders = founding.founders.iter().map(|name| ServerName::parse(name));
        let Ok(founders) = founders.collect::<Result<Vec<_>, _>>() else {
            return Reply::Refused("the name of a founder is none".into());
        };
        let Some(Waiting { vacant, founded }) = self.lock().take() else {
            return Reply::Refused("its folder is not empty: it belongs to a cluster".into());
        };
        let identity = Identity {
            cluster: founding.cluster,
            server: self.server.clone(),
            incarnation: founding.incarnation,
        };
        let disk = Arc::clone(&self.disk);
        let make = move || found(&*disk, vacant.begin(identity, founders)?);
        let home = match blocking::run(&self.seams.blocking, make).await {
            Ok(Ok(home)) => home,
            Ok(Err(error)) => {
                let why = telemetry::chain(&error);
                tracing::error!(why, "cannot found the data folder");
                drop(founded.send(Err(Arc::new(error))));
                return Reply::Refused(format!(
                    "its data folder cannot be founded: {why}; mend that, start it again and try again"
                ));
            }
            Err(lost) => return Reply::Refused(lost.to_string()),
        };
        // Where nobody waits any more the server is stopping; its next start finds the folder.
        drop(founded.send(Ok(home)));
        Reply::Founded
    }

    async fn status(&self) -> Status {
        let uptime = self.seams.clock.uptime();
        let mut status = Status {
            uptime: uptime.as_secs(),
            catalogue: None,
            peers: Vec::new(),
            room: 0,
            suspect: false,
            repair: None,
            scrub: None,
            missing: Vec::new(),
        };
        let Some(Open { catalogue, custody, links, repair, scrubber }) = self.open.get() else {
            return status;
        };
        let now = catalogue.status();
        let member = |member: &crate::catalogue::members::MemberStatus| MemberStatus {
            server: member.server.clone(),
            incarnation: member.incarnation.0,
            votes: member.votes,
        };
        status.catalogue = Some(CatalogueStatus {
            leader: now.leader.map(|leader| leader.as_str().to_owned()),
            term: now.term,
            quorum: catalogue.has_quorum(),
            applied: now.applied.unwrap_or(0),
            members: now.members.iter().map(member).collect(),
        });
        let states = links.as_ref().map(|links| links.states()).unwrap_or_default();
        let peers = states.into_iter().map(|peer| PeerStatus {
            name: peer.name.as_str().to_owned(),
            up: peer.up,
            since: uptime.saturating_sub(peer.since).as_secs(),
            why: match peer.other_list {
                true if peer.up => Some("its file lists other servers".into()),
                _ => peer.why,
            },
            room: peer.free,
        });
        status.peers = peers.collect();
        if let Some(repair) = repair {
            let Healing { missing, more, running, healed, oldest } = repair.healer.status();
            let (missing, running) = (missing as u64, running as u64);
            let lacking = catalogue.leads().then(|| repair.planner.lacking());
            status.repair = Some(RepairStatus { missing, more, running, healed, lacking });
            status.missing = oldest;
        }
        let volume = Arc::clone(&custody.volume);
        status.suspect = volume.faults() > 0;
        status.scrub = Some(scrubber.status());
        match blocking::run(&self.seams.blocking, move || volume.room()).await {
            Ok(Ok(room)) => status.room = room,
            Ok(Err(error)) => tracing::warn!(%error, "cannot ask for room"),
            Err(lost) => tracing::warn!(%lost, "cannot ask for room"),
        }
        status
    }

    async fn admit(&self, server: &str) -> Reply {
        let Some(Open { catalogue, .. }) = self.open.get() else {
            return Reply::Elsewhere { leader: None };
        };
        let Ok(server) = ServerName::parse(server) else {
            return Reply::Refused("that is no server's name".into());
        };
        match catalogue.admit(&server).await {
            Ok(incarnation) => {
                tracing::info!(%server, incarnation = incarnation.0, "admitted a server");
                Reply::Admitted { incarnation: incarnation.0 }
            }
            Err(AdmitError::NotLeader { leader }) => {
                Reply::Elsewhere { leader: leader.map(|leader| leader.as_str().to_owned()) }
            }
            Err(error) => Reply::Refused(telemetry::chain(&error)),
        }
    }

    fn scrub(&self) -> Reply {
        let Some(Open { scrubber, .. }) = self.open.get() else {
            return Reply::Refused("it waits to be founded or admitted, and has no copies".into());
        };
        scrubber.command();
        Reply::Scrubbing
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Serve for Desk {
    async fn serve(
        &self,
        peer: &Peer,
        first: Bytes,
        conversation: &mut Conversation,
    ) -> Result<(), LinkError> {
        let reply = match postcard::from_bytes(&first) {
            Ok(_) if peer.name.is_some() => Reply::Refused("that is for operators".into()),
            Ok(question) => self.answer(question).await,
            Err(_) => Reply::Refused("this server does not know that question".into()),
        };
        conversation.send(&[&operator::encode(&reply)]).await
    }
}
