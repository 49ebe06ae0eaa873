//! The raw client: a socket, bytes and deadlines. It knows the protocol from its page only, and
//! nothing that it does can wait for ever.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::answer;
use crate::content::{Stream, hex, sha256};
use crate::headers::{self, Deposit, hash_line};
use crate::in_process::Heard;
use crate::wait::{PATIENCE, eventually};

/// The longest line there is, with its line feed.
const LINE: usize = 4096;

/// One connection of a client that sends what it is told to, right or wrong.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// What was read and not yet taken.
    held: Vec<u8>,
    patience: Duration,
}

/// How a recover ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Recovered {
    /// As many bytes as announced, and they have the announced hash.
    Whole(Vec<u8>),
    /// The connection ended before that; these bytes had come.
    Cut(Vec<u8>),
    /// Refused: the answer line.
    Refused(String),
}

/// Whether a reader was told that it may be behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The latest version.
    Latest,
    /// `leitura:local`: the last version that this server knows.
    Local,
}

impl Raw {
    /// Connects, or panics.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("connect to {address}: {error}"))
    }

    /// Connects, or says why not.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, held: Vec::new(), patience: PATIENCE })
    }

    /// Waits this long for an answer instead of 30 s.
    pub fn patient_for(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends bytes, or says why they would not go.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server takes what is sent");
    }

    /// Sends a header and its line feed.
    #[track_caller]
    pub fn send_line(&mut self, header: impl AsRef<str>) {
        self.send(format!("{}\n", header.as_ref()));
    }

    /// Sends a header and takes the answer's line.
    #[track_caller]
    pub fn ask(&mut self, header: impl AsRef<str>) -> String {
        self.send_line(header);
        self.line()
    }

    /// The next line, without its line feed.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.line_or_end().expect("an answer, not a closed connection")
    }

    /// The next line, or `None` where the server closed instead.
    #[track_caller]
    pub fn line_or_end(&mut self) -> Option<String> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(end) = self.held.iter().position(|&byte| byte == b'\n') {
                let mut line = self.held.drain(..=end).collect::<Vec<_>>();
                line.pop();
                assert!(end < LINE, "a line of {} bytes", end + 1);
                return Some(String::from_utf8(line).expect("an answer is UTF-8"));
            }
            if !self.fill(deadline) {
                assert!(self.held.is_empty(), "closed inside a line: {:?}", self.held);
                return None;
            }
        }
    }

    /// The next line, or what came in its place, where a server may die or stand still.
    pub fn hear(&mut self) -> Heard {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(end) = self.held.iter().position(|&byte| byte == b'\n') {
                let line = self.held.drain(..=end).collect::<Vec<_>>();
                return Heard::Line(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            match self.read_some(deadline) {
                Ok(0) => return Heard::Closed,
                Ok(_) => {}
                Err(error) if is_timeout(error.kind()) => return Heard::Silence,
                Err(_) => return Heard::Closed,
            }
        }
    }

    /// Exactly `size` bytes where they come, and in time.
    pub fn try_exact(&mut self, size: usize) -> Option<Vec<u8>> {
        let deadline = Instant::now() + self.patience;
        while self.held.len() < size {
            self.read_some(deadline).ok().filter(|&read| read > 0)?;
        }
        Some(self.held.drain(..size).collect())
    }

    /// Exactly `size` bytes.
    #[track_caller]
    pub fn exact(&mut self, size: usize) -> Vec<u8> {
        let bytes = self.up_to(size);
        assert_eq!(bytes.len(), size, "closed after {} of {size} bytes", bytes.len());
        bytes
    }

    /// `size` bytes, or as many as came before the end of the connection.
    #[track_caller]
    pub fn up_to(&mut self, size: usize) -> Vec<u8> {
        let mut deadline = Instant::now() + self.patience;
        while self.held.len() < size && self.fill(deadline) {
            deadline = Instant::now() + self.patience;
        }
        self.held.drain(..size.min(self.held.len())).collect()
    }

    /// The hash of the next `size` bytes, which are never held whole.
    #[track_caller]
    pub fn hash_of(&mut self, size: usize) -> String {
        let (mut hash, mut left) = (Sha256::new(), size);
        while left > 0 {
            let piece = self.exact(left.min(Stream::PIECE));
            hash.update(&piece);
            left -= piece.len();
        }
        hex(&hash.finalize())
    }

    /// The server has ended its side in good order, and sent nothing before.
    #[track_caller]
    pub fn ended(&mut self) {
        let more = self.fill_to_end(Instant::now() + self.patience).expect("an end, not a reset");
        assert!(more.is_empty(), "more came: {:?}", String::from_utf8_lossy(&more));
    }

    /// All that comes until the connection ends, in whichever way.
    #[track_caller]
    pub fn until_cut(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + self.patience;
        while self.fill(deadline) {}
        std::mem::take(&mut self.held)
    }

    /// Nothing comes for `time`, neither bytes nor an end.
    #[track_caller]
    pub fn silent_for(&mut self, time: Duration) {
        assert!(self.held.is_empty(), "more came: {:?}", String::from_utf8_lossy(&self.held));
        self.stream.set_read_timeout(Some(time)).expect("read timeout");
        match self.stream.read(&mut [0; 64]) {
            Err(error) if is_timeout(error.kind()) => {}
            other => panic!("wanted silence: {other:?}"),
        }
    }

    /// Says that no more will be sent.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("half-close");
    }

    /// Leaves an answer unread, so that closing this connection later is a reset.
    #[track_caller]
    pub fn leave_an_answer_unread(&mut self) {
        self.send_line("id_cliente:");
        self.stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        self.stream.peek(&mut [0; 1]).expect("an answer to leave unread");
    }

    /// Reads once more; `false` at the end or at a reset. Panics at the deadline.
    #[track_caller]
    fn fill(&mut self, deadline: Instant) -> bool {
        match self.read_some(deadline) {
            Ok(size) => size > 0,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("reading: {error}; held {} bytes", self.held.len()),
        }
    }

    fn fill_to_end(&mut self, deadline: Instant) -> std::io::Result<Vec<u8>> {
        while self.read_some(deadline)? > 0 {}
        Ok(std::mem::take(&mut self.held))
    }

    fn read_some(&mut self, deadline: Instant) -> std::io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut piece = vec![0; 64 << 10];
        let size = self.stream.read(&mut piece)?;
        self.held.extend_from_slice(&piece[..size]);
        Ok(size)
    }
}

