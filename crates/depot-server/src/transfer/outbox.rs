//! Small payloads that go to the same peer at the same time, in one message: under load a message, a
//! sync and an answer are shared by all that came while the one before was on its way. A lone payload
//! goes at once, by itself. A message that takes long is overtaken, and holds up nobody.
//!
//! A batch that fails is nobody's failure: it may be another one's doing, or the peer is of a release
//! that knows no batches. Then each of its payloads is pushed alone, unless their time is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use depot_protocol::{Digest, ServerName};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, timeout};

use super::message::{self, Message};
use super::{No, RECEIPT_WITHIN, TransferError, out_of_step, own_receipt};
use crate::catalogue::Receipt;
use crate::cluster::{LinkError, Links, Service};
use crate::tasks::Tasks;

/// How long others wait for the message before theirs.
const IN_LINE: Duration = Duration::from_millis(100);
/// The most payloads in one message, and the most bytes of them.
const BATCH_MAX: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// The small payloads that are on their way or wait for it.
pub(super) struct Outbox {
    links: Arc<Links>,
    tasks: Tasks,
    peers: Mutex<BTreeMap<ServerName, Traffic>>,
}

#[derive(Default)]
struct Traffic {
    /// The turn for which others wait, and since when its message is on its way.
    under_way: Option<(u64, Instant)>,
    waiting: Vec<Parcel>,
    /// The number of the next turn or parcel.
    next: u64,
}

impl Traffic {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

struct Parcel {
    number: u64,
    payload: Bytes,
    digest: Digest,
    answer: oneshot::Sender<Result<Receipt, TransferError>>,
}

/// The way to a peer, for a payload.
enum Way {
    Free(Turn),
    /// Others go before; it has this number.
    InLine(u64, oneshot::Receiver<Result<Receipt, TransferError>>),
}

impl Outbox {
    pub(super) fn new(links: Arc<Links>, tasks: Tasks) -> Arc<Self> {
        Arc::new(Outbox { links, tasks, peers: Mutex::default() })
    }

