//! Who deposited what, and who holds it: the same on every server of a cluster.
//!
//! Changes go in as [`Command`]s through [`Catalogue::propose`] and are durable on a majority when
//! it returns; reads come out of a [`View`], a consistent snapshot. The floors above know only the
//! trait; behind it is [`RaftCatalogue`], for one server as for many.
//!
//! From the bottom: [`record`] and [`command`] are the words; `rows`, `stored` and `log_rows` are
//! how they lie on disk, `tables` and `log_tables` where; `machine` applies a command to the tables;
//! `backend`, `header` and `overlay` stand between redb and the [`Disk`](crate::seams::Disk);
//! `opening` founds, checks and opens the file, `migrate` brings an old one up to date, and [`store`]
//! writes it and gives up at the first fault.
//!
//! On that stands the consensus: [`consensus`] has its types and [`runtime`] its runtime, `storage`
//! keeps its log and tables (`recent` the log's end in memory), [`snapshot`] brings a server that lags up to date, [`peers`] and
//! `messages` are how servers talk, `network` and `serve` the two ends of it; [`raft`] puts it
//! together, with `propose` for changes, `read` for views, `quorum` for what can be reached and
//! [`members`] for who belongs to it. [`events`] tells the server what it may let go of or shall get.

mod backend;
pub mod command;
pub mod consensus;
pub mod events;
mod fault;
mod header;
mod log_journal;
mod log_rows;
mod log_tables;
mod machine;
pub mod members;
mod messages;
mod migrate;
mod network;
mod opening;
mod overlay;
pub mod peers;
mod propose;
mod quorum;
pub mod raft;
mod read;
mod recent;
pub mod record;
mod rows;
pub mod runtime;
mod serve;
pub mod snapshot;
mod standing;
mod storage;
pub mod store;
mod stored;
mod tables;
pub mod view;
mod walk;

use async_trait::async_trait;

pub use command::{Applied, Command, Outcome};
pub use events::{Cause, Event};
pub use fault::StoreError;
pub use raft::{LogLimits, RaftCatalogue, StartError};
pub use record::{
    Holder, HolderId, HolderState, Incarnation, Namespace, OperationId, Receipt, Record,
    SweepNumber, Version,
};
pub use standing::{Servers, Standing};
pub use store::{Founding, Identity, OpenError, Store, StoreSettings};
pub use view::{Page, ReadError, View};

/// How much a [`View`] may lag behind what others were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It shows every change acknowledged before it was asked for.
    Linearizable,
    /// No majority could be reached: it shows what this server knows.
    Local,
}

/// A change was not made, or nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The command was not proposed; nothing has changed and nothing will.
    #[error("no majority of the servers can be reached")]
    NoQuorum,
    /// The command was proposed and not confirmed: it may have taken effect, or yet do so.
    #[error("the change was proposed, and nothing confirmed it")]
    Unknown,
}

/// The catalogue as the floors above see it.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Makes one change. When this returns `Ok`, the outcome is decided, and what it changed is
    /// synced on a majority of the servers. Dropping the future does not take the command back.
    async fn propose(&self, command: Command) -> Result<Applied, ProposeError>;

    /// A snapshot that shows every change acknowledged before this was called, or, where no
    /// majority answers, the local one ([`View::freshness`]).
    async fn view(&self) -> Result<View, ReadError>;

    /// Whether this server leads: it alone sees to what concerns all of them. Another may believe
    /// the same for a while; what they do meanwhile must be harmless twice.
    fn leads(&self) -> bool;

    /// Whether a majority was reached within the last 5 s. Without one, changes are refused at once
    /// and views are local ones.
    fn has_quorum(&self) -> bool;
}
