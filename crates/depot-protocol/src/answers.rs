//! What a server answers, as lines, and back.

mod encode;
mod parse;

use bytes::BytesMut;

use crate::refusal::Refusal;
use crate::types::{ClientId, Digest, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds};

/// One answer. The payload of a recover is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To a first connection or a reconnection.
    Connected {
        /// The new id, or the same.
        client: ClientId,
    },
    /// To a deposit: the file is there, for good.
    Deposited {
        /// How many replicas are wanted.
        replicas: ReplicaCount,
        /// How many are durable.
        copies: u8,
        /// The whole file's hash.
        hash: Digest,
    },
    /// To `preparar`.
    Prepared {
        /// How many bytes are held; the deposit goes on from there.
        offset: u64,
        /// The hash of those bytes.
        partial: Digest,
    },
    /// To a recover; the bytes follow.
    Recovering {
        /// The whole file's size.
        size: FileSize,
        /// The whole file's hash.
        hash: Digest,
        /// Whether it is from what one server has, without a majority.
        local: bool,
    },
    /// To `consultar`.
    Stat {
        /// What is known about the file.
        info: FileInfo,
        /// Whether it is from what one server has, without a majority.
        local: bool,
    },
    /// To `listar`.
    List {
        /// The files, in byte order of their names; at most [`LIST_MAX`](crate::LIST_MAX) are sent.
        items: Vec<ListItem>,
        /// Whether more follow.
        more: bool,
        /// Whether it is from what one server has, without a majority.
        local: bool,
    },
    /// To `replicas`.
    ReplicasSet {
        /// How many replicas are wanted now.
        replicas: ReplicaCount,
        /// How many are durable.
        copies: u8,
    },
    /// To `remover`.
    Removed,
    /// To `estado`.
    State {
        /// The servers; at most [`SERVERS_MAX`](crate::SERVERS_MAX) are sent.
        servers: Vec<ServerState>,
    },
    /// To `encerrar`.
    Ended,
    /// To anything.
    Refused(Refusal),
}

/// What is known about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// How many replicas are wanted.
    pub replicas: ReplicaCount,
    /// How many are durable.
    pub copies: u8,
    /// Its size.
    pub size: FileSize,
    /// Its hash.
    pub hash: Digest,
    /// When this content was deposited.
    pub deposited: UtcSeconds,
}

/// A file in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListItem {
    /// What is known about it.
    pub info: FileInfo,
    /// Its name.
    pub name: FileName,
}

/// A server of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerState {
    /// Its name.
    pub name: ServerName,
    /// Where its clients dial, as `host:port`. On the wire at most
    /// [`ADDRESS_MAX`](crate::ADDRESS_MAX) bytes; `|` and control characters become `?`.
    pub address: String,
    /// Whether it can be reached.
    pub active: bool,
}

impl Answer {
    /// Appends all its lines, each with its LF.
    pub fn encode(&self, dst: &mut BytesMut) {
        encode::answer(self, dst);
    }
}

/// Which answer is expected, when it is not a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expecting {
    /// [`Answer::Connected`].
    Connected,
    /// [`Answer::Deposited`].
    Deposited,
    /// [`Answer::Prepared`].
    Prepared,
    /// [`Answer::Recovering`] and the payload.
    Recovering {
        /// From which byte on the file was asked for.
        offset: u64,
    },
    /// [`Answer::Stat`].
    Stat,
    /// [`Answer::List`].
    List,
    /// [`Answer::ReplicasSet`].
    ReplicasSet,
    /// [`Answer::Removed`].
    Removed,
    /// [`Answer::State`].
    State,
    /// [`Answer::Ended`].
    Ended,
}

/// The first line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerHead {
    /// It is the whole answer.
    Whole(Answer),
    /// The file's bytes follow, from the offset asked for.
    Recovering {
        /// The whole file's size.
        size: FileSize,
        /// The whole file's hash.
        hash: Digest,
        /// Whether it is from what one server has, without a majority.
        local: bool,
    },
    /// Lines for [`ListItem::parse`] follow.
    List {
        /// How many, at most [`LIST_MAX`](crate::LIST_MAX).
        items: usize,
        /// Whether there are more than those.
        more: bool,
        /// Whether it is from what one server has, without a majority.
        local: bool,
    },
    /// Lines for [`ServerState::parse`] follow.
    State {
        /// How many, at most [`SERVERS_MAX`](crate::SERVERS_MAX).
        items: usize,
    },
}

/// A line that is not the answer expected: the server is broken, or is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an answer to what was asked: {0}")]
pub struct BadAnswer(pub(crate) String);

impl AnswerHead {
    /// The first line of the answer expected, or a refusal; given without LF and the CR before it.
    /// Unknown fields are ignored where new ones may stand.
    ///
    /// # Errors
    /// Any other line.
    pub fn parse(line: &[u8], expecting: Expecting) -> Result<AnswerHead, BadAnswer> {
        parse::head(line, Some(expecting))
    }

    /// A refusal that comes before anything was asked.
    ///
    /// # Errors
    /// Any other line.
    pub fn parse_unasked(line: &[u8]) -> Result<AnswerHead, BadAnswer> {
        parse::head(line, None)
    }
}

impl ListItem {
    /// One line of a list, without LF and the CR before it.
    ///
    /// # Errors
    /// Any other line.
    pub fn parse(line: &[u8]) -> Result<ListItem, BadAnswer> {
        parse::list_item(line)
    }
}

impl ServerState {
    /// One line of a cluster state, without LF and the CR before it.
    ///
    /// # Errors
    /// Any other line.
    pub fn parse(line: &[u8]) -> Result<ServerState, BadAnswer> {
        parse::server_state(line)
    }
}
