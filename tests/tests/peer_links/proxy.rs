//! What stands between the others and one server: it counts the connections, and can stand still,
//! cut them, or say something itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use depot_server::seams::Network;
use depot_server::seams::network::Stream;
use depot_server::tasks::Tasks;
use depot_tests::twins::network::MemoryNetwork;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::watch;

use crate::site::{address, behind};

/// What the proxy does with all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    PassingOn,
    StandingStill,
}

#[derive(Clone)]
pub(crate) struct Proxy {
    doing: watch::Sender<Doing>,
    /// Counts the cuts.
    cuts: watch::Sender<usize>,
    /// What is to be said to the server on every connection, now.
    said: watch::Sender<Vec<u8>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    bytes: AtomicUsize,
    open: AtomicUsize,
}

impl Proxy {
    /// In front of a server, which listens [`behind`] its address.
    pub(crate) async fn start(network: &MemoryNetwork, name: &str, tasks: &Tasks) -> Proxy {
        let proxy = Proxy {
            doing: watch::Sender::new(Doing::PassingOn),
            cuts: watch::Sender::new(0),
            said: watch::Sender::new(Vec::new()),
            counts: Arc::default(),
        };
        let mut listener = network.bind(address(name)).await.unwrap();
        let (running, network, back) = (proxy.clone(), network.clone(), behind(name));
        let spawning = tasks.clone();
        let accepting = async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let Ok(far) = Network::connect(&network, back).await else { continue };
                spawning.spawn(running.clone().pass(near, far));
            }
        };
        let stopping = tasks.stopping().clone();
        tasks.spawn(async move {
            stopping.run_until_cancelled(accepting).await;
        });
        proxy
    }

    pub(crate) fn stand_still(&self) {
        self.doing.send_replace(Doing::StandingStill);
    }

    pub(crate) fn pass_on(&self) {
        self.doing.send_replace(Doing::PassingOn);
    }

    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    pub(crate) fn say(&self, bytes: &[u8]) {
        self.said.send_replace(bytes.to_vec());
    }

    /// How many connections there were.
    pub(crate) fn made(&self) -> usize {
        self.counts.made.load(Ordering::SeqCst)
    }

    /// How many bytes it has passed on.
    pub(crate) fn said_in_all(&self) -> usize {
        self.counts.bytes.load(Ordering::SeqCst)
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    async fn pass(self, near: Box<dyn Stream>, far: Box<dyn Stream>) {
        self.counts.made.fetch_add(1, Ordering::SeqCst);
        self.counts.open.fetch_add(1, Ordering::SeqCst);
        let ((near_in, near_out), (far_in, far_out)) = (split(near), split(far));
        let mut cuts = self.cuts.subscribe();
        tokio::select! {
            biased;
            _ = cuts.changed() => {}
            () = self.pump(near_in, far_out, Some(self.said.subscribe())) => {}
            () = self.pump(far_in, near_out, None) => {}
        }
        self.counts.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// One direction, until its end.
    async fn pump(
        &self,
        mut from: ReadHalf<Box<dyn Stream>>,
        mut to: WriteHalf<Box<dyn Stream>>,
        mut said: Option<watch::Receiver<Vec<u8>>>,
    ) {
        let mut doing = self.doing.subscribe();
        let mut buf = vec![0; 64 << 10];
        loop {
            let told = async {
                match &mut said {
                    Some(said) => said.changed().await.unwrap(),
                    None => std::future::pending().await,
                }
            };
            let bytes = tokio::select! {
                biased;
                () = told => said.as_mut().unwrap().borrow_and_update().clone(),
                read = from.read(&mut buf) => match read {
                    Ok(1..) => buf[..read.unwrap()].to_vec(),
                    _ => return,
                },
            };
            doing.wait_for(|doing| *doing == Doing::PassingOn).await.unwrap();
            self.counts.bytes.fetch_add(bytes.len(), Ordering::SeqCst);
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}
