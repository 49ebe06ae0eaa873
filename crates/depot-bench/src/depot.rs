//! The servers that are measured: one or several of our own on loopback, or some that run already.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

/// In /proc, processor time is counted in hundredths of a second (USER_HZ), on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server that was asked to stop is killed after so long.
const STOP: Duration = Duration::from_secs(40);

/// What the servers log, to this program's stderr. While a cluster is founded, warnings are everyday.
const LOG: &str = "error,openraft=off";

/// Servers to connect to.
pub(crate) struct Depot {
    /// Their hosts and ports.
    pub(crate) addresses: Vec<String>,
    /// Their processes, if they are ours. Ours end with this value, whatever happens.
    processes: Vec<Process>,
}

/// What a server's process has used.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Usage {
    /// Processor time since its start, user and system.
    pub(crate) cpu_seconds: f64,
    /// The memory that is resident now.
    pub(crate) rss_mib: f64,
    /// The most memory that was resident since [`Depot::reset_peaks`].
    pub(crate) peak_rss_mib: f64,
}

impl Depot {
    /// Servers that run already; nothing is known of their processes.
    pub(crate) fn running(addresses: Vec<String>) -> Self {
        Self { addresses, processes: Vec::new() }
    }

    /// Starts so many servers on free ports, with their data in `folder`, and waits until they take
    /// deposits. Several are founded as one cluster.
    pub(crate) fn start(binary: &Path, folder: &Path, servers: usize) -> Result<Self> {
        std::fs::create_dir(folder).context("can't make the servers' folder")?;
        if servers == 1 {
            return Self::restart(binary, folder);
        }
        let config = folder.join("depot.toml");
        write_config(&config, servers)?;
        let mut depot = Self { addresses: Vec::new(), processes: Vec::new() };
        for number in 0..servers {
            let mut server = Command::new(binary);
            server.arg("--config").arg(&config).args(["--name", &name(number)]);
            depot.processes.push(Process::start(&mut server)?);
        }
        for process in &mut depot.processes {
            process.waits()?;
        }
        let mut init = Command::new(binary);
        let founded = init.arg("init").arg("--config").arg(&config).stdout(Stdio::null()).status();
        ensure!(founded?.success(), "the cluster can't be founded; see above");
        for process in &mut depot.processes {
            depot.addresses.push(process.serves()?);
        }
        Ok(depot)
    }

    /// Starts a depot of one with the data that is in `folder`, if there is some.
    pub(crate) fn restart(binary: &Path, folder: &Path) -> Result<Self> {
        let mut server = Command::new(binary);
        server.args(["--port", "0", "--data"]).arg(Self::data(folder));
        let mut process = Process::start(&mut server)?;
        let address = process.serves()?;
        Ok(Self { addresses: vec![address], processes: vec![process] })
    }

    /// The data folder of a depot of one that was started in `folder`.
    pub(crate) fn data(folder: &Path) -> PathBuf {
        folder.join("data")
    }

    /// The processes of our own servers.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        self.processes.iter().map(Process::pid).collect()
    }

    /// What our own servers have used so far, one after the other.
    pub(crate) fn usage(&self) -> Result<Vec<Usage>> {
        self.processes.iter().map(Process::usage).collect()
    }

    /// From here on the peaks are counted anew.
    pub(crate) fn reset_peaks(&self) -> Result<()> {
        self.processes.iter().try_for_each(Process::reset_peak)
    }

    /// Stops our own servers, which must end without a fault; others run on.
    pub(crate) fn stop(mut self) -> Result<()> {
        for process in &self.processes {
            kill(process.pid(), Signal::SIGTERM).context("can't signal a server")?;
        }
        self.processes.iter_mut().try_for_each(Process::ended)
    }
}

