//! A client of a server in this process or in a simulation. It knows the protocol from its page
//! only, and waits for nothing longer than [`PATIENCE`] of the runtime's time.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::Recovered;
use crate::answer::{field, number};
use crate::content::sha256;
use crate::headers::{self, Deposit};

/// Longer than the server ever takes for an answer.
const PATIENCE: Duration = Duration::from_secs(90);

/// What came of waiting for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// An answer, without its line feed.
    Line(String),
    /// The server closed the connection, or it broke.
    Closed,
    /// Nothing: the server may have aborted.
    Silence,
}

impl Heard {
    /// Whether the request was carried out.
    pub fn is_done(&self) -> bool {
        matches!(self, Heard::Line(line) if line.starts_with("resultado:1"))
    }

    /// The code of a refusal.
    pub fn error(&self) -> Option<&str> {
        match self {
            Heard::Line(line) if line.starts_with("resultado:0|") => Some(field(line, "erro")),
            _ => None,
        }
    }

    /// Whether the answer says that nothing has changed.
    pub fn is_certain_refusal(&self) -> bool {
        self.error().is_some_and(|code| !["interno", "resultado_desconhecido"].contains(&code))
    }

    /// The answer's line.
    #[track_caller]
    pub fn line(self) -> String {
        match self {
            Heard::Line(line) => line,
            other => panic!("an answer, not {other:?}"),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    /// What was read and not yet taken.
    held: Vec<u8>,
    patience: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client on a fresh connection.
    pub fn new(stream: S) -> Self {
        Client { stream, held: Vec::new(), patience: PATIENCE }
    }

    /// Waits no longer than this for anything.
    pub fn patience(self, patience: Duration) -> Self {
        Client { patience, ..self }
    }

    /// Sends bytes as they are. Whether they arrive shows in the answer.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A client whose sending fails reads what has arrived before it gives up.
        drop(timeout(self.patience, self.stream.write_all(bytes.as_ref())).await);
    }

    /// Sends a header.
    pub async fn send_line(&mut self, header: impl AsRef<str>) {
        self.send(format!("{}\n", header.as_ref())).await;
    }

    /// Closes the sending side.
    pub async fn end(&mut self) {
        drop(timeout(self.patience, self.stream.shutdown()).await);
    }

    /// The next line.
    pub async fn hear(&mut self) -> Heard {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Heard::Line(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            match timeout(self.patience, self.read()).await {
                Ok(true) => {}
                Ok(false) => return Heard::Closed,
                Err(_late) => return Heard::Silence,
            }
        }
    }

    /// Sends a header and waits for its answer.
    pub async fn ask(&mut self, header: impl AsRef<str>) -> Heard {
        self.send_line(header).await;
        self.hear().await
    }

    /// Deposits a file, without replicas.
    pub async fn deposit(&mut self, id: &str, name: &str, bytes: &[u8]) -> Heard {
        self.send_line(Deposit::of(id, name, bytes).header()).await;
        self.send(bytes).await;
        self.hear().await
    }

    /// Asks how much of this upload is held and deposits the rest.
    pub async fn resume(&mut self, id: &str, name: &str, bytes: &[u8]) -> Heard {
        let deposit = Deposit::of(id, name, bytes);
        let prepared = self.ask(deposit.prepare()).await;
        if !prepared.is_done() {
            return prepared;
        }
        let prepared = prepared.line();
        let held = number(&prepared, "deslocamento");
        assert_eq!(field(&prepared, "hash_parcial"), sha256(&bytes[..held]), "it holds our bytes");
        self.send_line(deposit.offset(held).header()).await;
        self.send(&bytes[held..]).await;
        self.hear().await
    }

    /// Removes a file.
    pub async fn remove(&mut self, id: &str, name: &str) -> Heard {
        self.ask(headers::remove(id, name)).await
    }

    /// Recovers a file and holds it against the announced size and hash.
    pub async fn recover(&mut self, id: &str, name: &str) -> Recovered {
        let Heard::Line(head) = self.ask(headers::recover(id, name)).await else {
            return Recovered::Cut(Vec::new());
        };
        if !head.starts_with("resultado:1|") {
            return Recovered::Refused(head);
        }
        let Some(bytes) = self.exact(number(&head, "tamanho_arquivo")).await else {
            return Recovered::Cut(std::mem::take(&mut self.held));
        };
        assert_eq!(sha256(&bytes), field(&head, "hash_arquivo"), "{name:?} has its hash");
        Recovered::Whole(bytes)
    }

    /// So many bytes; `None` where the connection ends before, and what came is left.
    pub async fn exact(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.held.len() < size {
            if !matches!(timeout(self.patience, self.read()).await, Ok(true)) {
                return None;
            }
        }
        Some(self.held.drain(..size).collect())
    }

    /// The hashes of a client's files by name; none where the server does not tell.
    pub async fn list(&mut self, id: &str) -> Option<BTreeMap<String, String>> {
        let head = self.ask(headers::list(id, 1000, "")).await;
        if !head.is_done() {
            return None;
        }
        let mut files = BTreeMap::new();
        for _ in 0..number(&head.line(), "itens") {
            let Heard::Line(line) = self.hear().await else { return None };
            let name = field(&line, "nome_arquivo").to_owned();
            files.insert(name, field(&line, "hash_arquivo").to_owned());
        }
        Some(files)
    }

    async fn read(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.held.extend_from_slice(&piece[..read]);
                true
            }
        }
    }
}
