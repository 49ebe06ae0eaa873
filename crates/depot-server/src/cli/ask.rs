//! The one question that the command line asks, where there is somebody to ask.

use std::io::{self, BufRead, Read, Write};

/// The port that an empty answer means.
pub const PORT_OFFERED: u16 = 7070;

/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 10;

/// Asks for a port until the answer is one; `None` where the input ends before.
///
/// # Errors
/// The terminal cannot be read from or written to.
pub fn ask_port(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<Option<u16>> {
    loop {
        write!(output, "Port to listen on [{PORT_OFFERED}]: ")?;
        output.flush()?;
        let mut answer = Vec::new();
        if (&mut *input).take(ANSWER_MAX).read_until(b'\n', &mut answer)? == 0 {
            writeln!(output)?;
            return Ok(None);
        }
        let answer = String::from_utf8_lossy(&answer);
        match answer.trim() {
            "" => return Ok(Some(PORT_OFFERED)),
            text => match text.parse::<u16>() {
                Ok(port) if port > 0 => return Ok(Some(port)),
                _ => writeln!(output, "A port is a number from 1 to 65535.")?,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is understood and what is shown when somebody types this.
    fn typed(text: &[u8]) -> (Option<u16>, String) {
        let mut shown = Vec::new();
        let port = ask_port(&mut &text[..], &mut shown).unwrap();
        (port, String::from_utf8(shown).unwrap())
    }

    #[test]
    fn the_answer_is_the_port() {
        assert_eq!(typed(b"8080\n"), (Some(8080), "Port to listen on [7070]: ".to_owned()));
    }

    #[test]
    fn return_alone_takes_the_one_offered() {
        assert_eq!(typed(b"\n").0, Some(7070));
        assert_eq!(typed(b" \r\n").0, Some(7070));
    }

    #[test]
    fn it_asks_again_until_the_answer_is_a_port() {
        let (port, shown) = typed(b"web\n65536\n0\n-1\n\xff\n7001\n");
        assert_eq!(port, Some(7001));
        assert_eq!(shown.matches("Port to listen on").count(), 6);
        assert_eq!(shown.matches("from 1 to 65535").count(), 5);
    }

    #[test]
    fn the_end_of_the_input_is_no_answer() {
        assert_eq!(typed(b"").0, None);
        assert_eq!(typed(b"web\n").0, None);
    }
}
