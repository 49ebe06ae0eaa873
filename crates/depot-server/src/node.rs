//! One server, put together from the ground up and taken down in reverse: data folder, volume,
//! catalogue, the background's workers, the listener.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use depot_protocol::ServerState;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::aborts;
use crate::buffers::Buffers;
use crate::catalogue::{
    self, Catalogue, Event, Founding, Incarnation, OpenError, RaftCatalogue, ReadError, Store,
    StoreSettings,
};
use crate::cluster::members::Members;
use crate::config::{Limits, Settings};
use crate::custody::Custody;
use crate::depot::{Depot, STRAGGLERS};
use crate::home::{self, Found, Home, HomeError, Identity, Unfounded};
use crate::listener;
use crate::pace::Pace;
use crate::repair::{housekeeping, scrub, sweep};
use crate::seams::{Disk, Seams, blocking};
use crate::session::Shared;
use crate::start_number::StartNumber;
use crate::tasks::Tasks;
use crate::transfer::{Arrivals, Courier, Transfer};
use crate::turns::Turns;
use crate::uploads::Uploads;
use crate::volume::Volume;

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

/// A running server.
pub struct Node {
    address: SocketAddr,
    number: StartNumber,
    seams: Seams,
    limits: watch::Sender<Arc<Limits>>,
    /// Sessions and workers.
    tasks: Tasks,
    /// What they stand on: listener and catalogue.
    ground: Tasks,
}

/// The halves of an open data folder.
struct Parts {
    home: Arc<Home>,
    volume: Arc<Volume>,
    store: Arc<Store>,
    number: StartNumber,
}

impl Node {
    /// Starts a server on a data folder, founding it if it is empty. `descriptors`: how many
    /// connections the process can have open.
    pub async fn start(
        settings: Settings,
        disk: Arc<dyn Disk>,
        seams: Seams,
        descriptors: usize,
    ) -> Result<Node, StartError> {
        let address = settings.listen;
        let bound = seams.network.bind(address).await;
        let listener = bound.map_err(|source| StartError::Bind { address, source })?;
        let address =
            listener.local_address().map_err(|source| StartError::Bind { address, source })?;

        let (world, wanted, folder) = (seams.clone(), settings.clone(), Arc::clone(&disk));
        let opened = blocking::run(&seams.blocking, move || open(&world, &wanted, folder));
        let Parts { home, volume, store, number } = opened.await??;

        let (tasks, ground) = (Tasks::default(), Tasks::default());
        let seams = aborts::noting(&seams, disk, Arc::clone(&home));
        let (tracker, until) = (ground.tracker(), ground.stopping().clone());
        let started = RaftCatalogue::start(store, None, &seams, tracker, until).await;
        let (catalogue, events) = match started {
            Ok(started) => started,
            Err(error) => {
                ground.stop(Duration::ZERO, &CancellationToken::new()).await;
                return Err(error.into());
            }
        };
        let (view, server) = (catalogue.view().await?, home.identity().server.clone());
        let sweep = blocking::run(&seams.blocking, move || view.sweep_number(&server)).await??;
        volume.begin_sweep(sweep.0);
        let custody = Arc::new(Custody::new(
            seams.clone(),
            volume,
            catalogue as Arc<dyn Catalogue>,
            home,
            settings.volume.trash,
        ));
        tasks.spawn(hear(events, Arc::clone(&custody), tasks.clone()));
        tasks.spawn(sweep::run(Arc::clone(&custody), seams.clone(), tasks.clone()));
        tasks.spawn(scrub::run(Arc::clone(&custody), seams.clone(), tasks.clone()));
        let keeping =
            housekeeping::run(Arc::clone(&custody), seams.clone(), number.clone(), tasks.clone());
        tasks.spawn(keeping);

        let limits = watch::Sender::new(Arc::new(settings.limits.clone()));
        let buffers = Buffers::new(settings.deposit.memory);
        let courier = Courier {
            transfer: Transfer::new(None),
            custody: Arc::clone(&custody),
            seams: seams.clone(),
            buffers: buffers.clone(),
            arrivals: Arrivals::default(),
        };
        let shared = Arc::new(Shared {
            depot: Depot {
                seams: seams.clone(),
                custody,
                buffers,
                turns: Turns::new(settings.limits.transfers_per_client),
                ack: settings.ack,
                members: Arc::new(Members::of(&settings)),
                settings: settings.deposit,
                courier,
                stragglers: Arc::new(Semaphore::new(STRAGGLERS)),
                tasks: tasks.clone(),
                uploads: Uploads::default(),
            },
            pace: Pace::default(),
            servers: vec![ServerState {
                name: settings.server,
                address: address.to_string(),
                active: true,
            }],
            tasks: tasks.clone(),
        });
        let listening =
            listener::run(listener, shared, limits.subscribe(), descriptors, ground.clone());
        ground.spawn(listening);
        Ok(Node { address, number, seams, limits, tasks, ground })
    }

