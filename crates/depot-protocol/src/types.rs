//! The values of the wire. Each has private fields and one way in, so that a value which exists
//! keeps its rule.

mod client_id;
mod digest;
mod file_name;
mod numbers;
mod server_name;
mod time;

pub use client_id::ClientId;
pub use digest::{Announced, Digest};
pub use file_name::{FileName, ListCursor};
pub use numbers::{FileSize, ListLimit, ReplicaCount};
pub use server_name::ServerName;
pub use time::UtcSeconds;

pub(crate) use numbers::{parse_bit, parse_offset, parse_u8, parse_up_to};

/// Why a text is not the value that it was taken for: what would have been one. It repeats nothing
/// of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FieldFault(pub(crate) &'static str);
