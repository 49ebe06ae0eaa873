//! What can go wrong, grouped by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use depot_protocol::{ErrorCode, Refusal};

use crate::Endpoint;
use crate::printable::printable;

/// Why something was not done. [`Error::kind`] says what can be done about it.
///
/// No text of an error holds an id, nor a control character that a server sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A server answered that it does not do it, with the code that says why.
    #[error("{0}")]
    Refused(Refusal),
    /// Something is there already where the file was to be recovered to. Nothing was asked.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// On the way to where the file was to be recovered to stands a symbolic link, or no folder.
    /// Nothing is written through it.
    #[error("{} is no folder, or a symbolic link, through which nothing is written", .0.display())]
    NotAFolder(PathBuf),
    /// The file grew, shrank or was written to while it was read. Nothing was stored of it.
    #[error("{} changed while it was being sent; nothing was stored", .0.display())]
    Changed(PathBuf),
    /// What is to be deposited is no regular file of a known size. Nothing was sent.
    #[error("{} is {what}, which can't be deposited by its path", .path.display())]
    NotAFile {
        /// Where it is.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// A file or a disk of this machine failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The caller's reader failed, or did not have as many bytes as it was announced with. Nothing
    /// was stored.
    #[error("the source can't be read as announced: {0}")]
    Reader(io::Error),
    /// The caller's writer failed.
    #[error("the target can't be written: {0}")]
    Writer(io::Error),
    /// The bytes that came do not have the hash that the server announced. A file was not made; what
    /// went to a writer is not to be trusted.
    #[error("the bytes received do not have the announced hash; they are not to be trusted")]
    HashMismatch,
    /// Another content took the name's place while it was recovered to a writer: what was written is
    /// the beginning of the old one. Recover it anew.
    #[error("the file was replaced while it was recovered; what was written is incomplete")]
    Replaced,
    /// What a server sent is not an answer of this protocol to what was asked.
    #[error("{server} does not keep to the protocol: {what}")]
    Protocol {
        /// Which server.
        server: Endpoint,
        /// What is wrong, in printable characters.
        what: String,
    },
    /// No server took a connection.
    #[error("no server can be reached{}", list(.tried))]
    Unreachable {
        /// Each that was tried, and why not. Empty where none was given.
        tried: Vec<(Endpoint, io::Error)>,
    },
    /// The connection ended, or the server went silent, before all was sent or all had come. Nothing
    /// has changed.
    #[error("the connection to {server} was cut: {source}")]
    Cut {
        /// Which server.
        server: Endpoint,
        /// How it ended.
        source: io::Error,
    },
    /// All of a change was sent and the answer did not come: it is done whole or not at all.
    /// Repeating it is harmless.
    #[error("{server} did not answer, so this may have happened or not: {source}")]
    Unanswered {
        /// Which server.
        server: Endpoint,
        /// How it ended.
        source: io::Error,
    },
}

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is refused as it is: ask something else.
    Request,
    /// There is no such file.
    NotFound,
    /// Try later, or elsewhere: nothing has changed.
    Later,
    /// It may have happened: look, or repeat it, which is harmless.
    Unknown,
    /// No server answers: look at the addresses and the network.
    Unreachable,
    /// This machine's file, folder or disk: see to it.
    Local,
    /// Wrong bytes, or a broken or hostile server: use another, and tell its operator.
    Integrity,
}

