//! Files that are none, and names that would do harm where they are shown or written.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use depot_tests::Server;
use depot_tests::content::EMPTY_HASH;
use depot_tests::hostile_server::HostileServer;

use crate::desk::{Desk, Ran};

#[test]
fn what_is_no_file_is_refused() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    assert!(Command::new("mkfifo").arg(desk.path("pipe")).status().unwrap().success());
    for path in ["pipe", "/dev/zero", "/dev/null"] {
        let said = desk.run(&["deposit", path, "--name", "x"]).failed(8);
        assert!(said.contains("neither a file nor a folder"), "{said}");
    }
    desk.write("folder/a", "x");
    symlink("/etc", desk.path("folder/etc")).unwrap();
    fs::rename(desk.path("pipe"), desk.path("folder/pipe")).unwrap();
    let ran = desk.run(&["deposit", "folder"]);
    assert_eq!(ran.err.matches("left out").count(), 2, "{ran:?}");
    assert_eq!(ran.done().lines().count(), 1);
    assert_eq!(desk.run(&["list", "--json"]).done().lines().count(), 1);
}

#[test]
fn a_file_of_proc_is_refused_or_exact() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let ran = desk.run(&["deposit", "/proc/version"]);
    let listed = desk.run(&["list"]).done();
    assert!(ran.code == Some(8) && listed.is_empty() || ran.code == Some(0), "{ran:?} {listed}");
}

#[test]
fn a_path_that_is_not_utf8_is_said_clearly() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let path = desk.path("").join(OsStr::from_bytes(b"x\xff"));
    fs::write(&path, "x").unwrap();
    let run = |words: &[&str]| -> Ran {
        desk.client(&["deposit"]).arg(&path).args(words).output().unwrap().into()
    };
    let said = run(&[]).failed(8);
    assert!(said.contains("not UTF-8") && said.contains("--name"), "{said}");
    run(&["--name", "x"]).done();
}

#[test]
fn names_that_act_on_a_terminal_are_shown_escaped() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    let name = "evil\u{202e}txt.exe";
    desk.write("a", "x");
    let said = desk.run(&["deposit", "a", "--name", name]).done();
    for said in [said, desk.run(&["list"]).done(), desk.run(&["stat", name]).done()] {
        assert!(said.contains("evil\\u{202e}txt.exe") && !said.contains('\u{202e}'), "{said:?}");
    }
    let json = desk.run(&["list", "--json"]).done();
    assert!(json.contains("evil\\u202etxt.exe"), "{json}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["name"], name);
}

#[test]
fn a_name_of_another_system_stays_beneath_the_target() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("a", "x");
    let names = [r"..\..\x", r"C:\x", "CON", "aux.txt", "trailing.", "deep/er/x"];
    for name in names {
        desk.run(&["deposit", "a", "--name", name]).done();
        desk.run(&["recover", name, "--to", "to/"]).done();
        assert_eq!(desk.read(&format!("to/{name}")), b"x");
    }
    let entries = |path: &str| fs::read_dir(desk.path(path)).unwrap().count();
    assert_eq!((entries(""), entries("to")), (2, names.len()));
}

#[test]
fn nothing_is_written_through_a_link() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.write("a", "x");
    desk.write("elsewhere/kept", "kept");
    desk.run(&["deposit", "a", "--name", "link/kept"]).done();
    fs::create_dir(desk.path("to")).unwrap();
    symlink(desk.path("elsewhere"), desk.path("to/link")).unwrap();
    let said = desk.run(&["recover", "link/kept", "--to", "to/", "--force"]).failed(8);
    assert!(said.contains("symbolic link"), "{said}");
    assert_eq!(desk.read("elsewhere/kept"), b"kept");
}

#[test]
fn nothing_is_made_for_a_file_that_is_not_there() {
    let server = Server::start();
    let desk = Desk::at(server.address());
    desk.run(&["recover", "a/b/c"]).failed(3);
    desk.run(&["recover", "a", "b", "--to", "to"]).failed(3);
    let left: Vec<_> = fs::read_dir(desk.path("to")).into_iter().flatten().collect();
    assert!(left.is_empty() && !desk.path("a").exists(), "{left:?}");
}

/// A server may have more names than memory holds: each page is recovered before the next is asked
/// for.
#[test]
fn a_folder_without_end_is_recovered_page_by_page() {
    let (asked, before_the_third) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (told, pages) = (before_the_third.clone(), AtomicUsize::new(0));
    let server = HostileServer::crowded(move |talk| {
        while let Some(line) = talk.line() {
            if !line.starts_with("comando:listar") {
                asked.fetch_add(1, Ordering::SeqCst);
                talk.send("resultado:0|erro:arquivo_inexistente|mensagem:gone\n");
                continue;
            }
            let page = pages.fetch_add(1, Ordering::SeqCst);
            if page == 2 {
                told.store(asked.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            let item = |n| listed(&format!("d/{:09}", page * 1000 + n));
            let items = (0..1000).map(item).collect::<String>();
            talk.send(format!("resultado:1|itens:1000|mais:{}\n{items}", u8::from(page < 2)));
        }
    });
    let desk = Desk::at(server.address());
    desk.run(&["recover", "d/"]).failed(3);
    assert!(before_the_third.load(Ordering::SeqCst) >= 2000);
}

/// A line of a list.
fn listed(name: &str) -> String {
    format!(
        "qtd_replicas:0|copias:0|tamanho_arquivo:0|hash_arquivo:{EMPTY_HASH}\
         |depositado:2026-11-23T02:10:00Z|nome_arquivo:{name}\n"
    )
}

#[test]
fn an_answer_without_a_majority_is_shown_as_such() {
    let server = HostileServer::crowded(|talk| {
        while let Some(line) = talk.line() {
            let described = listed("a");
            talk.send(match line.split('|').next() {
                Some("comando:listar") => {
                    format!("resultado:1|itens:1|mais:0|leitura:local\n{described}")
                }
                Some("comando:consultar") => {
                    let (info, _) = described.split_once("|nome_arquivo").unwrap();
                    format!("resultado:1|{info}|leitura:local\n")
                }
                _ => format!(
                    "resultado:1|tamanho_arquivo:0|hash_arquivo:{EMPTY_HASH}|leitura:local\n"
                ),
            });
        }
    });
    let desk = Desk::at(server.address());
    desk.run(&["id"]).done();
    for words in [&["list"][..], &["stat", "a"], &["recover", "a"], &["recover", "a", "--to", "-"]]
    {
        let ran = desk.run(words);
        assert!(ran.err.starts_with("warning: "), "{words:?}: {ran:?}");
        assert!(ran.err.contains("reaches no majority"), "{words:?}: {ran:?}");
        ran.done();
    }
    for words in [&["list", "--json"][..], &["stat", "a", "--json"]] {
        let said = desk.run(words).done();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap()["local"], true);
    }
}