/// A server of ours, killed when it is dropped.
struct Process {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .args(["--log", LOG])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {:?}; is it built?", command.get_program()))?;
        let stdout = child.stdout.take().context("the server's stdout is not a pipe")?;
        Ok(Self { child, stdout: BufReader::new(stdout) })
    }

    /// Waits until the server waits to be founded.
    fn waits(&mut self) -> Result<()> {
        self.said("waits to be founded").map(drop)
    }

    /// Waits until the server takes clients; tells where.
    fn serves(&mut self) -> Result<String> {
        let line = self.said(": clients on ")?;
        Ok(address_in(&line)?.to_owned())
    }

    /// The next line of the server that has these words in it.
    fn said(&mut self, words: &str) -> Result<String> {
        loop {
            let mut line = String::new();
            self.stdout.read_line(&mut line).context("can't read the server's stdout")?;
            ensure!(!line.is_empty(), "a server ended before it was ready; see its log above");
            if line.contains(words) {
                return Ok(line);
            }
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("Linux counts processes up to 2^22"))
    }

    fn usage(&self) -> Result<Usage> {
        let read = |name: &str| {
            let path = format!("/proc/{}/{name}", self.child.id());
            std::fs::read_to_string(&path).with_context(|| format!("can't read {path}"))
        };
        let cpu_seconds = cpu_seconds_in(&read("stat")?)?;
        let status = read("status")?;
        let (rss_mib, peak_rss_mib) = (mib_in(&status, "VmRSS:")?, mib_in(&status, "VmHWM:")?);
        Ok(Usage { cpu_seconds, rss_mib, peak_rss_mib })
    }

    fn reset_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(&path, "5").with_context(|| format!("can't write {path}"))
    }

    /// Waits for the end of a server that was asked to stop.
    fn ended(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < STOP {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "a server ended with {status}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("a server didn't stop within {} s", STOP.as_secs())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("depot-bench: can't end the server, process {}: {error}", self.child.id());
        }
    }
}

/// The name of a server in the file: a, b, c...
fn name(server: usize) -> String {
    ('a'..='z').nth(server).map_or_else(|| format!("server-{server}"), String::from)
}

/// A file for so many servers with all defaults, their data beside it.
fn write_config(path: &Path, servers: usize) -> Result<()> {
    let mut text =
        "[cluster]\nname = \"bench\"\nsecret = \"only for servers on loopback, and only \
                    for a measurement\"\n"
            .to_owned();
    // All stay bound until all are known, so that none is given out twice.
    let ports: Vec<TcpListener> =
        (0..2 * servers).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    for (number, pair) in ports.chunks(2).enumerate() {
        let [clients, peers] = pair else { bail!("a server has two ports") };
        let (name, clients, peers) = (name(number), clients.local_addr()?, peers.local_addr()?);
        text += &format!(
            "\n[[server]]\nname = \"{name}\"\naddress = \"{clients}\"\npeer = \"{peers}\"\n\
             data = \"{name}\"\n"
        );
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).context("can't write the servers' configuration")
}

/// `depot-server` beside the running program, where one build puts both.
pub(crate) fn beside_this_program() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("depot-server");
    ensure!(
        path.exists(),
        "there is no {}; build it (cargo build -p depot-server, with the same profile), or give \
         --server-binary or --address",
        path.display()
    );
    Ok(path)
}

/// The address in `depot-server NAME: clients on ADDRESS, data in DIR`.
fn address_in(ready: &str) -> Result<&str> {
    ready
        .split_once("clients on ")
        .and_then(|(_, rest)| rest.split_once(','))
        .map(|(address, _)| address)
        .with_context(|| format!("no address in the server's first line {ready:?}"))
}

/// User and system time in /proc/PID/stat: the fields 14 and 15, counted behind the program's name,
/// which stands second, in brackets, and may hold anything.
fn cpu_seconds_in(stat: &str) -> Result<f64> {
    let after_name = stat.rsplit_once(')').context("no name in /proc/PID/stat")?.1;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut ticks =
        || -> Result<u64> { Ok(fields.next().context("/proc/PID/stat is too short")?.parse()?) };
    Ok((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}

/// A line like `VmHWM:   12345 kB` in /proc/PID/status.
fn mib_in(status: &str, key: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.with_context(|| format!("no {key} in /proc/PID/status"))?;
    let kib = kib.trim().trim_end_matches(" kB").parse::<u64>();
    Ok(kib.with_context(|| format!("{key} is no number"))? as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_tells_the_address() {
        let ready = "depot-server solo: clients on 127.0.0.1:40123, data in /tmp/a, b\n";
        assert_eq!(address_in(ready).unwrap(), "127.0.0.1:40123");
        assert!(address_in("error\n").is_err());
    }

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (de) pot 1) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(cpu_seconds_in(stat).unwrap(), 3.0);
    }

    #[test]
    fn memory_is_in_mib() {
        assert_eq!(mib_in("Name:\tx\nVmHWM:\t    2048 kB\n", "VmHWM:").unwrap(), 2.0);
    }

    #[test]
    fn the_numbers_of_this_process_can_be_read() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert!(cpu_seconds_in(&stat).is_ok());
    }
}
