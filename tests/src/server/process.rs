//! One running process: its ready line, its log, its signals, what it costs, and its end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::{Setup, binary};
use crate::folder::{forms_of_id, holds};
use crate::wait::eventually;
use crate::{Folder, Raw};

/// How long a server may take until it is ready, or until it has ended; long, for a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    child: Child,
    ready: String,
    address: SocketAddr,
    output: Captured,
    log: Captured,
}

/// A server that gave up before it was ready.
#[derive(Debug)]
pub struct Refusal {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote to stderr.
    pub stderr: String,
}

/// Starts a server and waits until it is ready or has ended.
#[track_caller]
pub(super) fn run(setup: Setup) -> Result<Server, Refusal> {
    allow_many_descriptors();
    let mut command = Command::new(binary::path());
    command.args(setup.arguments()).current_dir(setup.home()).env_remove("DEPOT_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(uid) = setup.user {
        command.uid(uid).gid(uid);
    }
    let mut child = command.spawn().expect("the server's executable runs");
    let (output, lines) = Captured::lines_of(child.stdout.take().expect("stdout is piped"));
    let (log, _) = Captured::lines_of(child.stderr.take().expect("stderr is piped"));
    let Ok(ready) = lines.recv_timeout(START) else {
        let status = wait_for(&mut child, START);
        let stderr = if status.is_some() { log.whole() } else { log.text() };
        let _ = child.kill().and_then(|()| child.wait());
        let status = status.unwrap_or_else(|| panic!("not ready after {START:?}; log:\n{stderr}"));
        return Err(Refusal { code: status.code(), stderr });
    };
    let address = address_in(&ready);
    Ok(Server { setup, child, ready, address, output, log })
}

/// The address in `depot-server NAME: clients on ADDRESS, data in PATH`; a witness has only one for
/// servers.
#[track_caller]
fn address_in(ready: &str) -> SocketAddr {
    let start = ready.split_once(": clients on ").or_else(|| ready.split_once(": servers on "));
    let address = start.and_then(|(_, rest)| rest.split_once(", data in "));
    let (address, _) = address.unwrap_or_else(|| panic!("not a ready line: {ready:?}"));
    address.parse().unwrap_or_else(|_| panic!("not an address: {ready:?}"))
}

impl Server {
    /// A depot of one with all defaults.
    #[track_caller]
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The line that said it was ready.
    pub fn ready_line(&self) -> &str {
        &self.ready
    }

    /// All that it has written to stdout.
    pub fn stdout(&self) -> String {
        self.output.text()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Its log, once it has ended.
    #[track_caller]
    pub(crate) fn whole_log(&self) -> String {
        self.log.whole()
    }

    /// The log holds the id in no form.
    #[track_caller]
    pub fn log_is_silent_on(&self, id: &str) {
        let log = self.log();
        let told = forms_of_id(id).iter().any(|form| holds(log.as_bytes(), form));
        assert!(!told, "the id stands in the log:\n{log}");
    }

    /// Its data folder.
    pub fn folder(&self) -> Folder {
        self.setup.folder()
    }

    /// How it was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that it holds now, in KiB.
    pub fn memory(&self) -> u64 {
        self.status_value("VmRSS:")
    }

    /// The most memory that it ever held, in KiB.
    pub fn peak_memory(&self) -> u64 {
        self.status_value("VmHWM:")
    }

    fn status_value(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let value =
            status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next());
        value.and_then(|text| text.parse().ok()).expect("a number of KiB")
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count()
    }

    /// How many of them are sockets: its listener, its connections and a few of its own, and no file
    /// that is open for a moment.
    pub fn sockets(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs");
        let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// Ends it as kill -9 does; returns how to start it again.
    #[track_caller]
    pub fn kill9(mut self) -> Setup {
        self.kill();
        self.setup.clone()
    }

    /// Ends it as kill -9 does, and keeps its log.
    #[track_caller]
    pub fn kill(&mut self) {
        self.child.kill().expect("it could be killed");
        let status = self.child.wait().expect("it is our child");
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "it ended before: {status}");
    }

    /// Asks it to stop, which it must do well; returns how to start it again.
    #[track_caller]
    pub fn stop(mut self) -> Setup {
        self.signal(Signal::SIGTERM);
        let code = self.exit_code();
        assert_eq!(code, Some(0), "stopped as asked; log:\n{}", self.log.whole());
        self.setup.clone()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Makes it stand still, as a machine that is frozen; its connections stay. When this returns
    /// none of its threads runs any more: on a busy machine that is a while after the signal.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a process id"));
        let stopped = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
        eventually("it stands still", || {
            matches!(waitid(Id::Pid(pid), stopped), Ok(WaitStatus::Stopped(..)))
        });
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits for its end; `None` when a signal ended it.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        let status = wait_for(&mut self.child, START);
        status.unwrap_or_else(|| panic!("it still runs; log:\n{}", self.log())).code()
    }

    /// Its exit code, where it has ended; `Some(None)` when a signal ended it.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        let status = self.child.try_wait().expect("it is our child");
        status.map(|status| status.code())
    }

    /// Writes another `[limits]` and has it read again.
    pub fn reload(&mut self, limits: &str) {
        self.setup = self.setup.clone().limits(limits);
        self.setup.write_config();
        self.signal(Signal::SIGHUP);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of {}:\n{}", self.ready, self.log.whole());
        }
    }
}

/// The exit code and the whole output of a command that ends by itself, and in time.
#[track_caller]
pub(crate) fn finished(mut child: Child, most: Duration) -> (Option<i32>, String, String) {
    let (stdout, _) = Captured::lines_of(child.stdout.take().expect("stdout is piped"));
    let (stderr, _) = Captured::lines_of(child.stderr.take().expect("stderr is piped"));
    let status = wait_for(&mut child, most);
    if status.is_none() {
        let _ = child.kill().and_then(|()| child.wait());
    }
    let (stdout, stderr) = (stdout.whole(), stderr.whole());
    let status = status.unwrap_or_else(|| panic!("still at it after {most:?}: {stdout}{stderr}"));
    (status.code(), stdout, stderr)
}

fn wait_for(child: &mut Child, most: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if start.elapsed() > most {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What comes out of a pipe, read by a thread of its own so that the process never blocks on it.
#[derive(Clone, Debug, Default)]
struct Captured(Arc<Mutex<Stream>>);

#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    ended: bool,
}

impl Captured {
    /// Collects all; each line is also told to the receiver.
    fn lines_of(pipe: impl Read + Send + 'static) -> (Self, Receiver<String>) {
        let (captured, (sender, receiver)) = (Self::default(), mpsc::channel());
        let shared = Arc::clone(&captured.0);
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
                shared.lock().expect("no panic under it").bytes.extend_from_slice(&line);
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                // Nobody listens after the first line; it is kept all the same.
                let _ = sender.send(text);
                line.clear();
            }
            shared.lock().expect("no panic under it").ended = true;
        });
        (captured, receiver)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic under it").bytes).into_owned()
    }

    /// The text once the process has ended.
    fn whole(&self) -> String {
        eventually("the end of the output", || self.0.lock().expect("no panic under it").ended);
        self.text()
    }
}

/// Raises this process's limit of descriptors as far as it goes; its servers inherit it.
fn allow_many_descriptors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit of descriptors");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be raised");
    });
}
