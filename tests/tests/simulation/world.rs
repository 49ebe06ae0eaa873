//! One simulated machine with a server that crashes, and a client that writes down what it was
//! promised.

use std::error::Error;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use depot_server::seams::Disk;
use depot_tests::Recovered;
use depot_tests::content::{Random, random_bytes};
use depot_tests::in_process::{Client, Content, Heard, ID, Ledger, Site, audit};
use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk, When};
use depot_tests::twins::turmoil_disk::TurmoilDisk;
use depot_tests::twins::turmoil_network::TurmoilNetwork;
use tokio::time::sleep;
use turmoil::Sim;
use turmoil::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(5);
/// So many things the client does.
const DOES: u64 = 40;
const NAMES: [&str; 5] = ["um", "dois", "três", "quatro", "cinco"];

/// What the server's data lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The simulation's disk; the machine crashes between two steps of the simulation.
    Turmoil,
    /// The disk in memory; the power fails in the middle of an operation.
    Memory,
}

/// What came of a simulation.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Everything that the client heard, and when.
    pub(crate) trace: Vec<String>,
    pub(crate) crashes: usize,
    /// How many changes were acknowledged.
    pub(crate) promises: usize,
}

/// What the machine and its client share with the test.
#[derive(Clone)]
struct World {
    seed: u64,
    kind: Kind,
    disk: Arc<Mutex<MemoryDisk>>,
    seen: Arc<Mutex<Seen>>,
    stage: Arc<Mutex<Stage>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client works, the server crashes.
    Storm,
    /// The client has done all; the last crash is due.
    Over,
    /// The server is back for good.
    Calm,
}

/// Runs the world of this seed to its end.
pub(crate) fn run(seed: u64, kind: Kind) -> Seen {
    println!("DEPOT_SEED={seed} {kind:?}");
    let disk = Arc::new(Mutex::new(MemoryDisk::new()));
    let stage = Arc::new(Mutex::new(Stage::Storm));
    let world = World { seed, kind, disk, seen: Arc::default(), stage };
    let mut builder = turmoil::Builder::new();
    builder.rng_seed(seed).simulation_duration(Duration::from_secs(600)).tcp_capacity(1024);
    let mut sim = builder.build();
    let machine = world.clone();
    sim.host("server", move || machine.clone().serve());
    sim.client("client", world.clone().ask());
    world.storm(&mut sim);
    drop(sim);
    std::mem::take(&mut *world.seen.lock().unwrap())
}

