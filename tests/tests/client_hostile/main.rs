//! What a client must survive: files that change or are none, targets that are taken, and servers
//! that lie. Nothing outside the target, bounded memory, a clear word.

#![allow(clippy::unwrap_used, reason = "a test that fails is found by its line")]

mod local;
mod place;
mod server;

use std::net::SocketAddr;

use depot_client::{Client, Endpoint, FileName, Options, ReplicaCount};

const NONE: ReplicaCount = ReplicaCount::new(0);

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

fn options(address: SocketAddr) -> Options {
    let servers = vec![Endpoint::parse(&address.to_string()).unwrap()];
    Options { servers, retries: 1, ..Options::default() }
}

async fn client(address: SocketAddr) -> Client {
    Client::connect(options(address), None).await.unwrap()
}
