//! One connection to one server: bytes out, replies in, each within its time.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use depot_protocol::{Answer, ClientCodec, ClientId, Expecting, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tokio_util::codec::{Decoder, Encoder};

use crate::printable::printable;
use crate::{Endpoint, Error, Options};

/// How many bytes of a file are read, sent, received and written at a time.
pub(crate) const PIECE: usize = 256 << 10;

/// How long the answer to a conversation whose sending failed is waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// An open connection on which a client was greeted.
pub(crate) struct Connection {
    /// Which of [`Options::servers`] it leads to.
    pub(crate) server: usize,
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
    /// How far sending has come; `receiving` knows it too.
    pub(crate) sends: Arc<Sends>,
}

/// The sending side.
pub(crate) struct Sending {
    server: Endpoint,
    silence: Duration,
    stream: OwnedWriteHalf,
}

/// The receiving side. It never holds more than a piece and a line, or a page of a list.
pub(crate) struct Receiving {
    server: Endpoint,
    silence: Duration,
    stream: OwnedReadHalf,
    codec: ClientCodec,
    received: BytesMut,
    sends: Arc<Sends>,
}

impl Connection {
    /// Connects and greets: with an id as that client, without one as a new client.
    pub(crate) async fn dial(
        options: &Options,
        server: usize,
        endpoint: &Endpoint,
        id: Option<ClientId>,
    ) -> Result<(Connection, ClientId), Error> {
        let greeted = async {
            let stream = TcpStream::connect((endpoint.host(), endpoint.port()))
                .await
                .map_err(|source| cut(endpoint, source))?;
            stream.set_nodelay(true).map_err(|source| cut(endpoint, source))?;
            let mut connection = Connection::new(options, server, endpoint, stream);
            let greeting = match id {
                Some(client) => Request::Reconnection { client },
                None => Request::FirstConnection,
            };
            match (connection.ask(&greeting).await?, id) {
                (Answer::Connected { client }, None) => Ok((connection, client)),
                (Answer::Connected { client }, Some(id)) if client == id => Ok((connection, id)),
                (Answer::Refused(refusal), _) => Err(Error::refused(refusal)),
                _ => Err(connection.receiving.broken("it greets another client")),
            }
        };
        match timeout(options.connect_timeout, greeted).await {
            Ok(greeted) => greeted,
            Err(_) => Err(cut(endpoint, io::ErrorKind::TimedOut.into())),
        }
    }

    /// A connection that is open and on which nothing was said.
    pub(crate) fn new(
        options: &Options,
        server: usize,
        endpoint: &Endpoint,
        stream: TcpStream,
    ) -> Connection {
        let (read, write) = stream.into_split();
        let silence = options.silence_timeout;
        let sends = Arc::new(Sends::default());
        let sending = Sending { server: endpoint.clone(), silence, stream: write };
        let receiving = Receiving {
            server: endpoint.clone(),
            silence,
            stream: read,
            codec: ClientCodec::new(),
            received: BytesMut::new(),
            sends: Arc::clone(&sends),
        };
        Connection { server, sending, receiving, sends }
    }

    /// Whether nothing has come since the last answer, neither bytes nor an end.
    pub(crate) fn is_quiet(&self) -> bool {
        let nothing = self.receiving.stream.try_read(&mut [0]);
        let quiet = nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        quiet
            && self.receiving.received.is_empty()
            && self.receiving.codec.outstanding() == 0
            && !self.is_severed()
    }

    /// Whether a request was begun on it that did not go out whole: what is sent behind that would be
    /// taken for the rest of it.
    pub(crate) fn is_severed(&self) -> bool {
        self.sends.severed.load(Ordering::Relaxed)
    }

    /// Writes a request's header into `out` and expects its answer.
    pub(crate) fn write(&mut self, request: &Request, out: &mut BytesMut) -> Result<(), Error> {
        self.receiving.expect(request.expecting())?;
        ClientCodec::new()
            .encode(request, out)
            .map_err(|source| cut(&self.receiving.server, source))
    }

    /// Sends a request without payload and returns its answer, a refusal too.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Answer, Error> {
        match self.begin(request).await? {
            Reply::Answer(answer) => Ok(answer),
            other => Err(self.receiving.unexpected(&other)),
        }
    }

    /// Sends a request without payload and returns the first reply to it.
    pub(crate) async fn begin(&mut self, request: &Request) -> Result<Reply, Error> {
        let mut line = BytesMut::new();
        self.write(request, &mut line)?;
        let Connection { sending, receiving, sends, .. } = self;
        converse(sends, sending.send(&line), receiving.reply()).await
    }
}

