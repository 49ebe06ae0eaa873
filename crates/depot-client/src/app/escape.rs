//! Text from elsewhere, made safe to show: a name cannot move the cursor, recolour the terminal,
//! turn the direction of the line or hide a part of itself.

use std::fmt::Write;
use std::path::Path;

/// The text with every character escaped that acts instead of being seen.
#[must_use]
pub(super) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if acts(char) {
            safe.extend(char.escape_unicode());
        } else {
            safe.push(char);
        }
    }
    safe
}

/// A path of this machine, as [`shown`]; what is not UTF-8 in it becomes `U+FFFD`.
#[must_use]
pub(super) fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// The same for a line of JSON, in which such characters stand in strings only.
pub(super) fn shown_json(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    for char in line.chars() {
        if acts(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                // A string takes all that is written to it.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(char);
        }
    }
    safe
}

/// Control characters, marks of direction, and what has no width.
fn acts(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped() {
        assert_eq!(shown("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(shown("evil\u{202e}txt.exe"), "evil\\u{202e}txt.exe");
        assert_eq!(shown("a\u{200b}b\u{9b}c\nd"), "a\\u{200b}b\\u{9b}c\\u{a}d");
        assert_eq!(shown("\u{e0041}"), "\\u{e0041}");
    }

    #[test]
    fn what_is_seen_stays() {
        for text in ["ação.txt", "日本語", "a b|c:d", "\\x", "🎉", "e\u{301}"] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{e0041}c" });
        let line = shown_json(&value.to_string());
        assert_eq!(line, r#"{"name":"a\u202eb\udb40\udc41c"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }
}
