//! What keeps copies good and room free, in the background.
//!
//! Facts stand in the catalogue; every server compares them with its own disk. Who leads says who is
//! away (`watch`) and who shall make the copies that are lacking (`plan`). Each server makes those
//! that it is wanted to have (`heal`), leaves records that need it no more (`surplus`), and looks
//! whether what is counted on it is there (`reconcile`, `scrub`); what is not it tells (`lost`).
//! Bytes go by the sweep alone (`sweep`).

pub mod heal;
pub mod housekeeping;
mod kept;
pub mod lost;
pub mod plan;
mod reading;
pub mod reconcile;
pub mod scrub;
pub mod surplus;
pub mod sweep;
pub mod watch;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc};

use crate::catalogue::Event;
use crate::cluster::Links;
use crate::cluster::members::Members;
use crate::config::ClusterSettings;
use crate::seams::{Disk, blocking};
use crate::tasks::Tasks;
use crate::transfer::Courier;
use heal::Healer;
use kept::Keeper;
use plan::{Place, Planner};
use surplus::Surplus;
use watch::{Sight, Watch};

/// What keeps the copies of a cluster, on one of its servers.
pub struct Repair {
    /// Makes copies.
    pub healer: Arc<Healer>,
    /// Finds out which are lacking.
    pub planner: Arc<Planner>,
    surplus: Arc<Surplus>,
}

impl Repair {
    /// Begins where it was, and goes on until the server stops.
    ///
    /// # Errors
    /// The server is going down.
    pub async fn start(
        courier: &Courier,
        members: &Arc<Members>,
        links: &Arc<Links>,
        settings: &ClusterSettings,
        disk: &Arc<dyn Disk>,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, blocking::Lost> {
        let (disk, seams) = (Arc::clone(disk), courier.seams.clone());
        let load = move || Keeper::<Place>::load(disk, &seams);
        let (keeper, place) = blocking::run(&courier.seams.blocking, load).await?;
        let custody = &courier.custody;
        let sight = Sight::new(Arc::clone(links), Arc::clone(members), courier.seams.clone());
        let healer = Healer::new(courier.clone(), members.me().clone());
        let surplus = Surplus::new(courier, Arc::clone(members));
        let planner = Arc::new(Planner {
            custody: Arc::clone(custody),
            members: Arc::clone(members),
            transfer: courier.transfer.clone(),
            sight: sight.clone(),
            settings: settings.clone(),
            wake: Notify::new(),
            told: Mutex::default(),
            told_any: Notify::new(),
            lacking: AtomicU64::new(0),
            place: Mutex::new(place.unwrap_or_default()),
            keeper,
        });
        let watch = Watch {
            custody: Arc::clone(custody),
            members: Arc::clone(members),
            sight,
            settings: settings.clone(),
            planner: Arc::clone(&planner),
        };
        tasks.spawn(Arc::clone(&healer).run(links.changes(), tasks.clone()));
        tasks.spawn(Arc::clone(&planner).run(links.changes(), tasks.clone()));
        tasks.spawn(Arc::clone(&surplus).run(links.changes(), tasks.clone()));
        tasks.spawn(watch.run(tasks.clone()));
        Ok(Arc::new(Repair { healer, planner, surplus }))
    }

    fn hear(&self, event: Event) {
        match event {
            Event::Wanted { namespace, name, digest, cause } => {
                self.healer.want((namespace, name), digest, cause);
            }
            Event::Lacking { namespace, name } => self.planner.look_at(namespace, name),
            Event::Surplus { namespace, name } => self.surplus.look_at(namespace, name),
            Event::Servers => {
                self.planner.look();
                self.surplus.look_at_all();
            }
            Event::LookAtAll => {
                self.healer.look_at_all();
                self.planner.look();
                self.surplus.look_at_all();
            }
            Event::Released(_) => {}
        }
    }
}

/// Passes on what the catalogue tells this server; in a depot of one there is nothing to repair
/// from, only to let go. `missed` wakes the sweeper where it is not told what.
pub async fn hear(
    mut events: mpsc::Receiver<Event>,
    courier: Courier,
    repair: Option<Arc<Repair>>,
    missed: Arc<Notify>,
    tasks: Tasks,
) {
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            () = tasks.stopping().cancelled() => return,
        };
        let Some(event) = event else { return };
        if event == Event::LookAtAll {
            missed.notify_one();
        }
        if let Event::Released(digest) = event {
            courier.custody.let_go(digest);
        } else if let Some(repair) = &repair {
            repair.hear(event);
        }
    }
}
