//! The changes that the catalogue knows, and what comes of each.
//!
//! A command carries everything that decides it: what its proposer read, the limits and holders
//! that it chose, its clock. Applying it looks at nothing but the tables, so that every server
//! comes to the same outcome.

use depot_protocol::{Digest, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds};

use super::record::{Incarnation, Namespace, OperationId, Receipt, Record, SweepNumber, Version};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A content comes under a name.
    Put(Put),
    /// A file's wished number of replicas changes.
    SetReplicas(SetReplicas),
    /// A name goes.
    Remove(Remove),
    /// A server is about to trash what no record lists on it.
    Sweep(Sweep),
    /// A server has made a copy that it was wanted to have.
    AddCopy(AddCopy),
    /// A server begins a life.
    Admit(Admit),
    /// A server is gone for long, or is back.
    Away(Away),
    /// A server's copy is bad or gone.
    Lost(Lost),
    /// More servers shall have a copy.
    Want(Want),
    /// A server's copy is one too many.
    Leave(Leave),
}

impl Command {
    /// About how many bytes it takes in the log, and not less.
    pub(super) fn weight(&self) -> usize {
        /// Numbers, hashes, tags.
        const FIXED: usize = 160;
        /// A server's name and what stands beside it.
        const SERVER: usize = 96;
        FIXED
            + match self {
                Command::Put(put) => {
                    put.name.as_str().len() + SERVER * (put.receipts.len() + put.wanted.len())
                }
                Command::SetReplicas(change) => {
                    change.name.as_str().len() + SERVER * change.wanted.len()
                }
                Command::Remove(remove) => remove.name.as_str().len(),
                Command::AddCopy(copy) => copy.name.as_str().len() + SERVER,
                Command::Want(want) => want.name.as_str().len() + SERVER * want.servers.len(),
                Command::Leave(leave) => leave.name.as_str().len() + SERVER,
                Command::Lost(Lost { after, .. }) => {
                    SERVER + after.as_ref().map_or(0, |(_, name)| name.as_str().len())
                }
                Command::Sweep(_) | Command::Admit(_) | Command::Away(_) => SERVER,
            }
    }
}

/// A content comes under a name: a new file, a new content of a file that is there, or the same
/// content again, which keeps the moment of its deposit and the holders that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Whose.
    pub namespace: Namespace,
    /// Under which name.
    pub name: FileName,
    /// The version that the proposer read, 0 for none; the command is refused on any other.
    pub read: Version,
    /// How many commands were applied to the view in which it read that. Where there was no such
    /// name, this tells a new name from one that was there and went in the meantime: a late
    /// duplicate must not bring a removed file back.
    pub seen: u64,
    /// The content.
    pub digest: Digest,
    /// Its size.
    pub size: FileSize,
    /// The replicas wished for.
    pub replicas: ReplicaCount,
    /// When, by the proposer's clock.
    pub deposited: UtcSeconds,
    /// The proof of each copy: these servers become confirmed holders. At least one.
    pub receipts: Vec<Receipt>,
    /// Who else shall have a copy.
    pub wanted: Vec<ServerName>,
    /// Which request this is.
    pub operation: OperationId,
}

/// A file's wished number of replicas changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetReplicas {
    /// Whose.
    pub namespace: Namespace,
    /// Which file.
    pub name: FileName,
    /// The version that the proposer read.
    pub read: Version,
    /// The replicas wished for.
    pub replicas: ReplicaCount,
    /// Who else shall have a copy.
    pub wanted: Vec<ServerName>,
    /// Which request this is.
    pub operation: OperationId,
}

/// A name goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    /// Whose.
    pub namespace: Namespace,
    /// Which file.
    pub name: FileName,
    /// The version that the proposer read.
    pub read: Version,
    /// Which request this is.
    pub operation: OperationId,
}

