//! The servers of a file: each as resolved, and what must not hold between two of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use depot_protocol::{SERVERS_MAX, ServerName};
use toml::Spanned;

use super::duplicates;
use super::error::{ConfigError, Source, Warning, quoted};
use super::resolve::Values;
use super::secret::Reach;
use super::settings::{absolute, range};
use super::written::{self, End};

/// One server of the cluster, as the file tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name, which no other has.
    pub name: ServerName,
    /// Where it takes clients.
    pub address: SocketAddr,
    /// Where it takes other servers.
    pub peer: Option<SocketAddr>,
    /// Where it answers about its health.
    pub http: Option<SocketAddr>,
    /// Its folder; absolute.
    pub data: PathBuf,
    /// Where it stands: copies are spread over zones while they last.
    pub zone: Option<String>,
    /// How many bytes of payloads it takes; also its weight among the others.
    pub capacity: Option<u64>,
    /// Whether it votes only and holds no payloads.
    pub witness: bool,
    /// The line of the file that names it.
    pub line: usize,
}

/// The servers of the file, each by itself and all together in order.
pub(super) fn resolve(
    source: &Source,
    folder: &Path,
    written: &[Spanned<written::Server>],
) -> Result<Vec<Server>, ConfigError> {
    match written {
        [] => return Err(source.whole("has no [[server]]; one has at least name, address, data")),
        [only] if only.get_ref().witness == Some(true) => {
            let message = "the only server is a witness, which holds no files";
            return Err(source.error(&only.span(), message));
        }
        many if many.len() > SERVERS_MAX => {
            return Err(source
                .whole(format!("has {} servers, at most {SERVERS_MAX} are taken", many.len())));
        }
        many if many.iter().all(|server| server.get_ref().witness == Some(true)) => {
            return Err(source.whole("every server is a witness, so none would hold files"));
        }
        _ => {}
    }
    let alone = written.len() == 1;
    let written: Vec<&written::Server> = written.iter().map(Spanned::get_ref).collect();
    let values = Values { source };
    let servers = written.iter().map(|server| resolve_one(&values, folder, server, alone));
    let servers: Vec<Server> = servers.collect::<Result<_, _>>()?;
    duplicates::check(source, &written, &servers)?;
    Ok(servers)
}

/// Whether all addresses are on loopback; those that are not need the operator's word.
pub(super) fn reach(
    source: &Source,
    written: &[Spanned<written::Server>],
    insecure: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Reach, ConfigError> {
    let mut ends = written.iter().flat_map(|server| server.get_ref().ends());
    let Some(End { key, socket, span }) = ends.find(|end| !end.host().is_loopback()) else {
        return Ok(Reach::Loopback);
    };
    if !insecure {
        let message = format!(
            "{key} {socket} is off loopback, where this version has no TLS: whoever is on the way \
             can read and change what is sent. Set `insecure = true` in [cluster] to accept that, \
             or use 127.0.0.1"
        );
        return Err(source.error(&span, message));
    }
    warnings.push(Warning::new(format!(
        "{key} {socket} is off loopback without TLS (insecure = true): whoever is on the way can \
         read and change what is sent"
    )));
    Ok(Reach::Network)
}

fn resolve_one(
    values: &Values,
    folder: &Path,
    server: &written::Server,
    alone: bool,
) -> Result<Server, ConfigError> {
    let source = values.source;
    if !alone && server.peer.is_none() {
        let message = format!(
            "server \"{}\" has no `peer`, the address at which the other servers reach it",
            server.name.get_ref().0
        );
        return Err(source.error(&server.name.span(), message));
    }
    for end in server.ends().filter(|_| !alone) {
        check_reachable(source, &end)?;
    }
    Ok(Server {
        name: server.name.get_ref().0.clone(),
        address: server.address.get_ref().0,
        peer: server.peer.as_ref().map(|peer| peer.get_ref().0),
        http: server.http.as_ref().map(|http| http.get_ref().0),
        data: resolve_path(source, folder, &server.data, "data")?,
        zone: server.zone.as_ref().map(|zone| zone.get_ref().0.clone()),
        capacity: values.optional(&server.capacity, "server.capacity", range::FILE)?,
        witness: server.witness.unwrap_or(false),
        line: source.position(server.name.span().start).line,
    })
}

/// Refuses an address in a list of several servers that the others could not dial.
fn check_reachable(source: &Source, end: &End) -> Result<(), ConfigError> {
    let End { key, socket, span } = end;
    let dialled = *key != "http";
    if socket.port() == 0 {
        let message = format!("{key} {socket} has no port that others could know: choose one");
        return Err(source.error(span, message));
    }
    if dialled && socket.ip().is_unspecified() {
        let message =
            format!("{key} {socket} is no address that others could reach: write its own");
        return Err(source.error(span, message));
    }
    Ok(())
}

/// The folder of a file, at which the relative paths in the file begin.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    folder.canonicalize().unwrap_or_else(|_| absolute(folder))
}

/// A path of the file, from the root.
pub(super) fn resolve_path(
    source: &Source,
    folder: &Path,
    path: &Spanned<PathBuf>,
    key: &str,
) -> Result<PathBuf, ConfigError> {
    let text = path.get_ref().to_string_lossy();
    if text.is_empty() || text.contains('\0') {
        let message = format!("`{key}` is {}, which is no path", quoted(&text));
        return Err(source.error(&path.span(), message));
    }
    // "..", as long as it leads up from the folder itself; behind a symlink it leads elsewhere.
    let (mut from, mut rest) = (folder, path.get_ref().as_path());
    while let (Some(above), Ok(below)) = (from.parent(), rest.strip_prefix("..")) {
        (from, rest) = (above, below);
    }
    Ok(absolute(&from.join(rest)))
}
