//! What an answer line must look like.

/// A refusal with this code, in the one form that a refusal has; returns its message.
#[track_caller]
pub fn refused<'a>(line: &'a str, code: &str) -> &'a str {
    let start = format!("resultado:0|erro:{code}|mensagem:");
    let message = line.strip_prefix(&start).unwrap_or_else(|| panic!("wanted {code}: {line:?}"));
    assert!(!message.trim().is_empty(), "an empty message: {line:?}");
    assert!(!message.chars().any(char::is_control), "a control character: {line:?}");
    message
}

/// All of them are refusals with this code.
#[track_caller]
pub fn all_refused(lines: &[String], code: &str) {
    for line in lines {
        refused(line, code);
    }
}

/// A refusal of a field: the message names it.
#[track_caller]
pub fn refused_field(line: &str, field: &str) {
    let message = refused(line, "campo_invalido");
    assert!(message.contains(field), "the message names {field}: {line:?}");
}

/// The value of a field of an answer.
#[track_caller]
pub fn field<'a>(line: &'a str, key: &str) -> &'a str {
    let value = line.split('|').find_map(|field| field.strip_prefix(key)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {key} in {line:?}"))
}

/// The number in a field of an answer.
#[track_caller]
pub fn number(line: &str, key: &str) -> usize {
    field(line, key).parse().unwrap_or_else(|_| panic!("{key} is a number: {line:?}"))
}
