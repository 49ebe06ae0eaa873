//! A file goes into a depot and comes back, over plain sockets.
//!
//! ```text
//! cargo run -p depot-examples --example plain_sockets [FILE]
//! ```
//!
//! It starts a real server, says to it what you could type into netcat (see `netcat.sh` beside this
//! file), and shows every line: `>` was sent, `<` was received. Between the deposit and the recover
//! the server is stopped and started again. Nothing of depot is linked in here: the protocol's page and
//! sockets are enough to write a client.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

fn main() -> Result<()> {
    let itself = concat!(env!("CARGO_MANIFEST_DIR"), "/plain_sockets.rs");
    let file = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(itself), PathBuf::from);
    let name = file.file_name().context("give the path of a file")?.to_string_lossy().into_owned();
    let size = File::open(&file)
        .and_then(|file| file.metadata())
        .with_context(|| format!("can't open {}", file.display()))?
        .len();

    say("Build the server.");
    let server_binary = build_server()?;
    let data = DataFolder::new()?;

    say("Start it, on a free port. It needs no configuration.");
    let server = Server::start(&server_binary, &data.0)?;

    say(
        "Connect for the first time: the server gives us an id. Whoever knows it can read our files.",
    );
    let mut depot = Conversation::open(&server.address)?;
    depot.send("id_cliente:")?;
    let id = field(&depot.receive()?, "id_cliente")?.to_owned();

    say(&format!(
        "Deposit {}, with its SHA-256. No replicas: this depot has one server.",
        file.display()
    ));
    let hash = sha256_of(&file)?;
    depot.send(&format!(
        "id_cliente:{id}|qtd_replicas:0|tamanho_arquivo:{size}|hash_arquivo:{hash}|nome_arquivo:{name}"
    ))?;
    depot.send_payload(&file)?;
    let answer = depot.receive()?;
    ensure!(field(&answer, "hash_arquivo")? == hash, "the server has stored something else");
    println!("  It has answered, so the file is on its disk, checked and synced.");

    say("Stop the server, and start it again.");
    drop(depot);
    server.stop()?;
    let server = Server::start(&server_binary, &data.0)?;

    say("Reconnect with our id, and recover the file by its name.");
    let mut depot = Conversation::open(&server.address)?;
    depot.send(&format!("id_cliente:{id}"))?;
    depot.receive()?;
    depot.send(&format!("id_cliente:{id}|nome_arquivo:{name}"))?;
    let answer = depot.receive()?;
    ensure!(field(&answer, "tamanho_arquivo")? == size.to_string(), "it has another size");
    let recovered_hash = depot.receive_payload(size, &file)?;

    say("Compare.");
    println!("  every byte is the same; SHA-256 of what we");
    println!("    deposited  {hash}");
    println!("    recovered  {recovered_hash}");
    ensure!(recovered_hash == hash, "the hashes differ");

    say("Stop the server.");
    drop(depot);
    server.stop()
}

/// One connection, with everything that is said on it shown.
struct Conversation {
    stream: BufReader<TcpStream>,
}

impl Conversation {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("no one at {address}"))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends one line.
    fn send(&mut self, line: &str) -> Result<()> {
        println!("> {line}");
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    /// Sends a file's bytes as they are. The header before them says how many there are; nothing
    /// stands behind them.
    fn send_payload(&mut self, file: &Path) -> Result<()> {
        let sent = io::copy(&mut File::open(file)?, self.stream.get_mut())?;
        println!("> ({sent} bytes)");
        Ok(())
    }

    /// Receives one line: the answer.
    fn receive(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end().to_owned();
        println!("< {line}");
        ensure!(field(&line, "resultado")? == "1", "the server refused");
        Ok(line)
    }

    /// Receives `size` bytes, compares them with those of `original`, tells their SHA-256.
    fn receive_payload(&mut self, size: u64, original: &Path) -> Result<String> {
        let mut original = File::open(original)?;
        let mut hash = Sha256::new();
        let mut left = size;
        while left > 0 {
            let chunk = self.stream.fill_buf()?;
            ensure!(!chunk.is_empty(), "the connection ended {left} bytes too early");
            let chunk = &chunk[..usize::try_from(left).map_or(chunk.len(), |n| n.min(chunk.len()))];
            let mut expected = vec![0; chunk.len()];
            original.read_exact(&mut expected)?;
            ensure!(chunk == expected, "the bytes {left} before the end differ");
            hash.update(chunk);
            let used = chunk.len();
            left -= used as u64;
            self.stream.consume(used);
        }
        println!("< ({size} bytes)");
        Ok(hex(hash))
    }
}

/// The value of a field in a line like `resultado:1|id_cliente:...`.
fn field<'a>(line: &'a str, key: &str) -> Result<&'a str> {
    line.split('|')
        .filter_map(|field| field.split_once(':'))
        .find_map(|(name, value)| (name == key).then_some(value))
        .with_context(|| format!("no {key} in the answer"))
}

/// A running `depot-server` process.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts it, and waits for the line that says that it is ready and where.
    fn start(binary: &Path, data: &Path) -> Result<Self> {
        println!("$ depot-server --port 0 --log warn --data {}", data.display());
        let mut process = Command::new(binary)
            .args(["--port", "0", "--log", "warn", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {}", binary.display()))?;
        let stdout = process.stdout.take().context("the server's stdout is not a pipe")?;
        let mut server = Self { process, address: String::new() };
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready)?;
        print!("  {ready}");
        server.address = ready
            .split_once("clients on ")
            .and_then(|(_, rest)| rest.split_once(','))
            .map(|(address, _)| address.to_owned())
            .context("the server did not get ready")?;
        Ok(server)
    }

    /// Asks it to stop, as a service manager would, and waits until it has.
    fn stop(mut self) -> Result<()> {
        let terminate = format!("kill -TERM {}", self.process.id());
        ensure!(Command::new("sh").args(["-c", &terminate]).status()?.success(), "can't stop it");
        let status = self.process.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        println!("  stopped");
        Ok(())
    }
}

impl Drop for Server {
    /// Where something went wrong, no server is left behind. One that was stopped is not there any
    /// more, and then there is nothing to kill.
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait()
            && let Err(error) = self.process.kill().and_then(|()| self.process.wait().map(drop))
        {
            eprintln!("the server still runs: {error}");
        }
    }
}

/// A folder for the server's data, removed at the end.
struct DataFolder(PathBuf);

impl DataFolder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("depot-example-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("can't make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {error}", self.0.display());
        }
    }
}

/// Builds `depot-server` with the profile of this example, and tells where it lies.
fn build_server() -> Result<PathBuf> {
    // An example lies in target/PROFILE/examples, a server in target/PROFILE.
    let itself = std::env::current_exe()?;
    let folder = itself.parent().and_then(Path::parent).context("not where cargo puts examples")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", "depot-server", "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    if folder.ends_with("release") {
        build.arg("--release");
    }
    println!("$ cargo build --package depot-server");
    if !build.status().context("can't start cargo")?.success() {
        bail!("the server can't be built");
    }
    Ok(folder.join("depot-server"))
}

fn say(what: &str) {
    println!("\n# {what}");
}

/// The SHA-256 of a file, like `sha256sum` tells it.
fn sha256_of(file: &Path) -> Result<String> {
    let mut file = BufReader::with_capacity(256 * 1024, File::open(file)?);
    let mut hash = Sha256::new();
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            return Ok(hex(hash));
        }
        hash.update(chunk);
        let used = chunk.len();
        file.consume(used);
    }
}

/// A hash as 64 hex digits.
fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
