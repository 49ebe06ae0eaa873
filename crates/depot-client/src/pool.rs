//! Which server is talked to, the connections that are idle, and trying again.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use depot_protocol::{Answer, ClientId, ErrorCode, Request};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::Connection;
use crate::servers::Servers;
use crate::{Endpoint, Error, Options};

/// How many idle connections are kept.
const IDLE_MAX: usize = 8;

/// How long an idle connection is good for; a server closes one after 60 s.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// The pause before the second try; each one after that is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// All that the clones of a client share.
pub(crate) struct Pool {
    pub(crate) options: Options,
    pub(crate) id: ClientId,
    pub(crate) servers: Servers,
    /// The server that was asked last for the others.
    asked: Mutex<Option<usize>>,
    /// At most [`IDLE_MAX`], the one used last at the end.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Pool {
    /// Dials the first server that answers.
    pub(crate) async fn open(options: Options, id: Option<ClientId>) -> Result<Pool, Error> {
        let servers = Servers::new(&options.servers);
        let (connection, id) = dial(&options, &servers, id).await?;
        let pool = Pool { options, id, servers, asked: Mutex::default(), idle: Mutex::default() };
        if let Some(connection) = pool.learn(connection).await {
            pool.keep(connection);
        }
        Ok(pool)
    }

    /// The server to go to next.
    pub(crate) fn server(&self) -> Endpoint {
        self.servers.endpoint().unwrap_or_else(|| Endpoint::new("", 0))
    }

    /// A connection to the current server, or to the next one that answers.
    async fn connection(&self) -> Result<Connection, Error> {
        if let Some(connection) = self.idle(self.servers.current()) {
            return Ok(connection);
        }
        let (connection, _) = dial(&self.options, &self.servers, Some(self.id)).await?;
        match self.learn(connection).await {
            Some(connection) => Ok(connection),
            None => Ok(dial(&self.options, &self.servers, Some(self.id)).await?.0),
        }
    }

    /// Asks a server for the others, once when it is come to; nothing of what fails there is an
    /// error, and at most the connection is spent.
    async fn learn(&self, mut connection: Connection) -> Option<Connection> {
        let server = connection.server;
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.options.learn || *asked == Some(server) {
                return Some(connection);
            }
            *asked = Some(server);
        }
        let request = Request::State { client: self.id };
        let asked = connection.ask(&request);
        match timeout(self.options.connect_timeout, asked).await {
            Ok(Ok(Answer::State { servers })) => self.servers.learn(&servers, server),
            Ok(Ok(Answer::Refused(_))) => {}
            Ok(Ok(_)) | Err(_) => return None,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the other servers are not learned");
                return None;
            }
        }
        Some(connection).filter(Connection::is_quiet)
    }

    fn idle(&self, server: usize) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| {
            since.elapsed() < IDLE_FOR && connection.server == server && connection.is_quiet()
        });
        idle.pop().map(|(connection, _)| connection)
    }

    /// Takes back a connection on which nothing is under way.
    pub(crate) fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && connection.is_quiet() {
            idle.push((connection, Instant::now()));
        }
    }

    /// The error for an answer of another kind than was asked for.
    pub(crate) fn broken(&self, what: &str) -> Error {
        Error::Protocol { server: self.server(), what: what.to_owned() }
    }

    /// Asks, and asks again where that may help. A refusal is an error.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Answer, Error> {
        let mut attempts = Attempts::new(self);
        // Whether an earlier try may have done it.
        let mut maybe_done = false;
        loop {
            let error = match attempts.ask(request).await {
                Ok(Answer::Refused(refusal)) => {
                    let gone = refusal.code == ErrorCode::NoSuchFile;
                    if gone && maybe_done && matches!(request, Request::Remove { .. }) {
                        return Ok(Answer::Removed);
                    }
                    Error::refused(refusal)
                }
                Ok(answer) => return Ok(answer),
                Err(error) => match request {
                    Request::SetReplicas { .. } | Request::Remove { .. } => error.after_a_change(),
                    _ => error,
                },
            };
            maybe_done |= error.kind() == crate::ErrorKind::Unknown;
            attempts.after(error, |_| ()).await?;
        }
    }
}

