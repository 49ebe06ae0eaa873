//! A person's desk: a folder to work in, a home of its own, and the client's programs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::terminal::Terminal;

/// The folder with `depot-client` and `depot`, built once a test process beside the tests.
pub(crate) fn binaries() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("this test has a path");
        let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/test");
        let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        command.args(["build", "--quiet", "-p", "depot-client", "-p", "depot", "--bins"]);
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        command.arg("--target-dir").arg(profile.parent().expect("target/PROFILE"));
        if profile.ends_with("release") {
            command.arg("--release");
        }
        assert!(command.status().expect("cargo runs").success(), "the client does not build");
        profile.to_owned()
    })
}

/// What a program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its results, after it has succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Its messages, after it has ended with this code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.err
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the client writes UTF-8");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The desk.
pub(crate) struct Desk {
    folder: TempDir,
    address: SocketAddr,
    variables: Vec<(String, String)>,
}

impl Desk {
    /// A desk of somebody who uses the server at this address.
    pub(crate) fn at(address: SocketAddr) -> Desk {
        let folder = TempDir::with_prefix("desk-").expect("a temporary folder");
        for name in ["work", "home"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Desk { folder, address, variables: Vec::new() }
    }

    /// The same desk with a variable set.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Desk {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// A path in the folder to work in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// Where the client keeps ids and history.
    pub(crate) fn kept(&self) -> PathBuf {
        self.folder.path().join("home/.local/share/depot")
    }

    /// Writes a file to work with.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// What is in a file.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A program, ready to be run here.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(binaries().join(name));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env_clear().env("HOME", self.folder.path().join("home")).env("PATH", path);
        command.env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.path(""));
        command
    }

    /// `depot-client` for the server, ready to be run with these words behind.
    pub(crate) fn client(&self, words: &[&str]) -> Command {
        let mut command = self.program("depot-client");
        let port = self.address.port().to_string();
        command.args(["--host", "127.0.0.1", "--port", &port]).args(words);
        command
    }

    /// Runs one command.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let mut client = self.client(words);
        client.stdin(Stdio::null()).output().expect("the client runs").into()
    }

    /// The prompt at a terminal.
    #[track_caller]
    pub(crate) fn prompt(&self) -> Terminal {
        Terminal::start(&self.client(&[]))
    }
}
