//! What a server sent, made fit to be shown: whoever prints an error prints no escape codes.

/// The longest text that is kept of one, in characters.
const LONGEST: usize = 1024;

/// The text without anything that could move a cursor or turn the direction of writing, and not
/// without end.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(LONGEST) {
        if c.is_control() || turns(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Marks of direction, line separators and characters of no width.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_is_left() {
        assert_eq!(printable("não há \u{1b}[2J\r\u{202e}x"), "não há \\u{1b}[2J\\u{d}\\u{202e}x");
        assert_eq!(printable(&"é".repeat(9999)).chars().count(), LONGEST);
    }
}
