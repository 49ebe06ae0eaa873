//! `depot-bench`, the load generator: it drives real depot servers over sockets, checks every byte
//! that comes back, and prints what it measured beside what this machine can do.
//!
//! In every run each [`scenario`] is measured next to its limit, so that a slow hour of the disk slows
//! both: [`limit`] is the machine, [`drive`] the servers; [`load`] has the words that they share. A
//! file's bytes come from [`content`], go through [`wire`] to the [`depot`], and the figures into the
//! [`report`].
#![allow(clippy::disallowed_methods)] // it measures real time, and has no simulation to run in

mod cli;
mod content;
mod depot;
mod drive;
mod entries;
mod limit;
mod load;
mod report;
mod scenario;
mod wire;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, exit};
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{self, FsType, statfs};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command, Entries, Place, Plan};
use crate::depot::{Depot, Usage};
use crate::load::{Load, Measured};
use crate::report::{Gathered, Report, Row};
use crate::scenario::{IDLE, Scenario, Through};

const SYNCED: [&str; 5] = [
    "deposits: what a server promises with resultado:1, payload and catalogue entry synced",
    "deposits with replicas: the same on a majority of the copies and of the servers",
    "limit of large deposits: each copy with fdatasync (not its folder)",
    "limit of small deposits: each batch of a log with fdatasync, a log for each copy",
    "recovers: nothing is synced; files of at most 8 MiB come from the page cache",
];

/// The servers of all scenarios, by how many they are; all run all the time, so that the runs can be
/// interleaved.
type Depots = Vec<Depot>;

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("depot-bench: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Run(one) => measure(&one.plan()),
        Command::Table(table) => measure(&table.plan()),
        Command::Entries(entries) => compare_catalogues(entries),
    }
}

/// Measures, prints the table, writes the JSON.
fn measure(plan: &Plan) -> Result<()> {
    let how = &plan.how;
    let runtime = Runtime::new().context("can't start the runtime")?;
    let folder = folder(&how.place)?;
    // Opened first: what is wrong with the path is better told before than after the measurements.
    let json = how
        .json
        .as_ref()
        .map(|path| File::create(path).with_context(|| format!("can't create {}", path.display())));
    let json = json.transpose()?;

    let (servers, depots) = Servers::to_measure(plan, folder.path())?;
    clear_away_when_told_to_end(&runtime, &depots, &folder)?;
    let described = servers.to_string();
    let bench = Bench { runtime, servers, depots, folder: folder.path(), session: session()? };
    let rows = bench.measure(plan)?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        optimised: !cfg!(debug_assertions),
        processors: std::thread::available_parallelism()?.get(),
        file_system: file_system(folder.path())?,
        servers: described,
        synced: SYNCED,
        rows,
    };
    bench.depots.into_iter().try_for_each(Depot::stop)?;
    print!("{report}");
    if let Some(mut json) = json {
        serde_json::to_writer_pretty(&mut json, &report).context("can't write the JSON")?;
        writeln!(json).context("can't write the JSON")?;
    }
    Ok(())
}

/// Measures one catalogue after the other, and prints a line for each.
fn compare_catalogues(wanted: &Entries) -> Result<()> {
    let runtime = Runtime::new().context("can't start the runtime")?;
    let (folder, binary) = (folder(&wanted.place)?, binary(&wanted.place)?);
    println!("{}", entries::HEADING);
    for (number, entries) in wanted.entries.iter().enumerate() {
        let folder = folder.path().join(format!("entries-{number}"));
        let measured = entries::measure(&runtime, &binary, &folder, *entries, wanted.turns)?;
        println!("{measured}");
    }
    Ok(())
}

/// A folder of our own, gone when this program ends.
fn folder(place: &Place) -> Result<TempDir> {
    let folder = place.data.clone().unwrap_or_else(std::env::temp_dir);
    tempfile::Builder::new()
        .prefix("depot-bench-")
        .tempdir_in(&folder)
        .with_context(|| format!("can't make a folder in {}", folder.display()))
}

