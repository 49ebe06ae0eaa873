//! A program at a terminal: a pseudo terminal, somebody who types, and the screen read as text.

// Real time is what a person sees pass.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

/// How long anything may take that ought to happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ctrl-C.
pub(crate) const CTRL_C: &str = "\u{3}";
/// Ctrl-D.
pub(crate) const CTRL_D: &str = "\u{4}";
/// The arrow up.
pub(crate) const UP: &str = "\u{1b}[A";

/// The program and its terminal. Dropping it kills the program.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    /// How much of the screen's text has been expected already.
    read: usize,
}

#[derive(Default)]
struct Screen {
    bytes: Vec<u8>,
    closed: bool,
}

impl Terminal {
    /// Starts a program with a terminal of its own, in a session of its own, so that Ctrl-C is a
    /// signal to it alone.
    #[track_caller]
    pub(crate) fn start(program: &Command) -> Terminal {
        let size = Winsize { ws_row: 40, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a pseudo terminal");
        let (keyboard, slave) = (File::from(pty.master), File::from(pty.slave));
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        command
            .env_clear()
            .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let dup = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let child = command.stdin(dup()).stdout(dup()).stderr(dup()).spawn().expect("setsid runs");
        drop(slave);
        let screen = Arc::<(Mutex<Screen>, Condvar)>::default();
        let (mut shown, shared) = (keyboard.try_clone().expect("a descriptor"), screen.clone());
        thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                // A terminal whose program has ended is a failure to read.
                let read = shown.read(&mut piece).unwrap_or(0);
                let Ok(mut screen) = shared.0.lock() else { return };
                screen.bytes.extend_from_slice(&piece[..read]);
                screen.closed = read == 0;
                shared.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Terminal { child, keyboard, screen, read: 0 }
    }

    /// Types keys.
    #[track_caller]
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Types a line and Return.
    #[track_caller]
    pub(crate) fn enter(&mut self, line: &str) {
        self.press(&format!("{line}\r"));
    }

    /// Waits until this is shown, after what was expected before; returns what stands between.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let start = Instant::now();
        let mut screen = self.screen.0.lock().expect("the screen is read on");
        loop {
            let shown = plain(&screen.bytes);
            let unread = shown.get(self.read..).unwrap_or_default();
            if let Some(at) = unread.find(text) {
                self.read += at + text.len();
                return unread[..at].to_owned();
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            if screen.closed || left.is_zero() {
                panic!("{text:?} is not shown after what was expected, but:\n{unread}");
            }
            screen = self.screen.1.wait_timeout(screen, left).expect("the screen is read on").0;
        }
    }

    /// Waits for the question and answers it.
    #[track_caller]
    pub(crate) fn answer(&mut self, question: &str, answer: &str) {
        self.expect(question);
        self.enter(answer);
    }

    /// Waits until the program has ended; its exit code.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<i32> {
        depot_tests::eventually("the program ends", || {
            self.child.try_wait().expect("the program is ours").is_some()
        });
        self.child.wait().expect("it has ended").code()
    }

    /// All that was ever shown.
    pub(crate) fn whole(&self) -> String {
        plain(&self.screen.0.lock().expect("the screen is read on").bytes)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The text among the terminal's sequences, as far as those are complete.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut chars = text.chars().peekable();
    let mut plain = String::new();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    for char in chars.by_ref() {
                        if ('@'..='~').contains(&char) {
                            break;
                        }
                    }
                }
                Some(']') => {
                    for char in chars.by_ref() {
                        if char == '\u{7}' {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\r' | '\u{7}' => {}
            char => plain.push(char),
        }
    }
    plain
}
