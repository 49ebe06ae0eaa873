//! The menu of the original: a number, a letter or a word chooses, and what the choice needs is
//! asked for.

use std::path::{Path, PathBuf};

use super::prompt::{Expecting, Prompt, Typed};
use crate::app::args::{Command, Line};
use crate::app::fault::Fault;
use crate::app::output::Output;

/// What the menu offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Deposit,
    Recover,
    List,
    Replicas,
    Quit,
    /// To see the menu again.
    Menu,
}

/// The choice that a line is; any other line is a command.
pub(super) fn choice(line: &str) -> Option<Choice> {
    Some(match line.trim().to_lowercase().as_str() {
        "1" | "d" | "deposit" | "depositar" => Choice::Deposit,
        "2" | "r" | "recover" | "recuperar" => Choice::Recover,
        "3" | "l" | "list" | "listar" => Choice::List,
        "4" | "a" | "change" | "replicas" | "change replicas" | "alterar" | "alterar réplicas" => {
            Choice::Replicas
        }
        "5" | "s" | "quit" | "sair" => Choice::Quit,
        "m" | "menu" | "?" => Choice::Menu,
        _ => return None,
    })
}

/// Asks what the choice needs; `None` where there is nothing to do, or whoever was asked has
/// thought better of it.
pub(super) async fn questions(
    choice: Choice,
    prompt: &mut Prompt,
    output: &Output,
) -> Result<Option<Line>, Fault> {
    let mut form = Form { prompt, output };
    let command = match choice {
        Choice::Menu => {
            output.note(&output.texts().say("menu"));
            None
        }
        Choice::List => Some(Command::List),
        Choice::Quit => Some(Command::Quit),
        Choice::Deposit => form.deposit().await?,
        Choice::Recover => form.recover().await?,
        Choice::Replicas => form.replicas().await?,
    };
    Ok(command.map(|command| Line { json: false, command: Some(command) }))
}

struct Form<'a> {
    prompt: &'a mut Prompt,
    output: &'a Output,
}

impl Form<'_> {
    async fn deposit(&mut self) -> Result<Option<Command>, Fault> {
        let Some(path) = self.some("ask-path", Expecting::Path).await? else { return Ok(None) };
        let Some(replicas) = self.number("ask-replicas").await? else { return Ok(None) };
        let paths = vec![local(&path)];
        Ok(Some(Command::Deposit { paths, replicas, name: None }))
    }

    async fn recover(&mut self) -> Result<Option<Command>, Fault> {
        let Some(name) = self.some("ask-name", Expecting::Name).await? else { return Ok(None) };
        let Some(to) = self.line("ask-to", Expecting::Path).await? else { return Ok(None) };
        let to = (!to.is_empty()).then(|| local(&to));
        Ok(Some(Command::Recover { names: vec![one_word(name)], to, force: false }))
    }

    async fn replicas(&mut self) -> Result<Option<Command>, Fault> {
        let Some(name) = self.some("ask-name", Expecting::Name).await? else { return Ok(None) };
        let replicas = self.number("ask-replicas-new").await?.flatten();
        Ok(replicas.map(|replicas| Command::Replicas { name: one_word(name), replicas }))
    }

    /// A line; `None` after Ctrl-C or Ctrl-D.
    async fn line(&mut self, key: &str, expecting: Expecting) -> Result<Option<String>, Fault> {
        let question = format!("{} ", self.output.texts().say(key));
        match self.prompt.ask(&question, expecting).await {
            Typed::Line(line) => Ok(Some(line.trim().to_owned())),
            Typed::Interrupted | Typed::End => Ok(None),
            Typed::Failed(error) => Err(Fault::Internal(error)),
        }
    }

    /// A line that is not empty; an empty one is a change of mind.
    async fn some(&mut self, key: &str, expecting: Expecting) -> Result<Option<String>, Fault> {
        Ok(self.line(key, expecting).await?.filter(|line| !line.is_empty()))
    }

    /// A number of replicas, asked for until it is one; within, `None` where the answer is empty.
    async fn number(&mut self, key: &str) -> Result<Option<Option<u8>>, Fault> {
        loop {
            let Some(line) = self.line(key, Expecting::Nothing).await? else { return Ok(None) };
            if line.is_empty() {
                return Ok(Some(None));
            }
            match line.parse() {
                Ok(replicas) => return Ok(Some(Some(replicas))),
                Err(_) => self.output.note(&self.output.texts().say("replicas-invalid")),
            }
        }
    }
}

/// A path as it was typed, or as the completion quoted it.
fn local(typed: &str) -> PathBuf {
    if Path::new(typed).exists() { typed.into() } else { one_word(typed.to_owned()).into() }
}

/// What was typed without its quotes, if it is one word with them.
fn one_word(typed: String) -> String {
    match shlex::split(&typed).as_deref() {
        Some([word]) => word.clone(),
        _ => typed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_a_letter_or_a_word_in_either_language() {
        for (choice_is, words) in [
            (Choice::Deposit, ["1", "d", "deposit", "Depositar"]),
            (Choice::Recover, ["2", "R", "recover", "recuperar"]),
            (Choice::List, ["3", "l", "list", " listar "]),
            (Choice::Replicas, ["4", "a", "change replicas", "alterar réplicas"]),
            (Choice::Quit, ["5", "s", "quit", "sair"]),
        ] {
            for word in words {
                assert_eq!(choice(word), Some(choice_is), "{word}");
            }
        }
    }

    #[test]
    fn anything_more_is_a_command() {
        for line in ["", "deposit x", "replicas x 2", "6", "help", "stat d"] {
            assert_eq!(choice(line), None, "{line}");
        }
    }

    #[test]
    fn quotes_are_understood_and_not_needed() {
        assert_eq!(one_word("my letter.txt".into()), "my letter.txt");
        assert_eq!(one_word("'my letter.txt'".into()), "my letter.txt");
        assert_eq!(one_word("it's".into()), "it's");
    }
}
