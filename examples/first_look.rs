//! A server and a client, together, on a real file.
//!
//! ```text
//! cargo run -p depot-examples --example first_look [FILE]
//! ```
//!
//! It builds both programs, starts a server, deposits a file with the client, stops and restarts the
//! server, recovers the file and compares. Every command is shown as you could type it.

mod desk;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use desk::{build, say, shown};

fn main() -> Result<()> {
    let itself = concat!(env!("CARGO_MANIFEST_DIR"), "/first_look.rs");
    let file = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(itself), PathBuf::from);
    let programs = build()?;
    let desk = Desk::new(programs)?;

    say("Start a server. It needs no configuration.");
    let server = desk.serve("0")?;
    say(
        "Deposit a file. The first time, the server gives the client an id, and the client keeps it.",
    );
    desk.client(
        &server,
        &["deposit".as_ref(), file.as_os_str(), "--name".as_ref(), "first/look".as_ref()],
    )?;
    say("It was answered, so it is on disk, checked and synced. What is there?");
    desk.client(&server, &["list".as_ref()])?;
    say("Stop the server, and start it again.");
    let port = server.port.clone();
    server.stop()?;
    let server = desk.serve(&port)?;
    say("Recover the file.");
    let back = desk.folder.join("back");
    desk.client(
        &server,
        &["recover".as_ref(), "first/look".as_ref(), "--to".as_ref(), back.as_os_str()],
    )?;
    ensure!(fs::read(&file)? == fs::read(&back)?, "the file came back changed");
    println!("\n# Every byte is the same. Stop the server.");
    server.stop()
}

/// Where the programs are, and a folder for what they keep; gone at the end.
struct Desk {
    programs: PathBuf,
    folder: PathBuf,
}

impl Desk {
    fn new(programs: PathBuf) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("depot-first-look-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Desk { programs, folder })
    }

    /// Starts a server on this port; 0 is any free one.
    fn serve(&self, port: &str) -> Result<Server> {
        let data = self.folder.join("data");
        let arguments = ["--port".as_ref(), port.as_ref(), "--data".as_ref(), data.as_os_str()];
        shown("depot-server", &arguments);
        let mut process = Command::new(self.programs.join("depot-server"))
            .args(arguments)
            .args(["--log", "warn"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        BufReader::new(process.stdout.take().context("its output")?).read_line(&mut ready)?;
        print!("{ready}");
        let address = ready.split_once("clients on ").and_then(|(_, rest)| rest.split_once(','));
        let Some((host, port)) = address.and_then(|(address, _)| address.rsplit_once(':')) else {
            process.kill()?;
            bail!("the server did not get ready");
        };
        let (host, port) = (host.to_owned(), port.to_owned());
        Ok(Server { host, port, process })
    }

    fn client(&self, server: &Server, command: &[&OsStr]) -> Result<()> {
        let to = ["--host", &server.host, "--port", &server.port].map(OsStr::new);
        shown("depot-client", &[&to, command].concat());
        let done = Command::new(self.programs.join("depot-client"))
            .args(to)
            .args(command)
            .env("XDG_DATA_HOME", &self.folder) // the example's id is not yours
            .status()?;
        ensure!(done.success(), "the client failed");
        Ok(())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// A running server; stopped at the latest when it is dropped.
struct Server {
    host: String,
    port: String,
    process: Child,
}

impl Server {
    fn stop(mut self) -> Result<()> {
        let pid = self.process.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "cannot stop it");
        ensure!(self.process.wait()?.success(), "the server did not stop well");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a failure on the way; one that has ended is not hurt by it.
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}
