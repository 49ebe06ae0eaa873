//! The prompt: lines come in from a terminal or a pipe, each is one command, until `quit`, Ctrl-D
//! or the end of the pipe. Ctrl-C stops the transfer and not the program at a terminal; over a pipe,
//! where nobody would type on, it stops all, as it does a script.

mod complete;
mod menu;
mod prompt;
mod words;

use super::args::{self, Command, Line};
use super::commands::{run as carry_out, until_interrupted};
use super::escape::shown;
use super::exit::Exit;
use super::fault::Fault;
use super::identity::Home;
use super::output::Output;
use super::usage::{self, Said};
use super::{Face, at_terminal};
use crate::Client;
use complete::Names;
use prompt::{Expecting, Prompt, Typed};

const PROMPT: &str = "depot> ";

/// Takes commands until there are no more. At a terminal that is success, whatever failed
/// meanwhile has been seen; over a pipe the first failure is the end's code.
pub(super) async fn run(
    client: &Client,
    home: &Home,
    face: Face,
    output: &Output,
) -> Result<Exit, Fault> {
    let terminal = at_terminal();
    let session = session(client, home, face, terminal.then_some(Person), output);
    // At a terminal the line editor hears Ctrl-C as a key, and each command as a signal.
    if terminal { session.await } else { until_interrupted(session).await }
}

/// Somebody at a terminal.
#[derive(Clone, Copy)]
struct Person;

async fn session(
    client: &Client,
    home: &Home,
    face: Face,
    person: Option<Person>,
    output: &Output,
) -> Result<Exit, Fault> {
    let terminal = person.is_some();
    let names = Names::of(client.clone());
    let mut prompt = Prompt::start(terminal, home, names.clone()).map_err(Fault::Internal)?;
    let menu = terminal && face == Face::Menu;
    let texts = output.texts();
    if menu {
        output.note(&texts.say("menu"));
    } else if terminal {
        let server = client.server().to_string();
        output.note(&texts.with("welcome", [("server", shown(&server).into())]));
    }
    let mut ended = Exit::Done;
    loop {
        let line = match prompt.ask(PROMPT, Expecting::Command).await {
            Typed::Line(line) => line,
            Typed::Interrupted => {
                output.note(&texts.say("how-to-leave"));
                continue;
            }
            Typed::End => break,
            Typed::Failed(error) => return Err(Fault::Internal(error)),
        };
        let asked = match menu.then(|| menu::choice(&line)).flatten() {
            Some(choice) => menu::questions(choice, &mut prompt, output).await,
            None => understand(&line, output),
        };
        let done = match asked {
            Ok(None) => continue,
            Ok(Some(Line { command: Some(Command::Quit), .. })) => break,
            Ok(Some(line)) => one(line, client, output).await,
            Err(fault) => Err(fault),
        };
        names.forget();
        let exit = match done {
            Ok(exit) => exit,
            Err(Fault::Closed) => return Err(Fault::Closed),
            Err(fault) => {
                output.fault(&fault);
                fault.exit()
            }
        };
        if !terminal {
            ended = ended.or(exit);
        }
    }
    Ok(ended)
}

/// Shows the help of a command, or of all.
pub(super) fn help(command: Option<&str>, output: &Output) -> Result<Exit, Fault> {
    let texts = output.texts();
    match args::help_of(command, texts) {
        Some(help) => output.line(help.trim_end()).map(|()| Exit::Done),
        None => {
            let word = usage::repeated(command.unwrap_or_default());
            Err(Fault::Usage(texts.with("wrong-unknown-command", [("word", word.into())])))
        }
    }
}

/// Carries out one line.
async fn one(line: Line, client: &Client, output: &Output) -> Result<Exit, Fault> {
    match line.command {
        None => Ok(Exit::Done),
        Some(Command::Help { command }) => help(command.as_deref(), output),
        Some(command) => {
            let output = output.as_json(line.json);
            until_interrupted(carry_out(&command, client, &output)).await
        }
    }
}

/// What a line asks for; `None` where it is empty, or was answered with its help.
fn understand(line: &str, output: &Output) -> Result<Option<Line>, Fault> {
    let texts = output.texts();
    let words = shlex::split(line).ok_or_else(|| Fault::Usage(texts.say("quote-open")))?;
    if words.is_empty() {
        return Ok(None);
    }
    match args::parse_line(words, texts) {
        Ok(line) => Ok(Some(line)),
        Err(error) => match usage::explain(&error, texts) {
            Said::Help(text) => output.line(text.trim_end()).map(|()| None),
            Said::Wrong(text) => Err(Fault::Usage(text)),
        },
    }
}
