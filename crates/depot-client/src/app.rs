//! The application: `depot-client`, and the client's half of `depot`.
//!
//! [`run`] reads the command line, asks on a terminal for what was left out, connects, and carries
//! out the one command that was given, or those that are typed at the prompt. Results go to stdout,
//! all the rest to stderr; how it ended is an [`Exit`].

mod args;
mod ask;
mod bars;
mod commands;
mod escape;
mod exit;
mod fault;
mod fellows;
mod identity;
mod output;
mod repl;
mod source;
mod target;
mod texts;
mod usage;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use crate::{Client, ClientId, Endpoint, Options};
use args::{Args, Command};
use ask::IdAnswer;
use identity::{Home, Origin};
use usage::Said;

pub use ask::{PORT_OFFERED, Questions, Role};
pub use exit::Exit;
pub use fault::Fault;
pub use output::Output;
pub use texts::{Language, Texts};

/// What meets whoever gives no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// The prompt: `depot-client`.
    Prompt,
    /// The menu of the original, and then the prompt: `depot`.
    Menu,
}

/// Runs the client with these words, the program's name first.
pub fn run(words: impl IntoIterator<Item = OsString>, face: Face) -> Exit {
    let output = Output::new(Arc::new(Texts::new(Language::of_environment())));
    match carry_out(words, face, &output) {
        Ok(exit) => exit,
        Err(fault) => {
            output.fault(&fault);
            fault.exit()
        }
    }
}

/// Whether somebody is there to be asked.
#[must_use]
pub fn at_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn carry_out(
    words: impl IntoIterator<Item = OsString>,
    face: Face,
    output: &Output,
) -> Result<Exit, Fault> {
    let texts = output.texts();
    let mut args = match args::parse_args(words, texts) {
        Ok(args) => args,
        Err(error) => match usage::explain(&error, texts) {
            Said::Help(text) => return output.line(text.trim_end()).map(|()| Exit::Done),
            Said::Wrong(text) => {
                return Err(Fault::Usage(format!("{text}\n{}", texts.say("see-help"))));
            }
        },
    };
    let output = &output.as_json(args.line.json);
    match args.line.command.take() {
        Some(Command::Quit) => Ok(Exit::Done),
        Some(Command::Help { command: None }) => {
            let help = args::whole_help(texts);
            output.line(help.trim_end()).map(|()| Exit::Done)
        }
        Some(Command::Help { command }) => repl::help(command.as_deref(), output),
        command => {
            let server = server(&args, output)?;
            with_server(args.id.as_deref(), server, command, face, output)
        }
    }
}

/// The server that was named, or is asked for.
fn server(args: &Args, output: &Output) -> Result<Endpoint, Fault> {
    let texts = output.texts();
    let (host, port) = match (&args.host, args.port) {
        (Some(host), Some(port)) => (host.clone(), port),
        (host, port) if at_terminal() => {
            let (mut stdin, mut stderr) = (io::stdin().lock(), io::stderr());
            let mut questions = Questions::new(&mut stdin, &mut stderr, texts);
            let gone = || Fault::Usage(texts.say("server-missing"));
            let host = match host {
                Some(host) => host.clone(),
                None => questions.host().map_err(Fault::Internal)?.ok_or_else(gone)?,
            };
            let port = match port {
                Some(port) => port,
                None => questions.port("ask-port").map_err(Fault::Internal)?.ok_or_else(gone)?,
            };
            (host, port)
        }
        _ => return Err(Fault::Usage(texts.say("server-missing"))),
    };
    ask::endpoint(&host, port).ok_or_else(|| {
        Fault::Usage(texts.with("host-invalid", [("host", usage::repeated(&host).into())]))
    })
}

