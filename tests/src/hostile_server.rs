//! A server that does not keep to the protocol: what a client must survive. It greets as a good one
//! does, names the servers of its depot (none, or as the test says) and goes on as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long it waits for a client that says nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The id it gives to whoever has none.
pub const ISSUED: &str = "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80";

/// A listening server of one bad habit. Its thread ends with the test's process.
#[derive(Debug)]
pub struct HostileServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all its connections have in common.
#[derive(Debug)]
struct Shared {
    heard: Mutex<Vec<String>>,
    /// The answer to `comando:estado`; without one, that is a request as any other.
    state: Option<String>,
}

impl HostileServer {
    /// One that greets, and then does `habit` on each connection, one after another.
    pub fn start(habit: impl FnMut(&mut Talk) + Send + 'static) -> Self {
        Self::naming(&[], habit)
    }

    /// The same, as a server of a depot that has these others.
    pub fn naming(others: &[SocketAddr], habit: impl FnMut(&mut Talk) + Send + 'static) -> Self {
        Self::run(true, Some(state(others)), habit)
    }

    /// The same, as one that does with `comando:estado` what `habit` does.
    pub fn stateless(habit: impl FnMut(&mut Talk) + Send + 'static) -> Self {
        Self::run(true, None, habit)
    }

    /// One that greets, and then does `habit` on all connections at the same time.
    pub fn crowded(habit: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        let habit = Arc::new(habit);
        Self::accept(Some(state(&[])), move |stream, shared| {
            let habit = Arc::clone(&habit);
            thread::spawn(move || Talk::new(stream, shared).hold(true, |talk| habit(talk)));
        })
    }

    /// One that does not even greet.
    pub fn rude(habit: impl FnMut(&mut Talk) + Send + 'static) -> Self {
        Self::run(false, None, habit)
    }

    fn run(
        greets: bool,
        state: Option<String>,
        mut habit: impl FnMut(&mut Talk) + Send + 'static,
    ) -> Self {
        Self::accept(state, move |stream, shared| {
            Talk::new(stream, shared).hold(greets, &mut habit);
        })
    }

    fn accept(
        state: Option<String>,
        mut each: impl FnMut(TcpStream, Arc<Shared>) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { heard: Mutex::default(), state });
        let told = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                each(stream, Arc::clone(&told));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The lines it has read, greetings and what it answers by itself left out.
    pub fn heard(&self) -> Vec<String> {
        self.shared.heard.lock().expect("no panic under it").clone()
    }
}

/// The answer to `comando:estado` that names these.
fn state(others: &[SocketAddr]) -> String {
    let line = |at: &SocketAddr| format!("servidor:s{}|endereco:{at}|ativo:1\n", at.port());
    let lines = others.iter().map(line).collect::<String>();
    format!("resultado:1|versao:1|itens:{}\n{lines}", others.len())
}

/// One connection, seen by the server.
#[derive(Debug)]
pub struct Talk {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Talk {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        Self { reader, stream, shared }
    }

    fn hold(mut self, greets: bool, habit: impl FnOnce(&mut Talk)) {
        if !greets || self.greet() {
            habit(&mut self);
        }
        // What the client still sends is not answered with a reset.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn read_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line);
        (read.is_ok() && line.ends_with('\n')).then(|| line.trim_end().to_owned())
    }

    fn greet(&mut self) -> bool {
        let Some(line) = self.read_line() else { return false };
        let id = line.strip_prefix("id_cliente:").unwrap_or_default();
        let id = if id.is_empty() { ISSUED } else { id };
        self.send(format!("resultado:1|id_cliente:{id}\n"))
    }

    /// The next line; nothing when the client is gone.
    pub fn line(&mut self) -> Option<String> {
        let mut line = self.read_line()?;
        while line.starts_with("comando:estado|")
            && let Some(state) = self.shared.state.clone()
        {
            self.send(state);
            line = self.read_line()?;
        }
        self.shared.heard.lock().expect("no panic under it").push(line.clone());
        Some(line)
    }

    /// Reads so many bytes of a payload and drops them; tells whether they came.
    pub fn swallow(&mut self, size: u64) -> bool {
        let copied = std::io::copy(&mut (&mut self.reader).take(size), &mut std::io::sink());
        copied.is_ok_and(|copied| copied == size)
    }

    /// Sends anything; tells whether it went out.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends the same until the client has enough; tells how much went out.
    pub fn send_forever(&mut self, bytes: &[u8]) -> u64 {
        let mut sent = 0;
        while self.send(bytes) {
            sent += bytes.len() as u64;
        }
        sent
    }

    /// Ends the connection at once, with a reset where the client was still sending.
    pub fn cut(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
