//! The taking end.

use std::io;
use std::sync::Arc;

use depot_protocol::ServerName;

use super::messages::{
    Hello, Introduction, MAGIC, NONCE, Opening, Verdict, decode, encode, split_proof,
};
use super::{Class, Hex, LIMIT, MESSAGE_MAX, VERSION};
use crate::cluster::conversation::Peer;
use crate::cluster::identity::{ClusterId, LinkIdentity};
use crate::cluster::members::Members;
use crate::cluster::starts::StartSeen;
use crate::cluster::wire::{Frame, Wire};
use crate::seams::Entropy;

/// Who takes.
pub(in crate::cluster) struct Taker<'a> {
    pub(in crate::cluster) members: &'a Members,
    pub(in crate::cluster) identity: &'a LinkIdentity,
    pub(in crate::cluster) entropy: &'a Arc<dyn Entropy>,
}

/// Who was taken, and what for.
#[derive(Debug)]
pub(in crate::cluster) struct Taken {
    pub(in crate::cluster) peer: Peer,
    pub(in crate::cluster) class: Class,
}

/// Nobody was taken.
#[derive(Debug)]
pub(in crate::cluster) enum NotTaken {
    /// The connection, before a proof.
    Broken(io::Error),
    /// What came is no handshake.
    Garbage,
    /// The proof is wrong; the cluster is the one that was named beside it.
    NotProven { cluster: ClusterId },
    /// The proof is right; the other end was told why it is refused nevertheless.
    Refused { name: String, cluster: ClusterId, why: String },
}

/// Has the other end prove itself, then proves this one. How long it may take is the caller's to
/// bound, by [`LIMIT`].
pub(in crate::cluster) async fn take(
    wire: &mut Wire,
    taker: &Taker<'_>,
) -> Result<Taken, NotTaken> {
    let hello_bytes = said(wire).await?;
    let hello: Hello = decode(&hello_bytes).ok_or(NotTaken::Garbage)?;
    if hello.magic != MAGIC {
        return Err(NotTaken::Garbage);
    }
    let nonce = taker.entropy.bytes::<NONCE>();
    wire.send(&[&nonce], LIMIT).await.map_err(NotTaken::Broken)?;
    let opening = Opening { hello: &hello_bytes, nonce: &nonce };

    let answer = said(wire).await?;
    let (message, proof) = split_proof(&answer).ok_or(NotTaken::Garbage)?;
    let introduction: Introduction = decode(message).ok_or(NotTaken::Garbage)?;
    let statement = introduction.statement(&opening, message);
    let keys = taker.identity.keys.as_ref();
    // The very key that the other end has: it may not have the newer one yet.
    let Some(key) = keys.and_then(|keys| keys.find(&statement, proof)) else {
        return Err(NotTaken::NotProven { cluster: introduction.cluster });
    };

    let judged = taker.judge(hello.version, &introduction).await;
    let verdict = taker.verdict(&judged, &introduction);
    let message = encode(&verdict);
    let proof = key.prove(&verdict.statement(&introduction, &opening, &message));
    wire.send(&[&message, &proof], LIMIT).await.map_err(NotTaken::Broken)?;
    judged.map_err(|why| {
        let Introduction { name, cluster, .. } = introduction;
        NotTaken::Refused { name, cluster, why }
    })
}

impl Taker<'_> {
    /// Whether one whose proof is right is taken, or why not.
    async fn judge(&self, version: u16, introduction: &Introduction) -> Result<Taken, String> {
        let Introduction { cluster, name, start, expects, met, .. } = introduction;
        let me = self.members.me();
        if version != VERSION {
            return Err(format!("it speaks version {version}, {me} speaks version {VERSION}"));
        }
        let class = introduction.class().ok_or("what it wants the connection for is unknown")?;
        if expects != me.as_str() {
            return Err(format!("it wants {expects}, and this is {me}"));
        }
        if class == Class::Operator {
            return Ok(Taken { peer: Peer { name: None, incarnation: 0 }, class });
        }
        let Some(own) = &self.identity.cluster else {
            return Err(format!("{me} waits to be founded or admitted"));
        };
        if own != cluster {
            let (theirs, own) = (Hex(cluster), Hex(own));
            return Err(format!("it belongs to cluster {theirs}, and {me} to cluster {own}"));
        }
        let known = ServerName::parse(name).ok().filter(|name| self.members.get(name).is_some());
        let Some(name) = known else {
            return Err(format!("{me} has no server {name:?} in its list"));
        };
        if name == *me {
            return Err(format!("it runs under this server's own name, {me}"));
        }
        let starts = &self.identity.starts;
        starts.told_of_us(name.as_str(), *met);
        starts.meet(&name, *start).await.map_err(|higher| {
            format!(
                "{me} has met {higher} of {name}, which tells of {start}: its disk was rolled back \
                 to an older image, or a second server runs under its name"
            )
        })?;
        let peer = Peer { name: Some(name), incarnation: start.incarnation };
        Ok(Taken { peer, class })
    }

    fn verdict(&self, judged: &Result<Taken, String>, introduction: &Introduction) -> Verdict {
        let LinkIdentity { starts, .. } = self.identity;
        let name = self.members.me().as_str().to_owned();
        let cluster = self.identity.cluster.unwrap_or_default();
        let met = self.met(introduction);
        match judged {
            Ok(_) => Verdict::Welcome {
                cluster,
                name,
                start: starts.own(),
                fingerprint: self.members.fingerprint(),
                met,
            },
            Err(why) => {
                let room = MESSAGE_MAX / 2;
                let why = why[..why.floor_char_boundary(room)].to_owned();
                Verdict::Refused { cluster, name, why, met }
            }
        }
    }

    /// The highest start met of the dialling end, if it is of this cluster: numbers of another
    /// cluster's servers are no matter of ours.
    fn met(&self, introduction: &Introduction) -> Option<StartSeen> {
        if self.identity.cluster != Some(introduction.cluster) {
            return None;
        }
        let name = ServerName::parse(&introduction.name).ok()?;
        self.identity.starts.seen(&name)
    }
}

async fn said(wire: &mut Wire) -> Result<bytes::Bytes, NotTaken> {
    match wire.receive(MESSAGE_MAX).await {
        Ok(Frame::Said(body)) => Ok(body),
        Ok(Frame::Refused(_)) => Err(NotTaken::Garbage),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(NotTaken::Garbage),
        Err(error) => Err(NotTaken::Broken(error)),
    }
}
