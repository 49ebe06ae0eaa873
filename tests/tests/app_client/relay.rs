//! A link to a server that goes dead in the middle of a transfer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// It passes on what it is allowed to, and swallows the rest of what a client sends.
pub(crate) struct Relay {
    address: SocketAddr,
    allowed: Arc<AtomicU64>,
}

impl Relay {
    /// A link that passes on so many bytes to the server, over all connections.
    pub(crate) fn to(server: SocketAddr, allowed: u64) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let allowed = Arc::new(AtomicU64::new(allowed));
        let shared = allowed.clone();
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let server = TcpStream::connect(server).expect("the server takes connections");
                let both = (server.try_clone(), client.try_clone());
                let (Ok(server_too), Ok(client_too)) = both else { continue };
                thread::spawn(move || pass(server_too, client_too, &AtomicU64::new(u64::MAX)));
                let allowed = shared.clone();
                thread::spawn(move || pass(client, server, &allowed));
            }
        });
        Relay { address, allowed }
    }

    /// Where clients dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on everything passes.
    pub(crate) fn open(&self) {
        self.allowed.store(u64::MAX, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, allowed: &AtomicU64) {
    let mut piece = [0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let take = |left: u64| Some(left.saturating_sub(read as u64));
        let left = allowed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap_or(0);
        let pass = read.min(usize::try_from(left).unwrap_or(read));
        if to.write_all(&piece[..pass]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
