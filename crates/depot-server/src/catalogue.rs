//! Who deposited what, and who holds it: the same on every server of a cluster.
//!
//! Changes go in as [`Command`]s through [`Catalogue::propose`] and are durable when it returns;
//! reads come out of a [`View`], a consistent snapshot. A depot of one keeps it in [`solo`]; the
//! floors above know only the trait.
//!
//! Beneath: [`record`] and [`command`] are the words; `rows` is how they lie on disk and `tables`
//! where; `machine` applies a command to the tables; `backend`, `header` and `overlay` stand
//! between redb and the [`Disk`](crate::seams::Disk); [`store`] founds, opens and checks the file.

mod backend;
pub mod command;
mod fault;
mod header;
mod machine;
mod overlay;
pub mod record;
mod rows;
pub mod solo;
pub mod store;
mod tables;
pub mod view;
mod walk;

use async_trait::async_trait;

pub use command::{Applied, Command, Outcome};
pub use fault::StoreError;
pub use record::{
    Holder, HolderId, HolderState, Incarnation, Namespace, OperationId, Receipt, Record,
    SweepNumber, Version,
};
pub use solo::SoloCatalogue;
pub use store::{Founding, OpenError, Store, StoreSettings};
pub use view::{ReadError, View};

/// How much a [`View`] may lag behind what others were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It shows every change acknowledged before it was asked for.
    Linearizable,
    /// No majority could be reached: it shows what this server knows.
    Local,
}

/// A change was not made, or nobody knows.
#[derive(Debug, thiserror::Error)]
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
}
