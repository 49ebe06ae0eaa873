//! `depot`, the menu of the original: every question at a terminal.

use std::process::{Command, Stdio};

use depot_tests::content::made_up_id;
use depot_tests::{Server, free_address};

use crate::desk::Desk;
use crate::terminal::{CTRL_C, Terminal};

/// `depot` at a terminal, up to the id of a client.
fn client(desk: &Desk, server: &Server, role: &str) -> Terminal {
    let mut person = Terminal::start(&desk.program("depot"));
    person.expect("1  server");
    person.expect("2  client");
    person.answer("Which? ", role);
    person.answer("Host [127.0.0.1]: ", "127.0.0.1");
    person.answer("Port [7070]: ", &server.address().port().to_string());
    person
}

#[test]
fn a_server_asks_its_port_and_serves() {
    let desk = Desk::at("127.0.0.1:1".parse().unwrap());
    let mut person = Terminal::start(&desk.program("depot"));
    person.answer("Which? ", "nothing of this");
    person.expect("Please answer");
    person.answer("Which? ", "server");
    let free = free_address();
    person.answer("Port to listen on [7070]: ", &free.port().to_string());
    person.expect(&format!("clients on {free}, data in "));
    assert!(Desk::at(free).run(&["servers"]).done().contains("active"));
    person.press(CTRL_C);
    assert_eq!(person.end(), Some(0));
}

#[test]
fn a_client_is_led_through_all_of_it() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("my letter.txt", "x");
    let mut person = client(&desk, &server, "2");
    person.answer("Your id [empty: a new one]: ", "");
    person.expect("Your new id is ");
    person.expect("Keep it");
    for line in ["1  deposit", "2  recover", "3  list", "4  change replicas", "5  quit"] {
        person.expect(line);
    }
    person.answer("depot> ", "d");
    person.answer("File or folder: ", "my letter.txt");
    person.answer("]: ", "many");
    person.expect("from 0 to 255");
    person.answer("]: ", "0");
    person.expect("deposited my letter.txt (1 B");
    person.answer("depot> ", "3");
    person.expect("my letter.txt");
    person.answer("depot> ", "recover");
    person.answer("Name: ", "my\t");
    person.answer("[empty: here]: ", "back.txt");
    person.expect("recovered my letter.txt to back.txt");
    person.answer("depot> ", "a");
    person.answer("Name: ", "my letter.txt");
    person.answer("Replicas on other servers: ", "0");
    person.expect("0 replicas are wanted");
    person.answer("depot> ", "stat 'my letter.txt'");
    person.expect("1 bytes");
    person.answer("depot> ", "menu");
    person.expect("5  quit");
    person.answer("depot> ", "r");
    person.expect("Name: ");
    person.press(CTRL_C);
    person.answer("depot> ", "s");
    assert_eq!(person.end(), Some(0));
    assert_eq!(desk.read("back.txt"), b"x");
}

#[test]
fn an_id_is_kept_replaced_or_brought_along() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let first = desk.run(&["id"]).done();
    let mut person = client(&desk, &server, "c");
    person.answer("the one kept for this server; new: a new one]: ", "");
    person.answer("depot> ", "id");
    person.expect(first.trim());
    person.answer("depot> ", "5");
    person.end();
    let id = made_up_id();
    let mut person = client(&desk, &server, "client");
    person.answer("new: a new one]: ", &id);
    person.answer("depot> ", "id");
    person.expect(&id);
    person.answer("depot> ", "quit");
    person.end();
    assert_eq!(desk.run(&["id"]).done(), first);
    let mut person = client(&desk, &server, "client");
    person.answer("new: a new one]: ", "new");
    person.expect("Your new id is ");
    person.answer("depot> ", "s");
    person.end();
    assert_ne!(desk.run(&["id"]).done(), first);
}

#[test]
fn under_a_portuguese_locale_it_is_portuguese() {
    let server = Server::start();
    let desk = Desk::at(server.address()).with("LC_ALL", "pt_BR.UTF-8");
    desk.write("carta.txt", "x");
    let mut person = Terminal::start(&desk.program("depot"));
    person.expect("Participar como");
    person.answer("Qual? ", "cliente");
    person.answer("Host [127.0.0.1]: ", "");
    person.answer("Porta [7070]: ", &server.address().port().to_string());
    person.answer("Seu id [vazio: um novo]: ", "");
    person.expect("Guarde-o");
    person.answer("depot> ", "depositar");
    person.answer("Arquivo ou pasta: ", "carta.txt");
    person.answer("]: ", "");
    person.expect("depositado carta.txt");
    person.answer("depot> ", "listar");
    person.expect("carta.txt");
    person.answer("depot> ", "sair");
    assert_eq!(person.end(), Some(0));
    for word in ["Host name", "Keep", "deposited", "Which", "error"] {
        assert!(!person.whole().contains(word), "{word}");
    }
}

#[test]
fn every_question_can_be_given_as_an_option() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let port = server.address().port().to_string();
    let address = ["--host", "127.0.0.1", "--port", &port];
    let run = |mut command: Command| command.stdin(Stdio::null()).output().unwrap();
    let mut one_shot = desk.program("depot");
    one_shot.arg("client").args(address).arg("servers");
    assert!(run(one_shot).status.success());
    let mut person = desk.program("depot");
    person.arg("client").args(address).args(["--id", &made_up_id()]);
    let mut person = Terminal::start(&person);
    person.expect("1  deposit");
    person.answer("depot> ", "s");
    assert_eq!(person.end(), Some(0));
    let mut help = desk.program("depot");
    help.args(["server", "--help"]);
    assert!(String::from_utf8(run(help).stdout).unwrap().contains("--port PORT"));
}

#[test]
fn without_a_terminal_the_options_are_named() {
    let desk = Desk::at("127.0.0.1:1".parse().unwrap());
    for (words, options) in [
        (&[][..], &["depot server --port", "depot client --host"][..]),
        (&["dance"], &["depot server --port", "depot client --host"]),
        (&["server"], &["--port"]),
        (&["client"], &["--host", "--port"]),
    ] {
        let ran = desk.program("depot").args(words).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{words:?}: {said}");
        for option in options {
            assert!(said.contains(option), "{words:?}: {said}");
        }
    }
}
