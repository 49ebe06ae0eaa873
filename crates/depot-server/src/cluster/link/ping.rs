//! Whether a peer is up: a ping every half second over a connection of its own, which nothing else
//! can hold up. It is up from its first answer on, and down when it has not answered for three
//! seconds, whatever the reason.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Link, Near};
use crate::cluster::conversation::{Conversation, LinkError};
use crate::cluster::handshake::{Class, Proven};
use crate::cluster::starts::StartSeen;
use crate::seams::Entropy;

/// How often a peer is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long without an answer a peer counts as up.
const DOWN_AFTER: Duration = Duration::from_secs(3);
/// The longest wait before the first next try, and before any.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// In place of a service's byte: a ping.
const PING: u8 = 0;

/// What a server tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cluster) struct Ping {
    pub(in crate::cluster) free: u64,
    pub(in crate::cluster) start: StartSeen,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cluster) struct Pong {
    pub(in crate::cluster) free: u64,
    pub(in crate::cluster) start: StartSeen,
    /// The highest start that it has met of the one who asks.
    pub(in crate::cluster) met: Option<StartSeen>,
}

impl Ping {
    pub(in crate::cluster) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![PING]).expect("a ping is plain data")
    }

    /// The ping that a frame is.
    pub(in crate::cluster) fn decode(frame: &[u8]) -> Option<Ping> {
        match frame {
            [PING, ping @ ..] => postcard::from_bytes(ping).ok(),
            _ => None,
        }
    }
}

impl Pong {
    pub(in crate::cluster) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a pong is plain data")
    }
}

impl Link {
    /// Pings until it is told to end.
    pub(in crate::cluster) async fn watch(
        self: Arc<Self>,
        near: Arc<Near>,
        until: CancellationToken,
    ) {
        let watching = async {
            let mut longest = BACKOFF.0;
            loop {
                let begun = Instant::now();
                let error = self.ping_on_one_connection(&near).await;
                self.failed(&near, &error);
                if self.lock().answered.is_some_and(|answered| answered >= begun) {
                    longest = BACKOFF.0;
                }
                let wait = jitter(longest, &near.seams.entropy);
                self.or_down(&near, sleep(wait)).await;
                longest = BACKOFF.1.min(longest * 2);
            }
        };
        tokio::select! {
            biased;
            () = until.cancelled() => {}
            () = watching => {}
        }
    }

    /// Pings for as long as one connection is good for.
    async fn ping_on_one_connection(&self, near: &Near) -> LinkError {
        let (wire, proven) = match self.or_down(near, self.dial(near, Class::Ping)).await {
            Ok(connected) => connected,
            Err(error) => return error,
        };
        self.compare_lists(near, &proven);
        let mut conversation = Conversation::new(wire, None);
        loop {
            let next = Instant::now() + EVERY;
            match self.or_down(near, self.ask(near, &mut conversation)).await {
                Ok(pong) => self.answered(near, &pong),
                Err(error) => return error,
            }
            self.catalogue.prune();
            self.transfer.prune();
            sleep_until(next).await;
        }
    }

    async fn ask(&self, near: &Near, conversation: &mut Conversation) -> Result<Pong, LinkError> {
        let starts = &near.identity.starts;
        let ping = Ping { free: (near.identity.free)(), start: starts.own() };
        conversation.send(&[&ping.encode()]).await?;
        let answer = conversation.receive(DOWN_AFTER).await?;
        let pong: Pong = postcard::from_bytes(&answer).map_err(|error| {
            LinkError::Broken(io::Error::new(io::ErrorKind::InvalidData, error))
        })?;
        starts.told_of_us(self.name.as_str(), pong.met);
        // A lower one may have been overtaken on its way: the next handshake will tell.
        let met = starts.meet(&self.name, pong.start).await;
        met.map(|()| pong).map_err(|higher| {
            LinkError::Refused(format!("a higher start number of it was met: {higher}"))
        })
    }

    /// Awaits something, and takes the peer for down when its time is over meanwhile.
    async fn or_down<T>(&self, near: &Near, work: impl Future<Output = T>) -> T {
        let (up, answered) = {
            let state = self.lock();
            (state.up, state.answered)
        };
        let mut work = pin!(work);
        if let Some(answered) = answered.filter(|_| up) {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(answered + DOWN_AFTER) => self.down(near),
            }
        }
        work.await
    }

    fn answered(&self, near: &Near, pong: &Pong) {
        let mut state = self.lock();
        state.answered = Some(Instant::now());
        state.free = Some(pong.free);
        state.fault = None;
        if state.up {
            return;
        }
        (state.up, state.since) = (true, near.seams.clock.uptime());
        drop(state);
        tracing::info!(peer = %self.name, "up");
        near.changed();
    }

    fn down(&self, near: &Near) {
        let mut state = self.lock();
        (state.up, state.since) = (false, near.seams.clock.uptime());
        let why = state.fault.get_or_insert_with(|| LinkError::TimedOut.to_string()).clone();
        drop(state);
        tracing::warn!(peer = %self.name, why, "down");
        near.changed();
    }

    fn failed(&self, near: &Near, error: &LinkError) {
        let why = match error {
            LinkError::Unreachable(source) | LinkError::Broken(source) => {
                format!("{error}: {source}")
            }
            LinkError::NotProven(_) | LinkError::Refused(_) | LinkError::TimedOut => {
                error.to_string()
            }
        };
        // What is kept leads to the same end, and may not know yet that it is gone.
        self.catalogue.clear();
        self.transfer.clear();
        let mut state = self.lock();
        let before = state.fault.replace(why.clone());
        if state.up || before.as_ref() == Some(&why) {
            return;
        }
        drop(state);
        tracing::warn!(peer = %self.name, why, "no link");
        near.changed();
    }

    fn compare_lists(&self, near: &Near, proven: &Proven) {
        let other = proven.fingerprint != near.members.fingerprint();
        let before = std::mem::replace(&mut self.lock().other_list, other);
        if other != before {
            match other {
                true => tracing::warn!(peer = %self.name, "its list of servers is another one"),
                false => tracing::info!(peer = %self.name, "its list of servers is the same again"),
            }
            near.changed();
        }
    }
}

impl Near {
    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Between a half and all of it.
fn jitter(longest: Duration, entropy: &Arc<dyn Entropy>) -> Duration {
    let part = u32::from(u16::from_le_bytes(entropy.bytes()));
    longest / 2 + longest / 2 * part / u32::from(u16::MAX)
}
