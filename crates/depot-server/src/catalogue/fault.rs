//! What goes wrong beneath the catalogue: the words in which `tables`, `machine` and `store` tell
//! each other. To the floors above it becomes a [`ReadError`](super::ReadError) or the end of the
//! process.

use std::any::Any;

/// A row, or what rows say together, makes no sense. It is never taken for "not there".
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Corrupt {
    what: String,
}

impl Corrupt {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Corrupt { what: what.into() }
    }
}

/// The catalogue's file can't be used. In a running server every one of these is final.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What was read makes no sense.
    #[error("the catalogue is damaged")]
    Corrupt(#[from] Corrupt),
    /// The disk, or the database's own checks.
    #[error("the catalogue's file failed")]
    Database(#[source] redb::Error),
    /// A bug, or damage that the database did not foresee.
    #[error("the catalogue's database panicked: {0}")]
    Panicked(String),
    /// An earlier fault was final.
    #[error("the catalogue has stopped after an earlier fault")]
    Down,
}

impl StoreError {
    /// What is at the bottom of it, in one line.
    pub(super) fn what(&self) -> String {
        match self {
            StoreError::Corrupt(corrupt) => corrupt.to_string(),
            StoreError::Database(error) => error.to_string(),
            StoreError::Panicked(_) | StoreError::Down => self.to_string(),
        }
    }

    /// Whether the fault lies in what the file holds, not in reaching it.
    pub(super) fn is_corruption(&self) -> bool {
        match self {
            StoreError::Corrupt(_) | StoreError::Panicked(_) => true,
            StoreError::Database(error) => is_corruption(error),
            StoreError::Down => false,
        }
    }
}

/// Whether redb says that the file is wrong, not that it can't be reached. What it can't decode
/// shows in many forms; only these few are not the file's fault.
pub(super) fn is_corruption(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData
        ),
        redb::Error::Backend(_)
        | redb::Error::PreviousIo
        | redb::Error::DatabaseClosed
        | redb::Error::LockPoisoned(_)
        | redb::Error::DatabaseAlreadyOpen => false,
        _ => true,
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                StoreError::Database(error.into())
            }
        }
    )*};
}

from_redb!(
    StorageError,
    TableError,
    TransactionError,
    CommitError,
    DatabaseError,
    SetDurabilityError
);

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
