//! From a founded folder to a server that serves: what stands on the folder, floor by floor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::desk::Desk;
use super::folder::{self, Parts, found};
use super::{End, Identity, Met, StartError};
use crate::aborts;
use crate::catalogue::{Catalogue, Event, RaftCatalogue};
use crate::cluster::members::Members;
use crate::cluster::{self, Door, Keys, LinkIdentity, Links, Service, Starts};
use crate::config::Settings;
use crate::custody::Custody;
use crate::depot::{Depot, READERS, STRAGGLERS};
use crate::home::Found;
use crate::lingering::Lingering;
use crate::repair::scrub::Scrubber;
use crate::repair::{self, Repair, housekeeping, lost, reconcile, sweep};
use crate::seams::network::Listener;
use crate::seams::{Disk, Seams, blocking};
use crate::session::Shared;
use crate::start_number::StartNumber;
use crate::tasks::Tasks;
use crate::transfer::{Arrivals, Courier, Transfer, TransferService};
use crate::turns::Turns;
use crate::uploads::Uploads;
use crate::volume::Volume;

/// How often it is asked how much room there is, to be told to the others.
const ROOM_EVERY: Duration = Duration::from_secs(5);

/// What there is before a server serves.
pub(super) struct Site {
    /// The port for other servers, until it is listened on.
    pub(super) peers: Mutex<Option<Box<dyn Listener>>>,
    pub(super) settings: Settings,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) seams: Seams,
    pub(super) members: Arc<Members>,
    pub(super) door: Arc<Door>,
    pub(super) desk: Arc<Desk>,
    pub(super) shared: Arc<Shared>,
    pub(super) links: Arc<OnceLock<Arc<Links>>>,
    pub(super) folder: Arc<OnceLock<(StartNumber, Arc<Volume>)>>,
    pub(super) tasks: Tasks,
    pub(super) ground: Tasks,
    pub(super) end: watch::Sender<Option<End>>,
}

impl Site {
    /// A folder that is founded, or was being founded, or is a depot of one's own.
    pub(super) async fn found_alone(&self, looked: Found) -> Result<Found, StartError> {
        let (disk, seams) = (Arc::clone(&self.disk), self.seams.clone());
        let server = self.settings.server.clone();
        let work = move || -> Result<Found, StartError> {
            Ok(match looked {
                Found::Depot(home) => Found::Depot(home),
                Found::Begun(unfounded) => Found::Depot(found(&*disk, unfounded)?),
                Found::Empty(vacant) => {
                    let (cluster, founders) = (seams.entropy.bytes(), vec![server.clone()]);
                    let identity = Identity { cluster, server, incarnation: 1 };
                    Found::Depot(found(&*disk, vacant.begin(identity, founders)?)?)
                }
            })
        };
        blocking::run(&self.seams.blocking, work).await?
    }

    /// Puts the server together and opens it to clients.
    pub(super) async fn serve(&self, found: Found) -> Result<(), StartError> {
        let Found::Depot(home) = found else { return Ok(()) };
        let (world, wanted) = (self.seams.clone(), self.settings.clone());
        let disk = Arc::clone(&self.disk);
        let opened = move || folder::open(&world, &wanted, disk, home);
        let Parts { home, volume, store, number } =
            blocking::run(&self.seams.blocking, opened).await??;
        let seams = aborts::noting(&self.seams, Arc::clone(&self.disk), Arc::clone(&home));
        drop(self.folder.set((number.clone(), Arc::clone(&volume))));

        let identity = self.identity(&home.identity().clone(), &number, &volume).await?;
        self.watch_fence(&identity);
        let links = (self.members.all().len() > 1)
            .then(|| Links::new(Arc::clone(&self.members), identity.clone(), &seams, &self.ground));
        self.door.set_identity(identity);
        let (tracker, until) = (self.ground.tracker(), self.ground.stopping().clone());
        let peers = links.clone().map(|links| links as _);
        let (catalogue, events) =
            RaftCatalogue::start(store, peers, &seams, tracker, until).await?;
        self.door.set_service(Service::Catalogue, Arc::clone(&catalogue) as _);
        // What comes next asks the others, who must reach this server to answer.
        self.listen_to_peers();

        let (view, server) = (catalogue.view().await?, home.identity().server.clone());
        let swept = blocking::run(&seams.blocking, move || view.sweep_number(&server)).await??;
        volume.begin_sweep(swept.0);
        let custody = Arc::new(Custody::new(
            seams.clone(),
            volume,
            Arc::clone(&catalogue) as Arc<dyn Catalogue>,
            home,
            self.settings.volume.trash,
        ));
        let courier = Courier {
            transfer: Transfer::new(links.clone(), &self.tasks),
            custody: Arc::clone(&custody),
            seams: seams.clone(),
            buffers: self.shared.buffers.clone(),
            arrivals: Arrivals::default(),
        };
        let transfers = Arc::new(TransferService::new(courier.clone(), &self.members));
        self.door.set_service(Service::Transfer, transfers as _);
        let scrubber = self.scrubber(&seams, &custody).await?;
        self.tasks.spawn(Arc::clone(&scrubber).run(self.tasks.clone()));
        let repair = self.work(&seams, &courier, number, events, links.as_ref()).await?;
        let depot = Arc::new(self.depot(courier));
        if let Some(links) = &links {
            // Set once: a server comes to serve once in its life.
            drop(self.links.set(Arc::clone(links)));
        }
        self.desk.open(catalogue, custody, links, repair, scrubber);
        drop(self.shared.depot.set(depot));
        Ok(())
    }

