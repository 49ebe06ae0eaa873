//! The simulated machines, and what happens to them.

use std::error::Error;
use std::fmt::Write as _;
use std::future::pending;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use depot_server::catalogue::runtime;
use depot_server::config::{Config, Selection, Server};
use depot_server::node::{End, Node};
use depot_server::seams::Disk;
use depot_tests::content::Random;
use depot_tests::history::Histories;
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk};
use depot_tests::twins::seams;
use depot_tests::twins::turmoil_network::TurmoilNetwork;
use turmoil::Sim;

use crate::weather::Weather;
use crate::{client, operator};

/// For so long things go wrong.
const STORM: Duration = Duration::from_secs(30);
/// So many clients work, each with its own files.
pub(crate) const CLIENTS: u64 = 2;
/// Connections that a server could have open.
const DESCRIPTORS: usize = 10_000;

/// What sort of cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) servers: usize,
    /// Whether all clients share one id, and so their files.
    pub(crate) shared: bool,
    /// Whether one server loses copies, or all, for good; then all files have replicas.
    pub(crate) loss: bool,
}

/// What came of a simulation.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Everything that a client heard and everything that went wrong, and when.
    pub(crate) trace: Vec<String>,
    pub(crate) faults: usize,
    /// How many changes were acknowledged.
    pub(crate) promises: usize,
    /// How many clients have found everything as it must be.
    pub(crate) content: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The cluster is being founded.
    Founding,
    /// Clients work, things go wrong.
    Storm,
    /// Everything is up and connected again, for good.
    Calm,
}

/// What machines, clients and the storm share.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) plan: Plan,
    config: Arc<Config>,
    disks: Arc<Mutex<Vec<MemoryDisk>>>,
    lives: Arc<Mutex<Vec<u64>>>,
    /// The server whose disk was lost, until it is admitted again.
    replaced: Arc<Mutex<Option<usize>>>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) stage: Arc<Mutex<Stage>>,
    /// What was done and seen.
    pub(crate) histories: Arc<Histories>,
}

/// Runs the world of this seed to its end.
pub(crate) fn run(seed: u64, plan: Plan) -> Seen {
    println!("DEPOT_SEED={seed} {plan:?}");
    log();
    runtime::seed(Some(seed));
    let world = World {
        seed,
        plan,
        config: Arc::new(config(plan)),
        disks: Arc::new(Mutex::new((0..plan.servers).map(|_| MemoryDisk::new()).collect())),
        lives: Arc::new(Mutex::new(vec![0; plan.servers])),
        replaced: Arc::default(),
        seen: Arc::default(),
        stage: Arc::new(Mutex::new(Stage::Founding)),
        histories: Arc::new(Histories::timed_by(now)),
    };
    let mut builder = turmoil::Builder::new();
    builder.rng_seed(seed).simulation_duration(Duration::from_secs(900)).tcp_capacity(4096);
    let mut sim = builder.build();
    for at in 0..plan.servers {
        let machine = world.clone();
        sim.host(host(at), move || machine.clone().serve(at));
    }
    sim.client("operator", operator::work(world.clone()));
    for number in 0..CLIENTS {
        sim.client(format!("client{number}"), client::work(world.clone(), number));
    }
    world.storm(&mut sim);
    drop(sim);
    world.histories.check();
    std::mem::take(&mut *world.seen.lock().unwrap())
}

/// The simulation's time, the same for all.
fn now() -> u64 {
    let time = turmoil::sim_elapsed().expect("this is a simulated host").as_micros();
    u64::try_from(time).expect("some minutes")
}

/// With `DEPOT_LOG` the servers' logs go to stdout.
fn log() {
    if let Ok(filter) = std::env::var("DEPOT_LOG") {
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).without_time();
        drop(log.try_init()); // another test of this process has done it
    }
}

/// The name of a machine; its address is the next one in the order of their making.
pub(crate) fn host(at: usize) -> String {
    format!("s{}", at + 1)
}

