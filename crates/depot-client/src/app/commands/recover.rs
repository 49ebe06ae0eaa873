//! `recover`: files back to this machine, beneath their target and nowhere else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use serde_json::json;

use super::files::size;
use super::{CONNECTIONS, Tally, parse};
use crate::app::bars::Bars;
use crate::app::escape::{shown, shown_path};
use crate::app::exit::Exit;
use crate::app::fault::Fault;
use crate::app::output::Output;
use crate::app::target::{self, System, TargetError};
use crate::{Client, Error, Existing, FileName, Recovered};

/// As a target: the bytes of one file go to stdout.
const STDOUT: &str = "-";

/// Recovers the names, and for one that ends in `/` all below it.
pub(super) async fn run(
    names: &[String],
    to: Option<&Path>,
    force: bool,
    client: &Client,
    output: &Output,
) -> Result<Exit, Fault> {
    let existing = if force { Existing::Replace } else { Existing::Refuse };
    if let (Some(to), [name]) = (to, names)
        && !name.ends_with('/')
    {
        let name = parse(name, output.texts())?;
        if to == Path::new(STDOUT) {
            return to_stdout(&name, client, output).await;
        }
        if !is_folder(to) {
            return transfer(vec![(name, to.to_owned())], existing, client, output, Tally::new())
                .await;
        }
    }
    if to == Some(Path::new(STDOUT)) {
        return Err(Fault::Usage(output.texts().say("stdout-one-file")));
    }
    let (files, mut tally) = wanted(names, client, output).await?;
    let folder = to.unwrap_or(Path::new(""));
    let mut placed = Vec::new();
    for name in files {
        match place(folder, &name) {
            Ok(path) => placed.push((name, path)),
            Err(error) => tally.failed(&name, &Fault::Target(error), output),
        }
    }
    transfer(placed, existing, client, output, tally).await
}

async fn transfer(
    files: Vec<(FileName, PathBuf)>,
    existing: Existing,
    client: &Client,
    output: &Output,
    mut tally: Tally,
) -> Result<Exit, Fault> {
    if !files.is_empty() {
        let bars = Bars::new(output);
        let mut each = |name: &FileName, path: &Path, done: Result<Recovered, Error>| match done {
            Ok(done) => tally.told(Exit::Done, tell(name, path, &done, output)),
            Err(error) => tally.failed(name, &Fault::Depot(error), output),
        };
        client.recover_many(files, existing, CONNECTIONS, &bars, &mut each).await?;
    }
    tally.end()
}

/// The bytes are the result; what else there is to say goes to stderr.
async fn to_stdout(name: &FileName, client: &Client, output: &Output) -> Result<Exit, Fault> {
    let bars = Bars::new(output);
    match client.recover_writer(name, tokio::io::stdout(), &bars).await {
        Ok(_) => Ok(Exit::Done),
        Err(Error::Writer(error)) => Err(Fault::from(error)),
        Err(error) => Err(Fault::Depot(error)),
    }
}

/// The files that the names stand for, each once and known to be there where folders will be made
/// for it.
async fn wanted(
    names: &[String],
    client: &Client,
    output: &Output,
) -> Result<(Vec<FileName>, Tally), Fault> {
    let mut tally = Tally::new();
    let mut files = BTreeMap::new();
    for name in names {
        if let Some(folder) = name.strip_suffix('/') {
            let below = below(&parse(folder, output.texts())?, client).await?;
            if below.is_empty() {
                let values = [("name", shown(name).into())];
                output.error(&output.texts().with("nothing-below", values));
                tally.exit = tally.exit.or(Exit::NotFound);
            }
            files.extend(below.into_iter().map(|name| (name, ())));
            continue;
        }
        let name = parse(name, output.texts())?;
        if name.as_str().contains('/')
            && let Err(error) = client.stat(&name).await
        {
            tally.failed(&name, &Fault::Depot(error), output);
            continue;
        }
        files.insert(name, ());
    }
    Ok((files.into_keys().collect(), tally))
}

/// All files whose names begin with `folder/`.
async fn below(folder: &FileName, client: &Client) -> Result<Vec<FileName>, Error> {
    let prefix = format!("{}/", folder.as_str());
    let mut below = Vec::new();
    let mut list = std::pin::pin!(client.list());
    while let Some(item) = list.try_next().await? {
        if item.name.as_str().starts_with(&prefix) {
            below.push(item.name);
        } else if item.name.as_str() > prefix.as_str() {
            // In byte order nothing with that prefix follows.
            break;
        }
    }
    Ok(below)
}

/// Whether a target is the folder for a file, and not the file.
fn is_folder(to: &Path) -> bool {
    to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Where the file goes; its folders are there afterwards.
fn place(folder: &Path, name: &FileName) -> Result<PathBuf, TargetError> {
    let path = target::beneath(folder, name.as_str(), System::HERE)?;
    fs::create_dir_all(folder)
        .map_err(|source| TargetError::Io { path: folder.to_owned(), source })?;
    target::make_folders(folder, name)?;
    Ok(path)
}

fn tell(name: &FileName, path: &Path, done: &Recovered, output: &Output) -> Result<(), Fault> {
    let Recovered { hash, size: bytes, resumed_from, local } = done;
    let values = [
        ("name", shown(name.as_str()).into()),
        ("path", shown_path(path).into()),
        ("size", size(bytes.get()).into()),
        ("from", size(*resumed_from).into()),
    ];
    let key = if *resumed_from == 0 { "recovered" } else { "recovered-resumed" };
    if *local {
        let values = [("name", shown(name.as_str()).into())];
        output.warn(&output.texts().with("local-read", values));
    }
    let json = json!({
        "name": name.as_str(), "path": path.to_string_lossy(), "size": bytes.get(),
        "hash": hash.to_string(), "resumed_from": resumed_from, "local": local,
    });
    output.result(&output.texts().with(key, values), &json)
}
