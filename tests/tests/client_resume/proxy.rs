//! A proxy between a client and its server that cuts the connection when so many bytes have passed.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Which bytes are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

/// A listening proxy; its threads end with the test's process.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    way: Way,
    passed: u64,
    /// Where to cut, in bytes passed, the nearest first.
    cuts: VecDeque<u64>,
}

impl Proxy {
    /// Cuts each time when as many bytes have passed that way as the next of `cuts` says.
    pub(crate) fn start(server: SocketAddr, way: Way, cuts: impl IntoIterator<Item = u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = cuts.into_iter().collect();
        let state = Arc::new(Mutex::new(State { way, passed: 0, cuts }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(server).unwrap();
                for way in [Way::Up, Way::Down] {
                    let (client, server) =
                        (client.try_clone().unwrap(), server.try_clone().unwrap());
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || match way {
                        Way::Up => pass(client, server, way, &shared),
                        Way::Down => pass(server, client, way, &shared),
                    });
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes have passed, and how many cuts are still to come.
    pub(crate) fn passed(&self) -> (u64, usize) {
        let state = self.state.lock().unwrap();
        (state.passed, state.cuts.len())
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, way: Way, state: &Mutex<State>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut bytes) {
        let (most, cut) = state.lock().unwrap().allow(way, read);
        if most == 0 || to.write_all(&bytes[..most]).is_err() || cut {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

impl State {
    /// How many of these bytes may pass, and whether the connection is cut after them.
    fn allow(&mut self, way: Way, bytes: usize) -> (usize, bool) {
        if way != self.way {
            return (bytes, false);
        }
        let after = self.passed + bytes as u64;
        match self.cuts.front() {
            Some(&cut) if cut <= after => {
                let most = cut.saturating_sub(self.passed);
                (self.passed, _) = (self.passed + most, self.cuts.pop_front());
                (usize::try_from(most).unwrap(), true)
            }
            _ => {
                self.passed = after;
                (bytes, false)
            }
        }
    }
}
