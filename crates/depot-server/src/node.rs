//! One server, put together from the ground up and taken down in reverse: its ports, the data
//! folder, volume and catalogue, the links to the others, the background's workers.
//!
//! A server whose folder is empty, and who is not alone, waits: its ports are open, clients hear
//! `servidor_indisponivel`, operators may found or admit it. From there on it goes the same way as
//! one that finds its folder founded.

mod desk;
mod folder;
mod met;
mod serve;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use depot_protocol::ServerState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::buffers::Buffers;
use crate::catalogue::{self, OpenError, ReadError};
use crate::cluster::members::Members;
use crate::cluster::{Door, Keys, LinkIdentity, Links, Service, Starts};
use crate::config::{Limits, Settings};
use crate::home::{self, Found, HomeError, Identity};
use crate::listener;
use crate::pace::Pace;
use crate::seams::network::Listener;
use crate::seams::{Disk, Seams, blocking};
use crate::session::Shared;
use crate::start_number::StartNumber;
use crate::tasks::Tasks;
use crate::telemetry;
use crate::volume::Volume;
use desk::Desk;
use folder::found;
use met::Met;
use serve::Site;

/// A server could not be started. Nothing in its data folder was changed that matters.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] OpenError),
    /// The catalogue's consensus.
    #[error(transparent)]
    Consensus(#[from] catalogue::StartError),
    /// The catalogue, once it was open.
    #[error("cannot read the catalogue")]
    Read(#[from] ReadError),
    /// The blobs.
    #[error("cannot open the volume")]
    Volume(#[source] std::io::Error),
    /// What was met of the other servers.
    #[error("cannot read what is known of the other servers")]
    Met(#[source] std::io::Error),
    /// The address.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where it should have listened.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The runtime is going down.
    #[error(transparent)]
    Lost(#[from] blocking::Lost),
}

/// What a server does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its folder is empty: it waits to be founded or admitted.
    Waiting,
    /// It serves.
    Serving,
}

/// Why a server must end though nobody asked it to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum End {
    /// Another server has met a later state of this one: it must take no part.
    #[error("{0}")]
    Fenced(String),
    /// It could not be founded, or not started then.
    #[error("{}", telemetry::chain(&**.0))]
    Failed(Arc<StartError>),
}

/// A running server.
pub struct Node {
    clients: Option<SocketAddr>,
    peers: Option<SocketAddr>,
    phase: watch::Receiver<Phase>,
    end: watch::Receiver<Option<End>>,
    /// Set once it serves.
    folder: Arc<OnceLock<(StartNumber, Arc<Volume>)>>,
    seams: Seams,
    limits: watch::Sender<Arc<Limits>>,
    /// Sessions and workers.
    tasks: Tasks,
    /// What they stand on: ports, links and catalogue.
    ground: Tasks,
}

/// A bound port, and the address that it really has.
type Port = (Box<dyn Listener>, SocketAddr);

impl Node {
    /// Starts a server on a data folder. A depot of one founds it if it is empty; a server of
    /// several then waits, and comes to serve later. `descriptors`: how many connections the
    /// process can have open.
    pub async fn start(
        settings: Settings,
        disk: Arc<dyn Disk>,
        seams: Seams,
        descriptors: usize,
    ) -> Result<Node, StartError> {
        let members = Arc::new(Members::of(&settings));
        let witness = members.get(members.me()).is_some_and(|me| me.witness);
        let clients = if witness { None } else { Some(bind(&seams, settings.listen).await?) };
        let peers = match members.peer_address(members.me()) {
            Some(address) if members.all().len() > 1 => Some(bind(&seams, address).await?),
            _ => None,
        };
        let address = |port: &Option<Port>| port.as_ref().map(|(_, address)| *address);
        let (at_clients, at_peers) = (address(&clients), address(&peers));

        let (tasks, ground) = (Tasks::default(), Tasks::default());
        let links: Arc<OnceLock<Arc<Links>>> = Arc::default();
        let shared = Arc::new(Shared {
            depot: OnceLock::new(),
            buffers: Buffers::new(settings.deposit.memory),
            pace: Pace::default(),
            servers: Box::new(servers(Arc::clone(&members), Arc::clone(&links), at_clients)),
            tasks: tasks.clone(),
        });
        let (end, phase) = (watch::Sender::new(None), watch::Sender::new(Phase::Waiting));
        let (end_seen, phase_seen) = (end.subscribe(), phase.subscribe());
        let folder: Arc<OnceLock<(StartNumber, Arc<Volume>)>> = Arc::default();
        let limits = watch::Sender::new(Arc::new(settings.limits.clone()));

        let (own, server) = (Arc::clone(&disk), settings.server.clone());
        let looked = blocking::run(&seams.blocking, move || home::look(own, &server)).await??;
        let desk = Desk::new(settings.server.clone(), Arc::clone(&disk), seams.clone());
        let waiting = waiting(&settings, &seams, Arc::clone(&disk)).await?;
        let door = Door::new(Arc::clone(&members), waiting, &seams);
        door.set_service(Service::Operator, Arc::clone(&desk) as _);
        let several = peers.is_some();
        let site = Site {
            peers: Mutex::new(peers.map(|(listener, _)| listener)),
            settings,
            disk,
            seams: seams.clone(),
            members,
            door,
            desk: Arc::clone(&desk),
            shared: Arc::clone(&shared),
            links,
            folder: Arc::clone(&folder),
            tasks: tasks.clone(),
            ground: ground.clone(),
            end,
        };
        match looked {
            Found::Empty(vacant) if several => {
                tracing::info!("the data folder is empty: waiting to be founded or admitted");
                site.listen_to_peers();
                tasks.spawn(async move {
                    let stopping = site.tasks.stopping().clone();
                    let found = tokio::select! {
                        found = desk.wait(vacant) => found,
                        () = stopping.cancelled() => return,
                    };
                    let serving = match found {
                        Ok(found) => site.serve(found).await.map_err(Arc::new),
                        Err(error) => Err(error),
                    };
                    match serving {
                        Ok(()) => drop(phase.send_replace(Phase::Serving)),
                        Err(error) => drop(site.end.send_replace(Some(End::Failed(error)))),
                    }
                });
            }
            looked => {
                let found = site.found_alone(looked).await?;
                if let Err(error) = site.serve(found).await {
                    let now = CancellationToken::new();
                    now.cancel();
                    tasks.stop(std::time::Duration::ZERO, &now).await;
                    ground.stop(std::time::Duration::ZERO, &now).await;
                    return Err(error);
                }
                phase.send_replace(Phase::Serving);
            }
        }
        if let Some((listener, _)) = clients {
            let limits = limits.subscribe();
            ground.spawn(listener::run(listener, shared, limits, descriptors, ground.clone()));
        }
        let (phase, end) = (phase_seen, end_seen);
        let (clients, peers) = (at_clients, at_peers);
        Ok(Node { clients, peers, phase, end, folder, seams, limits, tasks, ground })
    }

    /// Where clients dial; `None` for a witness, who takes none.
    pub fn address(&self) -> Option<SocketAddr> {
        self.clients
    }

    /// Where other servers and operators dial; `None` where there are none.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peers
    }

    /// What it does now, and whenever that changes.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// Waits until it must end though nobody asked it to, and says why.
    pub async fn ended(&mut self) -> End {
        match self.end.wait_for(Option::is_some).await.map(|end| end.clone()) {
            Ok(Some(end)) => end,
            // Nobody is left who could say so.
            _ => std::future::pending().await,
        }
    }

    /// Limits for connections that come from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.send_replace(Arc::new(limits));
    }

    /// Stops: newcomers and idle clients hear `encerrando`, what is under way may finish for as
    /// long as the limits say, or until `hurry` is cancelled, and is then cut; the running time is
    /// saved.
    pub async fn stop(self, hurry: &CancellationToken) {
        let (patience, goodbyes) = {
            let limits = self.limits.borrow();
            (limits.shutdown, limits.drain_time)
        };
        self.tasks.stop(patience, hurry).await;
        self.ground.stop(goodbyes, hurry).await;
        let Some((number, volume)) = self.folder.get().cloned() else { return };
        let last = move || {
            volume.close();
            number.save(false)
        };
        match blocking::run(&self.seams.blocking, last).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot save the running time"),
            Err(lost) => tracing::warn!(%lost, "cannot save the running time"),
        }
    }
}

