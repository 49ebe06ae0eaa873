//! Who the client is: an id on the command line, in the environment, in a file, or the one that
//! was kept when this server issued it. Ids are capabilities: kept with mode 0600, never shown in
//! a message.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use depot_protocol::ClientId;

use super::escape::shown_path;
use super::texts::Texts;
use crate::Endpoint;

/// The variable that holds an id.
pub(super) const ID: &str = "DEPOT_ID";
/// The variable that names a file that holds one.
pub(super) const ID_FILE: &str = "DEPOT_ID_FILE";
/// The variable that names the folder in which ids and the history are kept.
pub(super) const HOME: &str = "DEPOT_HOME";

/// Where an id came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The command line, for all to see.
    Argument,
    /// `DEPOT_ID`.
    Variable,
    /// The file that `DEPOT_ID_FILE` names.
    File,
}

/// An id cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// What was given is not an id.
    #[error("what {0} gives is not an id")]
    NotAnId(&'static str),
    /// A file of ids does not hold one.
    #[error("{} holds no id", .0.display())]
    NoId(PathBuf),
    /// A file cannot be read or written.
    #[error("{}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl IdentityError {
    /// For the person, in their language.
    #[must_use]
    pub(super) fn text(&self, texts: &Texts) -> String {
        match self {
            IdentityError::NotAnId(origin) => {
                texts.with("id-invalid", [("origin", (*origin).into())])
            }
            IdentityError::NoId(path) => {
                texts.with("id-file-invalid", [("path", shown_path(path).into())])
            }
            IdentityError::Io { path, source } => {
                let (path, cause) = (shown_path(path), source.to_string());
                texts.with("id-file-fault", [("path", path.into()), ("cause", cause.into())])
            }
        }
    }
}

/// The id that was given: `--id`, else `DEPOT_ID`, else in the file of `DEPOT_ID_FILE`.
///
/// # Errors
/// What was given first is no id, or the file cannot be read.
pub(super) fn given(
    argument: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<(ClientId, Origin)>, IdentityError> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let parse =
        |text: &str, name| ClientId::parse(text.trim()).map_err(|_| IdentityError::NotAnId(name));
    if let Some(text) = argument {
        return Ok(Some((parse(text, "--id")?, Origin::Argument)));
    }
    if let Some(text) = set(ID) {
        return Ok(Some((parse(&text, ID)?, Origin::Variable)));
    }
    match set(ID_FILE) {
        None => Ok(None),
        Some(path) => match last_in(Path::new(&path))? {
            Some(id) => Ok(Some((id, Origin::File))),
            None => Err(IdentityError::NoId(path.into())),
        },
    }
}

/// Whether others on this machine may read the file.
#[must_use]
pub(super) fn readable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

/// Nobody else reads or keeps an id of this home, until it is dropped.
#[derive(Debug)]
pub(super) struct Locked {
    _file: File,
}

/// The folder in which the client keeps ids and its history.
#[derive(Debug, Clone)]
pub(super) struct Home(Option<PathBuf>);

impl Home {
    /// `DEPOT_HOME`, else `depot` in `XDG_DATA_HOME`, else in `~/.local/share`; none of them: none.
    #[must_use]
    pub(super) fn of_environment() -> Home {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let own = set(HOME).map(PathBuf::from);
        let data = || set("XDG_DATA_HOME").map(|folder| PathBuf::from(folder).join("depot"));
        let home = || set("HOME").map(|folder| PathBuf::from(folder).join(".local/share/depot"));
        Home(own.or_else(data).or_else(home))
    }

    /// This folder.
    #[cfg(test)]
    fn at(folder: PathBuf) -> Home {
        Home(Some(folder))
    }

    /// The file of the prompt's history, in a folder that is there.
    #[must_use]
    pub(super) fn history(&self) -> Option<PathBuf> {
        let folder = self.0.as_ref()?;
        make_folder(folder).ok().map(|()| folder.join("history"))
    }

    /// Waits until no other command is about to get an id and to keep it, and is the one from then
    /// on. Nothing where that cannot be: then keeping one fails too, and says why.
    pub(super) fn lock(&self) -> Option<Locked> {
        let ids = self.0.as_ref()?.join("ids");
        make_folder(&ids).ok()?;
        let mut options = OpenOptions::new();
        // No server has this name: it has no port.
        let file = options.append(true).create(true).mode(0o600).open(ids.join(".lock")).ok()?;
        file.lock().ok()?;
        Some(Locked { _file: file })
    }

    /// The id that was issued last by this server. From then on only its owner can read it.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold an id.
    pub(super) fn kept(&self, server: &Endpoint) -> Result<Option<ClientId>, IdentityError> {
        let Some(path) = self.file_for(server) else { return Ok(None) };
        if readable_by_others(&path) {
            // Where it is somebody else's, they know it anyway.
            let _ = fs::set_permissions(&path, Permissions::from_mode(0o600));
        }
        last_in(&path)
    }

