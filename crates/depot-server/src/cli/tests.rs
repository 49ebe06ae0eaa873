//! What each command line comes to.

use std::path::{Path, PathBuf};

use depot_protocol::ServerName;

use super::{Action, Operation, Refusal, Start, parse_from};
use crate::config::Settings;
use crate::telemetry::LogFormat;

fn parse(words: &str) -> Result<Action, Refusal> {
    parse_from(std::iter::once("depot-server").chain(words.split_whitespace()), None)
}

fn started(words: &str) -> Start {
    match parse(words) {
        Ok(Action::Run(start)) => start,
        other => panic!("{words}: {other:?}"),
    }
}

/// What is said on stderr, and the code, of words that make no sense.
fn refused(words: &str) -> String {
    match parse(words) {
        Err(Refusal::Usage(error)) => {
            assert_eq!(error.exit_code(), 2, "{words}");
            error.to_string()
        }
        other => panic!("{words}: {other:?}"),
    }
}

fn written(folder: &Path, servers: u16) -> PathBuf {
    let path = folder.join("depot.toml");
    let one = |n| {
        let (port, peer) = (7000 + n, 7100 + n);
        format!(
            "[[server]]\nname = \"s{n}\"\naddress = \"127.0.0.1:{port}\"\n\
             peer = \"127.0.0.1:{peer}\"\ndata = \"s{n}\"\n"
        )
    };
    std::fs::write(&path, (1..=servers).map(one).collect::<String>()).unwrap();
    path
}

#[test]
fn a_port_alone_is_a_depot_of_one() {
    let start = started("--port 7070");
    assert_eq!(start.settings, Settings::alone(7070, "depot-data/7070".into()));
    assert_eq!(start.settings.listen.to_string(), "127.0.0.1:7070");
    assert!(start.settings.data.is_absolute());
    assert_eq!(start.config_path, None);
}

#[test]
fn a_folder_is_taken_as_it_is_given() {
    let start = started("--port 0 --data /tmp/d --log debug --log-format json");
    assert_eq!(start.settings, Settings::alone(0, "/tmp/d".into()));
    assert_eq!(start.log.to_string(), "debug");
    assert_eq!(start.log_format, LogFormat::Json);
}

#[test]
fn a_free_port_needs_a_folder() {
    assert!(refused("--port 0").contains("give --data DIR"));
}

#[test]
fn nothing_names_what_is_missing() {
    let message = refused("");
    assert!(message.contains("--port PORT") && message.contains("--config FILE"), "{message}");
}

#[test]
fn at_a_terminal_the_port_is_asked_for() {
    let mut shown = Vec::new();
    let mut typed = &b"web\n7071\n"[..];
    let action = parse_from(["depot-server"], Some((&mut typed, &mut shown)));
    let Ok(Action::Run(start)) = action else { panic!("{action:?}") };
    assert_eq!(start.settings.listen.port(), 7071);
    assert!(start.settings.data.ends_with("depot-data/7071"));
    assert!(String::from_utf8(shown).unwrap().starts_with("Port to listen on [7070]: "));
}

#[test]
fn a_terminal_that_ends_is_as_none() {
    let action = parse_from(["depot-server"], Some((&mut &b""[..], &mut Vec::new())));
    let Err(Refusal::Usage(error)) = action else { panic!("{action:?}") };
    assert!(error.to_string().contains("--port PORT"));
}

#[test]
fn words_that_make_no_sense() {
    assert!(refused("--port 65536").contains("65536"));
    assert!(refused("--port -1").contains("-1"));
    assert!(refused("--name a --port 7070").contains("--config"));
    assert!(refused("--config x.toml --data d").contains("--data"));
    assert!(refused("--config x.toml --name A").contains("a-z"));
    assert!(refused("--port 7070 --log inof").contains("did you mean info?"));
    assert!(refused("--port 7070 --log-format xml").contains("json"));
    assert!(refused("--prot 7070").contains("--port"));
    assert!(refused("check-config").contains("FILE"));
    assert!(refused("--port 7070 check-config x.toml").contains("check-config"));
}

#[test]
fn a_file_of_one_server_needs_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 1);
    for words in ["", "--name s1", "--port 7001", "--name s1 --port 7001"] {
        let start = started(&format!("--config {} {words}", path.display()));
        assert_eq!(start.settings.server.as_str(), "s1");
        assert_eq!(start.settings.data, folder.path().join("s1"));
        assert_eq!(start.config_path.as_deref(), Some(&*path));
    }
}

#[test]
fn a_server_that_the_file_does_not_have_is_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 1);
    let action = parse(&format!("--config {} --port 7002", path.display()));
    let Err(Refusal::Config(error)) = action else { panic!("{action:?}") };
    assert!(error.message().contains("port 7002 (--port)"), "{error}");
}

#[test]
fn a_file_of_several_servers_needs_a_name_or_a_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 3);
    for words in ["--name s2", "--port 7002"] {
        let start = started(&format!("--config {} {words}", path.display()));
        assert_eq!(start.settings.server.as_str(), "s2");
        assert_eq!(start.settings.members.len(), 3);
    }
    let action = parse(&format!("--config {}", path.display()));
    let Err(Refusal::Config(error)) = action else { panic!("{action:?}") };
    assert!(error.message().contains("--name"), "{error}");
}

#[test]
fn an_operator_names_the_file() {
    let operation = |words: &str| match parse(words) {
        Ok(Action::Operate(path, operation)) => (path, operation),
        other => panic!("{words}: {other:?}"),
    };
    let file = Path::new("x.toml").to_owned();
    assert_eq!(operation("init --config x.toml"), (file.clone(), Operation::Init));
    assert_eq!(operation("status --config x.toml"), (file.clone(), Operation::Status));
    let c = ServerName::parse("c").unwrap();
    assert_eq!(operation("admit --config x.toml c"), (file.clone(), Operation::Admit(c.clone())));
    assert_eq!(operation("scrub --config x.toml c"), (file.clone(), Operation::Scrub(Some(c))));
    assert_eq!(operation("scrub --config x.toml"), (file, Operation::Scrub(None)));
    assert!(refused("init").contains("--config"));
    assert!(refused("admit --config x.toml").contains("NAME"));
    assert!(refused("admit --config x.toml C").contains("a-z"));
}

#[test]
fn check_config_takes_a_file() {
    let action = parse("check-config x.toml");
    assert!(matches!(action, Ok(Action::CheckConfig(path)) if path == Path::new("x.toml")));
}

#[test]
fn help_teaches() {
    let Err(Refusal::Usage(help)) = parse("--help") else { panic!("help is asked for") };
    assert!(!help.use_stderr());
    let text = help.to_string();
    for piece in ["--port PORT", "check-config", "Examples:", "SIGHUP", "Exit codes:", "DEPOT_LOG"]
    {
        assert!(text.contains(piece), "{piece} is not in:\n{text}");
    }
}