/// The server to start.
fn binary(place: &Place) -> Result<PathBuf> {
    place.server_binary.clone().map_or_else(depot::beside_this_program, Ok)
}

/// Where the servers come from.
enum Servers {
    /// They run already.
    Running(Vec<String>),
    /// We start this program.
    Ours(PathBuf),
}

impl Servers {
    /// The servers of all scenarios of `plan`, in the order of their number.
    fn to_measure(plan: &Plan, folder: &Path) -> Result<(Servers, Depots)> {
        if !plan.addresses.is_empty() {
            let depot = Depot::running(plan.addresses.clone());
            return Ok((Servers::Running(plan.addresses.clone()), vec![depot]));
        }
        let binary = binary(&plan.how.place)?;
        let mut numbers: Vec<usize> = plan.scenarios.iter().map(|one| one.servers).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let start =
            |number| Depot::start(&binary, &folder.join(format!("servers-{number}")), number);
        let depots = numbers.into_iter().map(start).collect::<Result<Depots>>()?;
        Ok((Servers::Ours(binary), depots))
    }
}

impl std::fmt::Display for Servers {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Servers::Running(addresses) => {
                let addresses = addresses.join(", ");
                write!(out, "running at {addresses}; their processor time and memory are not known")
            }
            Servers::Ours(binary) => write!(out, "{}, started for this", binary.display()),
        }
    }
}

/// What all measurements need.
struct Bench<'a> {
    runtime: Runtime,
    servers: Servers,
    depots: Depots,
    folder: &'a Path,
    session: u64,
}

/// The rows of one scenario.
struct Rows {
    first: Option<Gathered>,
    then: Option<Gathered>,
}

impl Bench<'_> {
    /// Everything, run after run; each kind of work beside its limit.
    fn measure(&self, plan: &Plan) -> Result<Vec<Row>> {
        let mut gathered = Vec::new();
        for scenario in plan.scenarios.clone() {
            let servers = self.depot(&scenario).addresses.len();
            let row = |name, load| Gathered::new(name, servers, load);
            let first = scenario.first_row.map(|name| row(name, scenario.first));
            let then = scenario.then.map(|(load, _, name)| row(name, load));
            gathered.push((scenario, Rows { first, then }));
        }
        let mut idle = plan.idle.map(|connections| {
            let load = Load { bytes: 0, workers: connections, ..gathered[0].0.first };
            Gathered::plain(IDLE, 1, load, "B each")
        });
        for run in 0..plan.runs {
            eprintln!("run {} of {}", run + 1, plan.runs);
            for (number, (scenario, rows)) in (0..).zip(gathered.iter_mut()) {
                self.once(scenario, run << 16 | number, rows)?;
            }
            if let Some(idle) = &mut idle {
                self.idle(run, idle)?;
            }
        }
        let rows = gathered.into_iter().flat_map(|(_, rows)| [rows.first, rows.then]);
        Ok(rows.flatten().chain(idle).map(Gathered::into_row).collect())
    }

    /// The servers that a scenario is about.
    fn depot(&self, scenario: &Scenario) -> &Depot {
        let fits = |depot: &&Depot| depot.addresses.len() == scenario.servers;
        self.depots.iter().find(fits).unwrap_or(&self.depots[0])
    }

    /// A scenario once. `series` is another number each time.
    fn once(&self, scenario: &Scenario, series: u32, rows: &mut Rows) -> Result<()> {
        let depot = self.depot(scenario);
        let (mut addresses, first) = (depot.addresses.clone(), scenario.first);
        let limit = rows.first.as_ref().map(|_| self.limit(first)).transpose()?;
        let work = async {
            let clients = drive::clients(&addresses[0], first, self.session, series).await?;
            drive::drive(&addresses, first, clients).await
        };
        let ((measured, clients), used) = with_usage(depot, || self.runtime.block_on(work))?;
        if let (Some(row), Some(limit)) = (&mut rows.first, limit) {
            row.add(measured, &limit, used);
        }
        let (Some((load, through, _)), Some(row)) = (scenario.then, &mut rows.then) else {
            return Ok(());
        };
        if through == Through::Another {
            addresses.rotate_left(1);
        }
        let limit = self.limit(load)?;
        let work = drive::drive(&addresses, load, clients);
        let ((measured, _), used) = with_usage(depot, || self.runtime.block_on(work))?;
        row.add(measured, &limit, used);
        Ok(())
    }

    /// What the machine can do of this, its files gone again.
    fn limit(&self, load: Load) -> Result<Measured> {
        let folder = tempfile::tempdir_in(self.folder).context("can't make a folder")?;
        let copies = u32::from(load.replicas) + 1;
        limit::of(load, copies, folder.path(), self.session).context("can't measure the limit")
    }

    /// Memory that idle connections take, in a server that has done nothing else.
    fn idle(&self, run: u32, row: &mut Gathered) -> Result<()> {
        let Servers::Ours(binary) = &self.servers else { return Ok(()) };
        let depot = Depot::start(binary, &self.folder.join(format!("idle-{run}")), 1)?;
        let connections = row.load().workers;
        let rss = |depot: &Depot| -> Result<f64> {
            Ok(depot.usage()?.iter().map(|usage| usage.rss_mib).sum::<f64>() * 1024.0 * 1024.0)
        };
        let before = rss(&depot)?;
        let idle = self.runtime.block_on(drive::idle(&depot.addresses[0], connections))?;
        let each = (rss(&depot)? - before) / f64::from(connections);
        row.add_plain(each, depot.usage()?);
        drop(idle);
        depot.stop()
    }
}