    /// Keeps an id that a server issued, behind those from before: none is ever overwritten, and
    /// whoever reads meanwhile, or after a power cut, finds the file as it was or as it becomes.
    /// One at a time ([`Home::lock`]). Says where; nowhere, where there is no home.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep(
        &self,
        server: &Endpoint,
        id: ClientId,
    ) -> Result<Option<PathBuf>, IdentityError> {
        let Some(path) = self.file_for(server) else { return Ok(None) };
        let write = || {
            let folder = path.parent().unwrap_or(Path::new("."));
            make_folder(folder)?;
            let mut ids = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                ids => ids?,
            };
            if !ids.is_empty() && !ids.ends_with(b"\n") {
                ids.push(b'\n');
            }
            ids.extend_from_slice(format!("{id}\n").as_bytes());
            // No server has this name: it has no port.
            let new = folder.join(".new");
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(&ids)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(folder)?.sync_all()
        };
        match write() {
            Ok(()) => Ok(Some(path)),
            Err(source) => Err(IdentityError::Io { path, source }),
        }
    }

    fn file_for(&self, server: &Endpoint) -> Option<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_[]".contains(&byte);
        let encode = |byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        };
        let name: String = server.to_string().to_lowercase().bytes().map(encode).collect();
        Some(self.0.as_ref()?.join("ids").join(name))
    }
}

/// Makes a folder that only its owner can look into.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The id in the last line of a file; `None` where there is no file.
fn last_in(path: &Path) -> Result<Option<ClientId>, IdentityError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Io { path: path.into(), source }),
    };
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    let id = last.and_then(|line| ClientId::parse(line).ok());
    id.map(Some).ok_or_else(|| IdentityError::NoId(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
    const TWO: &str = "7f9619ff-8b86-4d01-b42d-00cf4fc964ff";

    fn id(text: &str) -> ClientId {
        ClientId::parse(text).unwrap()
    }

    fn server() -> Endpoint {
        Endpoint::new("Depot.example", 7070)
    }

    #[test]
    fn what_is_kept_is_found_again_and_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("depot"));
        assert_eq!(home.kept(&server()).unwrap(), None);
        let path = home.keep(&server(), id(ONE)).unwrap().unwrap();
        assert_eq!(home.kept(&server()).unwrap(), Some(id(ONE)));
        assert_eq!(home.kept(&Endpoint::new("depot.example", 7071)).unwrap(), None);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(!readable_by_others(&path));
        assert_eq!(fs::metadata(folder.path().join("depot/ids")).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_new_id_does_not_destroy_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.keep(&server(), id(ONE)).unwrap();
        let path = home.keep(&server(), id(TWO)).unwrap().unwrap();
        assert_eq!(home.kept(&server()).unwrap(), Some(id(TWO)));
        assert_eq!(fs::read_to_string(path).unwrap(), format!("{ONE}\n{TWO}\n"));
    }

    #[test]
    fn who_reads_meanwhile_sees_all_of_it_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        for port in 1..=200 {
            let server = Endpoint::new("depot.example", port);
            let (reader, at) = (home.clone(), server.clone());
            let reader = std::thread::spawn(move || {
                let read = || reader.kept(&at).transpose();
                std::iter::repeat_with(read).flatten().next().unwrap().unwrap()
            });
            home.keep(&server, id(ONE)).unwrap();
            assert_eq!(reader.join().unwrap(), id(ONE));
        }
    }

    #[test]
    fn a_file_that_others_could_read_is_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        let path = home.keep(&server(), id(ONE)).unwrap().unwrap();
        let open = || fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        open();
        assert_eq!(home.kept(&server()).unwrap(), Some(id(ONE)));
        assert!(!readable_by_others(&path));
        open();
        home.keep(&server(), id(TWO)).unwrap();
        assert!(!readable_by_others(&path));
    }

    #[test]
    fn one_at_a_time_has_the_ids() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        let locked = home.lock().unwrap();
        let second = File::open(folder.path().join("ids/.lock")).unwrap();
        assert!(second.try_lock().is_err());
        drop(locked);
        second.try_lock().unwrap();
        assert!(Home(None).lock().is_none());
    }

    #[test]
    fn a_damaged_file_is_not_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        let path = home.keep(&server(), id(ONE)).unwrap().unwrap();
        fs::write(&path, "garbage").unwrap();
        assert!(matches!(home.kept(&server()), Err(IdentityError::NoId(_))));
    }

    #[test]
    fn a_host_is_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        let path = home.keep(&Endpoint::new("../../x y", 1), id(ONE)).unwrap().unwrap();
        assert_eq!(path.parent().unwrap(), folder.path().join("ids"));
    }

    #[test]
    fn what_is_nearer_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        fs::write(&file, format!("{TWO}\n")).unwrap();
        let file = file.to_str().unwrap().to_owned();
        let both = |name: &str| match name {
            ID => Some(ONE.to_owned()),
            _ => Some(file.clone()),
        };
        let only_file = |name: &str| (name == ID_FILE).then(|| file.clone());
        let none = |_: &str| None;
        assert_eq!(given(Some(TWO), both).unwrap(), Some((id(TWO), Origin::Argument)));
        assert_eq!(given(None, both).unwrap(), Some((id(ONE), Origin::Variable)));
        assert_eq!(given(None, only_file).unwrap(), Some((id(TWO), Origin::File)));
        assert_eq!(given(None, none).unwrap(), None);
    }

    #[test]
    fn what_is_no_id_is_not_repeated() {
        let error = given(Some("secret"), |_| None).unwrap_err();
        assert!(!error.to_string().contains("secret"));
        assert!(given(None, |name| (name == ID).then(|| "x".into())).is_err());
        assert!(given(None, |name| (name == ID_FILE).then(|| "/nowhere/x".into())).is_err());
    }
}
