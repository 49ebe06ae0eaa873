//! What went wrong: its text in the reader's language, and the exit code.

use std::io;
use std::path::Path;

use super::escape::{shown, shown_path};
use super::exit::Exit;
use super::identity::IdentityError;
use super::target::TargetError;
use super::texts::Texts;
use crate::{Error, Refusal};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Whoever read the results has gone away: nobody is left to be told anything.
    #[error("the output is closed")]
    Closed,
    /// The results cannot be written.
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
    /// What was typed makes no sense; the text says why.
    #[error("{0}")]
    Usage(String),
    /// It was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// The program cannot do its work here.
    #[error("{0}")]
    Internal(#[source] io::Error),
    /// The id cannot be had or kept.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A name gets no file on this system.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A server or a transfer.
    #[error(transparent)]
    Depot(#[from] Error),
}

impl From<io::Error> for Fault {
    /// A failure of the output.
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Fault::Closed,
            _ => Fault::Output(error),
        }
    }
}

impl Fault {
    /// How the process ends with it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Fault::Closed => Exit::Done,
            Fault::Usage(_) | Fault::Identity(IdentityError::NotAnId(_)) => Exit::Usage,
            Fault::Interrupted => Exit::Interrupted,
            Fault::Internal(_) => Exit::Fault,
            Fault::Output(_) | Fault::Identity(_) | Fault::Target(_) => Exit::Local,
            Fault::Depot(error) => Exit::from(error.kind()),
        }
    }

    /// For the person; `None` where nobody is left.
    #[must_use]
    pub(super) fn text(&self, texts: &Texts) -> Option<String> {
        Some(match self {
            Fault::Closed => return None,
            Fault::Usage(text) => text.clone(),
            Fault::Interrupted => texts.say("interrupted"),
            Fault::Output(error) => texts.with("output-fault", [("cause", cause(error).into())]),
            Fault::Internal(error) => {
                texts.with("internal-fault", [("cause", cause(error).into())])
            }
            Fault::Identity(error) => error.text(texts),
            Fault::Target(TargetError) => texts.say("target-name"),
            Fault::Depot(error) => error_text(error, texts),
        })
    }
}

/// The text of an error of the library.
#[must_use]
pub(super) fn error_text(error: &Error, texts: &Texts) -> String {
    let path = |key, path: &Path| texts.with(key, [("path", shown_path(path).into())]);
    let server = |key, server: &crate::Endpoint, source: &io::Error| {
        let server = shown(&server.to_string());
        texts.with(key, [("server", server.into()), ("cause", cause(source).into())])
    };
    match error {
        Error::Refused(refusal) => refusal_text(refusal, texts),
        Error::Exists(target) => path("target-exists", target),
        Error::NotAFolder(target) => path("target-no-folder", target),
        Error::Changed(source) => path("source-changed", source),
        Error::NotAFile { path: source, .. } => path("source-no-file", source),
        Error::Io { path, source } => local_text(path, source, texts),
        Error::Writer(source) => texts.with("output-fault", [("cause", cause(source).into())]),
        Error::HashMismatch => texts.say("hash-mismatch"),
        Error::Replaced => texts.say("replaced"),
        Error::Protocol { server, what } => {
            let server = shown(&server.to_string());
            texts.with("no-depot", [("server", server.into()), ("what", shown(what).into())])
        }
        Error::Unreachable { tried } => {
            let each = tried.iter().map(|(server, why)| format!("{server}: {}", cause(why)));
            let tried = shown(&each.collect::<Vec<_>>().join("; "));
            texts.with("unreachable", [("tried", tried.into())])
        }
        Error::Cut { server: at, source } => server("cut", at, source),
        Error::Unanswered { server: at, source } => server("unanswered", at, source),
        other => shown(&other.to_string()),
    }
}

/// What is wrong with a file or folder: in the reader's language where the library says it, else in
/// the system's words.
fn local_text(path: &Path, source: &io::Error, texts: &Texts) -> String {
    let known = match source.kind() {
        _ if source.get_ref().is_none() => None,
        io::ErrorKind::AlreadyExists => Some("part-taken"),
        io::ErrorKind::ResourceBusy => Some("part-busy"),
        io::ErrorKind::StorageFull => Some("part-no-room"),
        _ => None,
    };
    let path = ("path", shown_path(path).into());
    match known {
        Some(key) => texts.with(key, [path]),
        None => texts.with("local-fault", [path, ("cause", cause(source).into())]),
    }
}

/// What a refusal means, and what the server itself says.
fn refusal_text(refusal: &Refusal, texts: &Texts) -> String {
    let code = refusal.code.as_str();
    let meaning = texts.say(&format!("refusal-{code}"));
    let message = shown(&refusal.message);
    let values = [("meaning", meaning.into()), ("code", code.into()), ("message", message.into())];
    texts.with("refused", values)
}

/// What the system says; its own text may hold what came from elsewhere.
fn cause(error: &io::Error) -> String {
    shown(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::texts::Language;
    use super::*;
    use crate::ErrorCode;

    fn refused(code: ErrorCode) -> Fault {
        let message = "no\u{1b}[31m".to_owned();
        Fault::Depot(Error::Refused(Refusal { code, message }))
    }

    #[test]
    fn every_refusal_is_explained_in_both_languages_and_escaped() {
        for language in [Language::English, Language::Portuguese] {
            let texts = Texts::new(language);
            for code in ErrorCode::ALL {
                let text = refused(code).text(&texts).unwrap();
                assert!(text.contains(code.as_str()) && text.contains("no\\u{1b}[31m"), "{text}");
                assert!(!text.contains("refusal-") && !text.contains('\u{1b}'), "{text}");
            }
        }
    }

    #[test]
    fn what_the_library_says_of_a_part_is_said_in_both_languages() {
        let said = |language, kind| {
            let source = io::Error::new(kind, "in English");
            error_text(&Error::Io { path: "x".into(), source }, &Texts::new(language))
        };
        for kind in
            [io::ErrorKind::AlreadyExists, io::ErrorKind::ResourceBusy, io::ErrorKind::StorageFull]
        {
            let (english, portuguese) =
                (said(Language::English, kind), said(Language::Portuguese, kind));
            assert!(english.contains('x') && !english.contains("in English"), "{english}");
            assert!(portuguese.contains('x') && portuguese != english, "{portuguese}");
        }
        let system = Error::Io { path: "x".into(), source: io::ErrorKind::StorageFull.into() };
        assert!(error_text(&system, &Texts::new(Language::English)).starts_with("x: "));
    }

    #[test]
    fn each_fault_has_its_code() {
        assert_eq!(Fault::Closed.exit(), Exit::Done);
        assert_eq!(Fault::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit(), Exit::Done);
        assert_eq!(Fault::from(io::Error::from(io::ErrorKind::StorageFull)).exit(), Exit::Local);
        assert_eq!(Fault::Usage(String::new()).exit(), Exit::Usage);
        assert_eq!(Fault::Identity(IdentityError::NotAnId("x")).exit(), Exit::Usage);
        assert_eq!(Fault::Interrupted.exit(), Exit::Interrupted);
        assert_eq!(refused(ErrorCode::NoSuchFile).exit(), Exit::NotFound);
        assert_eq!(refused(ErrorCode::ReplicasUnavailable).exit(), Exit::Refused);
        assert_eq!(refused(ErrorCode::NoQuorum).exit(), Exit::Later);
        assert_eq!(refused(ErrorCode::OutcomeUnknown).exit(), Exit::Unknown);
    }
}
