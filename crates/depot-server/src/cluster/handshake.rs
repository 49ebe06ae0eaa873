//! How two ends prove to each other that they know the cluster's secret, and then tell who they are.
//!
//! ```text
//! dialling end                                      taking end
//! hello: magic, version, nonce          ->
//!                                       <-          nonce, and nothing else
//! introduction: role, cluster, name, start,
//!   whom it expects, the highest start
//!   met of that one; proof              ->
//!                                       <-          welcome: name, cluster, start, fingerprint of
//!                                                   its list, highest start met of the dialler;
//!                                                   or a refusal: why, and that start; proof
//! ```
//!
//! A proof is an HMAC-SHA-256 over a label of the message, the role, the cluster, who proves to
//! whom, all of the hello, the nonce, and the message itself. So a proof fits one direction of one
//! handshake and one message: it can't be sent back, replayed, or used to carry other claims. The
//! taking end tells nothing before it has seen a good proof, and the dialling end believes nothing,
//! a refusal included, before it has. Who passes messages on between two servers unchanged is not
//! noticed: that is TLS's to prevent, which is why addresses off loopback want `insecure = true`.
//!
//! No message is longer than [`MESSAGE_MAX`]; the whole lasts at most [`LIMIT`]. These messages stay
//! as they are in every version: the version is about what follows, and is told only in a refusal
//! that is proven.

mod dial;
mod messages;
mod take;

use std::fmt;
use std::time::Duration;

use super::identity::ClusterId;

pub use messages::{Class, Fingerprint, Proven, VERSION};

pub(super) use dial::{Dialler, call};
pub(super) use take::{NotTaken, Taken, Taker, take};

/// How long a handshake may last.
pub const LIMIT: Duration = Duration::from_secs(5);

/// The longest message of a handshake.
pub const MESSAGE_MAX: usize = 512;

/// A cluster's id, as it is shown.
pub(super) struct Hex<'a>(pub(super) &'a ClusterId);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests;