/// Does the work and tells what each server used for it.
fn with_usage<T>(depot: &Depot, work: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Usage>)> {
    depot.reset_peaks()?;
    let before = depot.usage()?;
    let done = work()?;
    let mut used = depot.usage()?;
    for (used, before) in used.iter_mut().zip(before) {
        used.cpu_seconds -= before.cpu_seconds;
    }
    Ok((done, used))
}

/// When this program is told to end, it takes its servers and its files with it.
fn clear_away_when_told_to_end(runtime: &Runtime, depots: &Depots, folder: &TempDir) -> Result<()> {
    let _entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let pids: Vec<Pid> = depots.iter().flat_map(Depot::pids).collect();
    let folder = folder.path().to_owned();
    runtime.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        for pid in pids {
            if let Err(error) = kill(pid, Signal::SIGKILL) {
                eprintln!("depot-bench: can't end the server, process {pid}: {error}");
            }
        }
        // Under another name no thread can make another file in it.
        let ended = folder.with_extension("ended");
        if let Err(error) = fs::rename(&folder, &ended).and_then(|()| fs::remove_dir_all(&ended)) {
            eprintln!("depot-bench: {} is left: {error}", folder.display());
        }
        exit(130);
    });
    Ok(())
}

/// A number that no other start of this program has: the time, in nanoseconds.
fn session() -> Result<u64> {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Ok(u64::try_from(
        time.context("the clock stands before 1970")?.as_nanos() & u128::from(u64::MAX),
    )?)
}

/// The file system that `folder` lies on. On one in memory a sync costs nothing.
fn file_system(folder: &Path) -> Result<String> {
    const KNOWN: [(FsType, &str); 5] = [
        (statfs::EXT4_SUPER_MAGIC, "ext4"),
        (statfs::XFS_SUPER_MAGIC, "XFS"),
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlayfs"),
        (statfs::TMPFS_MAGIC, "tmpfs, in memory: NO SYNC REACHES A DISK"),
    ];
    let kind = statfs(folder).context("can't tell the file system")?.filesystem_type();
    let known = KNOWN.into_iter().find(|(magic, _)| *magic == kind);
    let name = known.map_or(format!("file system {:#x}", kind.0), |(_, name)| name.to_owned());
    Ok(format!("{name} ({})", folder.display()))
}