    /// Where clients dial.
    pub fn address(&self) -> SocketAddr {
        self.address
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
        let number = self.number;
        match blocking::run(&self.seams.blocking, move || number.save(false)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot save the running time"),
            Err(lost) => tracing::warn!(%lost, "cannot save the running time"),
        }
    }
}

fn open(seams: &Seams, settings: &Settings, disk: Arc<dyn Disk>) -> Result<Parts, StartError> {
    let home = match home::look(Arc::clone(&disk), seams, &settings.server)? {
        Found::Depot(home) => home,
        Found::Empty(unfounded) => found(&*disk, unfounded)?,
    };
    let home = Arc::new(home);
    let check = aborts::look(&*disk, &home, seams)?;
    let wanted = &settings.catalogue;
    let wanted = StoreSettings { cache: wanted.cache, check_on_open: wanted.check_on_open };
    let store = Arc::new(Store::open(&*disk, &wanted, check)?);
    if *store.identity() != identity(home.identity()) {
        return Err(StartError::Home(HomeError::Foreign(
            "the catalogue in the data folder is another server's: put the right one back".into(),
        )));
    }
    let number =
        StartNumber::check(Arc::clone(&store), Arc::clone(&home), Arc::clone(&seams.clock))?;
    number.save(true)?;
    let volume = Volume::open(disk, seams, settings.volume.clone()).map_err(volume_error)?;
    Ok(Parts { home, volume: Arc::new(volume), store, number })
}

/// Makes both halves, durable, then marks them.
fn found(disk: &dyn Disk, unfounded: Unfounded) -> Result<Home, StartError> {
    Volume::found(disk).map_err(StartError::Volume)?;
    let catalogue = Path::new("catalogue");
    match disk.create_dir(catalogue) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        other => other.map_err(StartError::Volume)?,
    }
    disk.sync_dir(Path::new("")).map_err(StartError::Volume)?;
    Store::found(disk, Founding::alone(identity(&unfounded.identity)))?;
    tracing::info!("founded a new depot in an empty data folder");
    Ok(unfounded.founded()?)
}

fn identity(identity: &Identity) -> catalogue::Identity {
    catalogue::Identity {
        cluster: identity.cluster,
        server: identity.server.clone(),
        incarnation: Incarnation(identity.incarnation),
    }
}

/// Passes on what the catalogue tells this server.
async fn hear(mut events: mpsc::Receiver<Event>, custody: Arc<Custody>, tasks: Tasks) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = tasks.stopping().cancelled() => return,
        };
        match event {
            Some(Event::Released(digest)) => custody.let_go(digest),
            // A depot of one is never wanted to make a copy; what was dropped here, the daily look
            // at the whole volume finds.
            Some(Event::Wanted { .. } | Event::LookAtAll) => {}
            None => return,
        }
    }
}

fn volume_error(error: std::io::Error) -> StartError {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidData => {
            StartError::Home(HomeError::Damaged(format!("the volume is not whole: {error}")))
        }
        _ => StartError::Volume(error),
    }
}
