//! The exit codes, each as it is met.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use depot_tests::{Server, free_address};

use crate::desk::{Desk, Ran};

#[test]
fn each_failure_has_its_code() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("a", "x");
    assert!(desk.run(&["dance"]).failed(2).contains("dance"));
    assert!(desk.run(&["stat", "a//b"]).failed(2).contains("a//b"));
    assert!(desk.run(&["stat", "nothing"]).failed(3).contains("arquivo_inexistente"));
    assert!(desk.run(&["recover", "nothing/"]).failed(3).contains("nothing/"));
    let refused = desk.run(&["deposit", "a", "--replicas", "2"]).failed(4);
    assert!(refused.contains("replicas_indisponiveis"), "{refused}");
    assert!(desk.run(&["deposit", "nothing"]).failed(8).contains("nothing"));
}

#[test]
fn nobody_there_is_code_7() {
    let address = free_address();
    let said = Desk::at(address).run(&["list"]).failed(7);
    assert!(said.contains(&address.to_string()), "{said}");
}

#[test]
fn no_depot_server_is_code_9_and_its_words_are_escaped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let _ = client.write_all(b"HTTP/1.1 400 \x1b[31mBad\r\n\r\n");
            let _ = client.read(&mut [0; 100]);
        }
    });
    let said = Desk::at(address).run(&["list"]).failed(9);
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn one_failure_of_many_is_told_and_the_others_go_on() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("a", "x");
    desk.write("b", "y");
    let ran = desk.run(&["deposit", "a", "nothing", "b"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Some(8), 2), "{ran:?}");
    let ran = desk.run(&["recover", "a", "nothing", "b", "--to", "to"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Some(3), 2), "{ran:?}");
}

#[test]
fn a_reader_that_goes_away_is_success() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    for n in 0..50 {
        desk.write(&format!("d/{n}"), "x");
    }
    desk.run(&["deposit", "d"]).done();
    for words in [&["list"][..], &["list", "--json"], &["help"], &["recover", "d/0", "--to", "-"]] {
        let mut client = desk.client(words);
        client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn().unwrap();
        drop(child.stdout.take());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn what_failed_is_told_also_where_nobody_reads_the_results() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("a", "x");
    for (words, code) in [
        (&["deposit", "a"][..], 0),
        (&["deposit", "a", "nothing"], 8),
        (&["recover", "a", "missing", "--to", "to/"], 3),
        (&["recover", "a", "--to", "to/"], 8),
        (&["recover", "a", "--to", "to/", "--force", "--json"], 0),
        (&["recover", "missing", "--json"], 3),
        (&["stat", "missing"], 3),
        (&["remove", "a"], 0),
    ] {
        let mut client = desk.client(words);
        client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn().unwrap();
        drop(child.stdout.take());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(code), "{words:?}: {ran:?}");
    }
    assert_eq!(desk.read("to/a"), b"x");
}
