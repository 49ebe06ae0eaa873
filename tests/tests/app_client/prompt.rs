//! The prompt, at a terminal and over a pipe.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use depot_tests::Server;
use depot_tests::content::random_bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::desk::{Desk, Ran};
use crate::relay::Relay;
use crate::terminal::{CTRL_C, CTRL_D, Terminal, UP};

/// A desk that has its id already, so that the prompt asks nothing.
fn known(server: &Server) -> Desk {
    let desk = Desk::at(server.address());
    desk.run(&["id"]).done();
    desk
}

#[test]
fn commands_are_typed_until_quit() {
    let server = Server::start();
    let desk = known(&server);
    desk.write("my letter.txt", "x");
    let mut person = desk.prompt();
    person.expect("is connected");
    person.answer("depot> ", "deposit 'my letter.txt' --name letters/a");
    person.expect("deposited letters/a (1 B");
    person.answer("depot> ", "dance");
    person.expect("error: \"dance\" is no command");
    person.answer("depot> ", "stat nothing");
    person.expect("error: there is no such file");
    person.answer("depot> ", "list --json");
    person.expect(r#""name":"letters/a""#);
    person.answer("depot> ", "");
    person.answer("depot> ", "stat 'letters");
    person.expect("a quote is not closed");
    person.answer("depot> ", "quit");
    assert_eq!(person.end(), Some(0));
}

#[test]
fn help_explains_with_examples() {
    let server = Server::start();
    let desk = known(&server);
    let mut person = desk.prompt();
    person.answer("depot> ", "help");
    for command in ["deposit", "recover", "list", "stat", "replicas", "remove", "servers", "quit"] {
        person.expect(command);
    }
    person.answer("depot> ", "help recover");
    person.expect("Usage: recover NAME...");
    person.expect("Examples:");
    person.expect("recover letters/ photos/ --to restored");
    person.answer("depot> ", "help dance");
    person.expect("is no command");
    person.expect("depot> ");
    person.press(CTRL_D);
    assert_eq!(person.end(), Some(0));
}

#[test]
fn tab_completes_commands_names_and_paths() {
    let server = Server::start();
    let desk = known(&server);
    desk.write("folder/some file.txt", "x");
    let mut person = desk.prompt();
    person.answer("depot> ", "dep\tfold\t\t--name 'remote name'");
    person.expect("deposited remote name (1 B");
    person.answer("depot> ", "stat rem\t");
    person.expect("1 bytes");
    person.answer("depot> ", "deposit folder/so\t--name b --rep\t0");
    person.expect("deposited b (");
    // The names are asked for anew after a change.
    person.answer("depot> ", "remove b\t");
    person.expect("removed b");
    person.answer("depot> ", "help serv\t");
    person.expect("Usage: servers");
}

#[test]
fn the_history_is_kept_from_one_time_to_the_next() {
    let server = Server::start();
    let desk = known(&server);
    let mut person = desk.prompt();
    person.answer("depot> ", "stat remembered");
    person.expect("no such file");
    person.answer("depot> ", UP);
    person.expect("no such file");
    person.answer("depot> ", "quit");
    person.end();
    let history = desk.kept().join("history");
    assert_eq!(fs::metadata(history).unwrap().permissions().mode() & 0o077, 0);
    let mut person = desk.prompt();
    person.expect("depot> ");
    person.enter(&format!("{UP}{UP}"));
    person.expect("no such file");
}

#[test]
fn ctrl_c_at_the_prompt_leaves_the_line_and_not_the_program() {
    let server = Server::start();
    let desk = known(&server);
    let mut person = desk.prompt();
    person.expect("depot> ");
    person.press("stat half a li");
    person.press(CTRL_C);
    person.expect("quit or Ctrl-D leaves");
    person.answer("depot> ", "servers");
    person.expect("active");
    person.expect("depot> ");
    person.press(CTRL_D);
    assert_eq!(person.end(), Some(0));
}

#[test]
fn ctrl_c_stops_the_transfer_and_the_next_try_goes_on_from_there() {
    let server = Server::start();
    let relay = Relay::to(server.address(), 5 << 20);
    let desk = Desk::at(relay.address());
    desk.run(&["id"]).done();
    let content = random_bytes(7, 12 << 20);
    desk.write("large", &content);
    let mut person = desk.prompt();
    person.answer("depot> ", "deposit large");
    person.expect("MiB/12.00 MiB");
    depot_tests::eventually("the server has a part", || server.folder().disk_use() >= 4 << 20);
    person.press(CTRL_C);
    person.expect("interrupted");
    relay.open();
    person.answer("depot> ", "deposit large");
    person.expect("of them earlier");
    person.answer("depot> ", "recover large --to back");
    person.expect("recovered large");
    person.answer("depot> ", "quit");
    assert_eq!(person.end(), Some(0));
    assert!(desk.read("back") == content);
}

#[test]
fn ctrl_c_ends_a_single_command_with_code_130() {
    let server = Server::start();
    let relay = Relay::to(server.address(), 2 << 20);
    let desk = Desk::at(relay.address());
    desk.run(&["id"]).done();
    desk.write("large", random_bytes(7, 8 << 20));
    let mut person = Terminal::start(&desk.client(&["deposit", "large"]));
    person.expect("MiB/8.00 MiB");
    person.press(CTRL_C);
    person.expect("interrupted");
    assert_eq!(person.end(), Some(130));
}

/// Runs the prompt over a pipe.
fn piped(mut client: Command, lines: &str) -> Ran {
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().expect("the client runs");
    // One that ends before it has read everything is the test's to judge by its code.
    let _ = child.stdin.take().expect("stdin is piped").write_all(lines.as_bytes());
    child.wait_with_output().expect("the client ends").into()
}

#[test]
fn a_pipe_is_a_script() {
    let server = Server::start();
    let desk = known(&server);
    desk.write("a", "x");
    let ran = piped(desk.client(&[]), "deposit a\n# a comment\n\nlist --json\nquit\nlist\n");
    assert_eq!((ran.code, ran.out.lines().count(), ran.err.as_str()), (Some(0), 2, ""));
    let ran = piped(desk.client(&[]), "stat nothing\nlist");
    assert_eq!((ran.code, ran.out.lines().count()), (Some(3), 1), "{ran:?}");
    let ran = piped(desk.client(&[]), "dance\n");
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

/// A session over a pipe that stays open, after it has answered once.
fn listening(desk: &Desk) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let mut client = desk.client(&[]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().expect("the client runs");
    let mut lines = child.stdin.take().expect("stdin is piped");
    let mut results = BufReader::new(child.stdout.take().expect("stdout is piped"));
    lines.write_all(b"servers\n").expect("the client reads");
    let mut line = String::new();
    results.read_line(&mut line).expect("the client answers");
    assert!(line.contains("active"), "{line}");
    (child, lines, results)
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("it runs");
}

/// How it ended; its pipe has been open all the time.
fn ended(mut child: Child, lines: ChildStdin) -> Ran {
    depot_tests::eventually("the client ends", || child.try_wait().expect("ours").is_some());
    drop(lines);
    child.wait_with_output().expect("it has ended").into()
}

#[test]
fn ctrl_c_is_heard_while_a_pipe_is_waited_for() {
    let server = Server::start();
    let desk = known(&server);
    let (child, lines, _results) = listening(&desk);
    interrupt(&child);
    assert!(ended(child, lines).failed(130).starts_with("interrupted"));
}

#[test]
fn ctrl_c_ends_a_script_and_not_only_its_command() {
    let server = Server::start();
    let relay = Relay::to(server.address(), 2 << 20);
    let desk = Desk::at(relay.address());
    desk.run(&["id"]).done();
    desk.write("large", random_bytes(7, 8 << 20));
    let (child, mut lines, mut results) = listening(&desk);
    lines.write_all(b"deposit large\nlist\n").expect("the client reads");
    depot_tests::eventually("the server has a part", || server.folder().disk_use() >= 1 << 20);
    interrupt(&child);
    assert!(ended(child, lines).failed(130).starts_with("interrupted"));
    let mut rest = String::new();
    results.read_to_string(&mut rest).expect("the client has written text");
    assert_eq!(rest, "");
}

#[test]
fn an_id_in_the_wrong_place_is_not_shown() {
    let server = Server::start();
    let desk = known(&server);
    let id = depot_tests::content::made_up_id();
    let bare = id.replace('-', "");
    for word in [&*id, &bare, &id[1..]] {
        for line in [format!("help {word}"), word.to_owned(), format!("stat {word}//")] {
            let ran = piped(desk.client(&[]), &format!("{line}\n"));
            assert!(!ran.err.contains(word) && ran.err.contains("\"...\""), "{ran:?}");
            assert_eq!(ran.code, Some(2), "{ran:?}");
        }
        assert!(!desk.run(&["help", word]).failed(2).contains(word));
    }
    assert!(piped(desk.client(&[]), "help \u{1b}[31m\n").failed(2).contains("\\u{1b}"));
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let desk = Desk::at("127.0.0.1:1".parse().unwrap());
    let ran = piped(desk.program("depot-client"), "list\n");
    let said = ran.failed(2);
    assert!(said.contains("--host HOST") && said.contains("--port PORT"), "{said}");
}

#[test]
fn what_is_missing_is_asked_for_at_a_terminal() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let mut person = Terminal::start(&desk.program("depot-client"));
    person.answer("Host [127.0.0.1]: ", "not a host");
    person.expect("is wanted");
    person.answer("Host [127.0.0.1]: ", "");
    person.answer("Port [7070]: ", "web");
    person.expect("from 1 to 65535");
    person.answer("Port [7070]: ", &server.address().port().to_string());
    person.answer("Your id [empty: a new one]: ", "x");
    person.expect("An id has 36 characters");
    person.answer("Your id [empty: a new one]: ", "");
    person.expect("Your new id is ");
    person.expect("Keep it");
    person.answer("depot> ", "quit");
    assert_eq!(person.end(), Some(0));
}
