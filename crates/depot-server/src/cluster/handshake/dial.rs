//! The dialling end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use depot_protocol::ServerName;
use tokio::time::timeout;

use super::messages::{
    Hello, Introduction, MAGIC, NONCE, Opening, Verdict, decode, encode, split_proof,
};
use super::{Class, Hex, LIMIT, MESSAGE_MAX, Proven, VERSION};
use crate::cluster::conversation::LinkError;
use crate::cluster::identity::{ClusterId, Keys};
use crate::cluster::starts::{StartSeen, Starts};
use crate::cluster::wire::{Frame, Wire};
use crate::seams::{Entropy, Seams};

/// Who dials.
pub(in crate::cluster) enum Dialler<'a> {
    /// Whoever knows the secret, to command.
    Operator,
    /// A server of the cluster.
    Server { name: &'a ServerName, cluster: ClusterId, starts: &'a Starts, class: Class },
}

/// Connects to a server's peer port and shakes hands, within [`LIMIT`] in all.
///
/// # Errors
/// As [`dial`].
pub(in crate::cluster) async fn call(
    seams: &Seams,
    address: SocketAddr,
    dialler: &Dialler<'_>,
    expects: &ServerName,
    keys: &Keys,
) -> Result<(Wire, Proven), LinkError> {
    let calling = async {
        let connected = seams.network.connect(address).await;
        let mut wire = Wire::new(connected.map_err(LinkError::Unreachable)?);
        let proven = dial(&mut wire, dialler, expects, keys, &seams.entropy).await?;
        Ok((wire, proven))
    };
    timeout(LIMIT, calling).await.unwrap_or_else(|late| Err(LinkError::Unreachable(late.into())))
}

/// Proves this end to the one at the other end of the wire, and the reverse. How long it may take is
/// the caller's to bound, by [`LIMIT`].
///
/// # Errors
/// `NotProven`: the other end does not know the secret, or is none of ours. `Refused`: it does, and
/// says why it does not take us; or it is not the one whom we want. `Unreachable`: the connection.
pub(in crate::cluster) async fn dial(
    wire: &mut Wire,
    dialler: &Dialler<'_>,
    expects: &ServerName,
    keys: &Keys,
    entropy: &Arc<dyn Entropy>,
) -> Result<Proven, LinkError> {
    let hello = Hello { magic: MAGIC, version: VERSION, nonce: entropy.bytes::<NONCE>() };
    let hello = encode(&hello);
    wire.send(&[&hello], LIMIT).await.map_err(LinkError::Unreachable)?;
    let nonce = said(wire).await?;
    if nonce.len() != NONCE {
        return Err(LinkError::NotProven("it is no depot server's peer port".into()));
    }
    let opening = Opening { hello: &hello, nonce: &nonce };

    let introduction = dialler.introduction(expects);
    let message = encode(&introduction);
    let proof = keys.own().prove(&introduction.statement(&opening, &message));
    wire.send(&[&message, &proof], LIMIT).await.map_err(LinkError::Unreachable)?;

    let answer = match said(wire).await {
        Ok(answer) => answer,
        Err(LinkError::Unreachable(error)) if is_gone(&error) => {
            let why = "it did not take our proof: it has another secret, or is about to end";
            return Err(LinkError::NotProven(why.into()));
        }
        Err(error) => return Err(error),
    };
    let proven = split_proof(&answer).and_then(|(message, proof)| {
        let verdict: Verdict = decode(message)?;
        let statement = verdict.statement(&introduction, &opening, message);
        keys.own().verify(&statement, proof).then_some(verdict)
    });
    match proven {
        Some(verdict) => dialler.judge(verdict, expects).await,
        None => Err(LinkError::NotProven("it does not know the cluster's secret".into())),
    }
}

impl Dialler<'_> {
    fn introduction(&self, expects: &ServerName) -> Introduction {
        let expects_name = expects.as_str().to_owned();
        match self {
            Dialler::Operator => Introduction {
                role: Class::Operator as u8,
                cluster: ClusterId::default(),
                name: String::new(),
                start: StartSeen { incarnation: 0, start: 0, process: 0 },
                expects: expects_name,
                met: None,
            },
            Dialler::Server { name, cluster, starts, class } => Introduction {
                role: *class as u8,
                cluster: *cluster,
                name: name.as_str().to_owned(),
                start: starts.own(),
                expects: expects_name,
                met: starts.seen(expects),
            },
        }
    }

    /// What to make of an answer that is proven.
    async fn judge(&self, verdict: Verdict, expects: &ServerName) -> Result<Proven, LinkError> {
        let (Verdict::Welcome { met, name, .. } | Verdict::Refused { met, name, .. }) = &verdict;
        if let Dialler::Server { starts, .. } = self {
            starts.told_of_us(name, *met);
        }
        let (cluster, name, start, fingerprint) = match verdict {
            Verdict::Refused { why, .. } => return Err(LinkError::Refused(why)),
            Verdict::Welcome { cluster, name, start, fingerprint, .. } => {
                (cluster, name, start, fingerprint)
            }
        };
        if name != expects.as_str() {
            return Err(LinkError::Refused(format!("it is {name}, not {expects}")));
        }
        if let Dialler::Server { cluster: own, starts, .. } = self {
            if cluster != *own {
                let (theirs, own) = (Hex(&cluster), Hex(own));
                let why = format!("it belongs to cluster {theirs}, and we to cluster {own}");
                return Err(LinkError::Refused(why));
            }
            starts.meet(expects, start).await.map_err(|higher| {
                LinkError::Refused(format!(
                    "it tells of {start}, and {higher} was met: its disk was rolled back to an \
                     older image, or a second server runs under its name"
                ))
            })?;
        }
        let founded = cluster != ClusterId::default();
        let cluster = founded.then_some(cluster);
        Ok(Proven { name: expects.clone(), cluster, start, fingerprint })
    }
}

async fn said(wire: &mut Wire) -> Result<bytes::Bytes, LinkError> {
    match wire.receive(MESSAGE_MAX).await {
        Ok(Frame::Said(body)) => Ok(body),
        Ok(Frame::Refused(_)) => {
            Err(LinkError::NotProven("it refuses without having proven itself".into()))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(LinkError::NotProven(format!("it is no depot server's peer port: {error}")))
        }
        Err(error) => Err(LinkError::Unreachable(error)),
    }
}

/// The other end has closed.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}
