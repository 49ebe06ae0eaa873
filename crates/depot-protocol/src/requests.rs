//! What a client asks, as one line each, and back.

mod parse;

use bytes::{BufMut, BytesMut};

use crate::answers::Expecting;
use crate::conversation::Owed;
use crate::keys;
use crate::refusal::Refusal;
use crate::types::{
    Announced, ClientId, Digest, FileName, FileSize, ListCursor, ListLimit, ReplicaCount,
};

/// One request's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A new id is wanted.
    FirstConnection,
    /// A client is back.
    Reconnection {
        /// Which.
        client: ClientId,
    },
    /// A file is deposited; its bytes follow.
    Deposit(Deposit),
    /// What is already held of an upload?
    Prepare(Prepare),
    /// A file is wanted back.
    Recover(Recover),
    /// What is known about a file?
    Stat {
        /// Whose.
        client: ClientId,
        /// Which.
        name: FileName,
    },
    /// Which files are there?
    List {
        /// Whose.
        client: ClientId,
        /// How many at most.
        limit: ListLimit,
        /// Only names after this.
        after: ListCursor,
    },
    /// Another number of replicas is wanted.
    SetReplicas {
        /// Whose.
        client: ClientId,
        /// How many from now on.
        replicas: ReplicaCount,
        /// Of which file.
        name: FileName,
    },
    /// A file is no longer wanted.
    Remove {
        /// Whose.
        client: ClientId,
        /// Which.
        name: FileName,
    },
    /// Which servers are there?
    State {
        /// Who asks.
        client: ClientId,
    },
    /// The conversation is over.
    End,
}

/// A deposit's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// Whose file.
    pub client: ClientId,
    /// How many replicas are wanted.
    pub replicas: ReplicaCount,
    /// The whole file's size.
    pub size: FileSize,
    /// The whole file's hash, or word that it comes last.
    pub hash: Announced,
    /// Where the payload begins, as written; none is the same as 0.
    pub offset: Option<u64>,
    /// Under which name.
    pub name: FileName,
}

impl Deposit {
    /// Where the payload begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset.unwrap_or(0)
    }

    /// How many bytes of payload follow the header.
    #[must_use]
    pub fn payload_len(&self) -> u64 {
        self.size.get().saturating_sub(self.offset())
    }

    /// What follows the header.
    #[must_use]
    pub fn owed(&self) -> Owed {
        Owed { payload: self.payload_len(), hash_line: self.hash.is_last() }
    }
}

/// The header of `preparar`: that of the deposit to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// Whose file.
    pub client: ClientId,
    /// How many replicas are wanted.
    pub replicas: ReplicaCount,
    /// The whole file's size.
    pub size: FileSize,
    /// The whole file's hash, or word that it comes last.
    pub hash: Announced,
    /// Under which name.
    pub name: FileName,
}

/// A recover's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recover {
    /// Whose file.
    pub client: ClientId,
    /// From which byte on, as written; none is the same as 0.
    pub offset: Option<u64>,
    /// Which.
    pub name: FileName,
}

impl Recover {
    /// From which byte on.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset.unwrap_or(0)
    }
}

/// A line that is no request, and what is to come behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadHead {
    /// What to answer.
    pub refusal: Refusal,
    /// What becomes of the connection.
    pub then: HeadFault,
    /// Where nothing is wrong with the header but an offset above the size: the deposit, so that a
    /// fault which goes before that one (`replicas_indisponiveis`, `limite_excedido`,
    /// `sem_espaco`) can be told instead. The connection closes all the same.
    pub past_end: Option<Box<Deposit>>,
}

/// What follows a line that is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    /// The next header.
    Stays,
    /// Nobody can tell.
    Closes,
    /// The payload of a deposit whose name alone is wrong.
    Payload {
        /// How many bytes.
        remaining: u64,
        /// Whether the hash line comes after them.
        hash_line: bool,
    },
}

impl Request {
    /// The request of this line, given without its LF and the CR before that.
    ///
    /// # Errors
    /// The first fault in the protocol's order: of the line, of a field from left to right, of the
    /// name, of an offset above the size.
    pub fn parse(line: &[u8]) -> Result<Request, BadHead> {
        parse::request(line)
    }

    /// What the answer to it is to look like, for [`ClientCodec::expect`](crate::ClientCodec).
    #[must_use]
    pub fn expecting(&self) -> Expecting {
        match self {
            Request::FirstConnection | Request::Reconnection { .. } => Expecting::Connected,
            Request::Deposit(_) => Expecting::Deposited,
            Request::Prepare(_) => Expecting::Prepared,
            Request::Recover(recover) => Expecting::Recovering { offset: recover.offset() },
            Request::Stat { .. } => Expecting::Stat,
            Request::List { .. } => Expecting::List,
            Request::SetReplicas { .. } => Expecting::ReplicasSet,
            Request::Remove { .. } => Expecting::Removed,
            Request::State { .. } => Expecting::State,
            Request::End => Expecting::Ended,
        }
    }

    /// The line, without LF.
    #[must_use]
    pub fn render(&self) -> String {
        match self {
            Request::FirstConnection => "id_cliente:".to_owned(),
            Request::Reconnection { client } => format!("id_cliente:{client}"),
            Request::Deposit(deposit) => render_deposit(deposit),
            Request::Prepare(Prepare { client, replicas, size, hash, name }) => format!(
                "comando:preparar|id_cliente:{client}|qtd_replicas:{replicas}\
                 |tamanho_arquivo:{size}|hash_arquivo:{hash}|nome_arquivo:{}",
                name.as_str()
            ),
            Request::Recover(Recover { client, offset, name }) => {
                let offset = render_offset(*offset);
                format!("id_cliente:{client}{offset}|nome_arquivo:{}", name.as_str())
            }
            Request::Stat { client, name } => {
                format!("comando:consultar|id_cliente:{client}|nome_arquivo:{}", name.as_str())
            }
            Request::List { client, limit, after } => {
                let after = after.as_str();
                format!("comando:listar|id_cliente:{client}|limite:{limit}|apos:{after}")
            }
            Request::SetReplicas { client, replicas, name } => format!(
                "comando:replicas|id_cliente:{client}|qtd_replicas:{replicas}|nome_arquivo:{}",
                name.as_str()
            ),
            Request::Remove { client, name } => {
                format!("comando:remover|id_cliente:{client}|nome_arquivo:{}", name.as_str())
            }
            Request::State { client } => format!("comando:estado|id_cliente:{client}"),
            Request::End => "comando:encerrar".to_owned(),
        }
    }
}

fn render_deposit(deposit: &Deposit) -> String {
    let Deposit { client, replicas, size, hash, offset, name } = deposit;
    let (offset, name) = (render_offset(*offset), name.as_str());
    format!(
        "id_cliente:{client}|qtd_replicas:{replicas}|tamanho_arquivo:{size}|hash_arquivo:{hash}\
         {offset}|nome_arquivo:{name}"
    )
}

fn render_offset(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!("|{}:{offset}", keys::OFFSET))
}

/// Appends the hash line, LF included, that follows the payload of a deposit with
/// [`Announced::Last`].
pub fn encode_hash_line(hash: &Digest, dst: &mut BytesMut) {
    dst.put_slice(keys::HASH_LINE_PREFIX);
    dst.put_slice(hash.to_string().as_bytes());
    dst.put_u8(b'\n');
}
