//! One connection, one task, one session: reads a request, has it carried out, answers, and goes
//! on or closes as PROTOCOL.md says. What may follow what is the codec's to know; time limits and
//! bytes are `wire`'s; what a request means is told by the stories below.

mod wire;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use depot_protocol::conversation::{After, after_bad_head, after_refusal};
use depot_protocol::{
    Answer, BadHead, ClientId, Deposit, ErrorCode, Incoming, Owed, Recover, Refusal, Request,
    ServerState,
};

use crate::buffers::Buffers;
use crate::config::Limits;
use crate::deposit::{self, DepositError, Interrupted};
use crate::depot::Depot;
use crate::pace::Pace;
use crate::recover::{self, Reading};
use crate::seams::network::Stream;
use crate::tasks::Tasks;
use crate::{edit, records};
use wire::{Broken, Heard, Wire};

/// What all sessions of a server share.
pub struct Shared {
    /// The server's parts; not there while it waits to be founded or admitted.
    pub depot: OnceLock<Arc<Depot>>,
    /// Memory for transfers.
    pub buffers: Buffers,
    /// How fast an address may ask for what nobody knows.
    pub pace: Pace,
    /// What `estado` tells of the servers.
    pub servers: Box<dyn Fn() -> Vec<ServerState> + Send + Sync>,
    /// When to stop.
    pub tasks: Tasks,
}

/// One connection.
pub struct Session {
    shared: Arc<Shared>,
    wire: Wire,
    from: IpAddr,
    limits: Arc<Limits>,
}

/// What becomes of the connection.
enum Flow {
    /// The next request.
    Next,
    /// Closed, so that what was answered arrives.
    Close,
}

impl Session {
    /// A session on a fresh connection.
    pub fn new(
        shared: Arc<Shared>,
        stream: Box<dyn Stream>,
        from: IpAddr,
        limits: Arc<Limits>,
    ) -> Self {
        let wire = Wire::new(
            stream,
            Arc::clone(&limits),
            shared.buffers.clone(),
            shared.tasks.stopped().clone(),
        );
        Session { shared, wire, from, limits }
    }

    /// Serves it to its end.
    pub async fn run(mut self) {
        match self.converse().await {
            Ok(()) => self.wire.close().await,
            Err(Broken) => tracing::debug!("the connection broke"),
        }
    }

    /// Tells a client why it is not served, and closes.
    pub async fn turn_away(mut self, refusal: Refusal) {
        self.wire.queue(&Answer::Refused(refusal));
        self.wire.close().await;
    }

    async fn converse(&mut self) -> Result<(), Broken> {
        loop {
            let stopping = self.shared.tasks.stopping();
            let heard = tokio::select! {
                biased;
                () = stopping.cancelled() => Heard::Stopping,
                heard = self.wire.next() => heard?,
            };
            let flow = match heard {
                Heard::Said(incoming) => self.take(incoming).await?,
                Heard::End | Heard::Idle => return Ok(()),
                Heard::TimedOut => self.refuse(timed_out(), Owed::NOTHING).await?,
                Heard::Stopping => self.refuse(stopping_refusal(), Owed::NOTHING).await?,
            };
            if let Flow::Close = flow {
                return Ok(());
            }
        }
    }

    async fn take(&mut self, incoming: Incoming) -> Result<Flow, Broken> {
        match incoming {
            Incoming::Request(Request::End) => {
                self.wire.queue(&Answer::Ended);
                Ok(Flow::Close)
            }
            Incoming::Request(Request::State { .. }) => {
                self.wire.queue(&Answer::State { servers: (self.shared.servers)() });
                self.wire.flush_if_large().await?;
                Ok(Flow::Next)
            }
            Incoming::Request(request) => match self.shared.depot.get().cloned() {
                Some(depot) => self.request(&depot, request).await,
                None => {
                    let owed = self.wire.owed();
                    self.refuse(waiting(), owed).await
                }
            },
            Incoming::BadHead(bad) => Box::pin(self.bad_head(bad)).await,
            Incoming::Cut => self.refuse(incomplete(), Owed::NOTHING).await,
            // The codec yields a payload only behind a deposit, which reads it to its end.
            Incoming::Payload(_) | Incoming::PayloadEnd | Incoming::HashLine(_) => Ok(Flow::Close),
        }
    }

    // Boxed: a session that waits for its next request is small.
    async fn request(&mut self, depot: &Depot, request: Request) -> Result<Flow, Broken> {
        match request {
            Request::Deposit(deposit) => Box::pin(self.deposit(depot, deposit)).await,
            Request::Recover(recover) => Box::pin(self.recover(depot, recover)).await,
            request => Box::pin(self.answer(depot, request)).await,
        }
    }

