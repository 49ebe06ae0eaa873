//! The depot wire protocol, version 1: how a client deposits files with a server and recovers them,
//! over one connection, in text that can be typed by hand.
//!
//! This crate is the protocol without the connection: it names no socket, opens no file and reads no
//! clock. What a line means, where a payload ends and what becomes of the connection after an error
//! are decided here, from bytes alone; time limits, disks and the cluster are its callers'.
//!
//! # Participants
//!
//! - **Client**: asks. It is nothing but an id that a server gave it; whoever knows the id is the
//!   client, so ids are never logged ([`ClientId`] hides itself from `Debug`). Holds a
//!   [`ClientCodec`].
//! - **Server**: answers, in the order in which it was asked. Holds a [`ServerCodec`], which turns
//!   bytes into [`Incoming`] and [`Answer`]s into bytes.
//!
//! # Grammar
//!
//! ```text
//! message  = header LF [payload [hashline]]
//! header   = field *( "|" field )
//! field    = key ":" value
//! key      = 1*( %x61-7A / "_" )                ; a-z and _
//! value    = *( any character but "|" and control characters )
//! hashline = "hash_arquivo:" 64HEXDIG LF        ; only behind a deposit's "depois"
//! ```
//!
//! `nome_arquivo`, `apos` and `mensagem` are always the last field and run to the end of the line, so
//! they may hold `|` and `:`. One CR straight before an LF is dropped. Fields stand in a fixed order,
//! each once. A payload is `tamanho_arquivo` less `deslocamento` raw bytes; nothing terminates it.
//!
//! # One exchange
//!
//! A first connection, a deposit of five bytes with one replica, and the way back. Each line ends in
//! an LF; ids and hashes are shortened here.
//!
//! ```text
//! client                                                                 server
//!   |                                                                       |
//!   |  id_cliente:                                                          |
//!   | --------------------------------------------------------------------> |
//!   |                                      resultado:1|id_cliente:0b5c..7e  |
//!   | <-------------------------------------------------------------------- |
//!   |                                                                       |
//!   |  id_cliente:0b5c..7e|qtd_replicas:1|tamanho_arquivo:5                 |
//!   |      |hash_arquivo:2cf2..24|nome_arquivo:notes/a.txt                  |
//!   |  hello                                    (5 bytes, no LF after them) |
//!   | --------------------------------------------------------------------> |
//!   |        (synced on two servers)                                        |
//!   |        resultado:1|qtd_replicas:1|copias:1|hash_arquivo:2cf2..24      |
//!   | <-------------------------------------------------------------------- |
//!   |                                                                       |
//!   |  id_cliente:0b5c..7e|nome_arquivo:notes/a.txt                         |
//!   | --------------------------------------------------------------------> |
//!   |                   resultado:1|tamanho_arquivo:5|hash_arquivo:2cf2..24 |
//!   |                                                                 hello |
//!   | <-------------------------------------------------------------------- |
//! ```
//!
//! A server sees the deposit like this, however the network cuts it:
//!
//! ```
//! use bytes::BytesMut;
//! use depot_protocol::{Incoming, Request, ServerCodec};
//! use tokio_util::codec::Decoder;
//!
//! let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
//! let mut received = BytesMut::from(
//!     format!(
//!         "id_cliente:0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80|qtd_replicas:1|tamanho_arquivo:5\
//!          |hash_arquivo:{hash}|nome_arquivo:notes/a.txt\nhellocomando:encerrar\n"
//!     )
//!     .as_str(),
//! );
//!
//! let mut codec = ServerCodec::new();
//! let mut next = || codec.decode(&mut received);
//! assert!(matches!(next()?, Some(Incoming::Request(Request::Deposit(_)))));
//! assert_eq!(next()?, Some(Incoming::Payload("hello".into())));
//! assert_eq!(next()?, Some(Incoming::PayloadEnd));
//! assert_eq!(next()?, Some(Incoming::Request(Request::End)));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # After an error
//!
//! ```text
//!                     what is wrong                             the connection
//!   a line without the form (cabecalho_invalido) ............... closes
//!   a field of a request that never has a payload .............. stays
//!   a field of a deposit, or an offset above its size .......... closes
//!   anything else, at most 1 MiB of the deposit still to come .. stays, the rest is dropped
//!   anything else, more to come ................................ closes
//! ```
//!
//! Codec and [`conversation`] decide that together: [`BadHead::then`] and [`ServerCodec::owed`] say
//! what is to come, [`after_refusal`] and [`after_bad_head`] what follows, [`ServerCodec::skip`]
//! drops. Payload bytes are never taken for a header, also not those of a refused deposit. A codec
//! that has yielded an error after which nothing can be told ignores everything that still comes.
//!
//! # Limits
//!
//! | what | limit | where |
//! | --- | --- | --- |
//! | a line with its LF | 4,096 bytes | [`LINE_MAX`] |
//! | a file name, an `apos` | 1,024 bytes | [`NAME_MAX`] |
//! | a file | 2^63 - 1 bytes | [`FILE_SIZE_MAX`] |
//! | a `mensagem` | 1,024 bytes | [`MESSAGE_MAX`] |
//! | items of a list, servers of a cluster state | 1,000, 256 | [`LIST_MAX`], [`SERVERS_MAX`] |
//! | what is read and dropped of a refused deposit | 1 MiB | [`SKIP_LIMIT`] |
//! | answers outstanding at a client | 256 | [`PIPELINE_MAX`] |
//!
//! Each is checked before memory is taken for what it bounds; nothing is ever reserved because the
//! other side announced it. A server's codec holds no bytes of its own: a line stays in the caller's
//! buffer until it is complete, payload leaves that buffer in the pieces in which it came, without a
//! copy.
//!
//! # Goals
//!
//! - A client can be written from PROTOCOL.md alone, or be netcat, and is told what it does wrong.
//! - What is read does not depend on how the bytes were cut into segments.
//! - A value that exists keeps its rule: [`FileName`], [`ClientId`], [`Digest`] and the others have
//!   one way in.
//! - No input makes it panic, loop, or hold more than the limits above.
//!
//! # Non-goals
//!
//! - Speed by a binary form: headers are small beside what they announce.
//! - Encryption and identity beyond the id: TLS is beneath, ids are capabilities.
//! - The talk of servers among each other, which has its own messages.
//! - Computing hashes. A [`Digest`] is parsed, shown and compared here, never calculated.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::panic
    )
)]

pub mod answers;
pub mod codec;
pub mod conversation;
pub mod keys;
pub mod limits;
mod line;
pub mod refusal;
pub mod requests;
pub mod types;

pub use answers::{Answer, AnswerHead, BadAnswer, Expecting, FileInfo, ListItem, ServerState};
pub use codec::{ClientCodec, Incoming, PipelineFull, Reply, ServerCodec};
pub use conversation::{After, Event, OutOfTurn, Owed, Phase, after_bad_head, after_refusal};
pub use limits::{
    ADDRESS_MAX, DRAIN_LIMIT, FILE_SIZE_MAX, HASH_LINE_MAX, LINE_MAX, LIST_MAX, MESSAGE_MAX,
    NAME_MAX, PIPELINE_MAX, SERVER_NAME_MAX, SERVERS_MAX, SKIP_LIMIT,
};
pub use refusal::{ErrorCode, Refusal};
pub use requests::{BadHead, Deposit, HeadFault, Prepare, Recover, Request, encode_hash_line};
pub use types::{
    Announced, ClientId, Digest, FieldFault, FileName, FileSize, ListCursor, ListLimit,
    ReplicaCount, ServerName, UtcSeconds,
};
