//! What a client does while things go wrong: a little of everything that changes a disk.

use bytes::Bytes;
use tokio::io::DuplexStream;

use super::{Client, Heard, ID, Ledger, Server, settle};
use crate::content::random_bytes;
use crate::headers::Deposit;

/// One thing that a client does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Deposits this under this name, or over what has it.
    Deposit(&'static str, Bytes),
    /// Sends so many bytes of it and closes.
    Cut(&'static str, Bytes, usize),
    /// Goes on with what was cut.
    Resume(&'static str, Bytes),
    /// Removes the file of this name.
    Remove(&'static str),
    /// Waits until the server has nothing to do.
    Rest,
}

/// The file that the workload uploads in two goes.
pub const RESUMED: &str = "em duas vezes";

/// The bytes of [`RESUMED`].
pub fn resumed() -> Bytes {
    bytes(5, 150 * 1024)
}

/// Every kind of change, on files of no chunk, one chunk and more.
pub fn steps() -> Vec<Step> {
    let two_chunks = bytes(3, 70 * 1024);
    vec![
        Step::Deposit("vazio", Bytes::new()),
        Step::Deposit("dez", bytes(2, 10)),
        Step::Deposit("grande", two_chunks.clone()),
        Step::Cut(RESUMED, resumed(), 100 * 1024),
        Step::Resume(RESUMED, resumed()),
        Step::Deposit("dez", bytes(4, 11)),
        Step::Deposit("igual a grande", two_chunks),
        Step::Remove("vazio"),
        Step::Remove("grande"),
        Step::Rest,
        Step::Deposit("último", bytes(6, 1000)),
    ]
}

/// Does these steps one after the other, and writes down what was promised. Stops early where the
/// server falls silent, or `over` says so.
pub async fn work(server: &Server, steps: &[Step], ledger: &mut Ledger, over: impl Fn() -> bool) {
    let mut client = server.connect().await;
    for step in steps {
        let heard = step.take(&mut client, ledger).await;
        match heard {
            _ if over() => return,
            Heard::Silence => return,
            Heard::Line(_) => {}
            Heard::Closed => client = server.connect().await,
        }
    }
}

impl Step {
    async fn take(&self, client: &mut Client<DuplexStream>, ledger: &mut Ledger) -> Heard {
        let (name, heard) = match self {
            Step::Deposit(name, bytes) => {
                ledger.asks(name, Some(bytes.clone()));
                (name, client.deposit(ID, name, bytes).await)
            }
            Step::Resume(name, bytes) => {
                ledger.asks(name, Some(bytes.clone()));
                (name, client.resume(ID, name, bytes).await)
            }
            Step::Remove(name) => {
                ledger.asks(name, None);
                (name, client.remove(ID, name).await)
            }
            Step::Cut(name, bytes, sent) => {
                client.send_line(Deposit::of(ID, name, bytes).header()).await;
                client.send(&bytes[..*sent]).await;
                client.end().await;
                let answer = client.hear().await;
                // What it holds of an upload is visible to nobody.
                return if answer == Heard::Silence { answer } else { Heard::Closed };
            }
            Step::Rest => {
                settle().await;
                return Heard::Line(String::new());
            }
        };
        ledger.hears(name, &heard);
        // A refusal may close the connection behind it: the next step begins on a fresh one.
        if heard.error().is_some() { Heard::Closed } else { heard }
    }
}

fn bytes(seed: u64, size: usize) -> Bytes {
    random_bytes(seed, size).into()
}
