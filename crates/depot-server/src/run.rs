//! A server as a process: comes up, says so in one line, listens to signals, goes down.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
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
use crate::node::{End, Node, Phase, StartError};
use crate::seams::Seams;
use crate::seams::system_disk::SystemDisk;
use crate::telemetry;

/// Descriptors that are not for clients and their files: the catalogue, folders, the log.
const OWN_DESCRIPTORS: u64 = 256;
/// A client that transfers has its connection and one file open, and that once more to be read
/// along by the lanes to other servers.
const EACH_CLIENT: u64 = 3;
/// Where there are other servers, as many are for connections of theirs and the files behind them,
/// but never more than half.
const PEERS_DESCRIPTORS: u64 = 6 * 1024;
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
    let others = settings.members.len() > 1;
    let (mut signals, clients) = match (Signals::listen(), clients_by_descriptors(others)) {
        (Ok(signals), Ok(clients)) => (signals, clients),
        (Err(error), _) | (_, Err(error)) => return fail(Exit::Fault, &error),
    };
    let data = settings.data.clone();
    let disk = match SystemDisk::open(&data) {
        Ok(disk) => Arc::new(disk),
        Err(error) => {
            let why = telemetry::chain(&error);
            return fail(Exit::Folder, &InFolder { data, why, help: "" });
        }
    };
    let server = settings.server.clone();
    let mut node = match Node::start(settings, disk, Seams::system(), clients).await {
        Ok(node) => node,
        Err(error @ StartError::Bind { .. }) => return fail(Exit::Address, &error),
        Err(error) => return refuse(&error, data, others),
    };
    announce(server.as_str(), &node, &data);

    let mut phase = node.phase();
    phase.mark_unchanged();
    let exit = loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => break Exit::Stopped,
                Asked::Reload => reload(&node, config.as_deref(), server.clone()),
            },
            Ok(()) = phase.changed() => announce(server.as_str(), &node, &data),
            end = node.ended() => break match end {
                End::Fenced(why) => fail(Exit::Fenced, &Fenced { why }),
                End::Failed(error) => refuse(&error, data.clone(), others),
            },
        }
    };
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
    exit
}

/// The line on stdout: where clients dial, for people and for scripts; one more when a server that
/// waited has come to serve.
fn announce(server: &str, node: &Node, data: &Path) {
    let data = data.display();
    let port = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    let clients = port(node.address()).map(|address| format!("clients on {address}"));
    let servers = port(node.peer_address()).map(|address| format!("servers on {address}"));
    let (what, at) = match (*node.phase().borrow(), clients) {
        (Phase::Waiting, clients) => {
            ("waits to be founded or admitted: ", clients.or(servers).unwrap_or_default())
        }
        (Phase::Serving, Some(clients)) => ("", clients),
        (Phase::Serving, None) => ("a witness, takes no clients: ", servers.unwrap_or_default()),
    };
    tracing::info!(server, at, %data, "{}", if what.is_empty() { "ready" } else { what });
    let line = format!("depot-server {server}: {what}{at}, data in {data}\n");
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

/// A server that does not start, because of its data folder.
fn refuse(error: &StartError, data: PathBuf, others: bool) -> Exit {
    let exit = exit_of(error);
    let why = telemetry::chain(error);
    let help = match exit {
        // Whatever is lost here, the others have it: this server comes back as a new one.
        Exit::Foreign | Exit::Damaged if others => {
            "; if it cannot be mended: move the folder away, start again, and run \
             `depot-server admit --config FILE NAME`: the server then comes back in a new life \
             and is filled from the others"
        }
        _ => "",
    };
    fail(exit, &InFolder { data, why, help })
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
        StartError::Met(_) => Exit::Damaged,
        StartError::Read(_) | StartError::Consensus(_) | StartError::Lost(_) => Exit::Fault,
    }
}

/// What is wrong, with which data folder, and what helps.
#[derive(Debug, thiserror::Error)]
#[error("the data folder {} cannot be used: {why}{help}", .data.display())]
struct InFolder {
    data: PathBuf,
    why: String,
    help: &'static str,
}

/// The other servers know better.
#[derive(Debug, thiserror::Error)]
#[error(
    "{why}; put the newest data folder back, or move it away, start again, and run \
     `depot-server admit --config FILE NAME`"
)]
struct Fenced {
    why: String,
}

fn fail(exit: Exit, error: &dyn Error) -> Exit {
    eprintln!("depot-server: error: {}", telemetry::chain(error));
    exit
}

/// How many clients the process can have open, after its limit of descriptors was raised as far
/// as it may be.
fn clients_by_descriptors(others: bool) -> std::io::Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    let peers = if others { PEERS_DESCRIPTORS.min(hard / 2) } else { 0 };
    let clients = hard.saturating_sub(OWN_DESCRIPTORS + peers) / EACH_CLIENT;
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