/// Sends and receives at once, until all is received. An end of receiving ends sending, since a
/// server that has said its last word reads no more; where sending fails, what has arrived is still
/// read.
pub(crate) async fn converse<T>(
    sends: &Sends,
    send: impl Future<Output = Result<(), Error>> + Send,
    receive: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    let (mut send, mut receive) = (pin!(send), pin!(receive));
    // Until all is out, and also where this is dropped.
    sends.severed.store(true, Ordering::Relaxed);
    sends.under_way.store(true, Ordering::Relaxed);
    let early = tokio::select! {
        biased;
        received = &mut receive => Err(received),
        sent = &mut send => Ok(sent),
    };
    sends.under_way.store(false, Ordering::Relaxed);
    let sent = match early {
        Ok(sent) => sent,
        Err(received) => {
            // The rest of what was begun goes out too, or nothing is sent behind it.
            if let Ok(Ok(())) = timeout(LAST_WORDS, send).await {
                sends.severed.store(false, Ordering::Relaxed);
            }
            return received;
        }
    };
    match sent {
        Ok(()) => {
            sends.severed.store(false, Ordering::Relaxed);
            receive.await
        }
        Err(failed @ Error::Cut { .. }) => match timeout(LAST_WORDS, receive).await {
            Ok(Err(Error::Cut { .. })) | Err(_) => Err(failed),
            Ok(received) => received,
        },
        Err(failed) => Err(failed),
    }
}

/// How far a connection's sending has come.
#[derive(Default)]
pub(crate) struct Sends {
    /// More is being sent: an answer may be long in coming.
    under_way: AtomicBool,
    /// A request did not go out whole.
    severed: AtomicBool,
}

impl Sending {
    /// Hands all bytes to the network.
    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let written = match timeout(self.silence, self.stream.write(bytes)).await {
                Ok(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            let written = written.map_err(|source| cut(&self.server, source))?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Some of a file's bytes, as they came.
#[derive(Default)]
pub(crate) struct Gathered {
    /// The bytes.
    pub(crate) chunks: Vec<Bytes>,
    /// How many.
    pub(crate) size: usize,
    /// Whether they are the file's last.
    pub(crate) ended: bool,
}

impl Receiving {
    fn expect(&mut self, expecting: Expecting) -> Result<(), Error> {
        self.codec.expect(expecting).map_err(|full| self.broken(&full.to_string()))
    }

    /// The next reply. A server that sends nothing for too long is given up, where it has all that it
    /// was asked. Nothing is lost when it is dropped.
    pub(crate) async fn reply(&mut self) -> Result<Reply, Error> {
        loop {
            if let Some(reply) = self.decode()? {
                return Ok(reply);
            }
            let under_way = self.sends.under_way.load(Ordering::Relaxed);
            match timeout(self.silence, self.stream.read_buf(&mut self.received)).await {
                Ok(read) => self.arrived(read)?,
                Err(_) if under_way => {}
                Err(_) => return Err(cut(&self.server, io::ErrorKind::TimedOut.into())),
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Reply>, Error> {
        let decoded = self.codec.decode(&mut self.received);
        let reply = decoded.map_err(|error| self.broken(&error.to_string()))?;
        if reply.is_none() && self.received.capacity() - self.received.len() < PIECE / 16 {
            self.received.reserve(PIECE);
        }
        Ok(reply)
    }

    fn arrived(&self, read: io::Result<usize>) -> Result<(), Error> {
        match read {
            Ok(0) => Err(cut(&self.server, io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(source) => Err(cut(&self.server, source)),
        }
    }

    /// Gathers a file's bytes until they are a piece or the last. After an error, what came before
    /// it is in `gathered`.
    pub(crate) async fn gather(&mut self, gathered: &mut Gathered) -> Result<(), Error> {
        while gathered.size < PIECE && !gathered.ended {
            match self.reply().await? {
                Reply::Payload(chunk) => {
                    gathered.size += chunk.len();
                    gathered.chunks.push(chunk);
                }
                Reply::PayloadEnd => gathered.ended = true,
                other => return Err(self.unexpected(&other)),
            }
        }
        Ok(())
    }

    /// The error for a reply that does not belong here.
    pub(crate) fn unexpected(&self, reply: &Reply) -> Error {
        let what = match reply {
            Reply::Answer(_) => "an answer came where none was due",
            Reply::RecoverHead { .. } => "a file came that was not asked for",
            Reply::Payload(_) | Reply::PayloadEnd => "a file's bytes came out of turn",
        };
        self.broken(what)
    }

    /// The error for what this protocol does not have.
    pub(crate) fn broken(&self, what: &str) -> Error {
        Error::Protocol { server: self.server.clone(), what: printable(what) }
    }
}

fn cut(server: &Endpoint, source: io::Error) -> Error {
    Error::Cut { server: server.clone(), source }
}
