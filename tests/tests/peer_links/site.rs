//! Servers that are nothing but links: a door with an echo behind it, and connections to the others.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use depot_protocol::ServerName;
use depot_server::cluster::members::{Member, Members};
use depot_server::cluster::{
    Conversation, Door, KeepStarts, Keys, LinkError, LinkIdentity, Links, Peer, PeerState, Serve,
    Service, StartSeen, Starts, listen,
};
use depot_server::config::Settings;
use depot_server::seams::Network;
use depot_server::seams::network::Tcp;
use depot_server::tasks::Tasks;
use depot_tests::free_address;
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::network::MemoryNetwork;
use depot_tests::twins::seams;
use tokio_util::sync::CancellationToken;

use crate::proxy::Proxy;

pub(crate) const SECRET: &[u8] = b"the secret of this cluster, 32 b";
pub(crate) const SECOND: Duration = Duration::from_secs(1);

type Places = BTreeMap<&'static str, SocketAddr>;

/// Who is in the cluster, and over what they talk.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) network: MemoryNetwork,
    pub(crate) names: Vec<&'static str>,
    /// Those that have a proxy before them.
    proxied: Vec<&'static str>,
    /// Another network that they talk over, and where they are in it.
    other: Option<(Arc<dyn Network>, Places)>,
}

impl Site {
    pub(crate) fn of(names: &[&'static str]) -> Self {
        Site {
            network: MemoryNetwork::new(64 << 10),
            names: names.to_vec(),
            proxied: Vec::new(),
            other: None,
        }
    }

    /// Puts a proxy before a server that is yet to be started.
    pub(crate) async fn proxy(&mut self, server: &'static str) -> Proxy {
        self.proxied.push(server);
        Proxy::start(&self.network, server, &Tasks::default()).await
    }

    /// Over real sockets.
    pub(crate) fn over_tcp(names: &[&'static str]) -> Self {
        Site::over(Arc::new(Tcp), names, names.iter().map(|_| free_address()))
    }

    /// Over a network in which they are there.
    pub(crate) fn over(
        network: Arc<dyn Network>,
        names: &[&'static str],
        at: impl Iterator<Item = SocketAddr>,
    ) -> Self {
        let at = names.iter().copied().zip(at).collect();
        Site { other: Some((network, at)), ..Site::of(names) }
    }

    fn address(&self, name: &str) -> SocketAddr {
        self.other.as_ref().map_or_else(|| address(name), |(_, at)| at[name])
    }

    /// The list, as this server has it.
    pub(crate) fn members(&self, me: &str) -> Arc<Members> {
        let mut settings = Settings::alone(0, "/".into());
        let alone = settings.members.remove(0);
        settings.server = name(me);
        settings.members = self
            .names
            .iter()
            .map(|name| Member {
                name: ServerName::parse(name).expect("a name"),
                peer: Some(self.address(name)),
                ..alone.clone()
            })
            .collect();
        Arc::new(Members::of(&settings))
    }

    /// How a server is to be started.
    pub(crate) fn server(&self, me: &'static str) -> Plan {
        Plan {
            site: self.clone(),
            me,
            cluster: Some([7; 16]),
            incarnation: 1,
            start: 1,
            process: 1,
            keys: Some(Keys::new(SECRET, [])),
            kept: Arc::default(),
            services: vec![Service::Catalogue, Service::Transfer, Service::Operator],
            elsewhere: false,
        }
    }
}

/// A server that is to be started.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) site: Site,
    pub(crate) me: &'static str,
    pub(crate) cluster: Option<[u8; 16]>,
    pub(crate) incarnation: u64,
    pub(crate) start: u64,
    /// Which process it is.
    pub(crate) process: u32,
    pub(crate) keys: Option<Keys>,
    pub(crate) kept: Arc<Kept>,
    pub(crate) services: Vec<Service>,
    /// It listens where nobody looks for it.
    pub(crate) elsewhere: bool,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) links: Arc<Links>,
    pub(crate) door: Arc<Door>,
    pub(crate) starts: Arc<Starts>,
    pub(crate) start: Arc<AtomicU64>,
    pub(crate) echo: Arc<Echo>,
    pub(crate) tasks: Tasks,
}

impl Plan {
    pub(crate) async fn run(self) -> Server {
        let network = match &self.site.other {
            None => Arc::new(self.site.network.clone()) as Arc<dyn Network>,
            Some((network, _)) => Arc::clone(network),
        };
        let clock = Arc::new(TokioClock::start());
        let seed = self.start * 1000 + u64::from(self.me.as_bytes()[0]);
        let (seams, _) = seams(clock, Arc::clone(&network), seed);
        let start = Arc::new(AtomicU64::new(self.start));
        let (own, blocking) = (Arc::clone(&start), seams.blocking.clone());
        let starts = Starts::load(self.incarnation, own, self.process, self.kept, blocking);
        let starts = Arc::new(starts.expect("nothing fails to be read"));
        let identity = LinkIdentity {
            cluster: self.cluster,
            keys: self.keys,
            starts: Arc::clone(&starts),
            free: Arc::new(|| 42),
        };
        let (members, tasks) = (self.site.members(self.me), Tasks::default());
        let door = Door::new(Arc::clone(&members), identity.clone(), &seams);
        let echo = Arc::new(Echo::default());
        for service in self.services {
            door.set_service(service, Arc::clone(&echo) as Arc<dyn Serve>);
        }
        let proxied = self.elsewhere || self.site.proxied.contains(&self.me);
        let at = if proxied { behind(self.me) } else { self.site.address(self.me) };
        let listener = network.bind(at).await.expect("its address is free");
        tasks.spawn(listen(listener, Arc::clone(&door), tasks.clone()));
        let links = Links::new(members, identity, &seams, &tasks);
        Server { links, door, starts, start, echo, tasks }
    }
}

impl Server {
    /// Waits until what is asked for of another server's state holds.
    pub(crate) async fn until(&self, what: impl Fn(&Links) -> bool) {
        let mut changes = self.links.changes();
        let changing = changes.wait_for(|_| what(&self.links));
        let waited = tokio::time::timeout(60 * SECOND, changing).await;
        drop(waited.expect("in a minute").expect("it runs"));
    }

