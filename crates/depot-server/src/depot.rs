//! One depot as its stories see it: the parts that deposit, recover and edit share, and the words
//! in which a fault is told to a client.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use depot_protocol::{ClientId, ErrorCode, FileName, Refusal, ReplicaCount, ServerName};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::buffers::Buffers;
use crate::catalogue::{Command, Namespace, Outcome, ProposeError, ReadError, View};
use crate::cluster::members::Members;
use crate::cluster::placement;
use crate::config::{Ack, DepositSettings};
use crate::custody::Custody;
use crate::lingering::Lingering;
use crate::seams::Seams;
use crate::seams::blocking::{self, Short};
use crate::tasks::Tasks;
use crate::transfer::Courier;
use crate::turns::Turns;
use crate::uploads::Uploads;

/// How many lanes to other servers may go on after their deposits were answered.
pub const STRAGGLERS: usize = 64;
/// A deposit is answered within 60 s of its last byte: its copies, this server's and the others',
/// may take so much of that.
pub const SEAL_WITHIN: Duration = Duration::from_secs(45);
/// And the change in the catalogue, this one's or any other request's, so much.
pub const PROPOSE_WITHIN: Duration = Duration::from_secs(14);

/// So many threads look up in the catalogue what requests ask it.
pub const READERS: usize = 4;

/// A step took too long; it may still come to its end.
#[derive(Debug, thiserror::Error)]
#[error("it took more than {} s", SEAL_WITHIN.as_secs())]
pub struct TooSlow;

/// The parts of one server, put together by `node`.
pub struct Depot {
    /// The world.
    pub seams: Seams,
    /// Catalogue and volume.
    pub custody: Arc<Custody>,
    /// What is soon looked up in the catalogue.
    pub short: Arc<Short>,
    /// Limits of deposits.
    pub settings: DepositSettings,
    /// How many copies a deposit waits for.
    pub ack: Ack,
    /// Who belongs to the cluster.
    pub members: Arc<Members>,
    /// What moves copies between this server and the others.
    pub courier: Courier,
    /// How many lanes may go on after their deposits were answered.
    pub stragglers: Arc<Semaphore>,
    /// What goes on beside the sessions.
    pub tasks: Tasks,
    /// Memory for transfers.
    pub buffers: Buffers,
    /// How many transfers one client has at once.
    pub turns: Turns,
    /// What is being uploaded now.
    pub uploads: Uploads,
    /// What goes on for uploads that were refused.
    pub lingering: Lingering,
}

impl Depot {
    /// A client's space of names.
    pub fn namespace(&self, client: &ClientId) -> Namespace {
        Namespace::of(&self.custody.home.identity().cluster, client)
    }

    /// Runs `work` where blocking is allowed.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        blocking::run(&self.seams.blocking, work).await.map_err(|lost| self.internal("run", &lost))
    }

    /// The result of work that was started where blocking is allowed.
    pub async fn done<T>(&self, work: oneshot::Receiver<T>) -> Result<T, Refusal> {
        work.await.map_err(|_| self.internal("run", &blocking::Lost))
    }

    /// A snapshot of the catalogue to read.
    pub async fn view(&self) -> Result<View, Refusal> {
        self.custody.catalogue.view().await.map_err(|error| self.unreadable(&error))
    }

    /// Asks a snapshot of the catalogue for what is found at once.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&View) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let view = self.view().await?;
        self.done(self.short.start(move || ask(&view)))
            .await?
            .map_err(|error| self.unreadable(&error))
    }

    /// The servers that come next for a copy of a file of this size, best first: those that are up
    /// and have room, then the others, `taken` left out.
    pub fn next_servers(
        &self,
        (namespace, name): (&Namespace, &FileName),
        size: u64,
        taken: &[ServerName],
    ) -> Vec<ServerName> {
        let taken: Vec<_> = taken.iter().filter_map(|name| self.members.get(name)).collect();
        let fit = self.courier.transfer.fit(size);
        let ranked = placement::rank(&self.members, &namespace.key(name), &taken, fit);
        ranked.into_iter().map(|member| member.name.clone()).collect()
    }

    /// More replicas than there are other servers to hold them are refused.
    pub fn check_replicas(&self, replicas: ReplicaCount) -> Result<(), Refusal> {
        let most = self.members.replicas_max();
        if replicas.get() <= most {
            return Ok(());
        }
        Err(Refusal::new(
            ErrorCode::ReplicasUnavailable,
            format!(
                "this depot can keep at most {most} replicas: that many other servers hold payloads; ask for fewer"
            ),
        ))
    }

    /// No majority was reached for a while: a change need not even be tried.
    pub fn check_quorum(&self) -> Result<(), Refusal> {
        match self.custody.catalogue.has_quorum() {
            true => Ok(()),
            false => Err(self.unproposed(&ProposeError::NoQuorum)),
        }
    }

    /// What a client is told when the catalogue can't be read.
    pub fn unreadable(&self, error: &ReadError) -> Refusal {
        self.internal("read the catalogue", error)
    }

    /// Makes one change in the catalogue; what a record lets go of by it, the sweeper hears of.
    pub async fn propose(&self, command: Command) -> Result<Outcome, Refusal> {
        let applied = self.propose_by(Instant::now() + PROPOSE_WITHIN, command).await;
        applied.map_err(|error| self.unproposed(&error))
    }

    /// The same, until `by`, for who has more to do where the change was not made.
    pub async fn propose_by(&self, by: Instant, command: Command) -> Result<Outcome, ProposeError> {
        let proposed = timeout_at(by, self.custody.catalogue.propose(command)).await;
        let applied = proposed.unwrap_or(Err(ProposeError::Unknown))?;
        if let Some(released) = applied.released {
            self.custody.let_go(released);
        }
        Ok(applied.outcome)
    }

    /// What a client is told when a change was not made, or nobody knows.
    pub fn unproposed(&self, error: &ProposeError) -> Refusal {
        match error {
            ProposeError::NoQuorum => Refusal::new(
                ErrorCode::NoQuorum,
                "no majority of the servers can be reached; nothing has changed; try again later or another server",
            ),
            ProposeError::Unknown => Refusal::new(
                ErrorCode::OutcomeUnknown,
                "the change was proposed and not confirmed in time; ask consultar, or send it again",
            ),
        }
    }

    /// A fault of the server: logged under an incident number, which is all that the client is told.
    pub fn internal(&self, doing: &str, error: &(impl std::error::Error + ?Sized)) -> Refusal {
        let incident = u64::from_le_bytes(self.seams.entropy.bytes());
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            chain = format!("{chain}: {error}");
            cause = error.source();
        }
        tracing::error!(incident = %format_args!("{incident:016x}"), error = chain, "cannot {doing}");
        internal_refusal(format_args!("{incident:016x}"))
    }
}

fn internal_refusal(incident: impl Display) -> Refusal {
    Refusal::new(
        ErrorCode::Internal,
        format!(
            "a fault of the server, logged there as incident {incident}; try again, or another server"
        ),
    )
}

/// No such file, or, from a server that may not have heard of it, no word on it.
pub fn unknown_file(local: bool) -> Refusal {
    if local {
        return Refusal::new(
            ErrorCode::NoQuorum,
            "this server does not know the file and cannot ask the others now; try later or another server",
        );
    }
    Refusal::new(ErrorCode::NoSuchFile, "this client has no file of that name")
}
