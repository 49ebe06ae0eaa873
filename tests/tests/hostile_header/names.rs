//! Rows 28 to 34: names that are refused, and strange ones that are names like any other.

use depot_tests::content::{made_up_id, sha256};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Server, answer};

use crate::stays;

#[test]
fn row_28_names_with_empty_or_dotted_segments_are_nome_invalido() {
    let server = Server::start();
    let (mut client, id) = (server.connect(), made_up_id());
    let names = ["", ".", "..", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "/", "./a", "a/."];
    for name in names {
        answer::refused(&client.deposit(&id, name, b"hello"), "nome_invalido");
        answer::refused(&client.ask(headers::recover(&id, name)), "nome_invalido");
        answer::refused(&client.ask(headers::stat(&id, name)), "nome_invalido");
        client.stays_open();
    }
    server.has_stored_nothing();
}

#[test]
fn row_29_names_that_only_look_dangerous_are_names() {
    are_names(&["...", "..a", "a..b", "-rf", "~", "$(x)", "%2e%2e/x", "a:b", "a b", " ", "'", "*"]);
}

#[test]
fn row_30_names_that_windows_minds_are_names() {
    are_names(&["..\\..\\x", "C:\\x", "CON", "aux.txt", "x.", "x ", "a/nul/b"]);
}

#[test]
fn row_31_names_have_up_to_1024_bytes_and_are_never_names_on_disk() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    for name in ["a".repeat(300), "a".repeat(1024), "é".repeat(512), "a/".repeat(511) + "aa"] {
        assert!(client.deposit(&id, &name, b"hello").starts_with("resultado:1|"));
        assert_eq!(client.recover(&id, &name), b"hello");
    }
    let stored = server.folder().files();
    assert!(!stored.iter().any(|path| path.display().to_string().contains("aaaa")), "{stored:?}");
    // A deposit's line has no room for such a name, a recover's has.
    stays(&server, headers::recover(&id, &"a".repeat(4000)), "nome_invalido");
    for name in ["a".repeat(1025), "é".repeat(513), "a".repeat(3000)] {
        stays(&server, headers::recover(&id, &name), "nome_invalido");
        let line = client.deposit_as(&Deposit::of(&id, &name, b"hello"), b"hello");
        answer::refused(&line, "nome_invalido");
    }
    server.is_unharmed();
}

#[test]
fn row_32_names_are_compared_byte_by_byte() {
    are_names(&["Ação", "Ac\u{327}a\u{303}o", "A", "a", "ação"]);
}

#[test]
fn row_33_invisible_and_confusable_characters_are_accepted() {
    are_names(&["a\u{202e}b", "a\u{200b}", "a", "🦀", "раураl", "paypal", "\u{feff}a", "e\u{301}"]);
}

#[test]
fn row_34_names_of_the_servers_own_files_are_names() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    let hash = sha256(b"hello");
    let own = ["LOCK", "tmp", "catalogo.redb", "catalogue/catalogue.redb", "volume/staging/a.part"];
    for name in own.into_iter().chain([hash.as_str()]) {
        client.deposit(&id, name, name.as_bytes());
        assert_eq!(client.recover(&id, name), name.as_bytes());
    }
    let server = server.stop().start();
    assert_eq!(server.connect().names(&id).len(), own.len() + 1);
    server.is_unharmed();
}

/// Each of these names a file of its own, which comes back under it, and all are listed in order.
#[track_caller]
fn are_names(names: &[&str]) {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    for name in names {
        let line = client.deposit(&id, name, name.as_bytes());
        assert!(line.starts_with("resultado:1|"), "{name:?}: {line:?}");
    }
    for name in names {
        assert_eq!(client.recover(&id, name), name.as_bytes(), "{name:?}");
    }
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(client.names(&id), sorted);
    server.is_unharmed();
}
