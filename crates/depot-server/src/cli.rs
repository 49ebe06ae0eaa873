//! The command line: what comes in as words goes out as an [`Action`] for `main` to carry out.
//!
//! ```no_run
//! use depot_server::{cli, exit::Exit};
//!
//! # fn run(_start: cli::Start) -> Exit { Exit::Stopped }
//! fn main() -> Exit {
//!     match cli::parse() {
//!         Ok(cli::Action::Run(start)) => run(start),
//!         Ok(cli::Action::CheckConfig(path)) => cli::check_config(&path),
//!         Ok(cli::Action::Operate(path, operation)) => cli::operate(&path, &operation),
//!         Err(refusal) => refusal.report(),
//!     }
//! }
//! ```

mod args;
mod ask;
mod check;
mod operate;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::config::{Config, ConfigError, Loaded, Selection, Settings, Warning};
use crate::exit::Exit;
use crate::telemetry::{LogFilter, LogFormat};
use args::{Args, Command};

pub use ask::{PORT_OFFERED, ask_port};
pub use check::describe;
pub use operate::{Operation, operate};

/// The folder below which a depot of one keeps its data, by port.
pub const DATA_DEFAULT: &str = "depot-data";

/// What the command line asks for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in the life of a process")]
pub enum Action {
    /// To run a server.
    Run(Start),
    /// To check a configuration file.
    CheckConfig(PathBuf),
    /// To do something with the cluster of a configuration file.
    Operate(PathBuf, Operation),
}

/// All that it takes to run a server.
#[derive(Debug)]
pub struct Start {
    /// What the server runs with.
    pub settings: Settings,
    /// The file that the settings came from: read again on SIGHUP.
    pub config_path: Option<PathBuf>,
    /// What is unwise in that file, to be logged once there is a log.
    pub warnings: Vec<Warning>,
    /// What to log.
    pub log: LogFilter,
    /// How to log.
    pub log_format: LogFormat,
}

/// Why nothing is run: help was asked for, or the words or the file make no sense.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The command line is wrong; also where help or the version was asked for.
    #[error("{}", .0.render())]
    Usage(#[from] Box<clap::Error>),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Refusal {
    /// Tells whoever is there, and says how the process ends.
    pub fn report(&self) -> Exit {
        match self {
            // The text begins with "error: ".
            Refusal::Usage(error) if error.use_stderr() => {
                tell(&format!("{}", error.render()));
                Exit::Usage
            }
            Refusal::Usage(help) => {
                // A reader that has gone away has read enough.
                let _ = help.print();
                Exit::Stopped
            }
            Refusal::Config(error) => {
                tell(&format!("error: {error}\n"));
                Exit::Config
            }
        }
    }
}

/// The action that this process was started for; asks for the port where it must and can.
///
/// # Errors
/// The command line or the configuration is wrong, or help was asked for.
pub fn parse() -> Result<Action, Refusal> {
    let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut input = io::stdin().lock();
    let mut output = io::stderr();
    let ask = terminal.then_some((&mut input as &mut dyn BufRead, &mut output as &mut dyn Write));
    parse_from(std::env::args_os(), ask)
}

/// Someone at a terminal: where answers come from, and where questions go.
pub type Terminal<'a> = (&'a mut dyn BufRead, &'a mut dyn Write);

/// The action that these words ask for.
///
/// # Errors
/// As [`parse`].
pub fn parse_from(
    words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    terminal: Option<Terminal<'_>>,
) -> Result<Action, Refusal> {
    let args = Args::try_parse_from(words).map_err(Box::new)?;
    match args.command {
        Some(Command::CheckConfig { file }) => return Ok(Action::CheckConfig(file)),
        Some(Command::Init { config }) => return Ok(Action::Operate(config, Operation::Init)),
        Some(Command::Status { config }) => return Ok(Action::Operate(config, Operation::Status)),
        Some(Command::Admit { config, server }) => {
            return Ok(Action::Operate(config, Operation::Admit(server)));
        }
        Some(Command::Scrub { config, server }) => {
            return Ok(Action::Operate(config, Operation::Scrub(server)));
        }
        None => {}
    }
    let (settings, warnings) = match &args.config {
        Some(path) => from_file(path, &args)?,
        None => (alone(&args, terminal)?, Vec::new()),
    };
    Ok(Action::Run(Start {
        settings,
        config_path: args.config,
        warnings,
        log: args.log,
        log_format: args.log_format,
    }))
}

/// Carries out `check-config`: the findings on stdout, what is wrong on stderr.
#[must_use]
pub fn check_config(path: &Path) -> Exit {
    let loaded = match Config::load(path) {
        Ok(loaded) => loaded,
        Err(error) => return Refusal::from(error).report(),
    };
    match describe(&loaded, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            tell(&format!("error: cannot write to stdout: {error}\n"));
            Exit::Fault
        }
        _ => Exit::Stopped,
    }
}

/// The settings of a server of a file.
fn from_file(path: &Path, args: &Args) -> Result<(Settings, Vec<Warning>), Refusal> {
    let Loaded { config, warnings } = Config::load(path)?;
    let selection = Selection { name: args.name.clone(), port: args.port };
    Ok((config.settings_for(&selection)?, warnings))
}

/// The settings of a depot of one without a file.
fn alone(args: &Args, terminal: Option<Terminal<'_>>) -> Result<Settings, Refusal> {
    let missing = ErrorKind::MissingRequiredArgument;
    let asked = match (args.port, terminal) {
        (Some(port), _) => Some(port),
        (None, Some((mut input, mut output))) => ask_port(&mut input, &mut output)
            .map_err(|error| usage(missing, format!("cannot ask for the port: {error}")))?,
        (None, None) => None,
    };
    let Some(port) = asked else {
        let message = "what to serve is missing: give --port PORT for a depot of one, or \
                       --config FILE";
        return Err(usage(missing, message));
    };
    match &args.data {
        Some(folder) => Ok(Settings::alone(port, folder.clone())),
        None if port == 0 => {
            let message = "--port 0 is another port each time, so the data needs a place that \
                           stays: give --data DIR";
            Err(usage(missing, message))
        }
        None => Ok(Settings::alone(port, Path::new(DATA_DEFAULT).join(port.to_string()))),
    }
}

/// A fault of the command line that the grammar alone does not show.
fn usage(kind: ErrorKind, message: impl std::fmt::Display) -> Refusal {
    Refusal::Usage(Box::new(Args::command().error(kind, message)))
}

/// Says this on stderr; where nobody listens there, the exit code has to do.
fn tell(message: &str) {
    let _ = write!(io::stderr(), "depot-server: {message}");
}
