//! The client of a depot, as a library: files go in from paths or readers and come out to paths or
//! writers, over one or several of the depot's servers, and what is cut goes on from where it was.
//!
//! ```no_run
//! use depot_client::{Client, Endpoint, Existing, NoProgress, Options};
//! use depot_client::{FileName, ReplicaCount};
//!
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let servers = vec![Endpoint::parse("depot1:7070")?, Endpoint::parse("depot2:7070")?];
//! let client = Client::connect(Options { servers, ..Options::default() }, None).await?;
//! let name = FileName::parse("notes/a.txt")?;
//! client.deposit_path("a.txt".as_ref(), &name, ReplicaCount::new(1), &NoProgress).await?;
//! client.recover_path(&name, "b.txt".as_ref(), Existing::Refuse, &NoProgress).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - **Done is durable.** A deposit that returns is on disk on 1 + `copies` servers; a file that was
//!   recovered to a path is synced under its name. A call that fails says in its
//!   [kind](ErrorKind) whether anything may have changed.
//! - **Right bytes or none.** A recovered file has the hash that the depot knows, or is not there. A
//!   file that changes while it is sent is not stored.
//! - **Nothing outside the target.** Besides it only `.NAME.HASH.depot-part` and the same with `.of`
//!   are made beside it, which no file of anybody else's is called; no symbolic link is followed there
//!   or [beneath](Client::recover_beneath) a folder, also not one that is put there meanwhile; and
//!   nothing is replaced unless that was [asked for](Existing::Replace).
//! - **It goes on.** After a cut, a silence or a server that leaves, the same is tried again, at the
//!   next server where that helps, also at one that [it was not told of](Options::learn); transfers
//!   go on with the byte that comes next. Repeating is always
//!   harmless, so any call may be made again after any error.
//! - **A server is not trusted** further than its answers can be checked. What it sends as text comes
//!   out in printable characters.
//! - **The id is a secret.** It is sent to the servers, and told by [`Client::id`]; no error, no
//!   `Debug` and no event holds it.
//!
//! # What it takes
//!
//! | what | at most |
//! | --- | --- |
//! | memory of one transfer | about 1 MiB, whatever the file's size |
//! | memory of each connection of a call for many files | about 3 MiB |
//! | a page of a list | 1,000 items |
//! | idle connections kept | 8, for 30 s |
//! | files held in memory whole | 64 KiB |
//!
//! It needs a tokio runtime with I/O and time enabled; files are read, written and hashed on its
//! threads for blocking work. It starts no other tasks: a future that is dropped stops. It writes to
//! no terminal, and its `tracing` events are all of level debug.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod app;
mod blocking;
mod client;
mod connection;
mod deposit;
mod endpoint;
mod error;
mod list;
mod options;
mod pool;
mod printable;
mod progress;
mod recover;
mod servers;
mod spread;

pub use client::{Client, EachDeposited, EachRecovered, Stat};
pub use deposit::Deposited;
pub use endpoint::{Endpoint, EndpointFault};
pub use error::{Error, ErrorKind};
pub use list::Listed;
pub use options::Options;
pub use progress::{NoProgress, Progress};
pub use recover::{Existing, Recovered};

pub use depot_protocol::{
    ClientId, Digest, ErrorCode, FileInfo, FileName, FileSize, Refusal, ReplicaCount, ServerName,
    ServerState, UtcSeconds,
};
