//! What is wrong with a configuration is told with the place and the way out: rows 97 to 104 of the
//! hostile inputs, one test or more for each.
//!
//! Here: which servers a list may hold, and which of them this one is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use depot_protocol::ServerName;
use depot_server::config::{Config, ConfigError, Loaded, Selection};
use tempfile::TempDir;

#[path = "config/files.rs"]
mod files;
#[path = "config/secrets.rs"]
mod secrets;
#[path = "config/values.rs"]
mod values;

const SECRET: &str = "a test's secret of more than 32 bytes";

/// A server with its own everything.
fn server(name: &str, host: &str, port: u16) -> String {
    let peer = port + 100;
    format!(
        "[[server]]\nname = \"{name}\"\naddress = \"{host}:{port}\"\npeer = \"{host}:{peer}\"\n\
         data = \"data/{name}\"\n"
    )
}

/// A file with this text, in a folder of its own, that only its owner may read.
struct Written {
    folder: TempDir,
    path: PathBuf,
}

fn written(content: impl AsRef<[u8]>) -> Written {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("depot.toml");
    std::fs::write(&path, content).expect("the folder is writable");
    mode(&path, 0o600);
    Written { folder, path }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn load(content: impl AsRef<[u8]>) -> Result<Loaded, ConfigError> {
    Config::load(&written(content).path)
}

/// What is said of a file that is refused.
fn refused(content: impl AsRef<[u8]>) -> String {
    match load(content) {
        Ok(loaded) => panic!("was taken: {loaded:?}"),
        Err(error) => error.to_string(),
    }
}

/// What is said of a file that is taken.
fn warnings(content: impl AsRef<[u8]>) -> String {
    let loaded = load(content).expect("the file is good");
    loaded.warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

#[track_caller]
fn says(message: &str, pieces: &[&str]) {
    for piece in pieces {
        assert!(message.contains(piece), "{piece:?} is not in: {message}");
    }
}

fn named(name: &str) -> Selection {
    Selection { name: Some(ServerName::parse(name).expect("a name")), port: None }
}

fn on_port(port: u16) -> Selection {
    Selection { name: None, port: Some(port) }
}

fn cluster(servers: &[String]) -> String {
    format!("[cluster]\nsecret = \"{SECRET}\"\n{}", servers.concat())
}

fn two() -> String {
    cluster(&[server("a", "127.0.0.1", 7001), server("b", "127.0.0.1", 7002)])
}

#[test]
fn row_97_duplicate_name_names_both_lines() {
    let file = two().replace("name = \"b\"", "name = \"a\"");
    says(&refused(file), &["line 9, column 8", "name \"a\" stands twice: on line 4 and on line 9"]);
}

#[test]
fn row_97_duplicate_address_names_both_lines() {
    let file = two().replace("address = \"127.0.0.1:7002\"", "address = \"127.0.0.1:7001\"");
    says(&refused(file), &["address 127.0.0.1:7001 stands twice: on line 5 and on line 10"]);
}

#[test]
fn row_97_duplicate_peer_names_both_lines() {
    let file = two().replace("peer = \"127.0.0.1:7102\"", "peer = \"127.0.0.1:7101\"");
    says(&refused(file), &["peer 127.0.0.1:7101 stands twice: on line 6 and on line 11"]);
}

#[test]
fn row_97_one_port_for_clients_and_servers_names_both_lines() {
    let file = server("a", "127.0.0.1", 7001).replace("7101", "7001");
    says(&refused(file), &["peer 127.0.0.1:7001 stands twice: on line 3 and on line 4"]);
    let file = server("a", "127.0.0.1", 7001).replace("127.0.0.1:7101", "[::]:7001");
    let file = format!("[cluster]\ninsecure = true\n{file}");
    let both = ["peer [::]:7001 on line 6 and address 127.0.0.1:7001 on line 5", "the same port"];
    says(&refused(file), &both);
}

#[test]
fn row_97_duplicate_data_folder_names_both_lines() {
    let file = two().replace("data/b", "./data/../data/a").replace("/../data", "");
    says(&refused(file), &["data folder", "data/a stands twice: on line 7 and on line 12"]);
    let file = two().replace("data/b", "data/a/inner");
    says(&refused(file), &["on line 12 and", "on line 7: one is inside the other"]);
}

#[test]
fn row_97_machines_may_have_the_same_folder_and_port() {
    let file = cluster(&[server("a", "10.0.0.1", 7001), server("b", "10.0.0.2", 7001)]);
    let file = file.replace("data/b", "data/a").replace("[cluster]", "[cluster]\ninsecure = true");
    assert!(load(file).is_ok());
}

#[test]
fn row_97_a_key_twice() {
    says(&refused("[limits]\nidle = \"5s\"\nidle = \"6s\"\n"), &["line 3", "duplicate key"]);
}

#[test]
fn row_99_self_is_not_in_the_list() {
    let config = load(two()).expect("good").config;
    let wrong = |selection: &Selection| config.settings_for(selection).unwrap_err().to_string();
    says(&wrong(&named("c")), &["depot.toml", "no server \"c\" (--name)", "\"a\"", "\"b\""]);
    says(&wrong(&on_port(7003)), &["no server", "port 7003 (--port)", "\"a\" on 127.0.0.1:7001"]);
    says(&wrong(&on_port(7101)), &["no server", "port 7101 (--port)"]);
}

#[test]
fn row_99_self_is_ambiguous() {
    let file = cluster(&[server("a", "10.0.0.1", 7001), server("b", "10.0.0.2", 7001)]);
    let file = file.replace("[cluster]", "[cluster]\ninsecure = true");
    let config = load(file).expect("good").config;
    let wrong = |selection: &Selection| config.settings_for(selection).unwrap_err().to_string();
    let both = ["\"a\" on 10.0.0.1:7001 (line 5)", "\"b\" on 10.0.0.2:7001 (line 10)", "--name"];
    says(&wrong(&on_port(7001)), &both);
    says(&wrong(&Selection::default()), &both);
}

#[test]
fn row_99_selfs_address_under_another_name() {
    let config = load(two()).expect("good").config;
    let wrong = |port| {
        let selection = Selection { port: Some(port), ..named("a") };
        config.settings_for(&selection).unwrap_err().to_string()
    };
    let ours = "server \"a\" (--name) takes clients on 127.0.0.1:7001, line 4";
    says(&wrong(7002), &[ours, "port 7002 (--port) is that of \"b\", line 9"]);
    says(&wrong(7009), &[ours, "port 7009 (--port) is nobody's"]);
}

#[test]
fn row_99_self_is_found_by_name_or_port_or_alone() {
    let file = written(two());
    let config = Config::load(&file.path).expect("good").config;
    let by_name = config.settings_for(&named("b")).expect("there");
    assert_eq!(by_name, config.settings_for(&on_port(7002)).expect("there"));
    let both = Selection { port: Some(7002), ..named("b") };
    assert_eq!(by_name, config.settings_for(&both).expect("there"));
    assert_eq!(by_name.members.len(), 2);
    assert_eq!(by_name.data, file.folder.path().join("data/b"));

    let one = load(server("a", "[::1]", 7001)).expect("good").config;
    let settings = one.settings_for(&Selection::default()).expect("the only one");
    assert_eq!(settings.listen.to_string(), "[::1]:7001");
}

#[test]
fn row_99_relative_folders_begin_at_the_files() {
    for (data, wanted) in [("../d", "d"), ("./d", "conf/d"), ("../../d", "../d")] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let conf = folder.path().join("conf");
        std::fs::create_dir(&conf).expect("writable");
        let path = conf.join("depot.toml");
        std::fs::write(&path, server("a", "127.0.0.1", 7001).replace("data/a", data)).expect("ok");
        let config = Config::load(&path).expect("good").config;
        let wanted = match wanted.strip_prefix("../") {
            Some(above) => folder.path().parent().expect("not the root").join(above),
            None => folder.path().join(wanted),
        };
        assert_eq!(config.servers()[0].data, wanted);
    }
}

#[test]
fn row_103_addresses_that_no_other_server_could_reach() {
    let wrong = |host: &str, port| {
        let file = cluster(&[server("a", host, port), server("b", "127.0.0.1", 7002)]);
        refused(file.replace("[cluster]", "[cluster]\ninsecure = true"))
    };
    says(&wrong("0.0.0.0", 7001), &["line 6", "no address that others could reach"]);
    says(&wrong("127.0.0.1", 0), &["line 6", "no port that others could know"]);
    assert!(load(server("a", "127.0.0.1", 0)).is_ok(), "one server alone may take any port");
}

#[test]
fn row_104_even_number_of_voters_is_a_warning() {
    says(&warnings(two()), &["2 servers vote, an even number: 0 may fail, as with 1"]);
    let four = [1, 2, 3, 4].map(|n| server(&format!("s{n}"), "127.0.0.1", 7000 + n));
    says(&warnings(cluster(&four)), &["4 servers vote, an even number: 1 may fail, as with 3"]);
}

#[test]
fn row_104_one_server_is_taken_and_f_0_is_stated() {
    let loaded = load(server("a", "127.0.0.1", 7001)).expect("one is enough");
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.config.tolerated_failures(), 0);
    let mut report = Vec::new();
    depot_server::cli::describe(&loaded, &mut report).expect("memory takes it");
    let report = String::from_utf8(report).expect("text");
    says(&report, &["servers: 1\n", "a: clients on 127.0.0.1:7001", "f = 0: while one is down"]);
}
