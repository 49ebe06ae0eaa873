//! Sockets within the process: bounded pipes, with whatever peer addresses a test likes.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use depot_server::seams::Network;
use depot_server::seams::network::{Listener, Stream};
use nix::errno::Errno;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Connections that may wait to be accepted; further ones wait to be made.
const BACKLOG: usize = 128;

/// Where port 0 starts to look for a free port.
const FIRST_EPHEMERAL_PORT: u16 = 49_152;

/// Where a connection comes from that a server makes.
const WITHIN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 40_001);

/// A network of one machine. Clones are the same network.
#[derive(Debug, Clone)]
pub struct MemoryNetwork {
    /// Bytes that a connection holds each way before its writer must wait.
    buffer: usize,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    listeners: Mutex<BTreeMap<SocketAddr, mpsc::Sender<Incoming>>>,
    failing_accepts: AtomicUsize,
}

type Incoming = (DuplexStream, SocketAddr);

impl MemoryNetwork {
    /// A network whose connections hold `buffer` bytes each way before a writer must wait.
    pub fn new(buffer: usize) -> Self {
        MemoryNetwork { buffer, shared: Arc::default() }
    }

    /// Connects to the listener at `to`, to whom it comes from `from`. Refused where none listens.
    pub async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<DuplexStream> {
        let listener = self.shared.listeners().get(&to).cloned();
        let listener = listener.ok_or(Errno::ECONNREFUSED)?;
        let (near, far) = tokio::io::duplex(self.buffer);
        listener.send((far, from)).await.map_err(|_| Errno::ECONNREFUSED)?;
        Ok(near)
    }

    /// Lets the next `count` accepts fail for want of descriptors (EMFILE). The connections stay in
    /// line.
    pub fn fail_accepts(&self, count: usize) {
        self.shared.failing_accepts.store(count, Ordering::SeqCst);
    }
}

impl Shared {
    fn listeners(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, mpsc::Sender<Incoming>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept_fails(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.failing_accepts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }
}

#[async_trait]
impl Network for MemoryNetwork {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(MemoryNetwork::connect(self, WITHIN, address).await?))
    }

    async fn bind(&self, mut address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let mut listeners = self.shared.listeners();
        // A listener that is gone leaves its sender behind, closed: its address is free.
        listeners.retain(|_, listener| !listener.is_closed());
        if address.port() == 0 {
            let free = (FIRST_EPHEMERAL_PORT..=u16::MAX)
                .find(|port| !listeners.contains_key(&SocketAddr::new(address.ip(), *port)));
            address.set_port(free.ok_or(Errno::EADDRINUSE)?);
        } else if listeners.contains_key(&address) {
            return Err(Errno::EADDRINUSE.into());
        }
        let (sender, incoming) = mpsc::channel(BACKLOG);
        listeners.insert(address, sender);
        Ok(Box::new(MemoryListener { address, incoming, shared: Arc::clone(&self.shared) }))
    }
}

#[derive(Debug)]
struct MemoryListener {
    address: SocketAddr,
    incoming: mpsc::Receiver<Incoming>,
    shared: Arc<Shared>,
}

#[async_trait]
impl Listener for MemoryListener {
    async fn accept(&mut self) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        if self.shared.accept_fails() {
            return Err(Errno::EMFILE.into());
        }
        match self.incoming.recv().await {
            Some((stream, from)) => Ok((Box::new(stream), from)),
            // Only where another listener took over this address, which `bind` refuses.
            None => Err(Errno::EINVAL.into()),
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
