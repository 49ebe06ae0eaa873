//! What is deposited: the files that the paths of a command name, each with the name that it gets.
//!
//! A file is deposited under its own last name, a folder's files as `folder/sub/file`. In a folder
//! only files count: symbolic links are not followed, and what is no file (a pipe, a socket, a
//! device) is told and left out. Given by name, such a thing is a fault. Empty folders leave no
//! trace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use depot_protocol::FileName;

use super::escape::{shown, shown_path};
use super::texts::Texts;
use crate::blocking::blocking;

/// The files that were found, and what stands in the way of others.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// What is to be deposited, by name: no name twice.
    pub(super) files: BTreeMap<FileName, PathBuf>,
    /// What was left out on purpose; for the person.
    pub(super) notes: Vec<String>,
    /// What could not be taken; for the person, and the run has failed.
    pub(super) faults: Vec<String>,
}

/// Looks at the paths. `name` is the name of the only one, or with a `/` at its end the folder of
/// all. It is done off the threads that hear Ctrl-C, and soon ends where nobody waits for it any more.
pub(super) async fn gather(
    paths: Vec<PathBuf>,
    name: Option<String>,
    texts: &Arc<Texts>,
) -> Sources {
    let waited_for = Arc::new(AtomicBool::new(true));
    let _ended = Ended(Arc::clone(&waited_for));
    let texts = Arc::clone(texts);
    blocking(move || look_at(&paths, name.as_deref(), &texts, &waited_for)).await
}

/// Says, when it is dropped, that nobody waits any more.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn look_at(
    paths: &[PathBuf],
    name: Option<&str>,
    texts: &Texts,
    waited_for: &AtomicBool,
) -> Sources {
    let mut gathering = Gathering { texts, waited_for, found: Sources::default() };
    for path in paths {
        if let Err(fault) = gathering.top(path, name) {
            gathering.found.faults.push(fault);
        }
    }
    gathering.found
}

struct Gathering<'a> {
    texts: &'a Texts,
    waited_for: &'a AtomicBool,
    found: Sources,
}

