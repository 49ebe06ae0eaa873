//! The simulated machines, and what happens to them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::future::pending;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use depot_server::catalogue::runtime;
use depot_server::config::{Config, Selection};
use depot_server::node::Node;
use depot_server::operator::{self, Founding, Question, Reply};
use depot_server::seams::Disk;
use depot_tests::content::Random;
use depot_tests::linear::{self, Operation};
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk, When};
use depot_tests::twins::seams;
use depot_tests::twins::turmoil_network::TurmoilNetwork;
use tokio::time::sleep;
use turmoil::Sim;

use crate::client;

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
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) stage: Arc<Mutex<Stage>>,
    /// What was done and seen, by id and name.
    pub(crate) histories: Arc<Mutex<BTreeMap<(String, String), Vec<Operation>>>>,
    /// The hashes of all that was ever deposited, by id and name: what a local read may show.
    pub(crate) ever: Arc<Mutex<BTreeMap<(String, String), BTreeSet<String>>>>,
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
        seen: Arc::default(),
        stage: Arc::new(Mutex::new(Stage::Founding)),
        histories: Arc::default(),
        ever: Arc::default(),
    };
    let mut builder = turmoil::Builder::new();
    builder.rng_seed(seed).simulation_duration(Duration::from_secs(900)).tcp_capacity(4096);
    let mut sim = builder.build();
    for at in 0..plan.servers {
        let machine = world.clone();
        sim.host(host(at), move || machine.clone().serve(at));
    }
    sim.client("operator", world.clone().found());
    for number in 0..CLIENTS {
        sim.client(format!("client{number}"), client::work(world.clone(), number));
    }
    world.storm(&mut sim);
    drop(sim);
    for ((_, name), history) in &*world.histories.lock().unwrap() {
        if let Err(violation) = linear::check(history) {
            panic!("seed {seed}: no order explains what was seen of {name}: {violation:#?}");
        }
    }
    std::mem::take(&mut *world.seen.lock().unwrap())
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
    text += "[deposit]\ncheckpoint = \"256 KiB\"\n";
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
            Err(error) => return Err(error.into()),
        };
        let ended = node.ended().await;
        if disk.is_frozen() {
            return pending().await;
        }
        Err(format!("{} ended by itself: {ended}; aborts: {aborts:?}", host(at)).into())
    }

    fn disk(&self, at: usize) -> MemoryDisk {
        self.disks.lock().unwrap()[at].clone()
    }

    /// Founds the cluster, as `depot-server init` does.
    async fn found(self) -> Result<(), Box<dyn Error>> {
        let (seams, _) = seams(Arc::new(TokioClock::start()), Arc::new(TurmoilNetwork), !self.seed);
        let servers = self.config.servers();
        let founders: Vec<String> = servers.iter().map(|server| server.name.to_string()).collect();
        let cluster: [u8; 16] = seams.entropy.bytes();
        for server in servers {
            let founding = Founding { cluster, incarnation: 1, founders: founders.clone() };
            let question = Question::Found(founding);
            let within = Duration::from_secs(10);
            loop {
                match operator::ask(&seams, &self.config, server, &question, within).await {
                    Ok((_, Reply::Founded)) => break,
                    Ok((_, other)) => return Err(format!("{}: {other:?}", server.name).into()),
                    Err(_) => sleep(Duration::from_millis(100)).await, // not listening yet
                }
            }
        }
        *self.stage.lock().unwrap() = Stage::Storm;
        Ok(())
    }

    /// Lets things go wrong at moments that the seed decides, then makes all good again and waits
    /// for the clients' word.
    fn storm(&self, sim: &mut Sim<'_>) {
        let mut chance = Random::new(self.seed);
        while self.stage() == Stage::Founding {
            self.step(sim);
        }
        let end = sim.elapsed() + STORM;
        let mut weather = Weather::new(self.plan.servers);
        while sim.elapsed() < end {
            let next = sim.elapsed() + Duration::from_millis(500 + chance.below(4_500));
            while sim.elapsed() < next.min(end) {
                self.step(sim);
                self.bounce_the_frozen(sim, &mut weather, &mut chance);
                weather.clear_up(self, sim);
            }
            weather.strike(self, sim, &mut chance);
        }
        weather.calm(self, sim);
        *self.stage.lock().unwrap() = Stage::Calm;
        while !self.step(sim) {
            self.bounce_the_frozen(sim, &mut weather, &mut chance);
            weather.clear_up(self, sim);
        }
        assert_eq!(self.seen.lock().unwrap().content, CLIENTS, "seed {}", self.seed);
    }

    fn step(&self, sim: &mut Sim<'_>) -> bool {
        sim.step().unwrap_or_else(|error| panic!("seed {}: {error}", self.seed))
    }

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.lock().unwrap()
    }

    /// A server whose disk was cut in the middle of an operation is gone, and comes back later.
    fn bounce_the_frozen(&self, sim: &mut Sim<'_>, weather: &mut Weather, chance: &mut Random) {
        for at in 0..self.plan.servers {
            if weather.back[at].is_none() && self.disk(at).is_frozen() {
                self.crash(sim, at, chance);
                weather.back[at] = Some(sim.elapsed() + Duration::from_millis(chance.below(3_000)));
            }
        }
    }

    /// The power of one machine fails now.
    fn crash(&self, sim: &mut Sim<'_>, at: usize, chance: &mut Random) {
        self.note(sim.elapsed(), format!("{} crashes", host(at)));
        self.seen.lock().unwrap().faults += 1;
        sim.crash(host(at));
        let back = self.disk(at).crash(CrashMode::Random(chance.number()));
        self.disks.lock().unwrap()[at] = back;
    }

    pub(crate) fn note(&self, at: Duration, what: String) {
        self.seen.lock().unwrap().trace.push(format!("{} {what}", at.as_micros()));
    }
}

