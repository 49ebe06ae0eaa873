//! Rows 97 to 102: a configuration with a fault, given to the real server. It ends with 3, before
//! it has made anything, and says where the fault is and what to do; `check-config` says the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use depot_tests::{Setup, eventually};

/// One server of a file.
fn server(name: &str, port: u16) -> String {
    format!(
        "[[server]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\npeer = \"127.0.0.1:{}\"\ndata = \"{name}\"\n",
        port + 100
    )
}

/// Both the server and `check-config` refuse this file, in these words, and make nothing.
#[track_caller]
fn refused(toml: impl AsRef<[u8]>, options: &[&str], words: &[&str]) {
    let setup = Setup::new();
    fs::write(setup.config(), toml).expect("written");
    fs::set_permissions(setup.config(), fs::Permissions::from_mode(0o600)).expect("private");
    let config = setup.config().display().to_string();
    let run = [&["--config", &config], options].concat();
    let check: &[&str] = &["check-config", &config];
    for args in [&run[..], check] {
        if args == check && !options.is_empty() {
            continue; // the fault is in the choice, not in the file
        }
        let refusal = setup.clone().args(args).refuse();
        assert_eq!(refusal.code, Some(3), "{refusal:?}");
        for word in words {
            assert!(refusal.stderr.contains(word), "{word:?} is not in {:?}", refusal.stderr);
        }
    }
    let made = fs::read_dir(setup.home()).expect("its folder").count();
    assert_eq!(made, 1, "nothing but the file itself");
}

#[test]
fn row_97_duplicates_are_refused_naming_both_lines() {
    refused(server("a", 7001) + &server("a", 7002), &[], &["\"a\"", "line 2", "line 7"]);
    refused(server("a", 7001) + &server("b", 7001), &[], &["7001", "line 3", "line 8"]);
    let one_folder = server("a", 7001) + &server("b", 7002).replace("data = \"b\"", "data = \"a\"");
    refused(one_folder, &[], &["line 5", "line 10"]);
}

#[test]
fn row_98_misspelt_keys_and_impossible_values_are_told_by_line_and_column() {
    let misspelt = server("a", 7001) + "[limits]\nhedaer = \"10s\"\n";
    refused(misspelt, &[], &["line 7", "column 1", "hedaer", "`header`"]);
    refused(
        server("a", 7001) + "[limits]\nconnections = \"many\"\n",
        &[],
        &["line 7", "connections"],
    );
    refused(server("a", 7001) + "[limits]\nconnections = -1\n", &[], &["line 7", "connections"]);
    let port = server("a", 7001).replace(":7001", ":65536");
    refused(port, &[], &["line 3", "65536"]);
}

#[test]
fn row_99_a_server_that_is_not_in_the_file_is_refused() {
    refused(server("a", 7001), &["--name", "b"], &["\"b\""]);
    refused(server("a", 7001), &["--port", "7002"], &["7002"]);
}

#[test]
fn row_100_what_is_no_configuration_at_all_is_refused_in_bounded_memory() {
    refused("", &[], &["server"]);
    refused(b"\xff\xfe\x00", &[], &["UTF-8"]);
    refused(b"\xef\xbb\xbf[cluster]\n", &[], &["byte order mark"]);
    refused("#".repeat(100 << 20), &[], &["larger"]);
    refused("a = ".to_owned() + &"[".repeat(200_000), &[], &["line 1"]);
}

#[test]
fn row_101_a_secret_that_is_none_is_refused_off_loopback_and_warned_of_on_it() {
    let off = |secret: &str| {
        let servers = server("a", 7001) + &server("b", 7002) + &server("c", 7003);
        format!(
            "[cluster]\ninsecure = true\n{secret}\n{}",
            servers.replace("127.0.0.1", "192.0.2.1")
        )
    };
    refused(off(""), &[], &["secret"]);
    refused(off("secret = \"short\""), &[], &["secret", "32"]);
    let setup = Setup::new();
    let shared = server("a", 0) + "[cluster]\nsecret = \"0123456789abcdef0123456789abcdef\"\n";
    fs::write(setup.config(), &shared).expect("written");
    fs::set_permissions(setup.config(), fs::Permissions::from_mode(0o644)).expect("readable");
    let config = setup.config().display().to_string();
    let started = setup.args(&["--config", &config]).start();
    eventually("it warns", || started.log().contains("WARN") && started.log().contains("secret"));
    assert!(!started.log().contains("0123456789abcdef"), "a secret is never shown");
}

#[test]
fn row_102_an_address_off_loopback_needs_insecure() {
    let public = server("a", 7001).replace("127.0.0.1:7001", "0.0.0.0:7001");
    refused(public, &[], &["insecure", "TLS"]);
}
