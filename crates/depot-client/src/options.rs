//! How a client talks to its servers.

use std::time::Duration;

use crate::Endpoint;

/// What [`Client::connect`](crate::Client::connect) is told. The [default](Options::default) names
/// no server and waits as the protocol expects it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The servers of one depot, the preferred first; the others are gone to in this order when it
    /// does not answer, and around again. At least one. One that takes no connection is gone to last
    /// for a minute.
    pub servers: Vec<Endpoint>,
    /// Whether each server that is come to is asked for the depot's other servers
    /// (`comando:estado`), which are then gone to as if they were named behind those above. They are
    /// sent the client's id, as the server that names them has it already. Not where the servers are
    /// only reached by a way that they do not know themselves, such as a tunnel.
    pub learn: bool,
    /// How long a server may take to be found, to take a connection and to answer the greeting.
    pub connect_timeout: Duration,
    /// How long a server may take nothing and send nothing while something is under way. A deposit
    /// is answered up to 60 s after its last byte, so less than that gives good deposits up.
    pub silence_timeout: Duration,
    /// How often something is tried again after a failure that may pass. Counted anew whenever a
    /// try got on by at least 1 MiB, or by at least one small file.
    pub retries: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            servers: Vec::new(),
            learn: true,
            connect_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(75),
            retries: 5,
        }
    }
}
