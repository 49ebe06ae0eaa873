//! A client for one connection, written from PROTOCOL.md alone: what is measured is a server as
//! others will meet it. It shares no code with the server.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::content::{BLOCK, Content, FileKey, STAMP, hex};

/// The longest line that either side may send, with its line feed.
const LINE: usize = 4096;

/// How much is read at once, at most.
const BUFFER: usize = 256 * 1024;

/// A server that neither takes nor sends a byte for so long is given up. A deposit's answer may take
/// 60 s.
const SILENCE: Duration = Duration::from_secs(90);

/// One connection, whose requests are answered one after the other.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What has been read and not been used yet is `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A file that was recovered whole, with the right hash.
pub(crate) struct Recovered {
    /// Its size.
    pub(crate) size: u64,
    /// Its first bytes: the stamp that tells which file it is.
    pub(crate) stamp: [u8; STAMP],
}

impl Connection {
    /// Connects to `address`, a host and a port, for files of up to `size` bytes.
    pub(crate) async fn open(address: &str, size: u64) -> Result<Self> {
        let stream = within(TcpStream::connect(address))
            .await
            .with_context(|| format!("can't connect to {address}"))?;
        // Without this, a small exchange costs 44 ms: Nagle's algorithm waits for a delayed ACK.
        stream.set_nodelay(true)?;
        let wanted = usize::try_from(size).unwrap_or(BUFFER).saturating_add(LINE);
        Ok(Self { stream, buffer: vec![0; wanted.min(BUFFER)], start: 0, end: 0 })
    }

    /// Asks for a new client id.
    pub(crate) async fn first_connection(&mut self) -> Result<String> {
        self.send(b"id_cliente:\n").await?;
        let answer = self.answer().await?;
        Ok(field(&answer, "id_cliente")?.to_owned())
    }

    /// Deposits the file `key`. One block is hashed before it is sent, which is one
    /// write; of more the hash is sent last, so that the file is read once.
    pub(crate) async fn deposit(
        &mut self,
        id: &str,
        name: &str,
        content: &mut Content,
        key: FileKey,
    ) -> Result<()> {
        let size = key.size;
        let header = |hash: &str| {
            format!(
                "id_cliente:{id}|qtd_replicas:0|tamanho_arquivo:{size}|hash_arquivo:{hash}|nome_arquivo:{name}\n"
            )
        };
        let hash = if size <= BLOCK as u64 {
            let payload = content.block(key, 0);
            let hash = hex(Sha256::new_with_prefix(payload));
            let mut message = header(&hash).into_bytes();
            message.extend_from_slice(payload);
            self.send(&message).await?;
            hash
        } else {
            self.send(header("depois").as_bytes()).await?;
            let mut hash = Sha256::new();
            let mut offset = 0;
            while offset < size {
                let block = content.block(key, offset);
                hash.update(block);
                self.send(block).await?;
                offset += block.len() as u64;
            }
            let hash = hex(hash);
            self.send(format!("hash_arquivo:{hash}\n").as_bytes()).await?;
            hash
        };
        let answer = self.answer().await.with_context(|| format!("can't deposit {name}"))?;
        let acknowledged = field(&answer, "hash_arquivo")?;
        ensure!(acknowledged == hash, "{name}: sent {hash}, acknowledged {acknowledged}");
        Ok(())
    }

    /// Recovers a file and checks its hash.
    pub(crate) async fn recover(&mut self, id: &str, name: &str) -> Result<Recovered> {
        self.send(format!("id_cliente:{id}|nome_arquivo:{name}\n").as_bytes()).await?;
        let answer = self.answer().await.with_context(|| format!("can't recover {name}"))?;
        let announced = field(&answer, "hash_arquivo")?;
        let size: u64 = field(&answer, "tamanho_arquivo")?
            .parse()
            .with_context(|| format!("no size in the answer {answer:?}"))?;
        let mut stamp = [0; STAMP];
        let mut hash = Sha256::new();
        let mut received = 0;
        while received < size {
            if self.start == self.end {
                self.fill().await.with_context(|| format!("{name} is cut at {received}"))?;
            }
            let left = usize::try_from(size - received).unwrap_or(usize::MAX);
            let chunk = &self.buffer[self.start..self.end];
            let chunk = &chunk[..chunk.len().min(left)];
            hash.update(chunk);
            if let Ok(place) = usize::try_from(received)
                && place < STAMP
            {
                let length = chunk.len().min(STAMP - place);
                stamp[place..place + length].copy_from_slice(&chunk[..length]);
            }
            received += chunk.len() as u64;
            self.start += chunk.len();
        }
        let hash = hex(hash);
        ensure!(hash == announced, "{name}: announced {announced}, received {hash}");
        Ok(Recovered { size, stamp })
    }

    /// Sends all of `bytes`. Where that fails, the server may have told why before it closed.
    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let Err(error) = within(self.stream.write_all(bytes)).await else { return Ok(()) };
        match self.answer().await {
            Ok(answer) => bail!("the server closed after the early answer {answer:?}"),
            Err(refusal) => Err(refusal.context(error).context("can't send")),
        }
    }

    /// The header of the next answer; `resultado:0` is an error.
    async fn answer(&mut self) -> Result<String> {
        let line = self.line().await?;
        ensure!(field(&line, "resultado")? == "1", "the server answers {line:?}");
        Ok(line)
    }

    /// The next line, without its line feed.
    async fn line(&mut self) -> Result<String> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(found) = unread[searched..].iter().position(|&byte| byte == b'\n') {
                let line = &unread[..searched + found];
                let text = std::str::from_utf8(line).context("a line is not UTF-8")?.to_owned();
                self.start += line.len() + 1;
                return Ok(text);
            }
            searched = unread.len();
            ensure!(searched < LINE, "the server sends a line of more than {LINE} bytes");
            self.fill().await?;
        }
    }

    /// Reads more, at least one byte.
    async fn fill(&mut self) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let read = within(self.stream.read(&mut self.buffer[self.end..])).await?;
        ensure!(read > 0, "the server closed the connection");
        self.end += read;
        Ok(())
    }
}

/// What `work` comes to, unless the server stays silent for too long.
async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the server is silent for 90 s");
    timeout(SILENCE, work).await.map_err(silent)?
}

/// The value of `key` in an answer. Fields that this program doesn't know are passed over.
fn field<'a>(line: &'a str, key: &str) -> Result<&'a str> {
    line.split('|')
        .filter_map(|field| field.split_once(':'))
        .find_map(|(name, value)| (name == key).then_some(value))
        .with_context(|| format!("no {key} in the answer {line:?}"))
}

#[cfg(test)]
mod tests;
