//! A network within the process, which loses what it is told to lose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use depot_protocol::ServerName;
use depot_server::catalogue::RaftCatalogue;
use depot_server::catalogue::peers::{PeerError, Peers, Talk};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a frame is under way.
const DELAY: Duration = Duration::from_millis(1);

/// How long one that is late.
const LATE: Duration = Duration::from_millis(200);
/// No heartbeat is longer, in bytes.
const HEARTBEAT: usize = 80;

type Way = (ServerName, ServerName);

/// The network of all servers of a test. Clones are the same network.
#[derive(Clone, Default)]
pub(crate) struct Net {
    state: Arc<Mutex<State>>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    servers: BTreeMap<ServerName, (Arc<RaftCatalogue>, CancellationToken)>,
    cut: BTreeSet<Way>,
    answers_lost: BTreeSet<Way>,
    slow: bool,
    asked: u64,
}

impl Net {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on this server is heard, until it is `dead`: then nothing that it still says or does
    /// reaches anybody.
    pub(crate) fn join(
        &self,
        server: &ServerName,
        catalogue: &Arc<RaftCatalogue>,
        dead: &CancellationToken,
    ) {
        self.state().servers.insert(server.clone(), (Arc::clone(catalogue), dead.clone()));
    }

    pub(crate) fn leave(&self, server: &ServerName) {
        self.state().servers.remove(server);
    }

    /// Nothing goes between these two groups, either way, until it is healed.
    pub(crate) fn part(&self, some: &[&ServerName], others: &[&ServerName]) {
        let mut state = self.state();
        for one in some {
            for other in others {
                state.cut.insert(((*one).clone(), (*other).clone()));
                state.cut.insert(((*other).clone(), (*one).clone()));
            }
        }
    }

    /// What the one asks, the other hears, and the answer is lost.
    pub(crate) fn lose_answers(&self, from: &ServerName, to: &ServerName) {
        self.state().answers_lost.insert((from.clone(), to.clone()));
    }

    /// From now on whatever carries more than a heartbeat is late, though not too late.
    pub(crate) fn slow_but_for_heartbeats(&self) {
        self.state().slow = true;
    }

    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.cut.clear();
        state.answers_lost.clear();
    }

    /// How often anybody was asked anything.
    pub(crate) fn asked(&self) -> u64 {
        self.state().asked
    }

    /// One server's way to the others.
    pub(crate) fn of(&self, server: &ServerName, dead: &CancellationToken) -> Arc<dyn Peers> {
        Arc::new(From { server: server.clone(), net: self.clone(), dead: dead.clone() })
    }
}

struct From {
    server: ServerName,
    net: Net,
    dead: CancellationToken,
}

impl From {
    async fn reach(
        &self,
        to: &ServerName,
    ) -> Result<(Arc<RaftCatalogue>, CancellationToken), PeerError> {
        sleep(DELAY).await;
        if self.dead.is_cancelled() {
            return Err(PeerError::unsent("this server is dead"));
        }
        let mut state = self.net.state();
        state.asked += 1;
        if state.cut.contains(&(self.server.clone(), to.clone())) {
            return Err(PeerError::unsent("the network is cut"));
        }
        state.servers.get(to).cloned().ok_or_else(|| PeerError::unsent("it is down"))
    }

    fn loses_answers(&self, to: &ServerName) -> bool {
        let way = (self.server.clone(), to.clone());
        let state = self.net.state();
        state.answers_lost.contains(&way) || state.cut.contains(&way)
    }
}

#[async_trait]
impl Peers for From {
    async fn ask(
        &self,
        peer: &ServerName,
        question: &[u8],
        within: Duration,
    ) -> Result<Bytes, PeerError> {
        let mut talk = self.open(peer, question, within).await?;
        let answer = talk.receive(within).await?;
        sleep(DELAY).await;
        if self.loses_answers(peer) {
            sleep(within).await;
            return Err(PeerError::broken("the answer was lost"));
        }
        Ok(answer)
    }

    async fn open(
        &self,
        peer: &ServerName,
        first: &[u8],
        _within: Duration,
    ) -> Result<Box<dyn Talk>, PeerError> {
        let slow = self.net.state().slow && first.len() > HEARTBEAT;
        if slow {
            sleep(LATE).await;
        }
        let (catalogue, dead) = self.reach(peer).await?;
        let (near, mut far) = pipe([self.dead.clone(), dead]);
        let first = Bytes::copy_from_slice(first);
        let answer = async move { drop(catalogue.answer(first, &mut far).await) };
        drop(self.net.tasks.spawn(answer));
        Ok(Box::new(near))
    }
}

struct End {
    to: mpsc::Sender<Bytes>,
    from: mpsc::Receiver<Bytes>,
    /// The two servers.
    dead: [CancellationToken; 2],
}

fn pipe(dead: [CancellationToken; 2]) -> (End, End) {
    let ((a, b), (c, d)) = (mpsc::channel(4), mpsc::channel(4));
    (End { to: a, from: d, dead: dead.clone() }, End { to: c, from: b, dead })
}

impl End {
    fn whole<T>(&self, said: T) -> Result<T, PeerError> {
        match self.dead.iter().any(CancellationToken::is_cancelled) {
            true => Err(PeerError::broken("one of the two is dead")),
            false => Ok(said),
        }
    }
}

#[async_trait]
impl Talk for End {
    async fn send(&mut self, frame: &[u8]) -> Result<(), PeerError> {
        self.whole(())?;
        let sent = self.to.send(Bytes::copy_from_slice(frame)).await;
        sent.map_err(|_| PeerError::broken("nobody listens"))
    }

    async fn receive(&mut self, within: Duration) -> Result<Bytes, PeerError> {
        match timeout(within, self.from.recv()).await {
            Ok(Some(frame)) => self.whole(frame),
            Ok(None) => Err(PeerError::broken("the other end is gone")),
            Err(_) => Err(PeerError::broken("no answer in time")),
        }
    }

    fn finish(self: Box<Self>) {}
}