    /// Pushes a small payload.
    pub(super) async fn push(
        self: &Arc<Self>,
        peer: &ServerName,
        payload: Bytes,
        digest: &Digest,
    ) -> Result<Receipt, TransferError> {
        let (number, mut answer) = match self.enter(peer, &payload, digest) {
            Way::Free(_turn) => return self.alone(peer, &payload, digest).await,
            Way::InLine(number, answer) => (number, answer),
        };
        loop {
            match timeout(IN_LINE, &mut answer).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(_not_sent)) => return self.alone(peer, &payload, digest).await,
                Err(_late) => {
                    if let Some(_turn) = self.overtake(peer, number) {
                        return self.alone(peer, &payload, digest).await;
                    }
                }
            }
        }
    }

    /// Is the way to a peer free? If not, the payload stands in line.
    fn enter(self: &Arc<Self>, peer: &ServerName, payload: &Bytes, digest: &Digest) -> Way {
        let mut peers = self.peers();
        let traffic = peers.entry(peer.clone()).or_default();
        if traffic.under_way.is_none() {
            return Way::Free(self.turn(peer, traffic, true));
        }
        let (answer, receiver) = oneshot::channel();
        let number = traffic.number();
        let payload = payload.clone();
        traffic.waiting.push(Parcel { number, payload, digest: *digest, answer });
        Way::InLine(number, receiver)
    }

    /// Lets a payload go that is still in line, where the message before takes long; the others
    /// come behind it.
    fn overtake(self: &Arc<Self>, peer: &ServerName, number: u64) -> Option<Turn> {
        let mut peers = self.peers();
        let traffic = peers.get_mut(peer)?;
        let (_, since) = traffic.under_way?;
        let place = traffic.waiting.iter().position(|parcel| parcel.number == number)?;
        if since.elapsed() < IN_LINE {
            return None;
        }
        traffic.waiting.remove(place);
        Some(self.turn(peer, traffic, true))
    }

    fn turn(self: &Arc<Self>, peer: &ServerName, traffic: &mut Traffic, lone: bool) -> Turn {
        let number = traffic.number();
        traffic.under_way = Some((number, Instant::now()));
        Turn { outbox: Arc::clone(self), peer: peer.clone(), number, lone }
    }

    async fn alone(
        &self,
        peer: &ServerName,
        payload: &Bytes,
        digest: &Digest,
    ) -> Result<Receipt, TransferError> {
        let parts: [&[u8]; 3] = [&[message::WHOLE], payload, digest.as_bytes()];
        let answer = self.links.ask(peer, Service::Transfer, &parts, RECEIPT_WITHIN).await?;
        super::receipt_of(peer, Message::parse(answer)?)
    }

    /// Sends what waits, one batch after another, until nothing does.
    async fn send_waiting(turn: Turn) {
        let Turn { outbox, peer, number, .. } = &turn;
        loop {
            let batch = outbox.next_batch(peer, *number);
            if batch.is_empty() {
                return;
            }
            match outbox.together(peer, &batch).await {
                Ok(answers) => {
                    for (parcel, answer) in batch.into_iter().zip(answers) {
                        let answer = answer.map_err(TransferError::Refused);
                        drop(parcel.answer.send(answer)); // who pushed it may have gone
                    }
                }
                Err(TransferError::Link(LinkError::TimedOut)) => {
                    for parcel in batch {
                        drop(parcel.answer.send(Err(LinkError::TimedOut.into())));
                    }
                }
                Err(error) => {
                    tracing::debug!(%peer, %error, "payloads that were to go together go alone");
                }
            }
        }
    }

    /// What goes next, without those that nobody waits for any more; nothing, where the turn was
    /// overtaken.
    fn next_batch(&self, peer: &ServerName, turn: u64) -> Vec<Parcel> {
        let mut peers = self.peers();
        let Some(traffic) = peers.get_mut(peer) else { return Vec::new() };
        match &mut traffic.under_way {
            Some((number, since)) if *number == turn => *since = Instant::now(),
            _ => return Vec::new(),
        }
        traffic.waiting.retain(|parcel| !parcel.answer.is_closed());
        let mut bytes = 0;
        let fits = |parcel: &&Parcel| {
            bytes += parcel.payload.len();
            bytes <= BATCH_BYTES
        };
        let count = traffic.waiting.iter().take(BATCH_MAX).take_while(fits).count();
        traffic.waiting.drain(..count).collect()
    }

    /// Pushes payloads in one message; the answers are in their order.
    async fn together(
        &self,
        peer: &ServerName,
        batch: &[Parcel],
    ) -> Result<Vec<Result<Receipt, No>>, TransferError> {
        let sizes = batch.iter().map(|parcel| parcel.payload.len() as u32).collect();
        let head = Message::Batch { sizes, raw: Bytes::new() }.encode();
        let mut parts: Vec<&[u8]> = vec![&head];
        for parcel in batch {
            parts.extend([&*parcel.payload, parcel.digest.as_bytes()]);
        }
        let answer = self.links.ask(peer, Service::Transfer, &parts, RECEIPT_WITHIN).await?;
        match Message::parse(answer)? {
            Message::Receipts(answers) if answers.len() == batch.len() => {
                let own = |answer: Result<Receipt, No>| match answer {
                    Ok(receipt) => own_receipt(peer, receipt).map(Ok),
                    Err(no) => Ok(Err(no)),
                };
                answers.into_iter().map(own).collect()
            }
            other => Err(out_of_step(&other, "an answer for each payload")),
        }
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<ServerName, Traffic>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send to a peer while others wait, until it is overtaken.
struct Turn {
    outbox: Arc<Outbox>,
    peer: ServerName,
    number: u64,
    /// Whether it is one payload's: those that wait come behind it.
    lone: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut peers = self.outbox.peers();
        let Some(traffic) = peers.get_mut(&self.peer) else { return };
        if traffic.under_way.is_none_or(|(number, _)| number != self.number) {
            return;
        }
        if self.lone && !traffic.waiting.is_empty() {
            let turn = self.outbox.turn(&self.peer, traffic, false);
            drop(peers);
            return self.outbox.tasks.spawn(Outbox::send_waiting(turn));
        }
        traffic.under_way = None;
        // Nobody waits, or came in this moment, or the server ends: they go alone.
        traffic.waiting.clear();
    }
}
