//! The README's sessions with the client, typed at a terminal as they stand there.
//!
//! In a ```` ```console ```` block a line that begins with a prompt or a question is typed; every
//! other line must be shown, in this order. Ids and moments may differ, and `7070` and `/home/maria`
//! stand for the server's port and the home of this test.

#[path = "app_client/desk.rs"]
#[allow(dead_code, reason = "shared with app_client, which uses the rest")]
mod desk;
#[path = "app_client/terminal.rs"]
#[allow(dead_code, reason = "shared with app_client, which uses the rest")]
mod terminal;

use std::fs;
use std::path::Path;
use std::process::Command;

use depot_protocol::{ClientId, UtcSeconds};
use depot_tests::Server;

use desk::{Desk, binaries};
use terminal::Terminal;

/// What asks for something to be typed.
const QUESTIONS: [&str; 8] = [
    "$ ",
    "depot> ",
    "Which? ",
    "Host [127.0.0.1]: ",
    "Port [7070]: ",
    "Your id [empty: the one kept for this server; new: a new one]: ",
    "File or folder: ",
    "Replicas on other servers [empty: as it was, a new file 1 where there is another server]: ",
];

/// The sessions below "Use the client".
fn sessions() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("the README is there");
    let (_, from) = readme.split_once("\n## Use the client\n").expect("the client has a section");
    let section = from.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```console\n").skip(1);
    blocks.filter_map(|block| Some(block.split_once("```")?.0.to_owned())).collect()
}

/// The pieces of a line that are always the same.
fn pieces(line: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = line;
    while let Some(char) = rest.chars().next() {
        let id = rest.get(..36).is_some_and(|text| ClientId::parse(text).is_ok());
        let moment = rest.get(..20).is_some_and(|text| UtcSeconds::parse(text).is_ok());
        let skip = if id {
            36
        } else if moment {
            20
        } else {
            0
        };
        if skip > 0 {
            pieces.push(String::new());
            rest = &rest[skip..];
        } else {
            pieces.last_mut().expect("there is one").push(char);
            rest = &rest[char.len_utf8()..];
        }
    }
    pieces
}

#[test]
fn the_sessions_of_the_readme_work() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let port = server.address().port().to_string();
    let home = desk.kept();
    let home = home.ancestors().nth(3).and_then(Path::to_str).expect("a home");
    let ours = |line: &str| line.replace("7070", &port).replace("/home/maria", home);

    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"])
        .envs(desk.program("depot").get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = std::env::var("PATH").unwrap_or_default();
    bash.env("PATH", format!("{}:{path}", binaries().display())).env("PS1", "$ ");
    bash.current_dir(desk.path(""));
    let mut person = Terminal::start(&bash);

    let sessions = sessions();
    assert_eq!(sessions.len(), 3, "one-shot, the prompt, the menu");
    for line in sessions.iter().flat_map(|session| session.lines()) {
        // An editor may have taken the blank at the end of a question that Return alone answers.
        let question =
            QUESTIONS.into_iter().find(|question| format!("{line} ").starts_with(question));
        match question {
            Some(question) => {
                let offered = question.starts_with("Port [");
                person.expect(if offered { question.to_owned() } else { ours(question) }.as_str());
                person.enter(&ours(line.get(question.len()..).unwrap_or_default()));
            }
            None => {
                for piece in pieces(line) {
                    person.expect(&ours(&piece));
                }
            }
        }
    }
    person.expect("$ ");
}
