//! A real `depot-server` process on a port of its own and a data folder of its own: started, spoken
//! to, killed and started again. [`Setup`] says how; [`Server`] is one running process.

pub(crate) mod binary;
mod process;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::Folder;
pub(crate) use process::finished;
pub use process::{Refusal, Server};

/// How a server is to be started; the same setup starts it again on the same data.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Holds the configuration and the data; gone with the last clone.
    home: Arc<TempDir>,
    data: PathBuf,
    address: String,
    /// Lines of the configuration by section.
    sections: BTreeMap<&'static str, String>,
    /// The whole command line, where it is not `--config FILE`.
    args: Option<Vec<String>>,
    user: Option<u32>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A depot of one on a free port of 127.0.0.1, with a new data folder and all defaults.
    pub fn new() -> Self {
        let home = TempDir::with_prefix("depot-").expect("a temporary folder");
        let data = home.path().join("data");
        let address = "127.0.0.1:0".into();
        let (sections, args, user) = (BTreeMap::new(), None, None);
        Self { home: Arc::new(home), data, address, sections, args, user }
    }

    /// One server of a cluster: another's file, and the folder that it names.
    pub(crate) fn of_cluster(
        home: &Arc<TempDir>,
        data: PathBuf,
        config: &Path,
        name: &str,
    ) -> Self {
        let config = config.to_str().expect("UTF-8");
        let args = ["--config", config, "--name", name].map(str::to_owned).to_vec();
        let (address, sections) = (String::new(), BTreeMap::new());
        Self { home: Arc::clone(home), data, address, sections, args: Some(args), user: None }
    }

    /// Lines for `[limits]`, like `idle = "1s"`; they replace what was given before.
    pub fn limits(self, toml: &str) -> Self {
        self.section("limits", toml)
    }

    /// Lines for `[deposit]`.
    pub fn deposit(self, toml: &str) -> Self {
        self.section("deposit", toml)
    }

    /// Lines for `[volume]`.
    pub fn volume(self, toml: &str) -> Self {
        self.section("volume", toml)
    }

    fn section(mut self, name: &'static str, toml: &str) -> Self {
        self.sections.insert(name, toml.to_owned());
        self
    }

    /// Another address to listen on.
    pub fn address(mut self, address: &str) -> Self {
        self.address = address.into();
        self
    }

    /// Another data folder.
    pub fn data(mut self, path: impl Into<PathBuf>) -> Self {
        self.data = path.into();
        self
    }

    /// A whole command line of the test's own, without a configuration file.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args = Some(args.iter().map(|arg| (*arg).to_owned()).collect());
        self
    }

    /// Runs as this user, for what root is always allowed.
    pub fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Whether this user can run the server's executable at all.
    pub fn can_run_as(uid: u32) -> bool {
        Command::new(binary::path()).arg("--help").uid(uid).gid(uid).output().is_ok()
    }

    /// The data folder.
    pub fn folder(&self) -> Folder {
        Folder::new(&self.data)
    }

    /// The folder around data and configuration, for a test's own files.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.home.path().join("depot.toml")
    }

    /// Starts the server and returns when it is ready; panics with its log when it is not.
    #[track_caller]
    pub fn start(&self) -> Server {
        match self.run() {
            Ok(server) => server,
            Err(refusal) => panic!("the server did not start: {refusal:#?}"),
        }
    }

    /// Starts the server, which must give up before it is ready.
    #[track_caller]
    pub fn refuse(&self) -> Refusal {
        match self.run() {
            Ok(server) => panic!("the server started: {}", server.ready_line()),
            Err(refusal) => refusal,
        }
    }

    /// Starts the server; it is ready, or it has given up.
    #[track_caller]
    pub(crate) fn run(&self) -> Result<Server, Refusal> {
        if self.args.is_none() {
            self.write_config();
        }
        process::run(self.clone())
    }

    /// Writes the configuration as it now is.
    pub fn write_config(&self) {
        let mut text = "[cluster]\nname = \"tests\"\n".to_owned();
        for (name, lines) in &self.sections {
            writeln!(text, "\n[{name}]\n{lines}").expect("a string takes all");
        }
        let (address, data) = (&self.address, &self.data);
        writeln!(text, "\n[[server]]\nname = \"one\"\naddress = {address:?}\ndata = {data:?}")
            .expect("a string takes all");
        std::fs::write(self.config(), text).expect("the configuration is written");
    }

    /// The command line.
    fn arguments(&self) -> Vec<String> {
        let config = || vec!["--config".into(), self.config().display().to_string()];
        self.args.clone().unwrap_or_else(config)
    }
}