    pub(crate) async fn until_up(&self, peer: &str) {
        self.until(|links| links.is_up(&name(peer))).await;
    }

    pub(crate) fn state(&self, peer: &str) -> PeerState {
        self.links.states().into_iter().find(|state| state.name == name(peer)).expect("it has one")
    }

    pub(crate) async fn ask(&self, peer: &str, question: &[u8]) -> Result<Bytes, LinkError> {
        self.links.ask(&name(peer), Service::Catalogue, &[question], SECOND).await
    }

    /// As a power cut does.
    pub(crate) async fn cut(self) {
        let hurry = CancellationToken::new();
        hurry.cancel();
        self.tasks.stop(Duration::ZERO, &hurry).await;
    }
}

/// Answers what it was asked, and by whom. "wait": waits for a frame more, for a minute.
#[derive(Default)]
pub(crate) struct Echo {
    open: AtomicUsize,
    served: AtomicUsize,
}

impl Echo {
    /// How many conversations it is in.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// How many began.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Serve for Echo {
    async fn serve(
        &self,
        peer: &Peer,
        first: Bytes,
        conversation: &mut Conversation,
    ) -> Result<(), LinkError> {
        self.served.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        let served = async {
            if first == "wait" {
                conversation.receive(60 * SECOND).await?;
            }
            let who = peer.name.as_ref().map_or("operator", |name| name.as_str());
            conversation.send(&[who.as_bytes(), b": ", &first]).await
        };
        let served = served.await;
        self.open.fetch_sub(1, Ordering::SeqCst);
        served
    }
}

/// Keeps starts in memory.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) Mutex<Vec<(ServerName, StartSeen)>>);

impl KeepStarts for Kept {
    fn load(&self) -> std::io::Result<Vec<(ServerName, StartSeen)>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn store(&self, server: &ServerName, seen: StartSeen) -> std::io::Result<()> {
        let mut kept = self.0.lock().unwrap();
        kept.retain(|(name, _)| name != server);
        kept.push((server.clone(), seen));
        Ok(())
    }
}

pub(crate) fn name(text: &str) -> ServerName {
    ServerName::parse(text).expect("a name")
}

/// Where a server is: its first letter tells.
pub(crate) fn address(name: &str) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7000 + u16::from(name.as_bytes()[0])))
}

/// Where it listens that has a proxy before it.
pub(crate) fn behind(name: &str) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8000 + u16::from(name.as_bytes()[0])))
}
