//! The questions before there is a connection, where there is somebody to ask.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use depot_protocol::ClientId;

use super::texts::Texts;
use crate::Endpoint;

/// The host that an empty answer means.
pub(super) const HOST_OFFERED: &str = "127.0.0.1";
/// The port that an empty answer means.
pub const PORT_OFFERED: u16 = 7070;
/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 10;

/// How to take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Keep files for others.
    Server,
    /// Deposit and recover them.
    Client,
}

/// Who to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdAnswer {
    /// Whoever the server says: a new id.
    New,
    /// Who one was the last time, or else a new one.
    Kept,
    /// This client.
    Given(ClientId),
}

/// The server at a host and port; `None` where that is no host.
#[must_use]
pub(super) fn endpoint(host: &str, port: u16) -> Option<Endpoint> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Endpoint::parse(&Endpoint::new(host, port).to_string()).ok()
}

/// Someone at a terminal: where answers come from, and where questions go.
pub struct Questions<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
    texts: &'a Texts,
}

impl fmt::Debug for Questions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}

impl<'a> Questions<'a> {
    /// Questions in the language of the texts.
    pub fn new(
        input: &'a mut dyn BufRead,
        output: &'a mut dyn Write,
        texts: &'a Texts,
    ) -> Questions<'a> {
        Questions { input, output, texts }
    }

    /// Server or client; by number, letter or word. `None` at the end of the input, here and below.
    ///
    /// # Errors
    /// The terminal cannot be read from or written to, here and below.
    pub fn role(&mut self) -> io::Result<Option<Role>> {
        self.ask("ask-role", "role-invalid", |answer| match answer.to_lowercase().as_str() {
            "1" | "s" | "server" | "servidor" => Some(Role::Server),
            "2" | "c" | "client" | "cliente" => Some(Role::Client),
            _ => None,
        })
    }

    /// A host; an empty answer is this machine.
    ///
    /// # Errors
    /// As [`Questions::role`].
    pub(super) fn host(&mut self) -> io::Result<Option<String>> {
        self.ask("ask-host", "host-wrong", |answer| match answer {
            "" => Some(HOST_OFFERED.to_owned()),
            host => endpoint(host, PORT_OFFERED).map(|_| host.to_owned()),
        })
    }

    /// A port; `question` is the text that asks for it.
    ///
    /// # Errors
    /// As [`Questions::role`].
    pub fn port(&mut self, question: &str) -> io::Result<Option<u16>> {
        self.ask(question, "port-invalid", |answer| match answer {
            "" => Some(PORT_OFFERED),
            text => text.parse().ok().filter(|&port| port > 0),
        })
    }

    /// An id; an empty answer is the one that is kept here, or else a new one.
    ///
    /// # Errors
    /// As [`Questions::role`].
    pub(super) fn id(&mut self, kept: bool) -> io::Result<Option<IdAnswer>> {
        let question = if kept { "ask-id-kept" } else { "ask-id" };
        self.ask(question, "id-wrong", |answer| match answer.to_lowercase().as_str() {
            "" => Some(IdAnswer::Kept),
            "new" | "novo" => Some(IdAnswer::New),
            text => ClientId::parse(text).ok().map(IdAnswer::Given),
        })
    }

    /// Asks until the answer is one.
    fn ask<T>(
        &mut self,
        question: &str,
        complaint: &str,
        understand: impl Fn(&str) -> Option<T>,
    ) -> io::Result<Option<T>> {
        loop {
            write!(self.output, "{} ", self.texts.say(question))?;
            self.output.flush()?;
            let mut answer = Vec::new();
            if (&mut *self.input).take(ANSWER_MAX).read_until(b'\n', &mut answer)? == 0 {
                writeln!(self.output)?;
                return Ok(None);
            }
            match understand(String::from_utf8_lossy(&answer).trim()) {
                Some(understood) => return Ok(Some(understood)),
                None => writeln!(self.output, "{}", self.texts.say(complaint))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::texts::Language;
    use super::*;

    const ID: &str = "6F9619FF-8b86-4d01-b42d-00cf4fc964ff";

    /// What is understood when this is typed, and what is shown.
    fn typed<T>(
        text: &str,
        ask: impl Fn(&mut Questions<'_>) -> io::Result<Option<T>>,
    ) -> (Option<T>, String) {
        let (mut input, mut shown) = (text.as_bytes(), Vec::new());
        let texts = Texts::new(Language::English);
        let answer = ask(&mut Questions::new(&mut input, &mut shown, &texts)).unwrap();
        (answer, String::from_utf8(shown).unwrap())
    }

    #[test]
    fn a_role_is_a_number_a_letter_or_a_word() {
        for text in ["1\n", "s\n", "Server\n", "servidor\n", "x\n\n1\n"] {
            assert_eq!(typed(text, |ask| ask.role()).0, Some(Role::Server), "{text}");
        }
        for text in ["2\n", "C\n", "client\n", "cliente\n"] {
            assert_eq!(typed(text, |ask| ask.role()).0, Some(Role::Client), "{text}");
        }
        assert_eq!(typed("", |ask| ask.role()).0, None);
    }

    #[test]
    fn return_alone_takes_what_is_offered() {
        assert_eq!(typed("\n", |ask| ask.host()).0.as_deref(), Some(HOST_OFFERED));
        assert_eq!(typed("\n", |ask| ask.port("ask-port")).0, Some(PORT_OFFERED));
        assert_eq!(typed("\n", |ask| ask.id(false)).0, Some(IdAnswer::Kept));
        assert_eq!(typed("\n", |ask| ask.id(true)).0, Some(IdAnswer::Kept));
    }

    #[test]
    fn it_asks_again_until_the_answer_is_one() {
        let (port, shown) = typed("web\n0\n65536\n7001\n", |ask| ask.port("ask-port"));
        assert_eq!(port, Some(7001));
        assert_eq!(shown.matches("65535").count(), 3, "{shown}");
        assert_eq!(typed("a b\nx@y\n::1\n", |ask| ask.host()).0.as_deref(), Some("::1"));
    }

    #[test]
    fn an_id_is_taken_or_a_new_one_asked_for() {
        let given = Some(IdAnswer::Given(ClientId::parse(ID).unwrap()));
        assert_eq!(typed(&format!("{ID}\n"), |ask| ask.id(true)).0, given);
        assert_eq!(typed("new\n", |ask| ask.id(true)).0, Some(IdAnswer::New));
        let (answer, shown) = typed(&format!("{ID}x\n{ID}\n"), |ask| ask.id(false));
        assert_eq!(answer, given);
        assert!(!shown.contains(ID));
    }

    #[test]
    fn a_host_is_no_address_with_its_port() {
        assert_eq!(endpoint("[::1]", 7).unwrap().to_string(), "[::1]:7");
        assert_eq!(endpoint("::1", 7).unwrap().to_string(), "[::1]:7");
        assert!(endpoint("http://x", 7).is_none() && endpoint("", 7).is_none());
    }
}
