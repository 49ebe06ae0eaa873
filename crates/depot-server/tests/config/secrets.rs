//! Secrets, who else can read them, and addresses that others can reach.

use depot_server::config::Config;

use super::{SECRET, load, mode, refused, says, server, warnings, written};

/// The same cluster off loopback and on it.
fn off_and_on_loopback(cluster: &str) -> [String; 2] {
    ["10.0.0", "127.0.0"].map(|net| {
        let servers = [1, 2, 3].map(|n| server(&format!("s{n}"), &format!("{net}.{n}"), 7000 + n));
        format!("[cluster]\ninsecure = true\n{cluster}\n{}", servers.concat())
    })
}

#[test]
fn row_101_missing_short_or_example_secret_is_refused_off_loopback_and_warned_of_on_it() {
    for (cluster, pieces) in [
        ("", &["no `secret` or `secret_file`", "openssl"] as &[&str]),
        ("secret = \"short\"", &["line 3, column 10", "5 bytes, at least 32"]),
        ("secret = \"at least 32 characters\"", &["line 3", "examples"]),
        ("secret = \"an example: replace it, openssl rand -base64 32\"", &["line 3", "examples"]),
    ] {
        let [off, on] = off_and_on_loopback(cluster);
        says(&refused(off), pieces);
        says(&warnings(on), pieces);
    }
    let also = format!("secret = \"{SECRET}\"\nalso_accept = [\"short\"]");
    let [off, on] = off_and_on_loopback(&also);
    says(&refused(off), &["line 4", "`also_accept`", "5 bytes"]);
    says(&warnings(on), &["line 4", "`also_accept`", "5 bytes"]);
}

#[test]
fn row_101_a_good_secret_is_said_nothing_of() {
    let [off, on] = off_and_on_loopback(&format!("secret = \"{SECRET}\""));
    assert!(load(off).is_ok());
    assert_eq!(warnings(on), "");
}

#[test]
fn row_101_config_with_a_secret_that_others_can_read() {
    let [off, on] = off_and_on_loopback(&format!("secret = \"{SECRET}\""));
    for bits in [0o644, 0o640, 0o604] {
        let file = written(&off);
        mode(&file.path, bits);
        let error = Config::load(&file.path).unwrap_err().to_string();
        says(&error, &["depot.toml: holds a secret", &format!("mode {bits:o}"), "chmod 600"]);
    }
    let file = written(on);
    mode(&file.path, 0o644);
    let warnings = Config::load(&file.path).expect("on loopback").warnings;
    assert_eq!(warnings.len(), 1);
    says(&warnings[0].to_string(), &["holds a secret", "mode 644", "chmod 600"]);

    let open = written(server("a", "127.0.0.1", 7001));
    mode(&open.path, 0o644);
    assert!(Config::load(&open.path).expect("it holds none").warnings.is_empty());
}

#[test]
fn row_101_secret_file_that_others_can_read() {
    let [off, on] = off_and_on_loopback("secret_file = \"cluster.key\"");
    let load = |content: &str, bits| {
        let file = written(content);
        let key = file.folder.path().join("cluster.key");
        std::fs::write(&key, format!("{SECRET}\n")).expect("writable");
        mode(&key, bits);
        Config::load(&file.path)
    };
    says(&load(&off, 0o640).unwrap_err().to_string(), &["cluster.key", "mode 640", "chmod 600"]);
    let loaded = load(&on, 0o640).expect("on loopback");
    says(&loaded.warnings[0].to_string(), &["cluster.key", "mode 640", "chmod 600"]);
    let loaded = load(&off, 0o600).expect("nobody else can read it");
    assert_eq!(loaded.config.secret().expect("it has one").expose(), SECRET.as_bytes());
    says(&refused(&off), &["cluster.key: cannot read it"]);
}

#[test]
fn row_101_secret_and_secret_file() {
    let both = format!("secret = \"{SECRET}\"\nsecret_file = \"cluster.key\"");
    let [_, on] = off_and_on_loopback(&both);
    says(&refused(on), &["line 4", "`secret_file` and `secret` (line 3)", "leave one out"]);
}

#[test]
fn row_101_no_message_and_no_debug_output_shows_a_secret() {
    let hidden = "hunter2hunter2";
    for line in [
        format!("secret = \"{hidden}\""),
        format!("secret = [\"{hidden}\"]"),
        format!("secret = {{ key = \"{hidden}\" }}"),
        format!("secret = \"{hidden}"),
        format!("secret = {hidden}"),
        format!("secret = \"{hidden}\"\nsecret = \"{hidden}\""),
        format!("also_accept = \"{hidden}\""),
        format!("also_accept = [[\"{hidden}\"]]"),
        format!("also_accept = [\"{hidden}\"]"),
        format!("also_accept = [\"{hidden}\", 5]"),
    ] {
        let [off, _] = off_and_on_loopback(&line);
        let error = load(off).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{line}: {error} {error:?}");
    }
    let [off, _] = off_and_on_loopback("secret = 31337313373133731337");
    assert!(!refused(off).contains("31337"));
    let [_, on] = off_and_on_loopback(&format!("secret = \"{SECRET}\""));
    assert!(!format!("{:?}", load(on).expect("good")).contains(SECRET));
}

#[test]
fn row_102_an_address_off_loopback_needs_insecure() {
    for (key, file) in [
        ("address 192.0.2.1:7001", server("a", "192.0.2.1", 7001)),
        ("address 0.0.0.0:7001", server("a", "0.0.0.0", 7001)),
        ("address [::]:7001", server("a", "[::]", 7001)),
        ("http 192.0.2.1:80", server("a", "127.0.0.1", 7001) + "http = \"192.0.2.1:80\"\n"),
    ] {
        says(&refused(&file), &["line ", key, "no TLS", "insecure = true", "127.0.0.1"]);
        let insecure = format!("[cluster]\ninsecure = true\n{file}");
        says(&warnings(insecure), &[key, "without TLS"]);
    }
    for loopback in ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"] {
        assert_eq!(warnings(server("a", loopback, 7001)), "", "{loopback}");
    }
}