/// A server is about to trash what no record lists on it: from here on no receipt of an older
/// number is taken from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Which server.
    pub server: ServerName,
    /// Its current number and one.
    pub number: SweepNumber,
}

/// A server has made a copy: it becomes a confirmed holder. The record stays the same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCopy {
    /// Whose.
    pub namespace: Namespace,
    /// Which file.
    pub name: FileName,
    /// The version whose content was copied.
    pub version: Version,
    /// The proof.
    pub receipt: Receipt,
}

/// A server begins a life: its first, or the next one after it lost its disk. Copies and receipts
/// of earlier lives count no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    /// Which server.
    pub server: ServerName,
    /// Which life.
    pub incarnation: Incarnation,
}

/// A server is gone for long, or is back: while it is away its copies don't count. One fact for
/// each server, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Which server.
    pub server: ServerName,
    /// Its current life; refused on any other.
    pub incarnation: Incarnation,
    /// Whether it is gone.
    pub away: bool,
}

/// A holder's own word that its copy of a content is bad or gone: in every record of the content it
/// is wanted again. Nobody else says so. Any number of records may have one content, so that it is
/// said page by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Whose copy.
    pub server: ServerName,
    /// In which life it had it.
    pub incarnation: Incarnation,
    /// Of which content.
    pub digest: Digest,
    /// Behind which of its files; none: from the first one on.
    pub after: Option<(Namespace, FileName)>,
    /// How many files are looked at.
    pub most: u32,
}

impl Lost {
    /// Of everything at once, as it was said before there were pages.
    pub const ALL: u32 = u32::MAX;
}

/// More servers shall have a copy. The record stays the same version, of the same request. A server
/// that is listed for a copy of an earlier life is one that shall have a copy, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Whose.
    pub namespace: Namespace,
    /// Which file.
    pub name: FileName,
    /// The version that the proposer read.
    pub version: Version,
    /// Who shall have one.
    pub servers: Vec<ServerName>,
}

/// A server takes itself out of a record: refused unless one more than the wished replicas of
/// others count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leave {
    /// Whose.
    pub namespace: Namespace,
    /// Which file.
    pub name: FileName,
    /// The version that it read.
    pub version: Version,
    /// Who leaves.
    pub server: ServerName,
    /// Its current life.
    pub incarnation: Incarnation,
}

/// A command has its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its place. Refused commands have one too.
    pub index: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// A content that a record stopped listing by it; perhaps no record lists it any more.
    pub released: Option<Digest>,
}

/// What came of a command. Only the first four, `Noted` and `NotedUpTo` change anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The record is now this one: by this command, or by an earlier copy of the same request.
    Done(Record),
    /// The name is gone.
    Removed,
    /// The server's sweep number is now the proposed one (or was already).
    Swept,
    /// The server is now in the proposed life (or was already).
    Admitted,
    /// The version read is not the current one.
    Moved {
        /// What is there now.
        current: Option<Record>,
    },
    /// There is nothing of that name to change.
    Absent,
    /// A receipt was given before the server's last sweep: ask that server again.
    StaleReceipt {
        /// Which server's.
        server: ServerName,
        /// Its number now.
        current: SweepNumber,
    },
    /// A receipt comes from another life of that server, or from a server that is none.
    WrongIncarnation {
        /// Which server's.
        server: ServerName,
        /// Its life now; none where no such server is known.
        current: Option<Incarnation>,
    },
    /// A put without a receipt: nobody has the bytes.
    NoReceipt,
    /// A sweep whose number is not the one due.
    SweepOutOfTurn {
        /// The server's number now; none where no such server is known.
        current: Option<SweepNumber>,
    },
    /// What was said of a server stands (or did already).
    Noted,
    /// A holder can't leave: too few others count.
    Needed {
        /// How many do.
        others: u64,
    },
    /// What was said of a content stands for its files up to this one; there may be more.
    NotedUpTo {
        /// Whose file.
        namespace: Namespace,
        /// Which.
        name: FileName,
    },
}
