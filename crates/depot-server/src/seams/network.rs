//! Sockets: places to listen, connections to others, and streams of bytes.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// One connection, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens places to listen, and connections to others.
#[async_trait]
pub trait Network: Send + Sync {
    /// Connects to whoever listens on `address`. How long that may take is the caller's to bound.
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>>;

    /// Listens on `address`; port 0 takes any free port.
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>>;
}

/// A place that connections come in at.
#[async_trait]
pub trait Listener: Send {
    /// The next connection and who made it. Cancelling loses none.
    async fn accept(&mut self) -> io::Result<(Box<dyn Stream>, SocketAddr)>;

    /// The address that it listens on, with the port that it really got.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// The operating system's TCP.
#[derive(Debug)]
pub struct Tcp;

#[async_trait]
impl Network for Tcp {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(tokio::net::TcpListener::bind(address).await?))
    }
}

#[async_trait]
impl Listener for tokio::net::TcpListener {
    async fn accept(&mut self) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let (stream, from) = tokio::net::TcpListener::accept(self).await?;
        // Without it a small exchange waits 40 ms for a delayed acknowledgement.
        stream.set_nodelay(true)?;
        Ok((Box::new(stream), from))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}
