//! A server as a process: comes up, says so in one line, listens to signals, goes down.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::Start;
use crate::config::{Config, Selection, Settings};
use crate::exit::Exit;
use crate::home::HomeError;
use crate::node::{Node, StartError};
use crate::seams::Seams;
use crate::seams::system_disk::SystemDisk;
use crate::telemetry;

/// Descriptors that are not for clients and their files: the catalogue, folders, the log.
const OWN_DESCRIPTORS: u64 = 256;
/// A client that transfers has its connection and one file open.
const EACH_CLIENT: u64 = 2;
/// How long blocking work may go on after everything else has ended.
const LAST_JOBS: Duration = Duration::from_secs(5);
/// Fewer clients than this are no service.
const LEAST_CLIENTS: u64 = 16;

/// Runs a server until it is asked to stop.
pub fn run(start: Start) -> Exit {
    if let Err(error) = telemetry::start(&start.log, start.log_format) {
        return fail(Exit::Fault, &error);
    }
    for warning in &start.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(serve(start.settings, start.config_path));
            // A disk that hangs must not keep the process.
            runtime.shutdown_timeout(LAST_JOBS);
            exit
        }
        Err(error) => fail(Exit::Fault, &error),
    }
}

async fn serve(settings: Settings, config: Option<PathBuf>) -> Exit {
    let (mut signals, clients) = match (Signals::listen(), clients_by_descriptors()) {
        (Ok(signals), Ok(clients)) => (signals, clients),
        (Err(error), _) | (_, Err(error)) => return fail(Exit::Fault, &error),
    };
    let data = settings.data.clone();
    let disk = match SystemDisk::open(&data) {
        Ok(disk) => Arc::new(disk),
        Err(error) => return fail(Exit::Folder, &InFolder { data, source: Box::new(error) }),
    };
    let server = settings.server.clone();
    let node = match Node::start(settings, disk, Seams::system(), clients).await {
        Ok(node) => node,
        Err(error @ StartError::Bind { .. }) => return fail(Exit::Address, &error),
        Err(error) => {
            return fail(exit_of(&error), &InFolder { data, source: Box::new(error) });
        }
    };
    announce(server.as_str(), &node, &data);

    loop {
        match signals.next().await {
            Asked::Stop => break,
            Asked::Reload => reload(&node, config.as_deref(), server.clone()),
        }
    }
    tracing::info!("stopping: what is under way may finish");
    let hurry = CancellationToken::new();
    tokio::select! {
        () = node.stop(&hurry) => {}
        () = async {
            signals.stop().await;
            hurry.cancel();
            std::future::pending::<()>().await;
        } => {}
    }
    tracing::info!("stopped");
    Exit::Stopped
}

/// The one line on stdout: where clients dial, for people and for scripts.
fn announce(server: &str, node: &Node, data: &Path) {
    let (address, data) = (node.address(), data.display());
    tracing::info!(server, %address, %data, "ready");
    let line = format!("depot-server {server}: clients on {address}, data in {data}\n");
    // Whoever started the server may not care for its output.
    if let Err(error) = std::io::stdout().write_all(line.as_bytes()) {
        tracing::debug!(%error, "nobody reads stdout");
    }
}

fn reload(node: &Node, config: Option<&Path>, server: depot_protocol::ServerName) {
    let Some(path) = config else {
        tracing::info!("nothing to read again: the server runs without a configuration file");
        return;
    };
    let selection = Selection { name: Some(server), port: None };
    let loaded = Config::load(path).and_then(|loaded| {
        let settings = loaded.config.settings_for(&selection)?;
        Ok((settings, loaded.warnings))
    });
    match loaded {
        Ok((settings, warnings)) => {
            for warning in warnings {
                tracing::warn!("{warning}");
            }
            node.set_limits(settings.limits);
            tracing::info!("the limits were read again; connections that come now keep to them");
        }
        Err(error) => tracing::error!("the configuration is kept as it was: {error}"),
    }
}

fn exit_of(error: &StartError) -> Exit {
    match error {
        StartError::Home(HomeError::Locked { .. }) => Exit::Locked,
        StartError::Home(HomeError::Foreign(_)) => Exit::Foreign,
        StartError::Home(HomeError::Damaged(_)) => Exit::Damaged,
        StartError::Home(HomeError::Unusable { .. }) | StartError::Volume(_) => Exit::Folder,
        StartError::Catalogue(error) if error.is_damage() => Exit::Damaged,
        StartError::Catalogue(_) => Exit::Folder,
        StartError::Bind { .. } => Exit::Address,
        StartError::Consensus(_) | StartError::Read(_) | StartError::Lost(_) => Exit::Fault,
    }
}

/// An error, and the data folder that it is about.
#[derive(Debug, thiserror::Error)]
#[error("the data folder {} cannot be used", .data.display())]
struct InFolder {
    data: PathBuf,
    source: Box<dyn Error + Send + Sync>,
}

fn fail(exit: Exit, error: &dyn Error) -> Exit {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    eprintln!("depot-server: error: {text}");
    exit
}

/// How many clients the process can have open, after its limit of descriptors was raised as far
/// as it may be.
fn clients_by_descriptors() -> std::io::Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    let clients = hard.saturating_sub(OWN_DESCRIPTORS) / EACH_CLIENT;
    if clients < LEAST_CLIENTS {
        return Err(std::io::Error::other(format!(
            "the process may open {hard} descriptors, and needs at least {}: raise it with ulimit -n",
            OWN_DESCRIPTORS + LEAST_CLIENTS * EACH_CLIENT
        )));
    }
    Ok(usize::try_from(clients).unwrap_or(usize::MAX))
}

/// What the process is asked from outside.
enum Asked {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