/// What is wrong now, and until when.
struct Weather {
    /// When each server that is down comes back.
    back: Vec<Option<Duration>>,
    /// Which links are cut, one way, and when they are whole again.
    cuts: Vec<(usize, usize, Duration)>,
}

impl Weather {
    fn new(servers: usize) -> Self {
        Weather { back: vec![None; servers], cuts: Vec::new() }
    }

    /// One more thing goes wrong.
    fn strike(&mut self, world: &World, sim: &mut Sim<'_>, chance: &mut Random) {
        let servers = world.plan.servers;
        let now = sim.elapsed();
        let one = chance.below(servers as u64) as usize;
        let other = (one + 1 + chance.below(servers as u64 - 1) as usize) % servers;
        let until = now + Duration::from_millis(200 + chance.below(6_000));
        match chance.below(10) {
            // The power fails, at once or at an operation of the disk to come.
            0..=2 if self.back[one].is_none() => {
                world.crash(sim, one, chance);
                self.back[one] = Some(now + Duration::from_millis(chance.below(4_000)));
            }
            3..=4 if self.back[one].is_none() => {
                let when = *chance.pick(&[When::Before, When::After]);
                world.disk(one).crash_at(1 + chance.below(300), when);
            }
            5 => {
                for at in 0..servers {
                    if self.back[at].is_none() {
                        world.crash(sim, at, chance);
                        self.back[at] = Some(now + Duration::from_millis(chance.below(2_000)));
                    }
                }
            }
            6 => self.cut(world, sim, &[(one, other), (other, one)], until),
            7 => self.cut(world, sim, &[(one, other)], until),
            8 => {
                let island: Vec<_> = (0..servers)
                    .filter(|at| *at != one)
                    .flat_map(|at| [(one, at), (at, one)])
                    .collect();
                self.cut(world, sim, &island, until);
            }
            _ => {}
        }
    }

    fn cut(&mut self, world: &World, sim: &Sim<'_>, links: &[(usize, usize)], until: Duration) {
        world.note(sim.elapsed(), format!("cut: {links:?}"));
        world.seen.lock().unwrap().faults += 1;
        for (from, to) in links {
            if !self.cuts.iter().any(|(a, b, _)| (a, b) == (from, to)) {
                sim.partition_oneway(host(*from), host(*to));
                self.cuts.push((*from, *to, until));
            }
        }
    }

    /// What is over comes to its end.
    fn clear_up(&mut self, world: &World, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        for at in 0..world.plan.servers {
            if self.back[at].is_some_and(|back| now >= back) {
                self.back[at] = None;
                sim.bounce(host(at));
            }
        }
        self.cuts.retain(|(from, to, until)| {
            let over = now >= *until;
            if over {
                sim.repair_oneway(host(*from), host(*to));
            }
            !over
        });
    }

    /// Everything is over.
    fn calm(&mut self, world: &World, sim: &mut Sim<'_>) {
        world.note(sim.elapsed(), "calm".into());
        for (.., until) in &mut self.cuts {
            *until = Duration::ZERO;
        }
        for back in self.back.iter_mut().flatten() {
            *back = Duration::ZERO;
        }
        for at in 0..world.plan.servers {
            world.disk(at).clear_faults();
        }
        self.clear_up(world, sim);
    }
}
