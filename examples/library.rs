//! A file goes into a depot and comes back, with the client library.
//!
//! ```text
//! cargo run -p depot-examples --example library -- SERVER:PORT FILE
//! ```
//!
//! Cut it with Ctrl-C while it is at a large file, start it again with the id that it printed as a
//! third argument, and it goes on from where it was.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use depot_client::{
    Client, ClientId, Endpoint, Error, ErrorKind, Existing, FileName, Options, Progress,
    ReplicaCount,
};
use futures_util::TryStreamExt;

/// Says on stderr where a transfer begins and what it is tried again for.
struct Told;

impl Progress for Told {
    fn begin(&self, name: &FileName, size: u64, from: u64) {
        eprintln!("{}: byte {from} of {size}", name.as_str());
    }

    fn advance(&self, _name: &FileName, _bytes: u64) {}

    fn retrying(&self, name: &FileName, error: &Error) {
        eprintln!("{}: again, since {error}", name.as_str());
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let server = arguments.next().context("give the server's address")?;
    let server = Endpoint::parse(&server.to_string_lossy())?;
    let file = PathBuf::from(arguments.next().context("give the path of a file")?);
    let id = arguments.next().map(|id| ClientId::parse(&id.to_string_lossy())).transpose()?;

    let options = Options { servers: vec![server], ..Options::default() };
    let client = Client::connect(options, id).await?;
    println!("this client's id, which is as good as a key: {}", client.id());

    let local = file.file_name().context("give the path of a file")?;
    let name = FileName::parse(&local.to_string_lossy())?;
    match client.deposit_path(&file, &name, ReplicaCount::new(0), &Told).await {
        Ok(done) => println!("deposited: {} bytes, SHA-256 {}", done.size, done.hash),
        Err(error) if error.kind() == ErrorKind::Later => anyhow::bail!("try later: {error}"),
        Err(error) => return Err(error.into()),
    }

    let mut list = std::pin::pin!(client.list());
    while let Some(item) = list.try_next().await? {
        println!("listed: {} bytes, {}", item.info.size, item.name.as_str());
    }

    let target = Path::new("recovered").join(local);
    std::fs::create_dir_all("recovered")?;
    let back = client.recover_path(&name, &target, Existing::Replace, &Told).await?;
    println!("recovered: {}, SHA-256 {}", target.display(), back.hash);
    Ok(())
}