/// The everyday requests, in one call each.
impl Raw {
    /// A new client.
    #[track_caller]
    pub fn new_id(&mut self) -> String {
        let line = self.ask("id_cliente:");
        line.strip_prefix("resultado:1|id_cliente:").expect("a new id").into()
    }

    /// Deposits `bytes` with no replicas; returns the answer.
    #[track_caller]
    pub fn deposit(&mut self, id: &str, name: &str, bytes: &[u8]) -> String {
        self.deposit_as(&Deposit::of(id, name, bytes), bytes)
    }

    /// Deposits under a header of the test's making; returns the answer.
    #[track_caller]
    pub fn deposit_as(&mut self, deposit: &Deposit, payload: &[u8]) -> String {
        self.send_line(deposit.header());
        self.send(payload);
        self.line()
    }

    /// Deposits `bytes` with the hash last; returns the answer.
    #[track_caller]
    pub fn deposit_hash_last(&mut self, id: &str, name: &str, bytes: &[u8]) -> String {
        self.send_line(Deposit::of(id, name, bytes).hash_last().header());
        self.send(bytes);
        self.ask(hash_line(bytes))
    }

    /// Begins a deposit and sends only `sent` of its bytes.
    #[track_caller]
    pub fn begin(&mut self, deposit: &Deposit, sent: &[u8]) {
        self.send_line(deposit.header());
        self.send(sent);
    }

    /// The file, whole and right.
    #[track_caller]
    pub fn recover(&mut self, id: &str, name: &str) -> Vec<u8> {
        match self.try_recover(id, name) {
            Recovered::Whole(bytes) => bytes,
            Recovered::Cut(bytes) => panic!("{name}: cut after {} bytes", bytes.len()),
            Recovered::Refused(line) => panic!("{name}: {line}"),
        }
    }

