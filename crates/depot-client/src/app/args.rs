//! The grammar of the command line and of the prompt: the same commands, one parser.
//!
//! The doc comments here are for whoever reads the code: what `--help` shows comes from the texts
//! ([`localised`]), in either language.

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::exit::Exit;
use super::texts::Texts;

/// The command line of `depot-client`.
#[derive(Debug, Clone, Parser)]
#[command(name = "depot-client", version, disable_help_subcommand = true)]
pub(super) struct Args {
    /// The server's host name or address.
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,
    /// The server's port.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,
    /// Who the client is. Read as text: no message may repeat it.
    #[arg(long, value_name = "UUID")]
    pub(super) id: Option<String>,
    /// What to do.
    #[command(flatten)]
    pub(super) line: Line,
}

/// What can be typed at the prompt, and stand at the end of the command line.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Line {
    /// Results as lines of JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What to do; without it, the prompt.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// A line of the prompt.
#[derive(Debug, Parser)]
#[command(name = "depot", no_binary_name = true, disable_help_subcommand = true)]
struct Typed {
    #[command(flatten)]
    line: Line,
}

/// What the client can do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(super) enum Command {
    /// Deposits files and folders.
    #[command(alias = "depositar")]
    Deposit {
        /// The files and folders.
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
        /// How many replicas of each.
        #[arg(long, value_name = "N")]
        replicas: Option<u8>,
        /// The name, or with a `/` at its end the folder for all.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Recovers files.
    #[command(alias = "recuperar")]
    Recover {
        /// The names; one that ends in `/` is all below it.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Where to.
        #[arg(long, value_name = "PATH")]
        to: Option<PathBuf>,
        /// Replaces what is there.
        #[arg(long)]
        force: bool,
    },
    /// Lists the files.
    #[command(alias = "listar")]
    List,
    /// Tells all about a file.
    #[command(alias = "consultar")]
    Stat {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Changes how many replicas of a file are wanted.
    #[command(alias = "alterar")]
    Replicas {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// How many.
        #[arg(value_name = "N")]
        replicas: u8,
    },
    /// Removes a file.
    #[command(alias = "remover")]
    Remove {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Shows the servers.
    #[command(alias = "servidores")]
    Servers,
    /// Shows the client's id.
    Id,
    /// Explains the commands.
    #[command(alias = "ajuda")]
    Help {
        /// Which.
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
    /// Leaves.
    #[command(aliases = ["exit", "sair"])]
    Quit,
}

impl Command {
    /// The names of all, for the completion.
    #[must_use]
    pub(super) fn names() -> Vec<String> {
        let typed = Typed::command();
        typed.get_subcommands().map(|command| command.get_name().to_owned()).collect()
    }

    /// The long options of a command, those of all included, for the completion.
    #[must_use]
    pub(super) fn options(command: &str) -> Vec<String> {
        let mut typed = Typed::command();
        typed.build();
        let options = typed.find_subcommand(command).map(|command| {
            command.get_arguments().filter_map(clap::Arg::get_long).map(|long| format!("--{long}"))
        });
        let mut options: Vec<String> = options.into_iter().flatten().collect();
        options.retain(|option| option != "--help");
        options.sort();
        options
    }
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// It makes no sense, or asks for help.
pub(super) fn parse_args(
    words: impl IntoIterator<Item = std::ffi::OsString>,
    texts: &Texts,
) -> Result<Args, clap::Error> {
    let matches = localised(Args::command(), "top", texts).try_get_matches_from(words)?;
    Args::from_arg_matches(&matches)
}

/// Reads the words of a line of the prompt.
///
/// # Errors
/// It makes no sense, or asks for help.
pub(super) fn parse_line(words: Vec<String>, texts: &Texts) -> Result<Line, clap::Error> {
    let matches = localised(Typed::command(), "prompt", texts).try_get_matches_from(words)?;
    Typed::from_arg_matches(&matches).map(|typed| typed.line)
}

/// The help of the whole command line.
#[must_use]
pub(super) fn whole_help(texts: &Texts) -> String {
    localised(Args::command(), "top", texts).render_help().to_string()
}

/// The help of a command, or of the prompt; `None` where there is no such command.
#[must_use]
pub(super) fn help_of(command: Option<&str>, texts: &Texts) -> Option<String> {
    let mut whole = localised(Typed::command(), "prompt", texts);
    // The flags that are everybody's are told with the command's own.
    whole.build();
    let command = match command {
        None => &mut whole,
        Some(name) => whole.find_subcommand_mut(name)?,
    };
    Some(command.render_help().to_string())
}

/// The grammar with the texts of a language; `key` is the command's name in the texts.
fn localised(command: clap::Command, key: &str, texts: &Texts) -> clap::Command {
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let template = if names.is_empty() { "help-template" } else { "help-template-commands" };
    let heading = |kind: &str| texts.say(&format!("heading-{kind}"));
    let mut command = command
        .about(texts.say(&format!("about-{key}")))
        .override_usage(texts.say(&format!("usage-{key}")))
        .help_template(texts.say(template))
        .subcommand_help_heading(heading("commands"))
        .disable_help_flag(true)
        .arg(
            clap::Arg::new("help")
                .short('h')
                .long("help")
                .action(clap::ArgAction::Help)
                .help(texts.say("arg-help")),
        )
        .mut_args(|arg| {
            let kind = if arg.is_positional() { "arguments" } else { "options" };
            let id = arg.get_id().as_str();
            let own = format!("arg-{key}-{id}");
            let help = if texts.has(&own) { own } else { format!("arg-{id}") };
            let arg = arg.help(texts.say(&help)).help_heading(heading(kind));
            let placeholder = arg.get_value_names().and_then(|names| names.first()).cloned();
            match placeholder.filter(|_| arg.get_action().takes_values()) {
                None => arg,
                Some(name) => arg.value_name(texts.say(&format!("value-{name}"))),
            }
        });
    let after = format!("examples-{key}");
    if texts.has(&after) {
        command = command.after_help(texts.say(&after));
    }
    if key == "top" {
        command = command
            .after_help(format!("{}\n\n{}", texts.say(&after), exit_codes(texts)))
            .disable_version_flag(true)
            .arg(
                clap::Arg::new("version")
                    .short('V')
                    .long("version")
                    .action(clap::ArgAction::Version)
                    .help(texts.say("arg-version"))
                    .help_heading(heading("options")),
            );
    }
    for name in names {
        command = command.mut_subcommand(&name, |sub| localised(sub, &name, texts));
    }
    command
}

/// The table of exit codes, for `--help`.
fn exit_codes(texts: &Texts) -> String {
    let line = |exit: &Exit| format!("\n  {:3}  {}", exit.code(), texts.say(&exit.key()));
    texts.say("heading-exit") + &Exit::ALL.iter().map(line).collect::<String>()
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