impl Gathering<'_> {
    /// A path that the command names: links are followed here.
    fn top(&mut self, path: &Path, name: Option<&str>) -> Result<(), String> {
        let metadata = fs::metadata(path).map_err(|error| self.fault(path, &error))?;
        let name = match name {
            Some(name) if !name.ends_with('/') => name.to_owned(),
            prefix => prefix.unwrap_or_default().to_owned() + &self.own_name(path)?,
        };
        if metadata.is_dir() {
            self.folder(path, &name);
            return Ok(());
        }
        if !metadata.is_file() {
            return Err(self.say("source-no-file", path));
        }
        self.file(path.to_owned(), &name);
        Ok(())
    }

    /// The last name of a path, also of `.` and `..`.
    fn own_name(&self, path: &Path) -> Result<String, String> {
        let whole = match path.file_name() {
            Some(_) => path.to_owned(),
            None => fs::canonicalize(path).map_err(|error| self.fault(path, &error))?,
        };
        let own = whole.file_name().ok_or_else(|| self.say("source-no-name", path))?;
        let own = own.to_str().ok_or_else(|| self.say("source-not-utf8", path))?;
        Ok(own.to_owned())
    }

    fn folder(&mut self, folder: &Path, name: &str) {
        let wanted = |_: &_| self.waited_for.load(Ordering::Relaxed);
        let entries = fs::read_dir(folder)
            .and_then(|all| all.take_while(wanted).collect::<Result<Vec<_>, _>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let fault = self.fault(folder, &error);
                return self.found.faults.push(fault);
            }
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if !self.waited_for.load(Ordering::Relaxed) {
                return;
            }
            let path = entry.path();
            let Some(own) = entry.file_name().to_str().map(str::to_owned) else {
                let fault = self.say("source-not-utf8", &path);
                self.found.faults.push(fault);
                continue;
            };
            let name = format!("{name}/{own}");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.folder(&path, &name),
                Ok(kind) if kind.is_file() => self.file(path, &name),
                Ok(_) => {
                    let note = self.say("source-left-out", &path);
                    self.found.notes.push(note);
                }
                Err(error) => {
                    let fault = self.fault(&path, &error);
                    self.found.faults.push(fault);
                }
            }
        }
    }

    fn file(&mut self, path: PathBuf, name: &str) {
        let Ok(parsed) = FileName::parse(name) else {
            let values = [("path", shown_path(&path).into()), ("name", shown(name).into())];
            return self.found.faults.push(self.texts.with("source-bad-name", values));
        };
        if let Some(first) = self.found.files.get(&parsed) {
            let values = [
                ("path", shown_path(&path).into()),
                ("name", shown(name).into()),
                ("first", shown_path(first).into()),
            ];
            return self.found.faults.push(self.texts.with("source-twice", values));
        }
        self.found.files.insert(parsed, path);
    }

    fn say(&self, key: &str, path: &Path) -> String {
        self.texts.with(key, [("path", shown_path(path).into())])
    }

    fn fault(&self, path: &Path, error: &std::io::Error) -> String {
        let cause = error.to_string();
        let values = [("path", shown_path(path).into()), ("cause", cause.into())];
        self.texts.with("local-fault", values)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::super::texts::Language;
    use super::*;

    fn found(paths: &[&Path], name: Option<&str>) -> Sources {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        look_at(&paths, name, &Texts::new(Language::English), &AtomicBool::new(true))
    }

    /// The one thread for blocking work is taken, so that nothing can be found before the test says.
    #[test]
    fn a_walk_holds_nobody_up_and_ends_when_nobody_waits_for_it() {
        let tree = tree();
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
        runtime.unwrap().block_on(async {
            let (go, gone) = std::sync::mpsc::channel::<()>();
            let taken = blocking(move || gone.recv());
            let texts = Arc::new(Texts::new(Language::English));
            let walk = gather(vec![tree.path().join("d")], None, &texts);
            tokio::select! {
                biased;
                found = walk => panic!("it was not to begin: {found:?}"),
                () = std::future::ready(()) => {}
            }
            go.send(()).unwrap();
            taken.await.unwrap();
        });
        let texts = Texts::new(Language::English);
        let found = look_at(&[tree.path().join("d")], None, &texts, &AtomicBool::new(false));
        assert!(found.files.is_empty(), "{found:?}");
    }

    fn names(sources: &Sources) -> Vec<&str> {
        sources.files.keys().map(FileName::as_str).collect()
    }

    /// `d/a.txt`, `d/sub/b.txt`, `d/empty/`.
    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("d/sub")).unwrap();
        fs::create_dir_all(folder.path().join("d/empty")).unwrap();
        fs::write(folder.path().join("d/a.txt"), "a").unwrap();
        fs::write(folder.path().join("d/sub/b.txt"), "b").unwrap();
        folder
    }

    #[test]
    fn a_folder_is_its_files() {
        let tree = tree();
        let sources = found(&[&tree.path().join("d")], None);
        assert_eq!(names(&sources), ["d/a.txt", "d/sub/b.txt"]);
        assert!(sources.faults.is_empty() && sources.notes.is_empty());
        assert_eq!(
            names(&found(&[&tree.path().join("d/sub/..")], Some("x"))),
            ["x/a.txt", "x/sub/b.txt"]
        );
        assert_eq!(names(&found(&[&tree.path().join("d/.")], None)), ["d/a.txt", "d/sub/b.txt"]);
    }

    #[test]
    fn a_name_is_the_files_or_the_folder_of_all() {
        let tree = tree();
        let (a, b) = (tree.path().join("d/a.txt"), tree.path().join("d/sub/b.txt"));
        assert_eq!(names(&found(&[&a], Some("new"))), ["new"]);
        assert_eq!(names(&found(&[&a, &b], Some("in/"))), ["in/a.txt", "in/b.txt"]);
        assert_eq!(names(&found(&[&a, &b], None)), ["a.txt", "b.txt"]);
    }

    #[test]
    fn no_name_twice() {
        let tree = tree();
        let a = tree.path().join("d/a.txt");
        let sources = found(&[&a, &a], None);
        assert_eq!((sources.files.len(), sources.faults.len()), (1, 1));
        let sources = found(&[&a, &tree.path().join("d/sub/b.txt")], Some("one"));
        assert_eq!((sources.files.len(), sources.faults.len()), (1, 1));
    }

    #[test]
    fn what_is_no_file_is_refused_by_name_and_left_out_in_a_folder() {
        let tree = tree();
        let pipe = tree.path().join("d/pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink("/dev/zero", tree.path().join("d/zero")).unwrap();
        std::os::unix::fs::symlink("/etc", tree.path().join("d/etc")).unwrap();
        let sources = found(&[&tree.path().join("d")], None);
        assert_eq!(names(&sources), ["d/a.txt", "d/sub/b.txt"]);
        assert_eq!(sources.notes.len(), 3, "{sources:?}");
        for path in [&*pipe, Path::new("/dev/zero"), &tree.path().join("d/zero")] {
            let sources = found(&[path], None);
            assert_eq!((sources.files.len(), sources.faults.len()), (0, 1), "{}", path.display());
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_said_and_can_be_replaced() {
        let tree = tree();
        let path = tree.path().join(OsStr::from_bytes(b"x\xff"));
        fs::write(&path, "x").unwrap();
        let sources = found(&[&path], None);
        assert!(sources.faults[0].contains("--name"), "{sources:?}");
        assert_eq!(names(&found(&[&path], Some("x"))), ["x"]);
        assert_eq!(found(&[tree.path()], Some("t")).faults.len(), 1);
    }

    #[test]
    fn a_name_that_no_server_takes_is_said() {
        let tree = tree();
        fs::write(tree.path().join("d/a\u{1b}[31m"), "x").unwrap();
        let sources = found(&[&tree.path().join("d")], None);
        assert_eq!((sources.files.len(), sources.faults.len()), (2, 1));
        assert!(!sources.faults[0].contains('\u{1b}'));
        assert!(!found(&[&tree.path().join("nothing")], None).faults.is_empty());
        assert!(!found(&[Path::new("/")], None).faults.is_empty());
    }
}
