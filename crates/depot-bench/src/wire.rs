//! One client's connection: requests are sent, answers come in their order, up to
//! [`PIPELINE_MAX`](depot_protocol::PIPELINE_MAX) later.
//!
//! What is sent and read is the protocol's codec; nothing is kept of a payload but its hash.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use depot_protocol::{
    Announced, Answer, ClientCodec, ClientId, Deposit, Digest, FileName, FileSize, ListLimit,
    Recover, ReplicaCount, Reply, Request, encode_hash_line,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::{Decoder, Encoder};

use crate::content::{BLOCK, Content, FileKey, STAMP, digest};

/// The room for what a connection reads: a large file is read in pieces of up to this size.
const INBOX: usize = 256 * 1024;

/// A server that neither takes nor sends a byte for so long is given up. A deposit's answer may take
/// 60 s.
const SILENCE: Duration = Duration::from_secs(90);

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    codec: ClientCodec,
    inbox: BytesMut,
    outbox: BytesMut,
    /// How much is read at once, at most.
    piece: usize,
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
        let wanted =
            usize::try_from(size).unwrap_or(INBOX).saturating_add(depot_protocol::LINE_MAX);
        let piece = wanted.min(INBOX);
        let inbox = BytesMut::with_capacity(piece);
        Ok(Self { stream, codec: ClientCodec::new(), inbox, outbox: BytesMut::new(), piece })
    }

    /// Asks for a new client id.
    pub(crate) async fn first_connection(&mut self) -> Result<ClientId> {
        self.ask(&Request::FirstConnection)?;
        self.flush().await?;
        match self.answer().await? {
            Answer::Connected { client } => Ok(client),
            other => bail!("the server answers {other:?}"),
        }
    }

    /// Sends the file `key`, and tells the hash that [`Connection::deposited`] is to be given. One
    /// block is hashed before it is sent, with its header in one write; of more the hash is sent
    /// last, so that the file is read once.
    pub(crate) async fn deposit(
        &mut self,
        client: ClientId,
        name: FileName,
        replicas: u8,
        content: &mut Content,
        key: FileKey,
    ) -> Result<Digest> {
        let small = key.size <= BLOCK as u64;
        let known = small.then(|| digest(Sha256::new_with_prefix(content.block(key, 0))));
        self.ask(&Request::Deposit(Deposit {
            client,
            replicas: ReplicaCount::new(replicas),
            size: FileSize::new(key.size).context("no file is as large as this")?,
            hash: known.map_or(Announced::Last, Announced::Known),
            offset: None,
            name,
        }))?;
        if let Some(hash) = known {
            self.outbox.extend_from_slice(content.block(key, 0));
            self.flush().await?;
            return Ok(hash);
        }
        self.flush().await?;
        let mut hash = Sha256::new();
        let mut offset = 0;
        while offset < key.size {
            let block = content.block(key, offset);
            hash.update(block);
            let sent = within(self.stream.write_all(block)).await;
            offset += block.len() as u64;
            self.heard_if_failed(sent).await?;
        }
        let hash = digest(hash);
        encode_hash_line(&hash, &mut self.outbox);
        self.flush().await?;
        Ok(hash)
    }

    /// The next answer is that of a deposit with this hash.
    pub(crate) async fn deposited(&mut self, sent: Digest) -> Result<()> {
        match self.answer().await? {
            Answer::Deposited { hash, .. } if hash == sent => Ok(()),
            other => bail!("sent {sent}, the server answers {other:?}"),
        }
    }

    /// Asks for a file.
    pub(crate) async fn recover(&mut self, client: ClientId, name: FileName) -> Result<()> {
        self.ask(&Request::Recover(Recover { client, offset: None, name }))?;
        self.flush().await
    }

    /// The next answer is a file; its hash is checked.
    pub(crate) async fn recovered(&mut self) -> Result<Recovered> {
        let (size, announced) = match self.reply().await? {
            Reply::RecoverHead { size, hash, .. } => (size.get(), hash),
            other => bail!("the server answers {other:?}"),
        };
        let mut stamp = [0; STAMP];
        let mut hash = Sha256::new();
        let mut received = 0;
        while let Reply::Payload(piece) = self.reply().await? {
            hash.update(&piece);
            if received < STAMP {
                let length = piece.len().min(STAMP - received);
                stamp[received..received + length].copy_from_slice(&piece[..length]);
            }
            received += piece.len();
        }
        let hash = digest(hash);
        ensure!(hash == announced, "announced {announced}, received {hash}");
        Ok(Recovered { size, stamp })
    }

    /// Looks a file up, which must be there.
    pub(crate) async fn stat(&mut self, client: ClientId, name: FileName) -> Result<()> {
        self.ask(&Request::Stat { client, name })?;
        self.flush().await?;
        match self.answer().await? {
            Answer::Stat { .. } => Ok(()),
            other => bail!("the server answers {other:?}"),
        }
    }

    /// Asks for the page of so many files behind `after`; tells how many came.
    pub(crate) async fn list(
        &mut self,
        client: ClientId,
        most: u16,
        after: &FileName,
    ) -> Result<usize> {
        let limit = ListLimit::new(most).context("no page has as many files")?;
        self.ask(&Request::List { client, limit, after: after.into() })?;
        self.flush().await?;
        match self.answer().await? {
            Answer::List { items, .. } => Ok(items.len()),
            other => bail!("the server answers {other:?}"),
        }
    }

    /// Puts the request into the outbox.
    fn ask(&mut self, request: &Request) -> Result<()> {
        self.codec.expect(request.expecting())?;
        self.codec.encode(request, &mut self.outbox)?;
        Ok(())
    }

    /// Sends what is in the outbox.
    async fn flush(&mut self) -> Result<()> {
        let sent = within(self.stream.write_all(&self.outbox)).await;
        self.outbox.clear();
        self.heard_if_failed(sent).await
    }

    /// Where sending fails, the server may have told why before it closed.
    async fn heard_if_failed(&mut self, sent: io::Result<()>) -> Result<()> {
        let Err(error) = sent else { return Ok(()) };
        match self.answer().await {
            Ok(answer) => bail!("the server closed after the early answer {answer:?}"),
            Err(refusal) => Err(refusal.context(error).context("can't send")),
        }
    }

    /// The next answer; a refusal is an error.
    async fn answer(&mut self) -> Result<Answer> {
        match self.reply().await? {
            Reply::Answer(answer) => Ok(answer),
            other => bail!("a file came where an answer was expected: {other:?}"),
        }
    }

    /// The next part of what the server says; a refusal is an error.
    async fn reply(&mut self) -> Result<Reply> {
        loop {
            match self.codec.decode(&mut self.inbox)? {
                Some(Reply::Answer(Answer::Refused(refusal))) => {
                    bail!("the server answers {:?}", refusal.render())
                }
                Some(reply) => return Ok(reply),
                None => {}
            }
            self.inbox.reserve(self.piece);
            let read = within(self.stream.read_buf(&mut self.inbox)).await?;
            ensure!(read > 0, "the server closed the connection");
        }
    }
}

/// What `work` comes to, unless the server stays silent for too long.
async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the server is silent for 90 s");
    timeout(SILENCE, work).await.map_err(silent)?
}

#[cfg(test)]
mod tests;