    /// From now on other servers and operators are taken.
    pub(super) fn listen_to_peers(&self) {
        let listener = self.peers.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            let (door, ground) = (Arc::clone(&self.door), self.ground.clone());
            self.ground.spawn(cluster::listen(listener, door, ground));
        }
    }

    /// What this server is to the others.
    async fn identity(
        &self,
        identity: &Identity,
        number: &StartNumber,
        volume: &Arc<Volume>,
    ) -> Result<LinkIdentity, StartError> {
        let (incarnation, start) = (identity.incarnation, number.counter());
        let (met, blocking) = (Met::new(Arc::clone(&self.disk)), Arc::clone(&self.seams.blocking));
        let process = u32::from_le_bytes(self.seams.entropy.bytes());
        let load = move || Starts::load(incarnation, start, process, Arc::new(met), blocking);
        let starts = blocking::run(&self.seams.blocking, load).await?.map_err(StartError::Met)?;
        Ok(LinkIdentity {
            cluster: Some(identity.cluster),
            keys: Keys::of(&self.settings),
            starts: Arc::new(starts),
            free: self.room(volume),
        })
    }

    /// How much room there is, known without asking the disk each time.
    fn room(&self, volume: &Arc<Volume>) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        let room = Arc::new(AtomicU64::new(0));
        let (known, volume) = (Arc::clone(&room), Arc::clone(volume));
        let (blocking, stopping) =
            (Arc::clone(&self.seams.blocking), self.tasks.stopping().clone());
        self.tasks.spawn(async move {
            loop {
                let volume = Arc::clone(&volume);
                let asked = blocking::run(&blocking, move || match volume.check_writable() {
                    Ok(()) => volume.room(),
                    Err(_) => Ok(0), // it takes nothing now
                });
                match asked.await {
                    Ok(Ok(room)) => known.store(room, Ordering::Relaxed),
                    Ok(Err(error)) => tracing::warn!(%error, "cannot ask for room"),
                    Err(lost) => tracing::warn!(%lost, "cannot ask for room"),
                }
                tokio::select! {
                    () = tokio::time::sleep(ROOM_EVERY) => {}
                    () = stopping.cancelled() => return,
                }
            }
        });
        Arc::new(move || room.load(Ordering::Relaxed))
    }

    /// Ends the server when another one has met a later state of it.
    fn watch_fence(&self, identity: &LinkIdentity) {
        let (mut fenced, end) = (identity.starts.fenced(), self.end.clone());
        let stopping = self.ground.stopping().clone();
        self.ground.spawn(async move {
            let why = tokio::select! {
                why = fenced.wait_for(Option::is_some) => why.ok().and_then(|why| why.clone()),
                () = stopping.cancelled() => None,
            };
            if let Some(why) = why {
                end.send_replace(Some(End::Fenced(why)));
            }
        });
    }

    fn depot(&self, courier: Courier) -> Depot {
        Depot {
            seams: courier.seams.clone(),
            short: blocking::short(&courier.seams.blocking, READERS),
            custody: Arc::clone(&courier.custody),
            buffers: courier.buffers.clone(),
            turns: Turns::new(self.settings.limits.transfers_per_client),
            settings: self.settings.deposit.clone(),
            ack: self.settings.ack,
            members: Arc::clone(&self.members),
            courier,
            stragglers: Arc::new(Semaphore::new(STRAGGLERS)),
            tasks: self.tasks.clone(),
            uploads: Uploads::default(),
            lingering: Lingering::default(),
        }
    }

    /// What reads the copies again, where it was.
    async fn scrubber(
        &self,
        seams: &Seams,
        custody: &Arc<Custody>,
    ) -> Result<Arc<Scrubber>, StartError> {
        let (custody, seams, disk) = (Arc::clone(custody), seams.clone(), Arc::clone(&self.disk));
        let (blocking, settings) = (Arc::clone(&seams.blocking), self.settings.volume.clone());
        let load = move || Scrubber::load(custody, seams, disk, &settings);
        Ok(blocking::run(&blocking, load).await?)
    }

    /// What goes on in the background.
    async fn work(
        &self,
        seams: &Seams,
        courier: &Courier,
        number: StartNumber,
        events: mpsc::Receiver<Event>,
        links: Option<&Arc<Links>>,
    ) -> Result<Option<Arc<Repair>>, StartError> {
        let (tasks, custody) = (&self.tasks, &courier.custody);
        let (settings, disk) = (&self.settings.cluster, &self.disk);
        let repair = match links {
            Some(links) => {
                let start = Repair::start(courier, &self.members, links, settings, disk, tasks);
                Some(start.await?)
            }
            None => None,
        };
        let missed = Arc::new(Notify::new());
        let (courier, hears) = (courier.clone(), Arc::clone(&missed));
        tasks.spawn(repair::hear(events, courier, repair.clone(), hears, tasks.clone()));
        tasks.spawn(lost::run(Arc::clone(custody), tasks.clone()));
        tasks.spawn(sweep::run(Arc::clone(custody), seams.clone(), missed, tasks.clone()));
        tasks.spawn(reconcile::run(Arc::clone(custody), seams.clone(), tasks.clone()));
        tasks.spawn(housekeeping::run(Arc::clone(custody), seams.clone(), number, tasks.clone()));
        Ok(repair)
    }
}
