//! Who the client is, and that nobody else learns it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use depot_tests::content::made_up_id;
use depot_tests::hostile_server::HostileServer;
use depot_tests::{Server, free_address};

use crate::desk::{Desk, Ran};

#[test]
fn the_id_that_was_issued_is_kept_for_this_server_alone() {
    let (server, other) = (Server::start(), Server::start());
    let desk = Desk::at(server.address());
    let first = desk.run(&["id"]);
    let id = first.out.trim().to_owned();
    assert!(first.err.contains("is kept in") && !first.err.contains(&id), "{first:?}");
    let second = desk.run(&["id"]);
    assert_eq!((second.out.trim(), second.err.as_str()), (&*id, ""));
    let file = desk.kept().join("ids").join(format!("127.0.0.1:{}", server.address().port()));
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{id}\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let port = other.address().port().to_string();
    let mut elsewhere = desk.program("depot-client");
    let ran = elsewhere.args(["--host", "127.0.0.1", "--port", &port, "id"]).output().unwrap();
    assert_ne!(String::from_utf8(ran.stdout).unwrap().trim(), id);
}

#[test]
fn an_id_on_the_command_line_warns_once_and_is_never_shown() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("a", "x");
    let id = made_up_id();
    let ran = desk.run(&["--id", &id, "deposit", "a"]);
    assert_eq!(ran.err.matches("warning").count(), 1, "{ran:?}");
    assert!(!ran.out.contains(&id) && !ran.err.contains(&id), "{ran:?}");
    for words in
        [&["--id", &*id, &*id][..], &["--ident", &id], &["--id", &format!("{id}0"), "list"]]
    {
        let said = desk.run(words).failed(2);
        assert!(!said.contains(&id), "{said}");
    }
    assert!(!desk.kept().join("ids").exists());
    server.log_is_silent_on(&id);
}

#[test]
fn the_environment_hides_it() {
    let server = Server::start();
    let id = made_up_id();
    let desk = Desk::at(server.address()).with("DEPOT_ID", &id);
    let ran = desk.run(&["id"]);
    assert_eq!((ran.out.trim(), ran.err.as_str()), (&*id, ""));
    let desk = Desk::at(server.address()).with("DEPOT_ID_FILE", "my-id");
    desk.write("my-id", format!("{id}\n"));
    let ran = desk.run(&["id"]);
    assert!(ran.err.contains("chmod 600"), "{ran:?}");
    fs::set_permissions(desk.path("my-id"), fs::Permissions::from_mode(0o600)).unwrap();
    let ran = desk.run(&["id"]);
    assert_eq!((ran.out.trim(), ran.err.as_str()), (&*id, ""));
    desk.write("my-id", "not an id");
    desk.run(&["id"]).failed(8);
}

#[test]
fn without_a_home_the_id_is_shown_for_nothing_else_has_it() {
    let server = Server::start();
    let desk = Desk::at(server.address()).with("HOME", "");
    let ran = desk.run(&["id"]);
    assert!(ran.err.contains(ran.out.trim()), "{ran:?}");
}

#[test]
fn what_is_no_text_is_an_error_and_not_left_out() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    for (variable, code) in [("DEPOT_ID", 2), ("DEPOT_ID_FILE", 8)] {
        let mut client = desk.client(&["id"]);
        client.env(variable, OsStr::from_bytes(b"\xff\xfe"));
        let ran = Ran::from(client.output().unwrap());
        assert_eq!(ran.out, "");
        ran.failed(code);
    }
    assert!(!desk.kept().join("ids").exists(), "nobody was asked for a new id");
}

#[test]
fn first_commands_at_once_get_one_id() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let start = |_| {
        let mut client = desk.client(&["id"]);
        client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let clients = (0..8).map(start).collect::<Vec<_>>();
    let ids =
        clients.into_iter().map(|client| Ran::from(client.wait_with_output().unwrap()).done());
    let ids = ids.collect::<BTreeSet<_>>();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(
        fs::read_to_string(file_of(&desk, server.address())).unwrap(),
        *ids.first().unwrap()
    );
}

#[test]
fn a_kept_id_that_others_could_read_is_closed_to_them() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let id = desk.run(&["id"]).done();
    let file = file_of(&desk, server.address());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(desk.run(&["id"]).done(), id);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Where the id for a server is kept.
fn file_of(desk: &Desk, server: SocketAddr) -> std::path::PathBuf {
    desk.kept().join("ids").join(server.to_string())
}

/// A server that names these, once the test knows them.
fn naming(others: &Arc<Mutex<Vec<SocketAddr>>>) -> HostileServer {
    let others = Arc::clone(others);
    HostileServer::stateless(move |talk| {
        while talk.line().is_some() {
            let others = others.lock().expect("no panic under it");
            let line = |at: &SocketAddr| format!("servidor:a|endereco:{at}|ativo:1\n");
            let lines = others.iter().map(line).collect::<String>();
            talk.send(format!("resultado:1|versao:1|itens:{}\n{lines}", others.len()));
        }
    })
}

#[test]
fn an_id_is_kept_for_all_servers_of_a_depot_and_for_no_stranger() {
    let (named, nobody) = (Arc::default(), Arc::default());
    let (first, second, stranger) = (naming(&named), naming(&named), naming(&nobody));
    let gone = free_address();
    let [one, two, other] = [&first, &second, &stranger].map(HostileServer::address);
    named.lock().unwrap().extend([one, two, other, gone]);
    nobody.lock().unwrap().push(other);
    let desk = Desk::at(one);
    let id = desk.run(&["id"]).done();
    assert_eq!(fs::read_to_string(file_of(&desk, one)).unwrap(), id);
    assert_eq!(fs::read_to_string(file_of(&desk, two)).unwrap(), id);
    // It is named, and does not name the others; or it does not answer.
    assert!(!file_of(&desk, other).exists() && !file_of(&desk, gone).exists());
}