/// Dials each server once, beginning with the current one, until one greets.
async fn dial(
    options: &Options,
    servers: &Servers,
    id: Option<ClientId>,
) -> Result<(Connection, ClientId), Error> {
    let mut tried = Vec::new();
    for (server, endpoint) in servers.in_turn() {
        match Connection::dial(options, server, &endpoint, id).await {
            Ok(greeted) => {
                tracing::debug!(server = %endpoint, "connected");
                servers.arrived(server);
                return Ok(greeted);
            }
            Err(error) => {
                tracing::debug!(server = %endpoint, %error, "not connected");
                servers.died(server);
                tried.push((endpoint, error));
            }
        }
    }
    Err(undialled(tried))
}

/// The error when no server greets. One that is alone and is no depot server is told as that.
fn undialled(mut tried: Vec<(Endpoint, Error)>) -> Error {
    match tried.pop() {
        Some((_, broken @ Error::Protocol { .. })) if tried.is_empty() => broken,
        last => {
            let why = |error| match error {
                Error::Cut { source, .. } => source,
                Error::Refused(refusal) => io::Error::other(refusal),
                other => io::Error::other(other),
            };
            let tried = tried.into_iter().chain(last);
            Error::Unreachable { tried: tried.map(|(at, error)| (at, why(error))).collect() }
        }
    }
}

/// The tries that one thing has.
pub(crate) struct Attempts<'a> {
    pool: &'a Pool,
    left: u32,
    pause: Duration,
    /// Where the last try went.
    server: Option<usize>,
    /// Whether the last try on this server was cut, and none has got on since.
    was_cut: bool,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(pool: &'a Pool) -> Attempts<'a> {
        let left = pool.options.retries;
        Attempts { pool, left, pause: FIRST_PAUSE, server: None, was_cut: false }
    }

    /// A connection for this try.
    pub(crate) async fn connection(&mut self) -> Result<Connection, Error> {
        self.server = None;
        let connection = self.pool.connection().await?;
        self.server = Some(connection.server);
        Ok(connection)
    }

    /// Asks once.
    async fn ask(&mut self, request: &Request) -> Result<Answer, Error> {
        let mut connection = self.connection().await?;
        let answer = connection.ask(request).await?;
        self.pool.keep(connection);
        Ok(answer)
    }

    /// This try is worth more of them, even where it fails.
    pub(crate) fn got_on(&mut self) {
        *self = Attempts { server: self.server, ..Attempts::new(self.pool) };
    }

    /// Returns when it is to be tried again, or with the error where that is of no use. A server that
    /// was merely cut off is gone back to once, since it holds what it got of an upload.
    pub(crate) async fn after(
        &mut self,
        error: Error,
        tell: impl FnOnce(&Error) + Send,
    ) -> Result<(), Error> {
        if error.may_pass() { self.after_own(error, tell).await } else { Err(error) }
    }

    /// The same for an error that would not pass by itself, after which the caller tries another way.
    pub(crate) async fn after_own(
        &mut self,
        error: Error,
        tell: impl FnOnce(&Error) + Send,
    ) -> Result<(), Error> {
        if self.left == 0 {
            return Err(error);
        }
        self.left -= 1;
        let cut = matches!(error, Error::Cut { .. } | Error::Unanswered { .. });
        if let Some(server) = self.server
            && (!cut || self.was_cut)
            && !is_about_an_offset(&error)
        {
            self.pool.servers.leave(server);
        }
        self.was_cut = cut;
        tracing::debug!(%error, pause = ?self.pause, "trying again");
        tell(&error);
        sleep(self.pause).await;
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        Ok(())
    }
}

fn is_about_an_offset(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.code == ErrorCode::OffsetInvalid)
}