impl Error {
    /// What can be done about it.
    ///
    /// | kind | errors |
    /// | --- | --- |
    /// | [`Request`](ErrorKind::Request) | `Refused`: `cabecalho_invalido`, `campo_invalido`, `nome_invalido`, `replicas_indisponiveis`, `limite_excedido` |
    /// | [`NotFound`](ErrorKind::NotFound) | `Refused`: `arquivo_inexistente` |
    /// | [`Later`](ErrorKind::Later) | `Refused`: `copia_indisponivel`, `sem_espaco`, `copias_insuficientes`, `sem_quorum`, `servidor_indisponivel`, `deslocamento_invalido`, `mensagem_incompleta`, `tempo_esgotado`, `encerrando`; `Cut`, `Replaced` |
    /// | [`Unknown`](ErrorKind::Unknown) | `Refused`: `resultado_desconhecido`, `interno`; `Unanswered` |
    /// | [`Unreachable`](ErrorKind::Unreachable) | `Unreachable` |
    /// | [`Local`](ErrorKind::Local) | `Exists`, `NotAFolder`, `Changed`, `NotAFile`, `Io`, `Reader`, `Writer` |
    /// | [`Integrity`](ErrorKind::Integrity) | `Refused`: `hash_divergente`; `HashMismatch`, `Protocol` |
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Refused(refusal) => refused(refusal.code),
            Error::Exists(_)
            | Error::NotAFolder(_)
            | Error::Changed(_)
            | Error::NotAFile { .. }
            | Error::Io { .. }
            | Error::Reader(_)
            | Error::Writer(_) => ErrorKind::Local,
            Error::HashMismatch | Error::Protocol { .. } => ErrorKind::Integrity,
            Error::Unreachable { .. } => ErrorKind::Unreachable,
            Error::Cut { .. } | Error::Replaced => ErrorKind::Later,
            Error::Unanswered { .. } => ErrorKind::Unknown,
        }
    }

    /// Whether the same may well work in a moment, here or on another server, without anybody
    /// doing anything: what the client itself tries again.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Error::Refused(refusal) => matches!(
                refusal.code,
                ErrorCode::TimedOut
                    | ErrorCode::ShuttingDown
                    | ErrorCode::ServerUnavailable
                    | ErrorCode::NoQuorum
                    | ErrorCode::OutcomeUnknown
                    | ErrorCode::OffsetInvalid
                    | ErrorCode::MessageIncomplete
            ),
            Error::Cut { .. } | Error::Unanswered { .. } => true,
            Error::Unreachable { tried } => !tried.is_empty(),
            _ => false,
        }
    }

    /// A server's refusal, its message fit to be shown.
    pub(crate) fn refused(refusal: Refusal) -> Error {
        let Refusal { code, message } = refusal;
        Error::Refused(Refusal { code, message: printable(&message) })
    }

    /// What a cut is once a change was sent.
    pub(crate) fn after_a_change(self) -> Error {
        match self {
            Error::Cut { server, source } => Error::Unanswered { server, source },
            other => other,
        }
    }

    /// A failure of this machine, with the path that it is about.
    pub(crate) fn io(path: &Path, source: impl Into<io::Error>) -> Error {
        Error::Io { path: path.to_owned(), source: source.into() }
    }
}

fn refused(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::HeaderInvalid
        | ErrorCode::FieldInvalid
        | ErrorCode::NameInvalid
        | ErrorCode::ReplicasUnavailable
        | ErrorCode::LimitExceeded => ErrorKind::Request,
        ErrorCode::NoSuchFile => ErrorKind::NotFound,
        ErrorCode::CopyUnavailable
        | ErrorCode::OffsetInvalid
        | ErrorCode::NoSpace
        | ErrorCode::InsufficientCopies
        | ErrorCode::NoQuorum
        | ErrorCode::ServerUnavailable
        | ErrorCode::MessageIncomplete
        | ErrorCode::TimedOut
        | ErrorCode::ShuttingDown => ErrorKind::Later,
        ErrorCode::OutcomeUnknown | ErrorCode::Internal => ErrorKind::Unknown,
        ErrorCode::HashMismatch => ErrorKind::Integrity,
    }
}

fn list(tried: &[(Endpoint, io::Error)]) -> String {
    match tried {
        [] => ": none was given".to_owned(),
        tried => {
            let each = tried.iter().map(|(server, why)| format!("{server}: {why}"));
            format!(" ({})", each.collect::<Vec<_>>().join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_again_has_changed_nothing_or_may_be_repeated() {
        for code in ErrorCode::ALL {
            let error = Error::refused(Refusal::new(code, "why"));
            let harmless = matches!(error.kind(), ErrorKind::Later | ErrorKind::Unknown);
            assert!(harmless || !error.may_pass(), "{error}");
        }
    }

    #[test]
    fn a_message_is_shown_without_escape_codes() {
        let message = "\u{1b}[2J".to_owned();
        let error = Error::refused(Refusal { code: ErrorCode::NoSpace, message });
        assert_eq!(error.to_string(), "sem_espaco: \\u{1b}[2J");
    }
}
