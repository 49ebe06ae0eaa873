//! Each command once, for people and as JSON.

use depot_tests::Server;
use depot_tests::content::{random_bytes, sha256};
use serde_json::Value;

use crate::desk::Desk;

#[test]
fn a_file_goes_in_and_comes_back() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("letter.txt", "the only copy\n");
    let said = desk.run(&["deposit", "letter.txt", "--name", "letters/first.txt"]).done();
    assert_eq!(said, "deposited letters/first.txt (14 B, replicas: 0 of 0)\n");
    assert!(desk.run(&["list"]).done().ends_with("Z  letters/first.txt\n"));
    let stat = desk.run(&["stat", "letters/first.txt"]).done();
    assert!(stat.contains(&sha256(b"the only copy\n")) && stat.contains("14 bytes"), "{stat}");
    let said = desk.run(&["recover", "letters/first.txt", "--to", "back.txt"]).done();
    assert_eq!(said, "recovered letters/first.txt to back.txt (14 B)\n");
    assert_eq!(desk.read("back.txt"), b"the only copy\n");
    let said = desk.run(&["replicas", "letters/first.txt", "0"]).done();
    assert_eq!(said, "letters/first.txt: 0 replicas are wanted, 0 are there\n");
    assert_eq!(desk.run(&["remove", "letters/first.txt"]).done(), "removed letters/first.txt\n");
    let ran = desk.run(&["list"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "No files.\n"));
}

#[test]
fn programs_get_lines_of_json() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let json = |words: &[&str]| -> Value {
        serde_json::from_str(&desk.run(words).done()).expect("one line of JSON")
    };
    desk.write("a b.txt", "x");
    let done = json(&["deposit", "a b.txt", "--json"]);
    assert_eq!((&done["name"], &done["size"]), (&"a b.txt".into(), &1.into()));
    assert_eq!(done["hash"], sha256(b"x"));
    let listed = json(&["--json", "list"]);
    assert_eq!(listed, json(&["stat", "a b.txt", "--json"]));
    assert_eq!(listed["replicas"], 0);
    assert_eq!(json(&["recover", "a b.txt", "--to", "c", "--json"])["path"], "c");
    assert_eq!(json(&["servers", "--json"])["active"], true);
    assert_eq!(json(&["id", "--json"])["id"].as_str().map(str::len), Some(36));
    assert_eq!(json(&["remove", "a b.txt", "--json"])["removed"], true);
    let ran = desk.run(&["recover", "a b.txt", "--to", "gone", "--json"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let failed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&failed["name"], &failed["error"]), (&"a b.txt".into(), &"not_found".into()));
}

#[test]
fn folders_go_in_and_come_back() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    for n in 0..40 {
        desk.write(&format!("photos/{}/{n}.jpg", n % 3), random_bytes(n, 1000));
    }
    desk.write("photos/large.raw", random_bytes(99, 3 << 20));
    desk.write("notes.txt", "n");
    assert_eq!(desk.run(&["deposit", "photos", "notes.txt"]).done().lines().count(), 42);
    assert_eq!(desk.run(&["recover", "photos/", "--to", "restored"]).done().lines().count(), 41);
    for n in 0..40 {
        let name = format!("photos/{}/{n}.jpg", n % 3);
        assert_eq!(desk.read(&format!("restored/{name}")), desk.read(&name));
    }
    assert_eq!(desk.read("restored/photos/large.raw"), desk.read("photos/large.raw"));
    assert!(!desk.path("restored/notes.txt").exists());
}

#[test]
fn what_is_there_is_replaced_only_when_told() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("a", "deposited");
    desk.run(&["deposit", "a"]).done();
    desk.write("a", "mine");
    let said = desk.run(&["recover", "a"]).failed(8);
    assert!(said.contains("--force"), "{said}");
    assert_eq!(desk.read("a"), b"mine");
    desk.run(&["recover", "a", "--force"]).done();
    assert_eq!(desk.read("a"), b"deposited");
}

#[test]
fn the_bytes_of_one_file_go_to_stdout() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("a", "bytes and nothing else");
    desk.run(&["deposit", "a"]).done();
    assert_eq!(desk.run(&["recover", "a", "--to", "-"]).done(), "bytes and nothing else");
    desk.run(&["recover", "a", "b", "--to", "-"]).failed(2);
}

#[test]
fn help_needs_no_server_and_speaks_portuguese_under_its_locale() {
    let desk = Desk::at("127.0.0.1:1".parse().unwrap());
    assert!(desk.run(&["help"]).done().contains("Exit codes:"));
    assert!(desk.run(&["help", "deposit"]).done().contains("Examples:"));
    assert!(desk.run(&["--help"]).done().contains("DEPOT_ID_FILE"));
    assert_eq!(desk.run(&["quit"]).done(), "");
    let desk = desk.with("LC_ALL", "pt_BR.UTF-8");
    let help = desk.run(&["deposit", "--help"]).done();
    assert!(help.contains("Uso: deposit CAMINHO") && help.contains("Exemplos:"), "{help}");
    assert!(desk.run(&["depsit"]).failed(2).starts_with("erro: \"depsit\" não é um comando"));
}
