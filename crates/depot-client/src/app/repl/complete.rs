//! Completion: commands and their options, the names of deposited files, and paths of this machine.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use tokio::runtime::Handle;

use super::prompt::Expecting;
use super::words::{Cursor, at_cursor, quoted};
use crate::Client;
use crate::app::args::Command;
use crate::app::escape::shown;

/// From so many names a completion is chosen.
const NAMES_MAX: usize = 10_000;
/// How long Tab may take where the server does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The names of the deposited files, asked for when they are needed and forgotten when they may
/// have changed.
#[derive(Clone)]
pub(super) struct Names {
    client: Client,
    runtime: Handle,
    known: Arc<Mutex<Option<Arc<[String]>>>>,
}

impl Names {
    /// The names of this client's files. To be called on the runtime.
    pub(super) fn of(client: Client) -> Names {
        Names { client, runtime: Handle::current(), known: Arc::default() }
    }

    /// They may have changed.
    pub(super) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The names, from the server the first time; none where it does not answer soon. To be called
    /// off the runtime.
    fn get(&self) -> Arc<[String]> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(names) = known {
            return names;
        }
        let ask = async {
            let names = self.client.list().map_ok(|item| item.name.as_str().to_owned());
            tokio::time::timeout(PATIENCE, names.take(NAMES_MAX).try_collect::<Vec<_>>()).await
        };
        let Ok(Ok(names)) = self.runtime.block_on(ask) else { return Arc::default() };
        let names: Arc<[String]> = names.into();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(names.clone());
        names
    }
}

/// Completes what a line is expected to be.
pub(super) struct Completion {
    names: Names,
    expecting: Expecting,
}

impl Completion {
    pub(super) fn new(names: Names) -> Completion {
        Completion { names, expecting: Expecting::Command }
    }

    /// What the next line will be.
    pub(super) fn expect(&mut self, expecting: Expecting) {
        self.expecting = expecting;
    }

    fn names(&self, beginning: &str) -> Vec<String> {
        let names = self.names.get();
        names.iter().filter(|name| name.starts_with(beginning)).cloned().collect()
    }
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Cursor { before, start, word } = at_cursor(line.get(..at).unwrap_or(line));
        let what = match self.expecting {
            Expecting::Command => expected(&before, &word),
            Expecting::Path => What::Path,
            Expecting::Name => What::Name,
            Expecting::Nothing => What::Nothing,
        };
        let found = match what {
            What::Word(words) => {
                words.into_iter().filter(|known| known.starts_with(&word)).collect()
            }
            What::Name => self.names(&word),
            What::Path => paths(&word),
            What::Nothing => Vec::new(),
        };
        // What would act on the terminal is not typed for anybody.
        let plain = found.into_iter().filter(|found| shown(found) == *found);
        let pairs = plain.filter_map(|display| {
            let replacement = quoted(&display)?;
            Some(Pair { display, replacement })
        });
        let mut pairs: Vec<Pair> = pairs.collect();
        if let [only] = pairs.as_mut_slice()
            && !only.display.ends_with('/')
        {
            only.replacement.push(' ');
        }
        Ok((start, pairs))
    }
}

/// What a word may be.
#[derive(Debug, PartialEq, Eq)]
enum What {
    /// One of these.
    Word(Vec<String>),
    /// The name of a deposited file.
    Name,
    /// A path of this machine.
    Path,
    /// Anything.
    Nothing,
}

/// What the word behind these may be.
fn expected(before: &[String], word: &str) -> What {
    let Some(command) = before.first() else { return What::Word(Command::names()) };
    let last = before.last().map(String::as_str);
    let options = Command::options(command);
    match (command.as_str(), last) {
        (_, Some("--to")) => What::Path,
        (_, Some("--replicas" | "--name")) => What::Nothing,
        _ if word.starts_with('-') => What::Word(options),
        ("deposit" | "depositar", _) => What::Path,
        ("recover" | "recuperar", _) => What::Name,
        ("stat" | "consultar" | "remove" | "remover" | "replicas" | "alterar", _)
            if before.len() == 1 =>
        {
            What::Name
        }
        ("help" | "ajuda", _) if before.len() == 1 => What::Word(Command::names()),
        _ => What::Nothing,
    }
}

/// The paths that begin like this; folders end in `/`.
fn paths(beginning: &str) -> Vec<String> {
    let (folder, own) = match beginning.rfind('/') {
        Some(at) => beginning.split_at(at.saturating_add(1)),
        None => ("", beginning),
    };
    let Ok(entries) = fs::read_dir(if folder.is_empty() { "." } else { folder }) else {
        return Vec::new();
    };
    let path = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let hidden = name.starts_with('.') && !own.starts_with('.');
        let slash = if entry.path().is_dir() { "/" } else { "" };
        (name.starts_with(own) && !hidden).then(|| format!("{folder}{name}{slash}"))
    };
    let mut paths: Vec<String> = entries.filter_map(|entry| path(entry.ok()?)).collect();
    paths.sort();
    paths
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Validator for Completion {}

impl Hinter for Completion {
    type Hint = String;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(line: &str) -> What {
        let cursor = at_cursor(line);
        expected(&cursor.before, &cursor.word)
    }

    #[test]
    fn each_place_has_its_words() {
        assert!(matches!(after("de"), What::Word(words) if words.contains(&"deposit".into())));
        assert!(matches!(after("help re"), What::Word(_)));
        assert_eq!(after("deposit le"), What::Path);
        assert_eq!(after("deposit a b"), What::Path);
        assert_eq!(after("deposit a --replicas "), What::Nothing);
        assert_eq!(after("recover a b"), What::Name);
        assert_eq!(after("recover a --to "), What::Path);
        assert_eq!(after("stat "), What::Name);
        assert_eq!(after("replicas a "), What::Nothing);
        assert_eq!(after("list "), What::Nothing);
    }

    #[test]
    fn options_are_those_of_the_command() {
        let What::Word(options) = after("recover x --") else { panic!("no options") };
        assert_eq!(options, ["--force", "--json", "--to"]);
    }

    #[test]
    fn paths_begin_as_they_were_typed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["letter.txt", "list.txt", ".hidden"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("letters")).unwrap();
        let root = folder.path().to_str().unwrap();
        let found = paths(&format!("{root}/le"));
        assert_eq!(found, [format!("{root}/letter.txt"), format!("{root}/letters/")]);
        assert_eq!(paths(&format!("{root}/")).len(), 3);
        assert_eq!(paths(&format!("{root}/.h")).len(), 1);
        assert!(paths("/nowhere/x").is_empty());
    }
}
