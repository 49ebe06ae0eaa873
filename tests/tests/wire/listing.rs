//! Lists: their lines, their order and their pages.

use depot_tests::content::sha256;
use depot_tests::headers;
use depot_tests::{Raw, Server};

#[test]
fn a_line_of_a_list_tells_all_about_a_file_with_its_name_last() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.new_id();
    client.deposit(&id, "a|b:c", b"hello");
    let stat = client.ask(headers::stat(&id, "a|b:c"));
    let (lines, more) = client.list(&id, 10, "");
    let told = stat.strip_prefix("resultado:1|").expect("a done stat");
    assert_eq!(lines, [format!("{told}|nome_arquivo:a|b:c")]);
    assert!(told.contains(&format!("|tamanho_arquivo:5|hash_arquivo:{}|", sha256(b"hello"))));
    assert!(!more);
}

#[test]
fn names_are_listed_in_byte_order() {
    let server = Server::start();
    let (mut client, id, names) =
        with_files(&server, &["b", "a", "B", "é", "a/z", "a.", "aa", "~"]);
    assert_eq!(names, ["B", "a", "a.", "a/z", "aa", "b", "~", "é"]);
    assert_eq!(client.names(&id), names);
}

#[test]
fn a_list_comes_in_pages_and_says_whether_more_follow() {
    let server = Server::start();
    let (mut client, id, names) = with_files(&server, &["a", "b", "c", "d", "e"]);
    for size in 1..=6 {
        let (mut after, mut seen) = (String::new(), Vec::new());
        loop {
            let (lines, more) = client.list(&id, size, &after);
            assert_eq!(lines.len(), size.min(5 - seen.len()), "pages of {size}");
            seen.extend(lines.iter().map(|line| name(line).to_owned()));
            assert_eq!(more, seen.len() < 5, "pages of {size}, after {seen:?}");
            if !more {
                break;
            }
            after = seen.last().expect("a page before the last one").clone();
        }
        assert_eq!(seen, names);
    }
}

#[test]
fn apos_need_not_be_a_present_or_a_valid_name() {
    let server = Server::start();
    let (mut client, id, _) = with_files(&server, &["a", "b|c", "c"]);
    let cases = [("aa", 2), ("a/../", 2), ("//", 3), ("b|", 2), ("b|c", 1), ("b|apos:", 2)];
    let edges = [("c", 0), ("é", 0), ("..", 3), (" ", 3)];
    for (after, wanted) in cases.into_iter().chain(edges) {
        assert_eq!(client.list(&id, 10, after).0.len(), wanted, "after {after:?}");
    }
    let longest = "b".repeat(1024);
    assert_eq!(client.list(&id, 10, &longest).0.len(), 2);
}

#[test]
fn names_of_1024_bytes_fit_the_lines_of_a_list() {
    let server = Server::start();
    let names = (0..60).map(|n| format!("{n:03}{}", "é".repeat(510))).collect::<Vec<_>>();
    let wanted = names.iter().map(|name| format!("{name}x")).collect::<Vec<_>>();
    let given = wanted.iter().map(String::as_str).collect::<Vec<_>>();
    let (mut client, id, _) = with_files(&server, &given);
    assert!(wanted.iter().all(|name| name.len() == 1024));
    assert_eq!(client.names(&id), wanted);
}

/// A client with a file of each name, and the names in byte order.
fn with_files(server: &Server, names: &[&str]) -> (Raw, String, Vec<String>) {
    let mut client = server.connect();
    let id = client.new_id();
    for name in names {
        let answer = client.deposit(&id, name, name.as_bytes());
        assert!(answer.starts_with("resultado:1|"), "{name}: {answer:?}");
    }
    let mut sorted = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    sorted.sort_unstable();
    (client, id, sorted)
}

fn name(line: &str) -> &str {
    line.split_once("|nome_arquivo:").expect("a name in the line").1
}