    /// The file, or how much of it there was; bytes with another hash than announced fail.
    #[track_caller]
    pub fn try_recover(&mut self, id: &str, name: &str) -> Recovered {
        let (recovered, seen) = self.try_read(id, name);
        assert_eq!(seen, Seen::Latest, "{name}");
        recovered
    }

    /// The same from a server that may have no majority.
    #[track_caller]
    pub fn try_read(&mut self, id: &str, name: &str) -> (Recovered, Seen) {
        let line = self.ask(headers::recover(id, name));
        if line.starts_with("resultado:0|") {
            return (Recovered::Refused(line), Seen::Latest);
        }
        let (size, hash, seen) = recover_header(&line);
        let bytes = self.up_to(size);
        if bytes.len() < size {
            return (Recovered::Cut(bytes), seen);
        }
        assert_eq!(sha256(&bytes), hash, "{name}: not the announced bytes");
        (Recovered::Whole(bytes), seen)
    }

    /// The file, whole and right, from a server that may have no majority.
    #[track_caller]
    pub fn read(&mut self, id: &str, name: &str) -> (Vec<u8>, Seen) {
        match self.try_read(id, name) {
            (Recovered::Whole(bytes), seen) => (bytes, seen),
            (Recovered::Cut(bytes), _) => panic!("{name}: cut after {} bytes", bytes.len()),
            (Recovered::Refused(line), _) => panic!("{name}: {line}"),
        }
    }

    /// The latest version, asked for again as long as a server says that it may be behind: on a busy
    /// machine one loses sight of its majority now and then.
    #[track_caller]
    pub fn latest(&mut self, id: &str, name: &str) -> Recovered {
        let mut latest = None;
        eventually(&format!("the latest version of {name}"), || {
            let (recovered, seen) = self.try_read(id, name);
            latest = (seen == Seen::Latest).then_some(recovered);
            latest.is_some()
        });
        latest.expect("it was told")
    }

    /// A page of the client's list: each file's line, and whether more follow.
    #[track_caller]
    pub fn list(&mut self, id: &str, limit: usize, after: &str) -> (Vec<String>, bool) {
        let line = self.ask(headers::list(id, limit, after));
        let items = answer::number(&line, "itens");
        let more = answer::field(&line, "mais").to_owned();
        assert_eq!(line, format!("resultado:1|itens:{items}|mais:{more}"));
        assert!(more == "0" || more == "1", "{line:?}");
        ((0..items).map(|_| self.line()).collect(), more == "1")
    }

    /// All names of the client, in the order told.
    #[track_caller]
    pub fn names(&mut self, id: &str) -> Vec<String> {
        let (lines, more) = self.list(id, 1000, "");
        assert!(!more, "no client of these tests has more than 1,000 files");
        lines.iter().map(|line| line_name(line).to_owned()).collect()
    }

    /// How many bytes of this upload are held; their hash must be that of `bytes`' beginning.
    #[track_caller]
    pub fn prepare(&mut self, deposit: &Deposit, bytes: &[u8]) -> usize {
        let line = self.ask(deposit.prepare());
        let held = answer::number(&line, "deslocamento");
        let partial = sha256(&bytes[..held]);
        assert_eq!(line, format!("resultado:1|deslocamento:{held}|hash_parcial:{partial}"));
        held
    }
}

/// Size, hash and freshness in the header of a recover.
#[track_caller]
fn recover_header(line: &str) -> (usize, String, Seen) {
    let size = answer::number(line, "tamanho_arquivo");
    let hash = answer::field(line, "hash_arquivo").to_owned();
    let latest = format!("resultado:1|tamanho_arquivo:{size}|hash_arquivo:{hash}");
    if line == latest {
        return (size, hash, Seen::Latest);
    }
    assert_eq!(line, latest + "|leitura:local");
    (size, hash, Seen::Local)
}

/// The name in a line of a list: it is last and may hold anything.
fn line_name(line: &str) -> &str {
    line.split_once("|nome_arquivo:").expect("a name in the line").1
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