    /// Everything that is one line there and an answer back.
    async fn answer(&mut self, depot: &Depot, request: Request) -> Result<Flow, Broken> {
        let mut page = None;
        let answer = match request {
            Request::FirstConnection => {
                self.shared.pace.wait(self.from, self.limits.unknown_per_second).await;
                Ok(Answer::Connected { client: ClientId::from_random(depot.seams.entropy.bytes()) })
            }
            Request::Reconnection { client } => Ok(Answer::Connected { client }),
            Request::Prepare(request) => deposit::prepare(depot, &request).await,
            Request::Stat { client, name } => records::stat(depot, &client, &name).await,
            Request::List { client, limit, after } => {
                page = self.shared.buffers.page().await;
                match page {
                    Some(_) => records::list(depot, &client, limit, &after).await,
                    None => Err(too_many_lists()),
                }
            }
            Request::SetReplicas { client, replicas, name } => {
                edit::set_replicas(depot, &client, replicas, &name).await
            }
            Request::Remove { client, name } => edit::remove(depot, &client, &name).await,
            Request::Deposit(_) | Request::Recover(_) | Request::State { .. } | Request::End => {
                return Ok(Flow::Close);
            }
        };
        match answer {
            Ok(answer) => {
                if matches!(&answer, Answer::List { items, .. } if items.is_empty()) {
                    self.shared.pace.wait(self.from, self.limits.unknown_per_second).await;
                }
                self.wire.queue(&answer);
                self.wire.flush_if_large().await?;
                drop(page);
                Ok(Flow::Next)
            }
            Err(refusal) => self.refuse(refusal, Owed::NOTHING).await,
        }
    }

    async fn deposit(&mut self, depot: &Depot, request: Deposit) -> Result<Flow, Broken> {
        self.wire.begin_transfer();
        let done = deposit::deposit(depot, &request, &mut self.wire).await;
        self.wire.end_transfer();
        match done {
            Ok(answer) => {
                self.wire.queue(&answer);
                self.wire.flush_if_large().await?;
                Ok(Flow::Next)
            }
            Err(DepositError::Refused(refusal)) => {
                let owed = self.wire.owed();
                self.refuse(refusal, owed).await
            }
            Err(DepositError::Interrupted(interrupted)) => match interrupted {
                Interrupted::Incomplete => self.refuse(incomplete(), Owed::NOTHING).await,
                Interrupted::TimedOut => self.refuse(timed_out(), Owed::NOTHING).await,
                Interrupted::Stopping => self.refuse(stopping_refusal(), Owed::NOTHING).await,
                Interrupted::Cut => Ok(Flow::Close),
                Interrupted::Broken => Err(Broken),
            },
        }
    }

    async fn recover(&mut self, depot: &Depot, request: Recover) -> Result<Flow, Broken> {
        let _turn = depot.turns.take(depot.namespace(&request.client)).await;
        let reading = match recover::recover(depot, &request).await {
            Ok(reading) => reading,
            Err(refusal) => return self.refuse(refusal, Owed::NOTHING).await,
        };
        self.wire.queue(&reading.head);
        self.send(depot, reading).await
    }

    /// Sends a file. One that can't be finished is cut: the connection closes short of its size.
    async fn send(&mut self, depot: &Depot, mut reading: Reading) -> Result<Flow, Broken> {
        loop {
            match reading.next(depot).await {
                Ok(Some(piece)) => self.wire.send(piece).await?,
                Ok(None) => return Ok(Flow::Next),
                Err(recover::Cut) => return Ok(Flow::Close),
            }
        }
    }

    async fn bad_head(&mut self, bad: BadHead) -> Result<Flow, Broken> {
        let after = after_bad_head(&bad);
        let mut refusal = bad.refusal;
        if let Some(deposit) = bad.past_end {
            // Faults that are told before an offset past the end.
            let earlier = match self.shared.depot.get().cloned() {
                Some(depot) => deposit::check(&depot, &deposit).await,
                None => Err(waiting()),
            };
            if let Err(earlier) = earlier {
                refusal = earlier;
            }
        }
        self.follow(refusal, after).await
    }

    async fn refuse(&mut self, refusal: Refusal, owed: Owed) -> Result<Flow, Broken> {
        if refusal.code == ErrorCode::NoSuchFile {
            self.shared.pace.wait(self.from, self.limits.unknown_per_second).await;
        }
        let after = after_refusal(owed, refusal.code);
        self.follow(refusal, after).await
    }

    async fn follow(&mut self, refusal: Refusal, after: After) -> Result<Flow, Broken> {
        tracing::info!(code = %refusal.code, "refused");
        self.wire.queue(&Answer::Refused(refusal));
        match after {
            After::Closes => Ok(Flow::Close),
            After::Stays | After::SkipThenStays => {
                self.wire.skip();
                self.wire.flush_if_large().await?;
                Ok(Flow::Next)
            }
        }
    }
}

/// What a client hears that comes, or asks, while the server stops.
pub fn stopping_refusal() -> Refusal {
    Refusal::new(
        ErrorCode::ShuttingDown,
        "this server is shutting down; connect again later, or to another",
    )
}

/// What a client hears of a server that is nobody's yet.
fn waiting() -> Refusal {
    Refusal::new(
        ErrorCode::ServerUnavailable,
        "this server waits to be founded or admitted and has no files yet; use another server",
    )
}

fn too_many_lists() -> Refusal {
    Refusal::new(ErrorCode::LimitExceeded, "too many lists are being sent; try again")
}

fn timed_out() -> Refusal {
    Refusal::new(
        ErrorCode::TimedOut,
        "nothing, or too little, came in the middle of a message; connect again, and resume with preparar",
    )
}

fn incomplete() -> Refusal {
    Refusal::new(
        ErrorCode::MessageIncomplete,
        "the sending side was closed in the middle of a message; connect again, and resume with preparar",
    )
}
