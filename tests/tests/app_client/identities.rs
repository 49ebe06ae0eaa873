//! Who the client is, and that nobody else learns it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use depot_tests::Server;
use depot_tests::content::made_up_id;

use crate::desk::Desk;

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
