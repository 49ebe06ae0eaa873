//! The word that the cursor stands in, quoted or not, and how a completed one is written.

/// A line up to the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The words before the one at the cursor, without their quotes.
    pub(super) before: Vec<String>,
    /// Where that one begins, its quote included.
    pub(super) start: usize,
    /// What there is of it, without its quotes.
    pub(super) word: String,
}

/// Takes a line apart as the shell would, where its end is still open.
pub(super) fn at_cursor(line: &str) -> Cursor {
    let mut cursor = Cursor { before: Vec::new(), start: 0, word: String::new() };
    let (mut quote, mut inside, mut escaped) = (None, false, false);
    for (at, char) in line.char_indices() {
        if !inside && !char.is_whitespace() {
            (inside, cursor.start) = (true, at);
        }
        if escaped {
            cursor.word.push(char);
            escaped = false;
            continue;
        }
        match (quote, char) {
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), char) if open == char => quote = None,
            (None, '\'' | '"') => quote = Some(char),
            (None, char) if char.is_whitespace() => {
                if inside {
                    cursor.before.push(std::mem::take(&mut cursor.word));
                    inside = false;
                }
            }
            (_, char) => cursor.word.push(char),
        }
    }
    if !inside {
        cursor.start = line.len();
    }
    cursor
}

/// The word as it is to be typed; `None` where it cannot be.
pub(super) fn quoted(word: &str) -> Option<String> {
    shlex::try_quote(word).ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> (Vec<String>, usize, String) {
        let Cursor { before, start, word } = at_cursor(line);
        (before, start, word)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_word_at_the_cursor() {
        assert_eq!(cut(""), (vec![], 0, String::new()));
        assert_eq!(cut("sta"), (vec![], 0, "sta".into()));
        assert_eq!(cut("stat "), (words(&["stat"]), 5, String::new()));
        assert_eq!(cut("  stat le"), (words(&["stat"]), 7, "le".into()));
    }

    #[test]
    fn quotes_and_backslashes() {
        assert_eq!(cut("stat 'a b"), (words(&["stat"]), 5, "a b".into()));
        assert_eq!(cut("stat 'a b'/c"), (words(&["stat"]), 5, "a b/c".into()));
        assert_eq!(
            cut(r#"recover "a \" b" x\ y"#),
            (words(&["recover", "a \" b"]), 17, "x y".into())
        );
        assert_eq!(cut("stat '' é"), (words(&["stat", ""]), 8, "é".into()));
    }

    #[test]
    fn what_is_completed_is_read_back_as_it_was() {
        for name in ["plain.txt", "a b", "it's", "$HOME", "a\"b", "ação"] {
            let typed = quoted(name).unwrap();
            assert_eq!(shlex::split(&typed).unwrap(), [name]);
            assert_eq!(at_cursor(&typed).word, name);
        }
    }
}