/// A file of these servers, read as a real one is.
fn config(plan: Plan) -> Config {
    let mut text = "[cluster]\nname = \"sim\"\ninsecure = true\n".to_owned();
    text += "secret = \"fifty bytes that only the simulation's servers know\"\n";
    text += "repair_after = \"3s\"\nrepair_after_last = \"1s\"\n";
    // A journal and packs so small that they are full again and again.
    text += "[catalogue]\njournal = \"32 KiB\"\n[volume]\npack = \"32 KiB\"\n";
    text += "scrub_fresh = \"2s\"\n[deposit]\ncheckpoint = \"256 KiB\"\n";
    for at in 0..plan.servers {
        let (name, ip) = (host(at), at + 1);
        writeln!(
            text,
            "[[server]]\nname = \"{name}\"\naddress = \"192.168.0.{ip}:7070\"\n\
             peer = \"192.168.0.{ip}:7170\"\ndata = \"{name}\""
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("depot.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    Config::load(&path).unwrap_or_else(|error| panic!("{error}")).config
}

impl World {
    /// One life of a machine.
    async fn serve(self, at: usize) -> Result<(), Box<dyn Error>> {
        let life = {
            let mut lives = self.lives.lock().unwrap();
            lives[at] += 1;
            lives[at]
        };
        let disk = self.disk(at);
        let name = self.config.servers()[at].name.clone();
        let settings = self.config.settings_for(&Selection { name: Some(name), port: None })?;
        let seed = self.seed << 24 | life << 8 | at as u64;
        let (mut seams, aborts) =
            seams(Arc::new(TokioClock::start()), Arc::new(TurmoilNetwork), seed);
        // Where a server aborts, its disk is as after a kill, and the storm sees that.
        let (abort, cut) = (Arc::clone(&seams.abort), disk.clone());
        seams.abort = Arc::new(move |why| {
            if !cut.is_frozen() {
                abort(why);
                drop(cut.kill());
            }
        });
        let started =
            Node::start(settings, Arc::new(disk.clone()) as Arc<dyn Disk>, seams, DESCRIPTORS);
        let mut node = match started.await {
            Ok(node) => node,
            // The power failed while it came back: the next life tries again.
            Err(_) if disk.is_frozen() => return pending().await,
            // Nor does a server start on a full disk: it is tried again until there is room.
            Err(error) if is_full(&error) => {
                drop(disk.kill());
                return pending().await;
            }
            Err(error) => return Err(error.into()),
        };
        let ended = node.ended().await;
        if disk.is_frozen() {
            return pending().await;
        }
        // Nor is one founded there.
        if let End::Failed(error) = &ended
            && is_full(&**error)
        {
            drop(disk.kill());
            return pending().await;
        }
        Err(format!("{} ended by itself: {ended}; aborts: {aborts:?}", host(at)).into())
    }

    pub(crate) fn disk(&self, at: usize) -> MemoryDisk {
        self.disks.lock().unwrap()[at].clone()
    }

    /// Lets things go wrong at moments that the seed decides, then makes all good again and waits
    /// for the clients' word.
    fn storm(&self, sim: &mut Sim<'_>) {
        let mut chance = Random::new(self.seed);
        while self.stage() == Stage::Founding {
            self.step(sim);
        }
        let end = sim.elapsed() + STORM;
        let mut weather = Weather::new(self);
        while sim.elapsed() < end {
            let next = sim.elapsed() + Duration::from_millis(500 + chance.below(4_500));
            while sim.elapsed() < next.min(end) {
                self.step(sim);
                weather.bounce_the_frozen(self, sim, &mut chance);
                weather.clear_up(self, sim);
            }
            weather.strike(self, sim, &mut chance);
        }
        weather.calm(self, sim);
        self.begins(Stage::Calm);
        while !self.step(sim) {
            weather.bounce_the_frozen(self, sim, &mut chance);
            weather.clear_up(self, sim);
        }
        assert_eq!(self.seen.lock().unwrap().content, CLIENTS, "seed {}", self.seed);
    }

    fn step(&self, sim: &mut Sim<'_>) -> bool {
        sim.step().unwrap_or_else(|error| panic!("seed {}: {error}", self.seed))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn servers(&self) -> &[Server] {
        self.config.servers()
    }

    pub(crate) fn cluster(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(!self.seed).to_be_bytes());
        id
    }

    pub(crate) fn begins(&self, stage: Stage) {
        *self.stage.lock().unwrap() = stage;
    }

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.lock().unwrap()
    }

    /// The power of one machine fails now.
    pub(crate) fn crash(&self, sim: &mut Sim<'_>, at: usize, chance: &mut Random) {
        self.fault(sim.elapsed(), format!("{} crashes", host(at)));
        sim.crash(host(at));
        let back = self.disk(at).crash(CrashMode::Random(chance.number()));
        self.disks.lock().unwrap()[at] = back;
    }

    /// The disk of a machine that is down is another now; the operator is to admit it.
    pub(crate) fn replaces(&self, now: Duration, at: usize, disk: MemoryDisk) {
        self.fault(now, format!("{}'s disk is lost", host(at)));
        self.disks.lock().unwrap()[at] = disk;
        *self.replaced.lock().unwrap() = Some(at);
    }

    /// Which server has another disk and is to be admitted.
    pub(crate) fn replaced(&self) -> Option<usize> {
        *self.replaced.lock().unwrap()
    }

    pub(crate) fn has_admitted(&self, at: usize) {
        self.note(turmoil::sim_elapsed().unwrap_or_default(), format!("{} is admitted", host(at)));
        *self.replaced.lock().unwrap() = None;
    }

    pub(crate) fn fault(&self, at: Duration, what: String) {
        self.seen.lock().unwrap().faults += 1;
        self.note(at, what);
    }

    pub(crate) fn note(&self, at: Duration, what: String) {
        self.seen.lock().unwrap().trace.push(format!("{} {what}", at.as_micros()));
    }
}

fn is_full(error: &(dyn Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
        || error.source().is_some_and(is_full)
}
