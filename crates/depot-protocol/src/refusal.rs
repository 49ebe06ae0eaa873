//! What a server says when it does not do what was asked: a code to act on, a line to read.

use std::fmt;

use crate::limits::MESSAGE_MAX;

/// Why not. Every code except [`Internal`](ErrorCode::Internal) and
/// [`OutcomeUnknown`](ErrorCode::OutcomeUnknown) is certain: nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// `cabecalho_invalido`: the line is not of the form, is too long, or is not UTF-8. Closes.
    HeaderInvalid,
    /// `campo_invalido`: a field is unknown, missing, repeated, misplaced or has an impossible
    /// value. Closes where a payload may follow.
    FieldInvalid,
    /// `nome_invalido`: the name breaks its rule.
    NameInvalid,
    /// `arquivo_inexistente`: this client has no such file.
    NoSuchFile,
    /// `copia_indisponivel`: no server with a good copy can be reached now.
    CopyUnavailable,
    /// `replicas_indisponiveis`: more replicas than there are other servers for them.
    ReplicasUnavailable,
    /// `deslocamento_invalido`: the offset is past the end, or not what `preparar` answered.
    OffsetInvalid,
    /// `hash_divergente`: the bytes do not have the announced hash.
    HashMismatch,
    /// `limite_excedido`: too large, over a quota, or too many connections (that one closes).
    LimitExceeded,
    /// `sem_espaco`: no room.
    NoSpace,
    /// `copias_insuficientes`: too few servers could make a durable copy.
    InsufficientCopies,
    /// `sem_quorum`: no majority could be reached, nothing was proposed.
    NoQuorum,
    /// `resultado_desconhecido`: proposed and not confirmed in time; it may still take effect.
    OutcomeUnknown,
    /// `servidor_indisponivel`: this server takes no changes now.
    ServerUnavailable,
    /// `mensagem_incompleta`: the sending side was closed inside a message. Closes.
    MessageIncomplete,
    /// `tempo_esgotado`: the client went silent inside a message. Closes.
    TimedOut,
    /// `encerrando`: the server is shutting down. Closes.
    ShuttingDown,
    /// `interno`: a fault of the server, logged there under the id in the message.
    Internal,
}

impl ErrorCode {
    /// All of them, in the order of PROTOCOL.md.
    pub const ALL: [ErrorCode; 18] = [
        ErrorCode::HeaderInvalid,
        ErrorCode::FieldInvalid,
        ErrorCode::NameInvalid,
        ErrorCode::NoSuchFile,
        ErrorCode::CopyUnavailable,
        ErrorCode::ReplicasUnavailable,
        ErrorCode::OffsetInvalid,
        ErrorCode::HashMismatch,
        ErrorCode::LimitExceeded,
        ErrorCode::NoSpace,
        ErrorCode::InsufficientCopies,
        ErrorCode::NoQuorum,
        ErrorCode::OutcomeUnknown,
        ErrorCode::ServerUnavailable,
        ErrorCode::MessageIncomplete,
        ErrorCode::TimedOut,
        ErrorCode::ShuttingDown,
        ErrorCode::Internal,
    ];

    /// The code as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::HeaderInvalid => "cabecalho_invalido",
            ErrorCode::FieldInvalid => "campo_invalido",
            ErrorCode::NameInvalid => "nome_invalido",
            ErrorCode::NoSuchFile => "arquivo_inexistente",
            ErrorCode::CopyUnavailable => "copia_indisponivel",
            ErrorCode::ReplicasUnavailable => "replicas_indisponiveis",
            ErrorCode::OffsetInvalid => "deslocamento_invalido",
            ErrorCode::HashMismatch => "hash_divergente",
            ErrorCode::LimitExceeded => "limite_excedido",
            ErrorCode::NoSpace => "sem_espaco",
            ErrorCode::InsufficientCopies => "copias_insuficientes",
            ErrorCode::NoQuorum => "sem_quorum",
            ErrorCode::OutcomeUnknown => "resultado_desconhecido",
            ErrorCode::ServerUnavailable => "servidor_indisponivel",
            ErrorCode::MessageIncomplete => "mensagem_incompleta",
            ErrorCode::TimedOut => "tempo_esgotado",
            ErrorCode::ShuttingDown => "encerrando",
            ErrorCode::Internal => "interno",
        }
    }

    /// The code of that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<ErrorCode> {
        ErrorCode::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `resultado:0`: a code, and one line of English that says what is wrong and what to do.
///
/// The message of one made by [`Refusal::new`] has no control character and at most
/// [`MESSAGE_MAX`] bytes. Whoever writes it escapes what came from a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Why not.
    pub code: ErrorCode,
    /// One line for a person.
    pub message: String,
}

impl Refusal {
    /// A refusal whose message is made to fit: control characters become blanks, and what is over
    /// [`MESSAGE_MAX`] bytes is cut off.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: fit(message.into()) }
    }

    /// The line, without LF: `resultado:0|erro:..|mensagem:..`.
    #[must_use]
    pub fn render(&self) -> String {
        let message = fit(self.message.clone());
        format!("resultado:0|erro:{}|mensagem:{message}", self.code)
    }
}

fn fit(mut message: String) -> String {
    if message.chars().any(char::is_control) {
        message = message.replace(char::is_control, " ");
    }
    if message.len() > MESSAGE_MAX {
        let end = (0..=MESSAGE_MAX).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
        message.truncate(end);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_fits() {
        let refusal =
            Refusal::new(ErrorCode::Internal, "a\nb\u{85}c".to_owned() + &"é".repeat(9999));
        assert!(refusal.message.starts_with("a b cé"));
        assert!(refusal.message.len() <= MESSAGE_MAX);
        let raw = Refusal { code: ErrorCode::NoSpace, message: "x\r\ny".repeat(4000) };
        assert!(raw.render().len() < crate::LINE_MAX);
        assert!(!raw.render().contains(char::is_control));
    }
}
