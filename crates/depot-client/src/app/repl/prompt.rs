//! Where lines come from: an editor with history and completion at a terminal, plain lines over a
//! pipe. Reading blocks, so it has a thread of its own; it reads when it is asked to and never
//! ahead, so that a command finds the terminal as it left it.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use rustyline::error::ReadlineError;
use rustyline::history::{FileHistory, History};
use rustyline::{Behavior, CompletionType, Config, Editor};
use tokio::sync::mpsc as channel;

use super::complete::{Completion, Names};
use crate::app::identity::Home;

/// How many lines the history keeps.
const HISTORY_MAX: usize = 1000;
/// The longest line that comes over a pipe, in bytes.
const LINE_MAX: u64 = 1 << 16;

/// What a line will be: what there is to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expecting {
    /// A command, kept in the history.
    Command,
    /// A path of this machine.
    Path,
    /// The name of a deposited file.
    Name,
    /// Something that cannot be completed.
    Nothing,
}

/// What came.
#[derive(Debug)]
pub(super) enum Typed {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of the pipe.
    End,
    /// Nothing can be read.
    Failed(io::Error),
}

struct Question {
    prompt: String,
    expecting: Expecting,
}

/// The asking end; the thread ends with it, at the latest after the line that it is reading.
#[derive(Debug)]
pub(super) struct Prompt {
    questions: mpsc::Sender<Question>,
    answers: channel::Receiver<Typed>,
}

impl Prompt {
    /// Starts the thread that reads.
    pub(super) fn start(terminal: bool, home: &Home, names: Names) -> io::Result<Prompt> {
        let (questions, asked) = mpsc::channel();
        let (answer, answers) = channel::channel(1);
        let mut reader = if terminal {
            Reader::Editor(Box::new(Edited::new(home, names)?))
        } else {
            Reader::Pipe(io::stdin())
        };
        let read = move || {
            while let Ok(question) = asked.recv() {
                if answer.blocking_send(reader.read(&question)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("prompt".into()).spawn(read)?;
        Ok(Prompt { questions, answers })
    }

    /// Reads one line.
    pub(super) async fn ask(&mut self, prompt: &str, expecting: Expecting) -> Typed {
        let gone = || Typed::Failed(io::ErrorKind::BrokenPipe.into());
        let question = Question { prompt: prompt.to_owned(), expecting };
        match self.questions.send(question) {
            Ok(()) => self.answers.recv().await.unwrap_or_else(gone),
            Err(_) => gone(),
        }
    }
}

enum Reader {
    Editor(Box<Edited>),
    Pipe(io::Stdin),
}

impl Reader {
    fn read(&mut self, question: &Question) -> Typed {
        match self {
            Reader::Editor(edited) => edited.read(question),
            Reader::Pipe(stdin) => read_plain(&mut stdin.lock()),
        }
    }
}

/// One line of a pipe.
fn read_plain(input: &mut impl BufRead) -> Typed {
    let mut line = Vec::new();
    match input.take(LINE_MAX).read_until(b'\n', &mut line) {
        Err(error) => return Typed::Failed(error),
        Ok(0) => return Typed::End,
        Ok(read) if read as u64 == LINE_MAX && line.last() != Some(&b'\n') => {
            return Typed::Failed(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
        }
        Ok(_) => {}
    }
    match String::from_utf8(line) {
        Ok(line) => Typed::Line(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(_) => Typed::Failed(io::Error::new(io::ErrorKind::InvalidData, "a line is not UTF-8")),
    }
}

/// The editor at a terminal.
struct Edited {
    editor: Editor<Completion, FileHistory>,
    history: Option<PathBuf>,
}

impl Edited {
    fn new(home: &Home, names: Names) -> io::Result<Edited> {
        let config = Config::builder()
            // The prompt is no result: it goes to the terminal, also where stdout is a file.
            .behavior(Behavior::PreferTerm)
            .completion_type(CompletionType::List)
            .max_history_size(HISTORY_MAX)
            .map_err(other)?
            .history_ignore_space(true)
            .build();
        let mut editor = Editor::with_config(config).map_err(other)?;
        editor.set_helper(Some(Completion::new(names)));
        let history = home.history();
        if let Some(path) = &history {
            // The first time there is none; a damaged one is no reason not to work.
            let _ = editor.load_history(path);
        }
        Ok(Edited { editor, history })
    }

    fn read(&mut self, question: &Question) -> Typed {
        if let Some(completion) = self.editor.helper_mut() {
            completion.expect(question.expecting);
        }
        match self.editor.readline(&question.prompt) {
            Ok(line) => {
                if question.expecting == Expecting::Command {
                    self.remember(&line);
                }
                Typed::Line(line)
            }
            Err(ReadlineError::Interrupted) => Typed::Interrupted,
            Err(ReadlineError::Eof) => Typed::End,
            Err(ReadlineError::Io(error)) => Typed::Failed(error),
            Err(error) => Typed::Failed(other(error)),
        }
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || !self.editor.history_mut().add(line).unwrap_or(false) {
            return;
        }
        if let Some(path) = &self.history {
            // A history that cannot be kept is no reason to stop.
            let _ = self.editor.append_history(path);
        }
    }
}

fn other(error: ReadlineError) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_come_one_by_one() {
        let mut input = &b"list\r\nstat x\nquit"[..];
        let mut lines = Vec::new();
        while let Typed::Line(line) = read_plain(&mut input) {
            lines.push(line);
        }
        assert_eq!(lines, ["list", "stat x", "quit"]);
    }

    #[test]
    fn what_is_no_line_is_not_cut_into_one() {
        assert!(matches!(read_plain(&mut &b"stat \xff\n"[..]), Typed::Failed(_)));
        let long = vec![b'x'; 70_000];
        assert!(matches!(read_plain(&mut &long[..]), Typed::Failed(_)));
    }
}
