//! A server that does not keep to the protocol: what a client must survive. It greets as a good one
//! does, and goes on as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long it waits for a client that says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// The id it gives to whoever has none.
pub const ISSUED: &str = "0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80";

/// A listening server of one bad habit. Its thread ends with the test's process.
#[derive(Debug)]
pub struct HostileServer {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl HostileServer {
    /// One that greets, and then does `habit` on each connection, one after another.
    pub fn start(habit: impl FnMut(&mut Talk) + Send + 'static) -> Self {
        Self::run(true, habit)
    }

    /// One that greets, and then does `habit` on all connections at the same time.
    pub fn crowded(habit: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        let habit = Arc::new(habit);
        Self::accept(move |stream, heard| {
            let habit = Arc::clone(&habit);
            thread::spawn(move || Talk::new(stream, heard).hold(true, |talk| habit(talk)));
        })
    }

    /// One that does not even greet.
    pub fn rude(habit: impl FnMut(&mut Talk) + Send + 'static) -> Self {
        Self::run(false, habit)
    }

    fn run(greets: bool, mut habit: impl FnMut(&mut Talk) + Send + 'static) -> Self {
        Self::accept(move |stream, heard| Talk::new(stream, heard).hold(greets, &mut habit))
    }

    fn accept(mut each: impl FnMut(TcpStream, Arc<Mutex<Vec<String>>>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                each(stream, Arc::clone(&told));
            }
        });
        Self { address, heard }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The lines it has read, greetings left out.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic under it").clone()
    }
}

/// One connection, seen by the server.
#[derive(Debug)]
pub struct Talk {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    fn new(stream: TcpStream, heard: Arc<Mutex<Vec<String>>>) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        Self { reader, stream, heard }
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
        let line = self.read_line()?;
        self.heard.lock().expect("no panic under it").push(line.clone());
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
