//! The commands, one `run` for the command line, the prompt and the menu: what was parsed comes in,
//! results go out through [`Output`], and how it ended is the return value.

mod deposit;
mod files;
mod recover;

use std::future::Future;

use serde_json::json;

use super::args::Command;
use super::escape::shown;
use super::exit::Exit;
use super::fault::Fault;
use super::output::Output;
use super::texts::Texts;
use super::usage::repeated;
use crate::{Client, ErrorKind, FileName};

/// How many connections a command with many files opens.
const CONNECTIONS: usize = 4;

/// Carries out a command that needs a server.
///
/// # Errors
/// It was not done. What failed of a command on many files is told as it happens, and is in the
/// exit code.
pub(super) async fn run(
    command: &Command,
    client: &Client,
    output: &Output,
) -> Result<Exit, Fault> {
    match command {
        Command::Deposit { paths, replicas, name } => {
            deposit::run(paths, *replicas, name.as_deref(), client, output).await
        }
        Command::Recover { names, to, force } => {
            recover::run(names, to.as_deref(), *force, client, output).await
        }
        Command::List => files::list(client, output).await,
        Command::Stat { name } => files::stat(&parse(name, output.texts())?, client, output).await,
        Command::Replicas { name, replicas } => {
            files::replicas(&parse(name, output.texts())?, *replicas, client, output).await
        }
        Command::Remove { name } => {
            files::remove(&parse(name, output.texts())?, client, output).await
        }
        Command::Servers => files::servers(client, output).await,
        Command::Id => {
            let id = client.id().to_string();
            output.result(&id, &json!({ "id": id })).map(|()| Exit::Done)
        }
        Command::Help { .. } | Command::Quit => Ok(Exit::Done),
    }
}

/// Carries out what is to be done until Ctrl-C, which drops it: a transfer is cut, and goes on from
/// there the next time.
///
/// # Errors
/// [`Fault::Interrupted`], or that of the work.
pub(super) async fn until_interrupted<T>(
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::select! {
        biased;
        signal = tokio::signal::ctrl_c() => Err(match signal {
            Ok(()) => Fault::Interrupted,
            Err(error) => Fault::Internal(error),
        }),
        done = work => done,
    }
}

/// A name, or why it is none.
fn parse(name: &str, texts: &Texts) -> Result<FileName, Fault> {
    FileName::parse(name)
        .map_err(|_| Fault::Usage(texts.with("name-invalid", [("name", repeated(name).into())])))
}

/// Says that a file's answer came from a server that reaches no majority.
fn warn_local(name: &FileName, output: &Output) {
    let values = [("name", shown(name.as_str()).into())];
    output.warn(&output.texts().with("local-read", values));
}

/// How a command on many files has gone so far.
#[derive(Debug)]
struct Tally {
    exit: Exit,
    /// The output is gone, with all reason to go on telling.
    output: Option<Fault>,
}

impl Tally {
    fn new() -> Tally {
        Tally { exit: Exit::Done, output: None }
    }

    /// A file's end was told, or could not be.
    fn told(&mut self, exit: Exit, told: Result<(), Fault>) {
        self.exit = self.exit.or(exit);
        if let Err(fault) = told {
            self.output.get_or_insert(fault);
        }
    }

    /// A file has failed.
    fn failed(&mut self, name: &FileName, fault: &Fault, output: &Output) {
        let word = word(fault);
        let json = json!({ "name": name.as_str(), "error": word });
        let told = output.failed(&shown(name.as_str()), fault, &json);
        self.told(fault.exit(), told);
    }

    fn end(self) -> Result<Exit, Fault> {
        match self.output {
            // What failed is told by the exit code, whether or not anybody reads the output.
            Some(fault) if self.exit == Exit::Done => Err(fault),
            _ => Ok(self.exit),
        }
    }
}

/// What kind of fault it is, for programs.
fn word(fault: &Fault) -> &'static str {
    match fault {
        Fault::Depot(error) => match error.kind() {
            ErrorKind::Request => "refused",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Later => "later",
            ErrorKind::Unknown => "unknown",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Local => "local",
            ErrorKind::Integrity => "integrity",
        },
        _ => "local",
    }
}
