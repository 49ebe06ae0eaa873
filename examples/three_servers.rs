//! Three servers from one file, as one depot.
//!
//! ```text
//! cargo run -p depot-examples --example three_servers              # leaves them running until Ctrl-C
//! cargo run -p depot-examples --example three_servers -- --story   # deposits, kills two, recovers
//! ```
//!
//! It builds the programs, starts the three servers of `config/three-servers.toml` and founds the
//! cluster. Data and logs lie in `depot-data/`; with `--story` it all happens in a folder of its
//! own, on free ports, and is gone at the end. Every command is shown as you could type it.

mod desk;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use desk::{build, say, shown};

const NAMES: [&str; 3] = ["a", "b", "c"];
/// The ports of `config/three-servers.toml`: of clients, of peers, of health.
const PORTS: [u16; 9] = [7001, 7002, 7003, 7101, 7102, 7103, 7201, 7202, 7203];
/// How often, and how many times, it is asked whether two replicas are there.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOKS: u32 = 400;

fn main() -> Result<()> {
    let programs = build()?;
    match std::env::args().nth(1).as_deref() {
        None => stay(programs),
        Some("--story") => story(programs),
        Some(other) => bail!("what is {other:?}? Nothing, or --story"),
    }
}

/// Starts the cluster where the file says, and waits for its end.
fn stay(programs: PathBuf) -> Result<()> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let data = root.join("depot-data");
    fs::create_dir_all(&data)?;
    let desk = Desk { programs, config: root.join("config/three-servers.toml"), logs: data };
    let (servers, waiting) = desk.serve_all()?;
    if waiting {
        say("The folders are empty: make the three one cluster, once.");
        desk.run("depot-server", &["init".as_ref(), "--config".as_ref(), desk.config.as_os_str()])?;
    }
    desk.run("depot-server", &["status".as_ref(), "--config".as_ref(), desk.config.as_os_str()])?;
    say("They run until Ctrl-C. In another terminal, through any of them:");
    println!("$ depot-client --host 127.0.0.1 --port 7002 deposit FILE --replicas 2");
    for mut server in servers {
        server.process.wait()?;
    }
    Ok(())
}

/// Deposits through one server, kills two, recovers through the third.
fn story(programs: PathBuf) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("depot-three-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let told = tell(programs, &folder);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    told
}

fn tell(programs: PathBuf, folder: &Path) -> Result<()> {
    let (config, ports) = config_of_its_own(folder)?;
    let desk = Desk { programs, config, logs: folder.to_owned() };
    say("Start the three servers of the file. Their folders are empty: they wait.");
    let (mut servers, waiting) = desk.serve_all()?;
    ensure!(waiting, "new folders wait to be founded");
    say("Make them one cluster, once.");
    desk.run("depot-server", &["init".as_ref(), "--config".as_ref(), desk.config.as_os_str()])?;
    say("Deposit a file through the first, with replicas on two others.");
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/three_servers.rs"));
    let name = ["--name", "the/only/copy", "--replicas", "2"].map(OsStr::new);
    desk.client(ports[0], &[&["deposit".as_ref(), file.as_os_str()], &name[..]].concat())?;
    let mut looks = 0;
    while !desk.answer(ports[0], &["stat", "the/only/copy", "--json"])?.contains("\"copies\":2") {
        looks += 1;
        ensure!(looks < LOOKS, "the replicas do not come");
        std::thread::sleep(LOOK_AGAIN);
    }
    desk.client(ports[0], &["stat".as_ref(), "the/only/copy".as_ref()])?;
    say("Kill two of the three, without warning.");
    servers.truncate(2);
    servers.remove(0);
    say("Recover the file through the one that is left.");
    let back = folder.join("back");
    let to = ["recover".as_ref(), "the/only/copy".as_ref(), "--to".as_ref(), back.as_os_str()];
    desk.client(ports[1], &to)?;
    ensure!(fs::read(file)? == fs::read(&back)?, "the file came back changed");
    println!("\n# Every byte is the same.");
    Ok(())
}

