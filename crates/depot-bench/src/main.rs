//! `depot-bench`, the load generator: it drives a real depot server over sockets, checks every byte
//! that comes back, and prints what it measured beside what this machine can do.
//!
//! In every run each kind of work is measured next to its limit, so that a slow hour of the disk slows
//! both: [`limit`] is the machine, [`drive`] the server; [`load`] has the words that they share. A
//! file's bytes come from [`content`], go through [`wire`] to the [`server`], and the figures into the
//! [`table`].
#![allow(clippy::disallowed_methods)] // it measures real time, and has no simulation to run in

mod cli;
mod content;
mod drive;
mod limit;
mod load;
mod server;
mod table;
mod wire;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{ExitCode, exit};
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{self, FsType, statfs};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Args;
use crate::load::{Load, Measured};
use crate::server::Server;
use crate::table::{Gathered, Report, Row, Used};

const SYNCED: [&str; 4] = [
    "deposits: what the server promises with resultado:1, payload and catalogue entry synced",
    "limit of large deposits: each file with fdatasync (not its folder)",
    "limit of small deposits: each file with fsync, and its folder with fsync",
    "recovers: nothing is synced; what was just deposited comes from the page cache",
];

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("depot-bench: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, prints the table, writes the JSON.
fn run(args: &Args) -> Result<()> {
    let runtime = Runtime::new().context("can't start the runtime")?;
    let folder = args.data.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("depot-bench-")
        .tempdir_in(&folder)
        .with_context(|| format!("can't make a folder in {}", folder.display()))?;
    // Opened first: what is wrong with the path is better told before than after the measurements.
    let json = args
        .json
        .as_ref()
        .map(|path| File::create(path).with_context(|| format!("can't create {}", path.display())));
    let json = json.transpose()?;

    let (server, described) = server_to_measure(args, folder.path())?;
    clear_away_when_told_to_end(&runtime, &server, &folder)?;
    let bench = Bench { runtime, server, folder: folder.path(), session: session()? };
    let rows = bench.measure(args)?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        optimised: !cfg!(debug_assertions),
        processors: std::thread::available_parallelism()?.get(),
        file_system: file_system(folder.path())?,
        server: described,
        synced: SYNCED,
        rows,
    };
    bench.server.stop()?;
    print!("{report}");
    if let Some(mut json) = json {
        serde_json::to_writer_pretty(&mut json, &report).context("can't write the JSON")?;
        writeln!(json).context("can't write the JSON")?;
    }
    Ok(())
}

/// The server to measure, and in words where it came from.
fn server_to_measure(args: &Args, folder: &Path) -> Result<(Server, String)> {
    if let Some(address) = &args.address {
        let described =
            format!("running at {address}; its processor time and memory are not known");
        return Ok((Server::running(address.clone()), described));
    }
    let binary = args.server_binary.clone().map_or_else(server::beside_this_program, Ok)?;
    let server = Server::start(&binary, &folder.join("server"))?;
    Ok((server, format!("{}, started for this", binary.display())))
}

/// What all measurements need.
struct Bench<'a> {
    runtime: Runtime,
    server: Server,
    folder: &'a Path,
    session: u64,
}

impl Bench<'_> {
    /// Everything, run after run; each kind of work beside its limit.
    fn measure(&self, args: &Args) -> Result<Vec<Row>> {
        let mut gathered = Vec::new();
        for load in args.loads() {
            gathered.push((load, Gathered::new("deposit", load), Gathered::new("recover", load)));
        }
        for run in 0..args.runs() {
            eprintln!("run {} of {}", run + 1, args.runs());
            for (number, (load, deposits, recovers)) in gathered.iter_mut().enumerate() {
                // Never removed before the end: creating files after a mass delete is slow.
                let folder = self.folder.join(format!("limit-{run}-{number}"));
                fs::create_dir(&folder).context("can't make a folder for the limit")?;
                self.once(*load, run, &folder, deposits, recovers)?;
            }
        }
        let rows = gathered.into_iter().flat_map(|(_, deposits, recovers)| [deposits, recovers]);
        Ok(rows.map(Gathered::into_row).collect())
    }

    /// One load once: deposited, then recovered.
    fn once(
        &self,
        load: Load,
        run: u32,
        folder: &Path,
        deposits: &mut Gathered,
        recovers: &mut Gathered,
    ) -> Result<()> {
        let (address, session) = (&self.server.address, self.session);
        let limit = limit::deposit(load, folder, session).context("can't measure the limit")?;
        let ((measured, deposited), used) =
            self.with_usage(|| self.runtime.block_on(drive::deposit(address, load, session, run)))?;
        deposits.add(measured, &limit, used);

        let limit = limit::recover(load, session).context("can't measure the limit")?;
        let (measured, used): (Measured, _) =
            self.with_usage(|| self.runtime.block_on(drive::recover(address, load, deposited)))?;
        recovers.add(measured, &limit, used);
        Ok(())
    }

    /// Does the work and tells what the server used for it.
    fn with_usage<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, Option<Used>)> {
        self.server.reset_peak()?;
        let before = self.server.usage()?;
        let done = work()?;
        let used = before
            .zip(self.server.usage()?)
            .map(|(before, after)| (after.cpu_seconds - before.cpu_seconds, after.peak_rss_mib));
        Ok((done, used))
    }
}

/// When this program is told to end, it takes its server and its files with it.
fn clear_away_when_told_to_end(runtime: &Runtime, server: &Server, folder: &TempDir) -> Result<()> {
    let _entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (server, folder) = (server.process(), folder.path().to_owned());
    runtime.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if let Some(process) = server
            && let Err(error) = kill(process, Signal::SIGKILL)
        {
            eprintln!("depot-bench: can't end the server, process {process}: {error}");
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
