//! The command `depot`: asks how to take part, and starts a server or a client.
//!
//! `depot server ...` and `depot client ...` are `depot-server ...` and `depot-client ...`; whatever
//! is left out is asked for where there is a terminal. The client shows the menu of the original and
//! goes on into the prompt.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitCode, Termination};
use std::sync::Arc;

use depot_client::app::{self, Exit, Face, Language, Output, Questions, Role, Texts};
use depot_server::cli::{self, Action};

fn main() -> ExitCode {
    let output = Output::new(Arc::new(Texts::new(Language::of_environment())));
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let role = match words.first().map(OsString::as_os_str).and_then(OsStr::to_str) {
        Some("server" | "servidor") => Some(Role::Server),
        Some("client" | "cliente") => Some(Role::Client),
        Some("--help" | "-h" | "help") => {
            return match output.line(&output.texts().say("role-usage")) {
                Ok(()) => Exit::Done.report(),
                Err(fault) => fault.exit().report(),
            };
        }
        _ if words.is_empty() => ask(&output, |questions| questions.role()),
        _ => None,
    };
    if !words.is_empty() {
        words.remove(0);
    }
    match role {
        Some(Role::Server) => serve(words, &output),
        Some(Role::Client) => {
            let words = std::iter::once("depot-client".into()).chain(words);
            app::run(words, Face::Menu).report()
        }
        None => {
            output.error(&output.texts().say("role-missing"));
            Exit::Usage.report()
        }
    }
}

/// Runs a server; asks for its port in the person's language, where nothing else says what to serve.
fn serve(words: Vec<OsString>, output: &Output) -> ExitCode {
    let mut all: Vec<OsString> = vec!["depot-server".into()];
    if words.is_empty()
        && let Some(port) = ask(output, |questions| questions.port("ask-port-server"))
    {
        all.extend(["--port".into(), port.to_string().into()]);
    }
    all.extend(words);
    match cli::parse_from(all, None) {
        Ok(Action::Run(start)) => depot_server::run::run(start).report(),
        Ok(Action::CheckConfig(file)) => cli::check_config(&file).report(),
        Ok(Action::Operate(file, operation)) => cli::operate(&file, &operation).report(),
        Err(refusal) => refusal.report().report(),
    }
}

/// An answer, where there is a terminal and somebody at it.
fn ask<T>(
    output: &Output,
    question: impl Fn(&mut Questions<'_>) -> io::Result<Option<T>>,
) -> Option<T> {
    if !app::at_terminal() {
        return None;
    }
    let (mut stdin, mut stderr) = (io::stdin().lock(), io::stderr());
    let answer = question(&mut Questions::new(&mut stdin, &mut stderr, output.texts()));
    answer.unwrap_or_else(|error| {
        output.error(&error.to_string());
        None
    })
}
