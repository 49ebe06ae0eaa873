//! The command line as written, and its help.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use depot_protocol::ServerName;

use crate::exit::Exit;
use crate::telemetry::{DEFAULT_FILTER, LogFilter, LogFormat};

/// A depot server: takes files over TCP, keeps them durably, gives them back.
///
/// Without a configuration file it is a depot of one, on this machine alone.
#[derive(Debug, Parser)]
#[command(name = "depot-server", version, override_usage = USAGE, after_help = after_help())]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Take clients on this port of 127.0.0.1; 0 is any free one and needs --data.
    ///
    /// With --config it changes nothing in the file: it says which of its servers this one is, the
    /// one that takes clients on this port.
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,

    /// The file that describes the cluster; config/depot.toml explains every key.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Which server of the file this one is; can be left out where there is one.
    #[arg(long, value_name = "NAME", requires = "config", value_parser = parse_name)]
    pub(super) name: Option<ServerName>,

    /// The folder for all data [default: ./depot-data/PORT]; with --config the file names it.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(super) data: Option<PathBuf>,

    /// What to log: off, error, warn, info, debug or trace, or by module: info,depot_server=debug.
    #[arg(long, value_name = "FILTER", env = "DEPOT_LOG", default_value = DEFAULT_FILTER)]
    pub(super) log: LogFilter,

    /// How to log to stderr.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) log_format: LogFormat,
}

/// What can be done instead of running a server.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a configuration file, say what it means, and change nothing.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Found the cluster of a configuration file, once: all its servers run and wait for it.
    Init {
        /// The file that the servers were started with.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say how each server of a cluster is, and how it sees the others.
    Status {
        /// The file that the servers were started with.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Take a server with an empty folder into a cluster: a new one, or one that lost its data.
    Admit {
        /// The file that the servers were started with.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Its name in the file.
        #[arg(value_name = "NAME", value_parser = parse_name)]
        server: ServerName,
    },
    /// Have every copy read again now, and the bad ones replaced; `status` tells how far it is.
    Scrub {
        /// The file that the servers were started with.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Of one server of the file; without it, of all.
        #[arg(value_name = "NAME", value_parser = parse_name)]
        server: Option<ServerName>,
    },
}

/// Takes a server's name, or says what is one.
fn parse_name(text: &str) -> Result<ServerName, String> {
    ServerName::parse(text).map_err(|error| error.to_string())
}

/// Examples, signals and exit codes.
fn after_help() -> String {
    let codes = Exit::ALL.map(|exit| format!("  {}  {}\n", exit.code(), exit.meaning())).concat();
    format!("{EXAMPLES}\nExit codes:\n{codes}")
}

const USAGE: &str = "\
depot-server --port PORT [--data DIR]
       depot-server --config FILE [--name NAME]
       depot-server check-config FILE
       depot-server init --config FILE
       depot-server status --config FILE
       depot-server admit --config FILE NAME
       depot-server scrub --config FILE [NAME]";

const EXAMPLES: &str = "\
Examples:
  depot-server --port 7070
        A depot of one on 127.0.0.1:7070, data in ./depot-data/7070.
  depot-server --port 0 --data /tmp/depot
        The same on a free port; the line on stdout says which.
  depot-server --config depot.toml --name a
        The server \"a\" of a configuration file.
  depot-server check-config depot.toml
        Is the file good? Says how many servers may fail.
  depot-server init --config depot.toml
        All servers of the file run, with empty folders: makes them one cluster.
  depot-server admit --config depot.toml c
        The server \"c\" runs with an empty folder: takes it in, in the place of a lost one.
  depot-server scrub --config depot.toml
        Reads every copy of all servers again, without waiting for its turn.
  printf 'id_cliente:\\n' | nc 127.0.0.1 7070
        Ask a running server for an id.

Signals:
  SIGTERM or SIGINT   finish what is under way and stop; a second one stops at once
  SIGHUP              read [limits] of the configuration file again
";
