//! What a client changes in its records without sending a payload: the number of replicas, and
//! whether the file is there at all.

use depot_protocol::{Answer, ClientId, FileName, Refusal, ReplicaCount, ServerName};

use crate::catalogue::command::{Remove, SetReplicas};
use crate::catalogue::{Command, Freshness, Namespace, OperationId, Outcome, Record};
use crate::depot::{Depot, unknown_file};

/// How often a change is proposed anew because its record moved meanwhile.
const TRIES: usize = 64;

/// Answers `replicas`: done when the new number is in the catalogue; copies follow.
pub async fn set_replicas(
    depot: &Depot,
    client: &ClientId,
    replicas: ReplicaCount,
    name: &FileName,
) -> Result<Answer, Refusal> {
    depot.check_replicas(replicas)?;
    let change = |record: &Record, operation| {
        let (namespace, name) = (depot.namespace(client), name.clone());
        let (read, wanted) =
            (record.version, more_holders(depot, &namespace, &name, record, replicas));
        Command::SetReplicas(SetReplicas { namespace, name, read, replicas, wanted, operation })
    };
    match propose_on(depot, client, name, change).await? {
        Outcome::Done(record) => {
            let (replicas, counted) = (record.replicas, record);
            let copies = depot.ask(move |view| view.copies(&counted)).await?;
            Ok(Answer::ReplicasSet { replicas, copies })
        }
        other => Err(unexpected(depot, other)),
    }
}

/// The servers that the record is to list besides those that it does, for so many replicas.
fn more_holders(
    depot: &Depot,
    namespace: &Namespace,
    name: &FileName,
    record: &Record,
    replicas: ReplicaCount,
) -> Vec<ServerName> {
    let listed: Vec<ServerName> = record.servers().cloned().collect();
    let missing = (usize::from(replicas.get()) + 1).saturating_sub(listed.len());
    if missing == 0 {
        return Vec::new();
    }
    let mut next = depot.next_servers((namespace, name), record.size.get(), &listed);
    next.truncate(missing);
    next
}

/// Answers `remover`.
pub async fn remove(depot: &Depot, client: &ClientId, name: &FileName) -> Result<Answer, Refusal> {
    let change = |record: &Record, operation| {
        let (namespace, name, read) = (depot.namespace(client), name.clone(), record.version);
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
    change: impl Fn(&Record, OperationId) -> Command,
) -> Result<Outcome, Refusal> {
    let operation = OperationId(depot.seams.entropy.bytes());
    for _ in 0..TRIES {
        let (namespace, asked) = (depot.namespace(client), name.clone());
        let view = depot.view().await?;
        let local = view.freshness() == Freshness::Local;
        let record = depot.run(move || view.get(&namespace, &asked)).await?;
        let record = record.map_err(|error| depot.unreadable(&error))?;
        let Some(record) = record else { return Err(unknown_file(local)) };
        match depot.propose(change(&record, operation)).await? {
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