/// The same file, in this folder, with free ports and a secret of its own; the ports of clients.
fn config_of_its_own(folder: &Path) -> Result<(PathBuf, [u16; 3])> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/three-servers.toml");
    let mut text = fs::read_to_string(example)?;
    // All are held until all are found, so that no two are the same.
    let free: Vec<TcpListener> =
        PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut clients = [0; 3];
    for (at, (port, free)) in PORTS.iter().zip(&free).enumerate() {
        let free = free.local_addr()?.port();
        text = text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{free}"));
        if let Some(client) = clients.get_mut(at) {
            *client = free;
        }
    }
    text = text.replace("../depot-data/", "");
    let random = fs::read("/proc/sys/kernel/random/uuid")?;
    let random = String::from_utf8(random)?;
    text = text.replace("an example: replace it, openssl rand -base64 32", random.trim());
    let path = folder.join("three-servers.toml");
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok((path, clients))
}

/// Where the programs, their configuration and their logs are.
struct Desk {
    programs: PathBuf,
    config: PathBuf,
    logs: PathBuf,
}

/// A running server; killed at the latest when it is dropped.
struct Server {
    process: Child,
}

impl Desk {
    /// Starts all three; whether they wait to be founded.
    fn serve_all(&self) -> Result<(Vec<Server>, bool)> {
        let mut waiting = false;
        let mut servers = Vec::new();
        for name in NAMES {
            let (server, ready) = self.serve(name)?;
            waiting |= ready.contains("waits to be founded");
            servers.push(server);
        }
        Ok((servers, waiting))
    }

    /// Starts one; what it says when it is ready.
    fn serve(&self, name: &str) -> Result<(Server, String)> {
        let arguments =
            ["--config".as_ref(), self.config.as_os_str(), "--name".as_ref(), name.as_ref()];
        shown("depot-server", &arguments);
        let log = self.logs.join(format!("{name}.log"));
        let mut process = Command::new(self.programs.join("depot-server"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut ready = String::new();
        BufReader::new(process.stdout.take().context("its output")?).read_line(&mut ready)?;
        let server = Server { process };
        if !ready.contains("clients on ") {
            bail!("the server {name} did not get ready:\n{}", fs::read_to_string(&log)?);
        }
        print!("{ready}");
        Ok((server, ready))
    }

    /// Runs a command, shown, to its good end.
    fn run(&self, program: &str, arguments: &[&OsStr]) -> Result<()> {
        shown(program, arguments);
        let done = Command::new(self.programs.join(program)).args(arguments).status()?;
        ensure!(done.success(), "{program} failed");
        Ok(())
    }

    fn client(&self, port: u16, command: &[&OsStr]) -> Result<()> {
        let port = port.to_string();
        let to = ["--host", "127.0.0.1", "--port", &port].map(OsStr::new);
        let words = [&to, command].concat();
        shown("depot-client", &words);
        let id = self.id_file()?;
        let done = Command::new(self.programs.join("depot-client"))
            .args(words)
            .env("DEPOT_ID_FILE", id)
            .status()?;
        ensure!(done.success(), "the client failed");
        Ok(())
    }

    /// What the client prints.
    fn answer(&self, port: u16, command: &[&str]) -> Result<String> {
        let port = port.to_string();
        let output = Command::new(self.programs.join("depot-client"))
            .args(["--host", "127.0.0.1", "--port", &port])
            .args(command)
            .env("DEPOT_ID_FILE", self.id_file()?)
            .output()?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// One id for all servers of the cluster: the example's, not yours.
    fn id_file(&self) -> Result<PathBuf> {
        let path = self.logs.join("id");
        if !path.exists() {
            fs::copy("/proc/sys/kernel/random/uuid", &path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        Ok(path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended is not hurt by it.
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}
