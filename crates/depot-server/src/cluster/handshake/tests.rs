//! Both ends over a pipe, and one end against somebody who lies.

mod attacks;
mod judging;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use depot_protocol::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::dial::dial;
use super::*;
use crate::cluster::conversation::LinkError;
use crate::cluster::identity::{Keys, LinkIdentity};
use crate::cluster::members::{Member, Members};
use crate::cluster::starts::{KeepStarts, StartSeen, Starts};
use crate::cluster::wire::Wire;
use crate::config::Settings;
use crate::seams::{Blocking, Entropy};

const OURS: ClusterId = [7; 16];
const SECRET: &[u8] = b"the secret of this cluster, 32 b";
const OTHER_SECRET: &[u8] = b"the secret of another, 32 bytes.";

/// A server that dials or is dialled.
struct End {
    members: Members,
    identity: LinkIdentity,
    class: Class,
    entropy: Arc<dyn Entropy>,
}

/// Server `me` of a cluster of `a`, `b` and `c`.
fn end(me: &str) -> End {
    let mut settings = Settings::alone(0, "/".into());
    let alone = settings.members.remove(0);
    settings.server = name(me);
    settings.members =
        ["a", "b", "c"].map(|each| Member { name: name(each), ..alone.clone() }).to_vec();
    End {
        members: Members::of(&settings),
        identity: LinkIdentity {
            cluster: Some(OURS),
            keys: Some(Keys::new(SECRET, [])),
            starts: starts(1, 5),
            free: Arc::new(|| 0),
        },
        class: Class::Catalogue,
        // The two ends draw other numbers.
        entropy: Arc::new(Counting(AtomicU8::new(me.as_bytes()[0]))),
    }
}

fn starts(incarnation: u64, start: u64) -> Arc<Starts> {
    let start = Arc::new(AtomicU64::new(start));
    Arc::new(Starts::load(incarnation, start, 7, Arc::new(Nowhere), Arc::new(Inline)).unwrap())
}

fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

impl End {
    fn with(mut self, change: impl FnOnce(&mut End)) -> Self {
        change(&mut self);
        self
    }

    async fn take(&self, stream: DuplexStream) -> Result<Taken, NotTaken> {
        let Self { members, identity, entropy, .. } = self;
        take(&mut Wire::new(Box::new(stream)), &Taker { members, identity, entropy }).await
    }

    async fn dial(&self, stream: DuplexStream, expects: &str) -> Result<Proven, LinkError> {
        let LinkIdentity { cluster, keys, starts, .. } = &self.identity;
        let (name, class) = (self.members.me(), self.class);
        let dialler = match class {
            Class::Operator => Dialler::Operator,
            _ => Dialler::Server { name, cluster: cluster.unwrap_or_default(), starts, class },
        };
        let keys = keys.as_ref().unwrap();
        let mut wire = Wire::new(Box::new(stream));
        dial(&mut wire, &dialler, &self::name(expects), keys, &self.entropy).await
    }
}

/// What comes of one end dialling the other, whom it takes for `expects`.
async fn meet(
    dialler: &End,
    taker: &End,
    expects: &str,
) -> (Result<Proven, LinkError>, Result<Taken, NotTaken>) {
    let (near, far) = duplex(1024);
    tokio::join!(dialler.dial(near, expects), taker.take(far))
}

/// Frames by hand.
async fn send(stream: &mut DuplexStream, body: &[u8]) {
    stream.write_all(&(body.len() as u32).to_le_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
}

async fn receive(stream: &mut DuplexStream) -> Vec<u8> {
    let length = stream.read_u32_le().await.unwrap();
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await.unwrap();
    body
}

#[derive(Debug)]
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

#[derive(Debug)]
struct Inline;

impl Blocking for Inline {
    fn start(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// Keeps nothing.
struct Nowhere;

impl KeepStarts for Nowhere {
    fn load(&self) -> io::Result<Vec<(ServerName, StartSeen)>> {
        Ok(Vec::new())
    }

    fn store(&self, _: &ServerName, _: StartSeen) -> io::Result<()> {
        Ok(())
    }
}
