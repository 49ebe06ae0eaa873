//! `deposit`: files and folders, over a few connections.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use serde_json::json;

use super::files::size;
use super::{CONNECTIONS, Tally};
use crate::app::bars::Bars;
use crate::app::escape::shown;
use crate::app::exit::Exit;
use crate::app::fault::Fault;
use crate::app::output::Output;
use crate::app::source;
use crate::{Client, Deposited, Error, ErrorKind, FileName, ReplicaCount};

/// Up to so many files are asked about one by one; for more, the list is read.
const ASKED_SINGLY: usize = 16;

/// Deposits what is at the paths.
pub(super) async fn run(
    paths: &[PathBuf],
    replicas: Option<u8>,
    name: Option<&str>,
    client: &Client,
    output: &Output,
) -> Result<Exit, Fault> {
    let found = source::gather(paths.to_vec(), name.map(str::to_owned), output.texts()).await;
    for note in &found.notes {
        output.note(note);
    }
    for fault in &found.faults {
        output.error(fault);
    }
    let mut tally = Tally::new();
    if !found.faults.is_empty() {
        tally.exit = Exit::Local;
    }
    if found.files.is_empty() && found.faults.is_empty() {
        output.note(&output.texts().say("nothing-to-deposit"));
    }
    for (replicas, files) in by_replicas(found.files, replicas, client).await? {
        let bars = Bars::new(output);
        let mut each = |_: &Path, name: &FileName, done: Result<Deposited, Error>| match done {
            Ok(done) => tally.told(Exit::Done, tell(name, &done, output)),
            Err(error) => tally.failed(name, &Fault::Depot(error), output),
        };
        client.deposit_many(files, replicas, CONNECTIONS, &bars, &mut each).await?;
    }
    tally.end()
}

/// Files that go together: so many replicas of each.
type Groups = BTreeMap<ReplicaCount, Vec<(PathBuf, FileName)>>;

/// The files by the replicas that they get: the number that was given, else the number that the
/// file has, else one, or none where there is no other server to hold it.
async fn by_replicas(
    files: BTreeMap<FileName, PathBuf>,
    given: Option<u8>,
    client: &Client,
) -> Result<Groups, Error> {
    let mut groups = Groups::new();
    if files.is_empty() {
        return Ok(groups);
    }
    let (usual, present) = match given {
        Some(replicas) => (replicas, BTreeMap::new()),
        None => {
            let servers = client.servers().await?.len();
            (u8::from(servers > 1), present(&files, client).await?)
        }
    };
    for (name, path) in files {
        let replicas = present.get(&name).copied().unwrap_or(ReplicaCount::new(usual));
        groups.entry(replicas).or_default().push((path, name));
    }
    Ok(groups)
}

/// How many replicas are wanted of those files that are there already.
async fn present(
    files: &BTreeMap<FileName, PathBuf>,
    client: &Client,
) -> Result<BTreeMap<FileName, ReplicaCount>, Error> {
    let mut present = BTreeMap::new();
    if files.len() > ASKED_SINGLY {
        let last = files.keys().next_back();
        let mut list = std::pin::pin!(client.list());
        while let Some(item) = list.try_next().await? {
            // The list may be longer than anyone waits.
            if last.is_some_and(|last| item.name.as_str() > last.as_str()) {
                break;
            }
            if files.contains_key(&item.name) {
                present.insert(item.name, item.info.replicas);
            }
        }
        return Ok(present);
    }
    for name in files.keys() {
        match client.stat(name).await {
            Ok(stat) => {
                present.insert(name.clone(), stat.info.replicas);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(present)
}

fn tell(name: &FileName, done: &Deposited, output: &Output) -> Result<(), Fault> {
    let Deposited { replicas, copies, hash, size: bytes, resumed_from } = done;
    let values = [
        ("name", shown(name.as_str()).into()),
        ("size", size(bytes.get()).into()),
        ("copies", copies.to_string().into()),
        ("replicas", replicas.to_string().into()),
        ("from", size(*resumed_from).into()),
    ];
    let key = if *resumed_from == 0 { "deposited" } else { "deposited-resumed" };
    let json = json!({
        "name": name.as_str(), "size": bytes.get(), "hash": hash.to_string(),
        "replicas": replicas.get(), "copies": copies, "resumed_from": resumed_from,
    });
    output.result(&output.texts().with(key, values), &json)
}
