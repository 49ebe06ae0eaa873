//! The sockets of a simulated host. A client in the simulation connects with
//! `turmoil::net::TcpStream` itself.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use async_trait::async_trait;
use depot_server::seams::Network;
use depot_server::seams::network::{Listener, Stream};

/// The network as the current simulated host sees it. A host has one address, which it need not
/// know: whatever address a server is told to listen on, it listens on all of its host, at that
/// port. Raise `turmoil::Builder::tcp_capacity` where many connections come at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct TurmoilNetwork;

#[async_trait]
impl Network for TurmoilNetwork {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(turmoil::net::TcpStream::connect(address).await?))
    }

    async fn bind(&self, mut address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        Ok(Box::new(TurmoilListener(turmoil::net::TcpListener::bind(address).await?)))
    }
}

struct TurmoilListener(turmoil::net::TcpListener);

#[async_trait]
impl Listener for TurmoilListener {
    async fn accept(&mut self) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        Ok((Box::new(stream), from))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
