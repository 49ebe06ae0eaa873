//! Bytes to messages and back, for `tokio_util::codec`: no socket is named here.

mod client;
mod server;

use bytes::{Buf, BytesMut};

pub use client::{ClientCodec, PipelineFull, Reply};
pub use server::{Incoming, ServerCodec};

use crate::limits::LINE_MAX;

/// What the buffer holds of a line.
enum Taken {
    /// All of it, taken out, without its LF and one CR before that.
    Line(BytesMut),
    /// Not yet its end.
    Part,
    /// More than a line may have.
    TooLong,
}

/// Takes one line out of the buffer. It never looks further than a line may reach.
fn take_line(buf: &mut BytesMut) -> Taken {
    let Some(end) = buf.iter().take(LINE_MAX).position(|&byte| byte == b'\n') else {
        return if buf.len() < LINE_MAX { Taken::Part } else { Taken::TooLong };
    };
    let mut line = buf.split_to(end);
    buf.advance(1);
    if line.last() == Some(&b'\r') {
        line.truncate(line.len().saturating_sub(1));
    }
    Taken::Line(line)
}

/// Takes out what the buffer holds of so many bytes.
fn take_up_to(buf: &mut BytesMut, remaining: u64) -> BytesMut {
    let held = usize::try_from(remaining).map_or(buf.len(), |remaining| remaining.min(buf.len()));
    buf.split_to(held)
}

/// A length as the protocol counts.
fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
