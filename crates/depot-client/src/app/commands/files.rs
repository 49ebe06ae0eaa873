//! The commands that move no bytes: `list`, `stat`, `replicas`, `remove`, `servers`.

use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::warn_local;
use crate::app::escape::shown;
use crate::app::exit::Exit;
use crate::app::fault::Fault;
use crate::app::output::Output;
use crate::{Client, FileInfo, FileName, ReplicaCount, Stat};

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// Lists the files, each as it comes: a list may be longer than memory and than anyone reads.
pub(super) async fn list(client: &Client, output: &Output) -> Result<Exit, Fault> {
    let mut list = std::pin::pin!(client.list());
    let (mut any, mut warned) = (false, false);
    while let Some(item) = list.try_next().await? {
        if item.local && !warned {
            output.warn(&output.texts().say("local-list"));
            warned = true;
        }
        if !any {
            output.heading(&output.texts().say("list-heading"))?;
            any = true;
        }
        let info = &item.info;
        let counts = format!("{}/{}", info.copies, info.replicas);
        let (size, when) = (size(info.size.get()), info.deposited);
        let human = format!("{size:>10}  {counts:>7}  {when}  {}", shown(item.name.as_str()));
        output.result(&human, &described(&item.name, info, item.local))?;
    }
    if !any {
        output.note(&output.texts().say("list-empty"));
    }
    Ok(Exit::Done)
}

/// Tells all about a file.
pub(super) async fn stat(name: &FileName, client: &Client, output: &Output) -> Result<Exit, Fault> {
    let Stat { info, local } = client.stat(name).await?;
    if local {
        warn_local(name, output);
    }
    let values = [
        ("name", shown(name.as_str()).into()),
        ("size", size(info.size.get()).into()),
        ("bytes", info.size.to_string().into()),
        ("hash", info.hash.to_string().into()),
        ("copies", info.copies.to_string().into()),
        ("replicas", info.replicas.to_string().into()),
        ("deposited", info.deposited.to_string().into()),
    ];
    output.result(&output.texts().with("stat", values), &described(name, &info, local))?;
    Ok(Exit::Done)
}

/// Changes how many replicas are wanted.
pub(super) async fn replicas(
    name: &FileName,
    replicas: u8,
    client: &Client,
    output: &Output,
) -> Result<Exit, Fault> {
    let (replicas, copies) = client.set_replicas(name, ReplicaCount::new(replicas)).await?;
    let values = [
        ("name", shown(name.as_str()).into()),
        ("copies", copies.to_string().into()),
        ("replicas", replicas.to_string().into()),
    ];
    let json = json!({ "name": name.as_str(), "replicas": replicas.get(), "copies": copies });
    output.result(&output.texts().with("replicas-set", values), &json)?;
    Ok(Exit::Done)
}

/// Removes a file.
pub(super) async fn remove(
    name: &FileName,
    client: &Client,
    output: &Output,
) -> Result<Exit, Fault> {
    client.remove(name).await?;
    let human = output.texts().with("removed", [("name", shown(name.as_str()).into())]);
    output.result(&human, &json!({ "name": name.as_str(), "removed": true }))?;
    Ok(Exit::Done)
}

/// Shows the servers.
pub(super) async fn servers(client: &Client, output: &Output) -> Result<Exit, Fault> {
    for server in client.servers().await? {
        let state = if server.active { "server-active" } else { "server-inactive" };
        let (name, address) = (server.name.as_str(), shown(&server.address));
        let human = format!("{name}  {address}  {}", output.texts().say(state));
        let json = json!({ "server": name, "address": server.address, "active": server.active });
        output.result(&human, &json)?;
    }
    Ok(Exit::Done)
}

fn described(name: &FileName, info: &FileInfo, local: bool) -> Value {
    json!({
        "name": name.as_str(), "size": info.size.get(), "hash": info.hash.to_string(),
        "replicas": info.replicas.get(), "copies": info.copies,
        "deposited": info.deposited.to_string(), "local": local,
    })
}