/// Connects, and does what there is to do.
fn with_server(
    id: Option<&str>,
    server: Endpoint,
    command: Option<Command>,
    face: Face,
    output: &Output,
) -> Result<Exit, Fault> {
    let home = Home::of_environment();
    let who = who(id, &server, &home, command.is_none().then_some(face), output)?;
    // From here until a new id is kept no other command gets one: two at once would get two.
    let locked = if matches!(who, Who::Known(_)) { None } else { home.lock() };
    let id = match who {
        Who::Known(id) => Some(id),
        Who::KeptOrNew => home.kept(&server)?,
        Who::New => None,
    };
    let locked = locked.filter(|_| id.is_none());
    let options = Options { servers: vec![server.clone()], ..Options::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Fault::Internal)?;
    let ended = runtime.block_on(async {
        let connect = async { Ok(Client::connect(options, id).await?) };
        let client = commands::until_interrupted(connect).await?;
        if id.is_none() {
            keep(&client, &server, &home, command.is_none(), output);
            let kept = async {
                fellows::keep(&client, &server, &home, output).await;
                Ok(())
            };
            commands::until_interrupted(kept).await?;
        }
        drop(locked);
        match command {
            Some(command) => {
                commands::until_interrupted(commands::run(&command, &client, output)).await
            }
            None => repl::run(&client, &home, face, output).await,
        }
    });
    // Nothing is under way any more but, perhaps, a look-up of a name.
    runtime.shutdown_background();
    ended
}

/// Who to connect as.
enum Who {
    /// This client.
    Known(ClientId),
    /// The one whose id is kept here, or else a new one.
    KeptOrNew,
    /// A new one.
    New,
}

/// Who to connect as; asked for where `face` shows itself to somebody.
fn who(
    argument: Option<&str>,
    server: &Endpoint,
    home: &Home,
    face: Option<Face>,
    output: &Output,
) -> Result<Who, Fault> {
    let texts = output.texts();
    // One that is no text is no id and no path of ours: never as if it were not there.
    let variable =
        |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    if let Some((id, origin)) = identity::given(argument, variable)? {
        match origin {
            Origin::Argument => output.warn(&texts.say("id-in-arguments")),
            Origin::File => {
                let path = variable(identity::ID_FILE).unwrap_or_default();
                if identity::readable_by_others(Path::new(&path)) {
                    let values = [("path", escape::shown(&path).into())];
                    output.warn(&texts.with("id-file-open", values));
                }
            }
            Origin::Variable => {}
        }
        return Ok(Who::Known(id));
    }
    let kept = home.kept(server)?;
    let ask = match face {
        Some(Face::Menu) => at_terminal(),
        Some(Face::Prompt) => at_terminal() && kept.is_none(),
        None => false,
    };
    if !ask {
        return Ok(kept.map_or(Who::KeptOrNew, Who::Known));
    }
    let (mut stdin, mut stderr) = (io::stdin().lock(), io::stderr());
    let mut questions = Questions::new(&mut stdin, &mut stderr, texts);
    Ok(match questions.id(kept.is_some()).map_err(Fault::Internal)? {
        Some(IdAnswer::Given(id)) => Who::Known(id),
        Some(IdAnswer::New) => Who::New,
        Some(IdAnswer::Kept) | None => kept.map_or(Who::KeptOrNew, Who::Known),
    })
}

/// Keeps an id that was just issued, and says so: in full where somebody reads along, or where it
/// could not be kept.
fn keep(client: &Client, server: &Endpoint, home: &Home, interactive: bool, output: &Output) {
    let texts = output.texts();
    let shown = || ("id", client.id().to_string().into());
    let path = home.keep(server, client.id()).unwrap_or_else(|error| {
        output.warn(&error.text(texts));
        None
    });
    match path {
        None => output.note(&texts.with("id-new-not-kept", [shown()])),
        Some(path) => {
            let path = ("path", escape::shown_path(&path).into());
            output.note(&match interactive {
                true => texts.with("id-new", [shown(), path]),
                false => texts.with("id-new-quiet", [path]),
            });
        }
    }
}
