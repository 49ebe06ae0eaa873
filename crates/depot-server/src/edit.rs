//! What a client changes in its records without sending a payload: the number of replicas, and
//! whether the file is there at all.

use depot_protocol::{Answer, ClientId, FileName, Refusal, ReplicaCount};

use crate::catalogue::command::{Remove, SetReplicas};
use crate::catalogue::{Command, Freshness, OperationId, Outcome, Version};
use crate::depot::{Depot, too_many_replicas, unknown_file};

/// How often a change is proposed anew because its record moved meanwhile.
const TRIES: usize = 64;

/// Answers `replicas`: done when the new number is in the catalogue; copies follow.
pub async fn set_replicas(
    depot: &Depot,
    client: &ClientId,
    replicas: ReplicaCount,
    name: &FileName,
) -> Result<Answer, Refusal> {
    if replicas.get() > depot.others {
        return Err(too_many_replicas(depot.others));
    }
    let change = |read, operation| {
        let (namespace, name) = (depot.namespace(client), name.clone());
        let wanted = Vec::new();
        Command::SetReplicas(SetReplicas { namespace, name, read, replicas, wanted, operation })
    };
    match propose_on(depot, client, name, change).await? {
        Outcome::Done(record) => {
            let replicas = record.replicas;
            let copies = depot.ask(move |view| view.copies(&record)).await?;
            Ok(Answer::ReplicasSet { replicas, copies })
        }
        other => Err(unexpected(depot, other)),
    }
}

/// Answers `remover`.
pub async fn remove(depot: &Depot, client: &ClientId, name: &FileName) -> Result<Answer, Refusal> {
    let change = |read, operation| {
        let (namespace, name) = (depot.namespace(client), name.clone());
        Command::Remove(Remove { namespace, name, read, operation })
    };
    match propose_on(depot, client, name, change).await? {
        Outcome::Removed => Ok(Answer::Removed),
        other => Err(unexpected(depot, other)),
    }
}

/// Proposes a change of a record that is there, anew as often as another change comes first.
async fn propose_on(
    depot: &Depot,
    client: &ClientId,
    name: &FileName,
    change: impl Fn(Version, OperationId) -> Command,
) -> Result<Outcome, Refusal> {
    let operation = OperationId(depot.seams.entropy.bytes());
    for _ in 0..TRIES {
        let (namespace, asked) = (depot.namespace(client), name.clone());
        let view = depot.view().await?;
        let local = view.freshness() == Freshness::Local;
        let record = depot.run(move || view.get(&namespace, &asked)).await?;
        let record = record.map_err(|error| depot.unreadable(&error))?;
        let Some(record) = record else { return Err(unknown_file(local)) };
        match depot.propose(change(record.version, operation)).await? {
            Outcome::Moved { .. } | Outcome::Absent => {}
            outcome => return Ok(outcome),
        }
    }
    Err(depot.internal("change a record", &TooManyTries))
}

fn unexpected(depot: &Depot, outcome: Outcome) -> Refusal {
    depot.internal("change a record", &Unexpected(outcome))
}

#[derive(Debug, thiserror::Error)]
#[error("the catalogue answered {0:?}")]
struct Unexpected(Outcome);

#[derive(Debug, thiserror::Error)]
#[error("it changed {TRIES} times in the middle of the change")]
struct TooManyTries;
