//! What is wrong with a command line, in the reader's language.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::Command;
use super::escape::shown;
use super::texts::Texts;

/// From so many hex digits on a word is taken for an id.
const ID_DIGITS: usize = 24;

/// What the parser has to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Help or the version, as asked for.
    Help(String),
    /// What is wrong, and where to look.
    Wrong(String),
}

/// The text of what came instead of a command. An id is never repeated.
#[must_use]
pub(super) fn explain(error: &clap::Error, texts: &Texts) -> Said {
    let arg = || context(error, ContextKind::InvalidArg);
    let value = || context(error, ContextKind::InvalidValue);
    let text = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return Said::Help(error.render().to_string());
        }
        ErrorKind::UnknownArgument => {
            texts.with("wrong-unknown-argument", [("word", arg().into())])
        }
        ErrorKind::InvalidSubcommand => {
            let word = context(error, ContextKind::InvalidSubcommand);
            texts.with("wrong-unknown-command", [("word", word.into())])
        }
        ErrorKind::MissingRequiredArgument => texts.with("wrong-missing", [("word", arg().into())]),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues
            if value().is_empty() =>
        {
            texts.with("wrong-no-value", [("word", arg().into())])
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::TooManyValues => {
            texts.with("wrong-value", [("word", arg().into()), ("value", value().into())])
        }
        ErrorKind::ArgumentConflict => texts.with("wrong-twice", [("word", arg().into())]),
        ErrorKind::InvalidUtf8 => texts.say("wrong-utf8"),
        _ => texts.say("wrong-other"),
    };
    let commands = context(error, ContextKind::SuggestedSubcommand);
    // The other language's names are understood, and not taught.
    let command = commands.split(", ").find(|&word| Command::names().iter().any(|is| is == word));
    let hints =
        [command.unwrap_or(&commands).to_owned(), context(error, ContextKind::SuggestedArg)];
    let hint = hints.into_iter().find(|hint| !hint.is_empty());
    Said::Wrong(match hint {
        None => text,
        Some(word) => format!("{text} {}", texts.with("wrong-hint", [("word", word.into())])),
    })
}

/// A piece of the error, escaped, and left out where it is an id.
fn context(error: &clap::Error, kind: ContextKind) -> String {
    let words: Vec<&str> = match error.get(kind) {
        Some(ContextValue::String(word)) => vec![word],
        Some(ContextValue::Strings(words)) => words.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    words.iter().map(|word| repeated(word)).collect::<Vec<_>>().join(", ")
}

/// A word that was typed, as it may stand in a message: escaped, and left out where it is an id, or
/// looks like one with a slip in it.
#[must_use]
pub(super) fn repeated(word: &str) -> String {
    if holds_id(word) { "...".to_owned() } else { shown(word) }
}

/// Whether so many hex digits stand anywhere in the word, hyphens or none between them, that it may
/// be an id, which has 32.
fn holds_id(word: &str) -> bool {
    let pieces = word.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    pieces.map(|piece| piece.replace('-', "").len()).any(|digits| digits >= ID_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::super::args::{parse_args, parse_line};
    use super::super::texts::Language;
    use super::*;

    fn wrong(language: Language, line: &str) -> String {
        let texts = Texts::new(language);
        let words = line.split_whitespace().map(str::to_owned).collect();
        match explain(&parse_line(words, &texts).unwrap_err(), &texts) {
            Said::Wrong(text) => text,
            Said::Help(text) => panic!("{line}: {text}"),
        }
    }

    #[test]
    fn each_fault_is_named() {
        let english = |line| wrong(Language::English, line);
        assert!(english("depsit x").contains("depsit"), "{}", english("depsit x"));
        assert!(english("depsit x").contains("deposit"));
        assert!(english("deposit").contains("PATH"));
        assert!(english("deposit x --replicas").contains("--replicas"));
        assert!(english("deposit x --replicas 256").contains("256"));
        assert!(english("replicas x -- -1").contains("-1"));
        assert!(english("list --jsn").contains("--json"));
        assert!(english("deposit x --name a --name b").contains("--name"));
        assert!(english("list more").contains("more"));
    }

    #[test]
    fn each_fault_is_named_in_portuguese() {
        let portuguese = |line| wrong(Language::Portuguese, line);
        assert!(portuguese("deposit").contains("falta"), "{}", portuguese("deposit"));
        assert!(portuguese("depsit x").contains("não é um comando"));
        assert!(portuguese("deposit x --replicas 256").contains("\"256\" não é possível"));
    }

    #[test]
    fn an_id_is_never_repeated() {
        let id = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
        let texts = Texts::new(Language::English);
        let (bare, short) = (id.replace('-', ""), &id[..35]);
        assert_eq!(repeated(&bare), "...");
        assert_eq!(repeated(short), "...");
        assert_eq!(repeated("deadbeef-letter.txt"), "deadbeef-letter.txt");
        for line in [id.to_owned(), format!("--key={id}"), format!("--port {id} list")] {
            let words = std::iter::once("depot-client").chain(line.split_whitespace());
            let error = parse_args(words.map(Into::into), &texts).unwrap_err();
            let Said::Wrong(text) = explain(&error, &texts) else { panic!("{line}") };
            assert!(!text.contains(id), "{text}");
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        assert!(wrong(Language::English, "\u{1b}[31mx").contains("\\u{1b}"));
    }
}
