//! The server that is measured: one of our own on a free port, or one that runs already.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// In /proc, processor time is counted in hundredths of a second (USER_HZ), on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server that was asked to stop is killed after so long.
const STOP: Duration = Duration::from_secs(40);

/// A server to connect to.
pub(crate) struct Server {
    /// Its host and port.
    pub(crate) address: String,
    /// Its process, if it is ours. Ours ends with this value, whatever happens.
    child: Option<Child>,
}

/// What the server's process has used; nothing is known of a server that isn't ours.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Processor time since its start, user and system.
    pub(crate) cpu_seconds: f64,
    /// The most memory that was resident since [`Server::reset_peak`].
    pub(crate) peak_rss_mib: f64,
}

impl Server {
    /// A server that runs already.
    pub(crate) fn running(address: String) -> Self {
        Self { address, child: None }
    }

    /// Starts `binary` on a free port, with its data in `data`, and waits until it is ready. Its log
    /// goes to this program's stderr, from warnings on.
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self> {
        let mut child = Command::new(binary)
            .args(["--port", "0", "--log", "warn", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {}; is it built?", binary.display()))?;
        let stdout = child.stdout.take().context("the server's stdout is not a pipe")?;
        let mut server = Self { address: String::new(), child: Some(child) };
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready).context("can't read the ready line")?;
        ensure!(!ready.is_empty(), "the server ended before it was ready; see its log above");
        server.address = address_in(&ready)?.to_owned();
        Ok(server)
    }

    /// The process of our own server.
    pub(crate) fn process(&self) -> Option<Pid> {
        let id = self.child.as_ref()?.id();
        Some(Pid::from_raw(i32::try_from(id).expect("Linux counts processes up to 2^22")))
    }

    /// What our own server's process has used so far.
    pub(crate) fn usage(&self) -> Result<Option<Usage>> {
        let Some(child) = &self.child else { return Ok(None) };
        let read = |name: &str| {
            let path = format!("/proc/{}/{name}", child.id());
            std::fs::read_to_string(&path).with_context(|| format!("can't read {path}"))
        };
        let cpu_seconds = cpu_seconds_in(&read("stat")?)?;
        let peak_rss_mib = peak_rss_mib_in(&read("status")?)?;
        Ok(Some(Usage { cpu_seconds, peak_rss_mib }))
    }

    /// From here on the peak is counted anew.
    pub(crate) fn reset_peak(&self) -> Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        let path = format!("/proc/{}/clear_refs", child.id());
        std::fs::write(&path, "5").with_context(|| format!("can't write {path}"))
    }

    /// Stops our own server, which must end without a fault; another one runs on.
    pub(crate) fn stop(mut self) -> Result<()> {
        let process = self.process();
        let (Some(child), Some(process)) = (&mut self.child, process) else { return Ok(()) };
        kill(process, Signal::SIGTERM).context("can't signal the server")?;
        let start = Instant::now();
        while start.elapsed() < STOP {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                self.child = None;
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("the server didn't stop within {} s", STOP.as_secs())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child
            && let Err(error) = child.kill().and_then(|()| child.wait())
        {
            eprintln!("depot-bench: can't end the server, process {}: {error}", child.id());
        }
    }
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

/// The line `VmHWM:   12345 kB` in /proc/PID/status.
fn peak_rss_mib_in(status: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.context("no VmHWM in /proc/PID/status")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<u64>().context("VmHWM is no number")? as f64 / 1024.0)
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
    fn the_peak_is_in_mib() {
        assert_eq!(peak_rss_mib_in("Name:\tx\nVmHWM:\t    2048 kB\n").unwrap(), 2.0);
    }

    #[test]
    fn the_numbers_of_this_process_can_be_read() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert!(cpu_seconds_in(&stat).is_ok());
    }
}