impl World {
    async fn serve(self) -> Result<(), Box<dyn Error>> {
        let life = self.seen.lock().unwrap().crashes as u64;
        let disk: Arc<dyn Disk> = match self.kind {
            Kind::Turmoil => Arc::new(TurmoilDisk::open("/depot")?),
            Kind::Memory => Arc::new(self.disk.lock().unwrap().clone()),
        };
        let site = Site::new(self.seed << 16 | life)
            .with(|settings| settings.deposit.checkpoint = 64 * 1024);
        let (seams, _aborts) = site.seams(Arc::new(TurmoilNetwork));
        match site.start_in(seams, disk).await {
            Ok(_node) => pending().await,
            // The power failed while it came back: the next life tries again.
            Err(_) if self.disk.lock().unwrap().is_frozen() => pending().await,
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the power fail at moments that the seed decides, the last time when the client is done.
    fn storm(&self, sim: &mut Sim<'_>) {
        let mut chance = Random::new(self.seed);
        let mut due = self.next_crash(sim, &mut chance);
        while !sim.step().unwrap_or_else(|error| panic!("seed {}: {error}", self.seed)) {
            let stage = *self.stage.lock().unwrap();
            let struck = sim.elapsed() >= due || self.disk.lock().unwrap().is_frozen();
            if stage == Stage::Calm || !(struck || stage == Stage::Over) {
                continue;
            }
            sim.crash("server");
            self.seen.lock().unwrap().crashes += 1;
            let back = self.disk.lock().unwrap().crash(CrashMode::Random(chance.number()));
            *self.disk.lock().unwrap() = back;
            for _ in 0..chance.below(1500) {
                assert!(!sim.step().unwrap(), "the client is not done");
            }
            match stage {
                Stage::Over => *self.stage.lock().unwrap() = Stage::Calm,
                _ => due = self.next_crash(sim, &mut chance),
            }
            sim.bounce("server");
        }
    }

    /// When the machine crashes next; for the disk in memory also at which operation.
    fn next_crash(&self, sim: &Sim<'_>, chance: &mut Random) -> Duration {
        if self.kind == Kind::Memory {
            let when = *chance.pick(&[When::Before, When::After]);
            self.disk.lock().unwrap().crash_at(1 + chance.below(700), when);
        }
        sim.elapsed() + Duration::from_millis(500 + chance.below(5000))
    }

    async fn ask(self) -> Result<(), Box<dyn Error>> {
        let mut chance = Random::new(!self.seed);
        let mut ledger = Ledger::default();
        let mut client = connect().await;
        for _ in 0..DOES {
            sleep(Duration::from_millis(chance.below(400))).await;
            let heard = self.act(&mut client, &mut ledger, &mut chance).await;
            if !heard.is_done() {
                client = connect().await;
            }
        }
        *self.stage.lock().unwrap() = Stage::Over;
        while *self.stage.lock().unwrap() != Stage::Calm {
            sleep(Duration::from_millis(10)).await;
        }
        let violations = audit(&mut connect().await, &mut ledger).await;
        assert!(violations.is_empty(), "seed {}: {violations:?}", self.seed);
        self.note(format!("{} files in the end", ledger.certain()));
        Ok(())
    }

    /// One thing that a client does.
    async fn act(
        &self,
        client: &mut Client<TcpStream>,
        ledger: &mut Ledger,
        chance: &mut Random,
    ) -> Heard {
        let name = *chance.pick(&NAMES);
        let content = content(chance);
        let heard = match (chance.below(10), &content) {
            (0..=4, Some(bytes)) => {
                ledger.asks(name, content.clone());
                client.deposit(ID, name, bytes).await
            }
            (5..=6, Some(bytes)) => {
                ledger.asks(name, content.clone());
                client.resume(ID, name, bytes).await
            }
            (7, _) if ledger.possible(name) != [None] => {
                ledger.asks(name, None);
                client.remove(ID, name).await
            }
            _ => return self.look(client, ledger, name).await,
        };
        ledger.hears(name, &heard);
        self.seen.lock().unwrap().promises += usize::from(heard.is_done());
        self.note(format!("{name}: {heard:?}"));
        heard
    }

    /// Recovers a file: what comes whole is what was deposited.
    async fn look(&self, client: &mut Client<TcpStream>, ledger: &Ledger, name: &str) -> Heard {
        let found = client.recover(ID, name).await;
        let possible = ledger.possible(name);
        match &found {
            Recovered::Whole(bytes) => {
                assert!(possible.contains(&Some(Bytes::from(bytes.clone()))), "{name} is wrong");
                self.note(format!("{name}: {} bytes", bytes.len()));
                Heard::Line("resultado:1".into())
            }
            Recovered::Refused(line) => {
                assert!(possible.contains(&None), "{name} is lost: {line}");
                self.note(format!("{name}: {line}"));
                Heard::Line("resultado:1".into())
            }
            Recovered::Cut(_) => {
                self.note(format!("{name}: cut"));
                Heard::Closed
            }
        }
    }

    fn note(&self, what: String) {
        let at = turmoil::elapsed().as_micros();
        self.seen.lock().unwrap().trace.push(format!("{at} {what}"));
    }
}

/// Some bytes, of few sorts so that equal ones meet.
fn content(chance: &mut Random) -> Content {
    let size = *chance.pick(&[0, 10, 5000, 70 * 1024, 150 * 1024]);
    Some(random_bytes(chance.below(3), size).into())
}

/// A connection, as soon as there is a server.
async fn connect() -> Client<TcpStream> {
    loop {
        if let Ok(Ok(stream)) =
            tokio::time::timeout(PATIENCE, TcpStream::connect("server:7070")).await
        {
            return Client::new(stream).patience(PATIENCE);
        }
        sleep(Duration::from_millis(50)).await;
    }
}
