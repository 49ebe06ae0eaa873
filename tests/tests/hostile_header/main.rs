//! RELIABILITY.md, section 3 A: hostile headers and fields, one test for each of rows 1 to 35.
//! After each, the server has stored nothing of it and serves another client.

mod lines;
mod names;
mod values;

use depot_tests::{Server, answer};

/// Bytes that are answered with this refusal and an orderly end, on a connection of their own.
#[track_caller]
fn closes(server: &Server, bytes: impl AsRef<[u8]>, code: &str) {
    let mut client = server.connect();
    client.send(bytes);
    answer::refused(&client.line(), code);
    client.ended();
}

/// As [`closes`], with `campo_invalido` and this field in the message.
#[track_caller]
fn closes_naming(server: &Server, header: &str, field: &str) {
    let mut client = server.connect();
    answer::refused_field(&client.ask(header), field);
    client.ended();
}

/// A header that is answered with this refusal and leaves the connection open.
#[track_caller]
fn stays(server: &Server, header: impl AsRef<str>, code: &str) {
    let mut client = server.connect();
    answer::refused(&client.ask(header), code);
    client.stays_open();
}
