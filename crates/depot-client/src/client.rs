//! [`Client`]: all that can be asked of a depot, a method each.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use depot_protocol::{
    Answer, ClientId, FileInfo, FileName, FileSize, ReplicaCount, Request, ServerState,
};
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::deposit::{self, Wanted};
use crate::pool::Pool;
use crate::{Deposited, Endpoint, Error, Existing, Listed, Options, Progress, Recovered};
use crate::{list, recover};

/// Hears what became of each file of a [`Client::deposit_many`].
pub type EachDeposited<'a> = dyn FnMut(&Path, &FileName, Result<Deposited, Error>) + Send + 'a;

/// Hears what became of each file of a [`Client::recover_many`].
pub type EachRecovered<'a> = dyn FnMut(&FileName, &Path, Result<Recovered, Error>) + Send + 'a;

/// What is known about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What the server says.
    pub info: FileInfo,
    /// Whether it answered from what it has, without a majority.
    pub local: bool,
}

/// What is wrong with an answer of another kind.
const OTHER: &str = "an answer to something else";

/// A client of one depot. Clones are the same client and share its connections.
///
/// It opens connections as they are needed and keeps a few that are idle. Each call goes to the
/// server that answered last, else to the next of [`Options::servers`] or of those that were
/// [learned](Options::learn), and is tried again [`Options::retries`] times where that may help ([`Error::may_pass`]). Any call may be dropped at
/// any time: what a dropped change did is unknown, as after [`Error::Unanswered`].
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// Dials the first server that answers, and greets it as the client `id`, or asks it for a new
    /// id. A new id costs the depot nothing before its first deposit; keep it, since nobody can
    /// tell it again, and keep it secret, since whoever knows it has the files.
    ///
    /// # Errors
    /// `Unreachable` when no server answers; `Protocol` when what answers is no depot server.
    pub async fn connect(options: Options, id: Option<ClientId>) -> Result<Client, Error> {
        Ok(Client { pool: Arc::new(Pool::open(options, id).await?) })
    }

    /// Who this client is. Whoever knows it has the files: show it to nobody else.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.pool.id
    }

    /// The server that answered last.
    #[must_use]
    pub fn server(&self) -> Endpoint {
        self.pool.server()
    }

    /// Deposits the regular file at `path`, which is read once, under `name`. One that was written to
    /// just now is waited for, as long as a further change would not show in its times (20 ms; 2 s
    /// where those have no fractions). What is changed by way of a memory mapping shows there as late
    /// as the system says it.
    ///
    /// When it returns, 1 + `copies` servers have the whole file on disk, checked and synced, and
    /// a majority knows of it. Other content under that name has been replaced, whole.
    ///
    /// One that is cut goes on from where it was: within the call as often as [`Options::retries`]
    /// says, and in a later call within 24 h on the same server, if it has more than 1 MiB.
    ///
    /// # Errors
    /// `NotAFile` (a folder, a pipe, a device, a file whose size is not told) before anything is
    /// sent; `Changed` when it was written to meanwhile; `Io` when it can't be read; what the
    /// server refuses; `Cut` or `Unanswered` after the last try.
    pub async fn deposit_path(
        &self,
        path: &Path,
        name: &FileName,
        replicas: ReplicaCount,
        progress: &dyn Progress,
    ) -> Result<Deposited, Error> {
        let wanted = Wanted { pool: &self.pool, replicas, progress };
        deposit::path(wanted, path, name).await
    }

    /// Deposits the `size` bytes of a reader, as [`deposit_path`](Client::deposit_path) does. What
    /// has gone out of a reader does not come again, so one of more than 64 KiB begins at 0 and is
    /// not tried again once its first bytes were sent.
    ///
    /// # Errors
    /// `Reader` when it fails, ends early or has more than `size` bytes, after which nothing is
    /// stored; what the server refuses; `Cut` or `Unanswered`.
    pub async fn deposit_reader(
        &self,
        reader: impl AsyncRead + Send + Unpin,
        size: FileSize,
        name: &FileName,
        replicas: ReplicaCount,
        progress: &dyn Progress,
    ) -> Result<Deposited, Error> {
        let wanted = Wanted { pool: &self.pool, replicas, progress };
        deposit::reader(wanted, reader, size, name).await
    }

    /// Deposits many files over so many connections (at least 1, at most 64; 4 is good), small ones
    /// several at a time on each. `each` is told what became of each, in no order, and once each;
    /// a file that fails does not stop the others.
    ///
    /// # Errors
    /// When no server can be gone on with. The files of which `each` was not told have not been
    /// deposited, or that is not known.
    pub async fn deposit_many(
        &self,
        files: Vec<(PathBuf, FileName)>,
        replicas: ReplicaCount,
        connections: usize,
        progress: &dyn Progress,
        each: &mut EachDeposited<'_>,
    ) -> Result<(), Error> {
        let wanted = Wanted { pool: &self.pool, replicas, progress };
        deposit::many(wanted, files, connections, each).await
    }

    /// Recovers a file to `target`, whose folder must be there.
    ///
    /// The bytes go to a part beside it, `.NAME.HASH.depot-part`, what they are of to another file
    /// with `.of` behind that name, neither of which takes another file's place; when all are there and have the announced hash they are synced, the file gets its name, and the
    /// folder is synced. So `target` is never half a file, and when this returns it is durable.
    ///
    /// One that is cut goes on from where it was, within the call on any server, and in a later
    /// call: the part is kept, and used if the depot still has the same content.
    ///
    /// # Errors
    /// `Exists` before anything is asked, with [`Existing::Refuse`]; `Io` when the disk fails, is
    /// full, or something else stands where the part would, which is left as it is; `HashMismatch` after wrong bytes, which
    /// are removed; what the server refuses; `Cut` after the last try.
    pub async fn recover_path(
        &self,
        name: &FileName,
        target: &Path,
        existing: Existing,
        progress: &dyn Progress,
    ) -> Result<Recovered, Error> {
        let wanted = recover::Wanted { pool: &self.pool, progress };
        recover::path(wanted, name, target, existing).await
    }

    /// Recovers a file to a writer, which is flushed and not shut down. After a cut it goes on with
    /// the byte that comes next. The hash is known after the last byte only.
    ///
    /// # Errors
    /// After each, what was written is not to be trusted: `HashMismatch` after wrong bytes,
    /// `Replaced` when the content was replaced meanwhile, `Writer` when it fails; what the server
    /// refuses; `Cut` after the last try.
    pub async fn recover_writer(
        &self,
        name: &FileName,
        writer: impl AsyncWrite + Send + Unpin,
        progress: &dyn Progress,
    ) -> Result<Recovered, Error> {
        let wanted = recover::Wanted { pool: &self.pool, progress };
        recover::writer(wanted, name, writer).await
    }

    /// Recovers many files, each as [`recover_path`](Client::recover_path) does, over so many
    /// connections (at least 1, at most 64; 4 is good), small ones several at a time on each.
    /// Missing folders are made. `each` is told what became of each, in no order, and once each; a
    /// file that fails does not stop the others.
    ///
    /// Where the targets lie is the caller's choice, and their folders are taken as they stand. For
    /// targets that come of the files' names there is
    /// [`recover_beneath`](Client::recover_beneath).
    ///
    /// # Errors
    /// When no server can be gone on with. The files of which `each` was not told are not there.
    pub async fn recover_many(
        &self,
        files: Vec<(FileName, PathBuf)>,
        existing: Existing,
        connections: usize,
        progress: &dyn Progress,
        each: &mut EachRecovered<'_>,
    ) -> Result<(), Error> {
        let wanted = recover::Wanted { pool: &self.pool, progress };
        recover::many_at(wanted, files, existing, connections, each).await
    }

    /// Recovers many files as [`recover_many`](Client::recover_many) does, each to its name beneath
    /// `folder`: a `/` of a name is a folder there, made when it is missing.
    ///
    /// `folder` is taken as it stands, through symbolic links too. Beneath it no link is followed,
    /// also not one that is put there meanwhile: a file is written in the folder that was found,
    /// or not at all (`NotAFolder`). So this may be done where others may write.
    ///
    /// # Errors
    /// When no server can be gone on with. The files of which `each` was not told are not there.
    pub async fn recover_beneath(
        &self,
        folder: &Path,
        names: Vec<FileName>,
        existing: Existing,
        connections: usize,
        progress: &dyn Progress,
        each: &mut EachRecovered<'_>,
    ) -> Result<(), Error> {
        let wanted = recover::Wanted { pool: &self.pool, progress };
        recover::many_beneath(wanted, folder, names, existing, connections, each).await
    }

    /// The client's files in byte order of their names, asked for a page of 1,000 at a time, when
    /// the page before has been taken. What changes meanwhile may be told or not.
    ///
    /// An error ends the stream.
    pub fn list(&self) -> impl Stream<Item = Result<Listed, Error>> + Send + '_ {
        list::list(&self.pool)
    }

    /// The files whose names begin with `folder/`, as [`list`](Client::list) tells them: it begins
    /// with the first of them and asks no further than the last.
    pub fn list_below(
        &self,
        folder: &FileName,
    ) -> impl Stream<Item = Result<Listed, Error>> + Send + '_ {
        list::below(&self.pool, folder)
    }

    /// What is known about a file, and whether that is only what the server asked has, which reaches
    /// no majority: then another content, or none, may be the latest.
    ///
    /// # Errors
    /// `Refused` with `arquivo_inexistente` where there is none; and as every question.
    pub async fn stat(&self, name: &FileName) -> Result<Stat, Error> {
        let request = Request::Stat { client: self.pool.id, name: name.clone() };
        match self.pool.ask(&request).await? {
            Answer::Stat { info, local } => Ok(Stat { info, local }),
            _ => Err(self.pool.broken(OTHER)),
        }
    }

    /// Changes how many replicas are wanted. When it returns, a majority knows; the copies follow.
    /// Tells how many are wanted and how many are durable now.
    ///
    /// # Errors
    /// `Refused` with `arquivo_inexistente` or `replicas_indisponiveis`; and as every change.
    pub async fn set_replicas(
        &self,
        name: &FileName,
        replicas: ReplicaCount,
    ) -> Result<(ReplicaCount, u8), Error> {
        let (client, name) = (self.pool.id, name.clone());
        match self.pool.ask(&Request::SetReplicas { client, replicas, name }).await? {
            Answer::ReplicasSet { replicas, copies } => Ok((replicas, copies)),
            _ => Err(self.pool.broken(OTHER)),
        }
    }

    /// Removes a file. When it returns, a majority knows. Where an earlier try of this call did it
    /// and its answer was lost, the next one is refused with `arquivo_inexistente`, which is then
    /// taken for done.
    ///
    /// # Errors
    /// `Refused` with `arquivo_inexistente` where there is none; and as every change.
    pub async fn remove(&self, name: &FileName) -> Result<(), Error> {
        let request = Request::Remove { client: self.pool.id, name: name.clone() };
        match self.pool.ask(&request).await? {
            Answer::Removed => Ok(()),
            _ => Err(self.pool.broken(OTHER)),
        }
    }

    /// The servers of the depot, as the one asked sees them.
    ///
    /// # Errors
    /// As every question.
    pub async fn servers(&self) -> Result<Vec<ServerState>, Error> {
        let request = Request::State { client: self.pool.id };
        match self.pool.ask(&request).await? {
            Answer::State { servers } => {
                if self.pool.options.learn {
                    self.pool.servers.learn(&servers, self.pool.servers.current());
                }
                Ok(servers)
            }
            _ => Err(self.pool.broken(OTHER)),
        }
    }
}

/// Hides the id.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server()).finish_non_exhaustive()
    }
}
