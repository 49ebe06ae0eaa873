//! `recover`: files back to this machine, beneath their target and nowhere else.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::StreamExt;
use serde_json::json;

use super::files::size;
use super::{CONNECTIONS, Tally, parse, warn_local};
use crate::app::bars::Bars;
use crate::app::escape::{shown, shown_path};
use crate::app::exit::Exit;
use crate::app::fault::Fault;
use crate::app::output::Output;
use crate::app::target::{self, System};
use crate::{Client, Error, Existing, FileName, Recovered};

/// As a target: the bytes of one file go to stdout.
const STDOUT: &str = "-";

/// So many files are recovered at a time, however many there are: a page of the list.
const TOGETHER: usize = 1000;

/// Recovers the names, and for one that ends in `/` all below it.
pub(super) async fn run(
    names: &[String],
    to: Option<&Path>,
    force: bool,
    client: &Client,
    output: &Output,
) -> Result<Exit, Fault> {
    let existing = if force { Existing::Replace } else { Existing::Refuse };
    let to_stdout = to == Some(Path::new(STDOUT));
    if let (Some(to), [name]) = (to, names)
        && !name.ends_with('/')
        && (to_stdout || !is_folder(to))
    {
        let name = parse(name, output.texts())?;
        return match to_stdout {
            true => self::to_stdout(&name, client, output).await,
            false => to_file(name, to, existing, client, output).await,
        };
    }
    if to_stdout {
        return Err(Fault::Usage(output.texts().say("stdout-one-file")));
    }
    let wanted = Wanted::parse(names, output)?;
    let folder = to.unwrap_or(Path::new(""));
    let mut run = Run { folder, existing, client, output, tally: Tally::new() };
    run.all(&wanted).await?;
    run.tally.end()
}

/// What the names of a command stand for.
struct Wanted {
    /// Files by their names.
    files: BTreeSet<FileName>,
    /// Folders of which all is wanted, none below another.
    folders: BTreeSet<FileName>,
}

impl Wanted {
    fn parse(names: &[String], output: &Output) -> Result<Wanted, Fault> {
        let (mut files, mut all) = (BTreeSet::new(), BTreeSet::new());
        for name in names {
            match name.strip_suffix('/') {
                Some(folder) => all.insert(parse(folder, output.texts())?),
                None => files.insert(parse(name, output.texts())?),
            };
        }
        let covered = |folder: &FileName| all.iter().any(|above| is_below(folder, above));
        let folders = all.iter().filter(|folder| !covered(folder)).cloned().collect();
        Ok(Wanted { files, folders })
    }
}

fn is_below(name: &FileName, folder: &FileName) -> bool {
    let rest = name.as_str().strip_prefix(folder.as_str());
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// One recover to a folder.
struct Run<'a> {
    folder: &'a Path,
    existing: Existing,
    client: &'a Client,
    output: &'a Output,
    tally: Tally,
}

impl Run<'_> {
    /// The files first, then folder by folder, a page of its list at a time: a list may be longer
    /// than memory.
    async fn all(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        let files = wanted.files.iter().cloned().collect::<Vec<_>>();
        for files in files.chunks(TOGETHER) {
            self.some(files.to_vec()).await?;
        }
        for folder in &wanted.folders {
            let mut pages = std::pin::pin!(self.client.list_below(folder).chunks(TOGETHER));
            let mut any = false;
            while let Some(page) = pages.next().await {
                let (mut names, mut failed) = (Vec::new(), None);
                for listed in page {
                    match listed {
                        // What was named by itself has been recovered already.
                        Ok(file) if wanted.files.contains(&file.name) => any = true,
                        Ok(file) => names.push(file.name),
                        Err(error) => failed = Some(error),
                    }
                }
                any |= !names.is_empty();
                self.some(names).await?;
                if let Some(error) = failed {
                    return Err(error.into());
                }
            }
            if !any {
                let values = [("name", shown(&format!("{}/", folder.as_str())).into())];
                self.output.error(&self.output.texts().with("nothing-below", values));
                self.tally.exit = self.tally.exit.or(Exit::NotFound);
            }
        }
        Ok(())
    }

    async fn some(&mut self, mut names: Vec<FileName>) -> Result<(), Fault> {
        let Run { folder, existing, client, output, ref mut tally } = *self;
        names.retain(|name| match target::is_ordinary(name.as_str(), System::HERE) {
            Ok(()) => true,
            Err(error) => {
                tally.failed(name, &Fault::Target(error), output);
                false
            }
        });
        if names.is_empty() {
            return Ok(());
        }
        let bars = Bars::new(output);
        let mut each = |name: &FileName, path: &Path, done| landed(name, path, done, output, tally);
        client.recover_beneath(folder, names, existing, CONNECTIONS, &bars, &mut each).await?;
        Ok(())
    }
}

/// Recovers one file to a path of its own.
async fn to_file(
    name: FileName,
    to: &Path,
    existing: Existing,
    client: &Client,
    output: &Output,
) -> Result<Exit, Fault> {
    let (bars, mut tally) = (Bars::new(output), Tally::new());
    let mut each =
        |name: &FileName, path: &Path, done| landed(name, path, done, output, &mut tally);
    let files = vec![(name, to.to_owned())];
    client.recover_many(files, existing, CONNECTIONS, &bars, &mut each).await?;
    drop(bars);
    tally.end()
}

fn landed(
    name: &FileName,
    path: &Path,
    done: Result<Recovered, Error>,
    output: &Output,
    tally: &mut Tally,
) {
    match done {
        Ok(done) => tally.told(Exit::Done, tell(name, path, &done, output)),
        Err(error) => tally.failed(name, &Fault::Depot(error), output),
    }
}

/// The bytes are the result; what else there is to say goes to stderr.
async fn to_stdout(name: &FileName, client: &Client, output: &Output) -> Result<Exit, Fault> {
    let bars = Bars::new(output);
    match client.recover_writer(name, tokio::io::stdout(), &bars).await {
        Ok(done) => {
            if done.local {
                warn_local(name, output);
            }
            Ok(Exit::Done)
        }
        Err(Error::Writer(error)) => Err(Fault::from(error)),
        Err(error) => Err(Fault::Depot(error)),
    }
}

/// Whether a target is the folder for a file, and not the file.
fn is_folder(to: &Path) -> bool {
    to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/")
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
        warn_local(name, output);
    }
    let json = json!({
        "name": name.as_str(), "path": path.to_string_lossy(), "size": bytes.get(),
        "hash": hash.to_string(), "resumed_from": resumed_from, "local": local,
    });
    output.result(&output.texts().with(key, values), &json)
}
