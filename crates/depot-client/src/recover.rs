//! Files out. A file's bytes go to a part beside its target, or to a writer; after a cut they go on
//! with the byte that comes next, from any server; at the end their hash is checked.

mod many;
mod part;
mod place;
mod pump;
mod target;
mod turns;
mod writer;

use std::path::{Path, PathBuf};

use depot_protocol::{
    Answer, Digest, ErrorCode, FileName, FileSize, Recover, Refusal, Reply, Request,
};

use crate::client::EachRecovered;
use crate::connection::{Connection, Receiving};
use crate::pool::{Attempts, Pool};
use crate::{Error, Progress};
use place::{Chosen, Missing, Place};
use target::Target;

pub(crate) use writer::writer;

/// How many more bytes must have come for a try to have got on.
const GOT_ON: u64 = 1 << 20;

/// A file that was recovered, its hash checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Its hash.
    pub hash: Digest,
    /// Its size.
    pub size: FileSize,
    /// From which byte the last try asked for it; 0 where nothing of it was there before.
    pub resumed_from: u64,
    /// Whether the server answered from what it has, without a majority: it may be an older content
    /// than the last one deposited.
    pub local: bool,
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It stays, and recovering is refused.
    #[default]
    Refuse,
    /// The recovered one takes its place, at once and whole. A symbolic link is replaced itself.
    Replace,
}

/// What recovers are made by.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) progress: &'a dyn Progress,
}

/// The header of a recover.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    size: FileSize,
    hash: Digest,
    local: bool,
}

impl Head {
    fn of(reply: &Reply) -> Option<Head> {
        match *reply {
            Reply::RecoverHead { size, hash, local } => Some(Head { size, hash, local }),
            _ => None,
        }
    }

    /// Whether it is of the same content.
    fn is_of_the_same(&self, other: &Head) -> bool {
        (self.size, self.hash) == (other.size, other.hash)
    }

    fn recovered(self, resumed_from: u64) -> Recovered {
        let Head { size, hash, local } = self;
        Recovered { hash, size, resumed_from, local }
    }
}

/// Asks for a file from that byte on. Its bytes follow.
async fn ask(
    connection: &mut Connection,
    wanted: Wanted<'_>,
    name: &FileName,
    offset: u64,
) -> Result<Head, Error> {
    let offset = Some(offset).filter(|&offset| offset > 0);
    let recover = Recover { client: wanted.pool.id, offset, name: name.clone() };
    let reply = connection.begin(&Request::Recover(recover)).await?;
    match (Head::of(&reply), reply) {
        (Some(head), _) => Ok(head),
        (None, Reply::Answer(Answer::Refused(refusal))) => Err(Error::refused(refusal)),
        (None, other) => Err(connection.receiving.unexpected(&other)),
    }
}

/// Recovers to a file whose folder is there.
pub(crate) async fn path(
    wanted: Wanted<'_>,
    name: &FileName,
    target: &Path,
    existing: Existing,
) -> Result<Recovered, Error> {
    place(wanted, name, Place::at(target, Missing::Fault)?, existing).await
}

/// Recovers many files, each to a path of its own; their folders are made where they are missing.
pub(crate) async fn many_at(
    wanted: Wanted<'_>,
    files: Vec<(FileName, PathBuf)>,
    existing: Existing,
    connections: usize,
    each: &mut EachRecovered<'_>,
) -> Result<(), Error> {
    let mut places = Vec::with_capacity(files.len());
    for (name, path) in files {
        match Place::at(&path, Missing::Made) {
            Ok(place) => places.push((name, place)),
            Err(error) => each(&name, &path, Err(error)),
        }
    }
    many::many(wanted, places, existing, connections, each).await
}

/// Recovers many files beneath one folder, each by its name.
pub(crate) async fn many_beneath(
    wanted: Wanted<'_>,
    folder: &Path,
    names: Vec<FileName>,
    existing: Existing,
    connections: usize,
    each: &mut EachRecovered<'_>,
) -> Result<(), Error> {
    let chosen = Chosen::new(folder);
    let place = |name: FileName| {
        let place = Place::beneath(&chosen, &name);
        (name, place)
    };
    let places = names.into_iter().map(place).collect();
    many::many(wanted, places, existing, connections, each).await
}

/// Recovers to a place.
async fn place(
    wanted: Wanted<'_>,
    name: &FileName,
    place: Place,
    existing: Existing,
) -> Result<Recovered, Error> {
    let mut target = Target::open(place, existing).await?;
    let done = path_tries(wanted, name, &mut target).await;
    wanted.progress.end(name);
    done
}

/// Tries until it is done, each time from where the last one was.
async fn path_tries(
    wanted: Wanted<'_>,
    name: &FileName,
    target: &mut Target,
) -> Result<Recovered, Error> {
    let mut attempts = Attempts::new(wanted.pool);
    let mut best = target.held();
    let mut may_begin_anew = true;
    loop {
        let offset = target.held();
        let error = match path_once(wanted, &mut attempts, name, target).await {
            Ok(recovered) => {
                target.sync_name().await?;
                return Ok(recovered);
            }
            Err(error) => error,
        };
        if target.held() >= best + GOT_ON {
            best = target.held();
            attempts.got_on();
        }
        let useless = held_is_useless(&error);
        if useless {
            target.discard().await?;
        }
        let tell = |error: &Error| wanted.progress.retrying(name, error);
        let given_up = if useless && offset > 0 && may_begin_anew {
            // Wrong bytes may have been the ones held, once.
            may_begin_anew = !matches!(error, Error::HashMismatch);
            attempts.after_own(error, tell).await
        } else {
            attempts.after(error, tell).await
        };
        if let Err(error) = given_up {
            target.leave().await;
            return Err(error);
        }
    }
}

/// Whether what is held is no beginning of what the depot has now.
fn held_is_useless(error: &Error) -> bool {
    match error {
        Error::Refused(Refusal { code, .. }) => *code == ErrorCode::OffsetInvalid,
        Error::Replaced | Error::HashMismatch => true,
        _ => false,
    }
}

async fn path_once(
    wanted: Wanted<'_>,
    attempts: &mut Attempts<'_>,
    name: &FileName,
    target: &mut Target,
) -> Result<Recovered, Error> {
    let offset = target.held();
    let mut connection = attempts.connection().await?;
    let head = ask(&mut connection, wanted, name, offset).await?;
    land(wanted, &mut connection.receiving, name, target, head).await?;
    wanted.pool.keep(connection);
    Ok(head.recovered(offset))
}

/// Takes a file's bytes, from those held on, and puts it in its place.
async fn land(
    wanted: Wanted<'_>,
    receiving: &mut Receiving,
    name: &FileName,
    target: &mut Target,
    head: Head,
) -> Result<(), Error> {
    target.begin(head).await?;
    wanted.progress.begin(name, head.size.get(), target.held());
    let advance = |bytes| wanted.progress.advance(name, bytes);
    pump::pump(receiving, target, advance).await?;
    target.publish().await
}