async fn bind(seams: &Seams, address: SocketAddr) -> Result<Port, StartError> {
    let failed = |source| StartError::Bind { address, source };
    let listener = seams.network.bind(address).await.map_err(failed)?;
    let address = listener.local_address().map_err(failed)?;
    Ok((listener, address))
}

/// What a server is to the others before it belongs to a cluster: nobody but operators is taken.
async fn waiting(
    settings: &Settings,
    seams: &Seams,
    disk: Arc<dyn Disk>,
) -> Result<LinkIdentity, StartError> {
    let (met, blocking) = (Arc::new(Met::new(disk)), Arc::clone(&seams.blocking));
    let load = move || Starts::load(0, Arc::default(), 0, met, blocking);
    let starts = blocking::run(&seams.blocking, load).await?.map_err(StartError::Met)?;
    let keys = Keys::of(settings);
    Ok(LinkIdentity { cluster: None, keys, starts: Arc::new(starts), free: Arc::new(|| 0) })
}

/// What `estado` tells: those that take clients, and who of them is up as seen from here.
fn servers(
    members: Arc<Members>,
    links: Arc<OnceLock<Arc<Links>>>,
    own: Option<SocketAddr>,
) -> impl Fn() -> Vec<ServerState> + Send + Sync {
    move || {
        let takes_clients = members.all().iter().filter(|member| !member.witness);
        let state = takes_clients.map(|member| {
            let me = member.name == *members.me();
            let address = own.filter(|_| me).unwrap_or(member.address);
            let up = || links.get().is_some_and(|links| links.is_up(&member.name));
            ServerState {
                name: member.name.clone(),
                address: address.to_string(),
                active: me || up(),
            }
        });
        state.collect()
    }
}
