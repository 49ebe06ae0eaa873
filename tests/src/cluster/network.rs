//! The network between the servers, where a test wants to break it: each server reaches each other
//! one through a proxy of this process, which passes on what it is let to. What is cut is lost to
//! nobody: it waits, as a TCP connection keeps what it could not send, and comes through once the
//! way is open again, unless somebody has given the connection up.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// The most that is read at once; as many pieces as [`IN_FLIGHT`] are on their way at most.
const PIECE: usize = 16 << 10;
const IN_FLIGHT: usize = 16;
/// How often a slow way passes something on.
const TICK: Duration = Duration::from_millis(100);

/// How the bytes of one server come to another.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    cut: bool,
    delay: Duration,
    bytes_per_second: Option<usize>,
}

/// All proxies; they end with it.
#[derive(Debug)]
pub(super) struct Network {
    runtime: Option<Runtime>,
    /// By who sends and who receives, whoever dialled.
    ways: Vec<Vec<watch::Sender<Way>>>,
    /// By who dials and who is dialled.
    proxies: Vec<Vec<SocketAddr>>,
}

impl Network {
    /// A proxy from each to each other of the servers that take their peers at these addresses.
    pub(super) fn between(servers: &[SocketAddr]) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime for the proxies");
        let size = 0..servers.len();
        let way = |_| watch::Sender::new(Way::default());
        let ways = size.clone().map(|_| size.clone().map(way).collect()).collect::<Vec<Vec<_>>>();
        let proxy = |from: usize, to: usize| {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
            let address = listener.local_addr().expect("its address");
            let (there, back) = (ways[from][to].subscribe(), ways[to][from].subscribe());
            runtime.spawn(accept(listener, servers[to], there, back));
            address
        };
        let row = |from: usize| size.clone().map(|to| proxy(from, to)).collect();
        let proxies = size.clone().map(row).collect();
        Self { ways, proxies, runtime: Some(runtime) }
    }

    /// Where `from` dials to reach `to`.
    pub(super) fn proxy(&self, from: usize, to: usize) -> SocketAddr {
        self.proxies[from][to]
    }

    /// Nothing that `from` sends comes to `to` any more, whoever dialled.
    pub(super) fn cut(&self, from: usize, to: usize) {
        self.ways[from][to].send_modify(|way| way.cut = true);
    }

    /// What `from` sends comes to `to` so much later.
    pub(super) fn delay(&self, from: usize, to: usize, delay: Duration) {
        self.ways[from][to].send_modify(|way| way.delay = delay);
    }

    /// Of what `from` sends only so much comes to `to`.
    pub(super) fn slow(&self, from: usize, to: usize, bytes_per_second: usize) {
        self.ways[from][to].send_modify(|way| way.bytes_per_second = Some(bytes_per_second));
    }

    /// All ways are as they were in the beginning.
    pub(super) fn heal(&self) {
        for way in self.ways.iter().flatten() {
            way.send_replace(Way::default());
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

type Control = watch::Receiver<Way>;

async fn accept(listener: TcpListener, server: SocketAddr, there: Control, back: Control) {
    while let Ok((dialler, _)) = listener.accept().await {
        tokio::spawn(connect(dialler, server, there.clone(), back.clone()));
    }
}

/// The handshake of a connection needs both ways; a server that is not there is told by an end.
async fn connect(dialler: TcpStream, server: SocketAddr, there: Control, back: Control) {
    let ways = tokio::try_join!(open(there.clone()), open(back.clone()));
    let (Ok(_), Ok(server)) = (ways, TcpStream::connect(server).await) else { return };
    let _ = (dialler.set_nodelay(true), server.set_nodelay(true));
    let ((from, to), (server_from, server_to)) = (dialler.into_split(), server.into_split());
    // Where one way breaks, the connection is broken; where it ends, the other may go on.
    let _ = tokio::try_join!(pass(from, server_to, there), pass(server_from, to, back));
}

/// Waits until the way is not cut; an error when the test is over.
async fn open(mut way: Control) -> io::Result<Way> {
    way.wait_for(|way| !way.cut).await.map(|way| *way).map_err(io::Error::other)
}

/// A piece, and when it may come through at the earliest.
type Piece = (Instant, Vec<u8>);

async fn pass(from: OwnedReadHalf, to: OwnedWriteHalf, way: Control) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    tokio::try_join!(read(from, sender, way.clone()), write(to, receiver, way)).map(drop)
}

async fn read(
    mut from: OwnedReadHalf,
    pieces: mpsc::Sender<Piece>,
    way: Control,
) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE];
        let size = from.read(&mut piece).await?;
        if size == 0 {
            return Ok(());
        }
        piece.truncate(size);
        let due = Instant::now() + way.borrow().delay;
        pieces.send((due, piece)).await.map_err(io::Error::other)?;
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut pieces: mpsc::Receiver<Piece>,
    way: Control,
) -> io::Result<()> {
    while let Some((due, piece)) = pieces.recv().await {
        sleep_until(due).await;
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let now = open(way.clone()).await?;
            let most = now.bytes_per_second.map_or(rest.len(), |rate| (rate / 10).max(1));
            let (next, later) = rest.split_at(most.min(rest.len()));
            to.write_all(next).await?;
            rest = later;
            if now.bytes_per_second.is_some() {
                sleep(TICK).await;
            }
        }
    }
    open(way).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Two ends of a connection from server 0 to server 1.
    fn connected() -> (Network, TcpStream, TcpStream) {
        let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let network = Network::between(&addresses);
        let dialler = TcpStream::connect(network.proxy(0, 1)).unwrap();
        let (server, _) = listeners[1].accept().unwrap();
        (network, dialler, server)
    }

    fn silent(stream: &mut TcpStream) {
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(None).unwrap();
    }

    fn comes(stream: &mut TcpStream, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, bytes);
    }

    #[test]
    fn what_is_cut_one_way_comes_once_healed_and_the_other_way_goes_on() {
        let (network, mut dialler, mut server) = connected();
        network.cut(0, 1);
        dialler.write_all(b"there").unwrap();
        server.write_all(b"back").unwrap();
        comes(&mut dialler, b"back");
        silent(&mut server);
        network.heal();
        comes(&mut server, b"there");
    }

    #[test]
    fn an_end_is_passed_on_and_not_while_the_way_is_cut() {
        let (network, dialler, mut server) = connected();
        network.cut(0, 1);
        drop(dialler);
        silent(&mut server);
        network.heal();
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_delay_delays_and_a_rate_limits() {
        let (network, mut dialler, mut server) = connected();
        let begun = std::time::Instant::now();
        network.delay(0, 1, Duration::from_millis(100));
        dialler.write_all(b"late").unwrap();
        comes(&mut server, b"late");
        assert!(begun.elapsed() >= Duration::from_millis(100));
        network.heal();
        network.slow(0, 1, 1000);
        let begun = std::time::Instant::now();
        dialler.write_all(&[7; 500]).unwrap();
        comes(&mut server, &[7; 500]);
        assert!(begun.elapsed() >= Duration::from_millis(400));
    }
}
