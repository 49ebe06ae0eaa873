//! How commands and what comes of them are written, in the log and between servers.
//!
//! These structures are the format: their fields and variants are never reordered, removed or
//! inserted before others. A change is a new variant at the end, or the next format byte of what
//! holds them. What a whole form says may still break a rule; loading tells which.

use depot_protocol::{Digest, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds};
use serde::{Deserialize, Serialize};

use super::command::{
    AddCopy, Admit, Applied, Away, Command, Leave, Lost, Outcome, Put, Remove, SetReplicas, Sweep,
    Want,
};
use super::record::{Incarnation, Namespace, OperationId, Receipt, Record, SweepNumber, Version};
use super::rows::{Row, StoredRecord, server_name};

type Rule = &'static str;

#[derive(Serialize, Deserialize)]
pub(super) enum StoredCommand {
    Put {
        at: StoredPlace,
        read: u64,
        seen: u64,
        digest: [u8; 32],
        size: u64,
        replicas: u8,
        deposited: u64,
        receipts: Vec<StoredReceipt>,
        wanted: Vec<String>,
        operation: [u8; 16],
    },
    SetReplicas {
        at: StoredPlace,
        read: u64,
        replicas: u8,
        wanted: Vec<String>,
        operation: [u8; 16],
    },
    Remove {
        at: StoredPlace,
        read: u64,
        operation: [u8; 16],
    },
    Sweep {
        server: String,
        number: u64,
    },
    AddCopy {
        at: StoredPlace,
        version: u64,
        receipt: StoredReceipt,
    },
    Admit {
        server: String,
        incarnation: u64,
    },
    Away {
        server: String,
        incarnation: u64,
        away: bool,
    },
    Lost {
        server: String,
        incarnation: u64,
        digest: [u8; 32],
    },
    Want {
        at: StoredPlace,
        version: u64,
        servers: Vec<String>,
    },
    Leave {
        at: StoredPlace,
        version: u64,
        server: String,
        incarnation: u64,
    },
    LostPage {
        server: String,
        incarnation: u64,
        digest: [u8; 32],
        after: Option<StoredPlace>,
        most: u32,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredPlace {
    namespace: [u8; 32],
    name: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredReceipt {
    server: String,
    incarnation: u64,
    sweep: u64,
}

fn store_place(namespace: &Namespace, name: &FileName) -> StoredPlace {
    StoredPlace { namespace: *namespace.as_bytes(), name: name.as_str().to_owned() }
}

fn load_place(stored: &StoredPlace) -> Result<(Namespace, FileName), Rule> {
    let name = FileName::parse(&stored.name).map_err(|_| "a file's name is none")?;
    Ok((Namespace::from_bytes(stored.namespace), name))
}

fn store_receipt(receipt: &Receipt) -> StoredReceipt {
    StoredReceipt {
        server: receipt.server.as_str().to_owned(),
        incarnation: receipt.incarnation.0,
        sweep: receipt.sweep.0,
    }
}

fn load_receipt(stored: &StoredReceipt) -> Result<Receipt, Rule> {
    Ok(Receipt {
        server: server_name(&stored.server)?,
        incarnation: Incarnation(stored.incarnation),
        sweep: SweepNumber(stored.sweep),
    })
}

fn store_names(names: &[ServerName]) -> Vec<String> {
    names.iter().map(|name| name.as_str().to_owned()).collect()
}

fn load_names(stored: &[String]) -> Result<Vec<ServerName>, Rule> {
    stored.iter().map(|name| server_name(name)).collect()
}

pub(super) fn store_command(command: &Command) -> StoredCommand {
    match command {
        Command::Put(put) => StoredCommand::Put {
            at: store_place(&put.namespace, &put.name),
            read: put.read.0,
            seen: put.seen,
            digest: *put.digest.as_bytes(),
            size: put.size.get(),
            replicas: put.replicas.get(),
            deposited: put.deposited.get(),
            receipts: put.receipts.iter().map(store_receipt).collect(),
            wanted: store_names(&put.wanted),
            operation: put.operation.0,
        },
        Command::SetReplicas(change) => StoredCommand::SetReplicas {
            at: store_place(&change.namespace, &change.name),
            read: change.read.0,
            replicas: change.replicas.get(),
            wanted: store_names(&change.wanted),
            operation: change.operation.0,
        },
        Command::Remove(remove) => StoredCommand::Remove {
            at: store_place(&remove.namespace, &remove.name),
            read: remove.read.0,
            operation: remove.operation.0,
        },
        Command::Sweep(sweep) => StoredCommand::Sweep {
            server: sweep.server.as_str().to_owned(),
            number: sweep.number.0,
        },
        Command::AddCopy(copy) => StoredCommand::AddCopy {
            at: store_place(&copy.namespace, &copy.name),
            version: copy.version.0,
            receipt: store_receipt(&copy.receipt),
        },
        Command::Admit(admit) => StoredCommand::Admit {
            server: admit.server.as_str().to_owned(),
            incarnation: admit.incarnation.0,
        },
        Command::Away(Away { server, incarnation, away }) => StoredCommand::Away {
            server: server.as_str().to_owned(),
            incarnation: incarnation.0,
            away: *away,
        },
        Command::Lost(lost) => store_lost(lost),
        Command::Want(want) => StoredCommand::Want {
            at: store_place(&want.namespace, &want.name),
            version: want.version.0,
            servers: store_names(&want.servers),
        },
        Command::Leave(leave) => StoredCommand::Leave {
            at: store_place(&leave.namespace, &leave.name),
            version: leave.version.0,
            server: leave.server.as_str().to_owned(),
            incarnation: leave.incarnation.0,
        },
    }
}

fn store_lost(Lost { server, incarnation, digest, after, most }: &Lost) -> StoredCommand {
    let (server, incarnation) = (server.as_str().to_owned(), incarnation.0);
    let digest = *digest.as_bytes();
    match after {
        None if *most == Lost::ALL => StoredCommand::Lost { server, incarnation, digest },
        _ => {
            let after = after.as_ref().map(|(namespace, name)| store_place(namespace, name));
            StoredCommand::LostPage { server, incarnation, digest, after, most: *most }
        }
    }
}

pub(super) fn load_command(stored: StoredCommand) -> Result<Command, Rule> {
    Ok(match stored {
        StoredCommand::Put {
            at,
            read,
            seen,
            digest,
            size,
            replicas,
            deposited,
            receipts,
            wanted,
            operation,
        } => {
            let (namespace, name) = load_place(&at)?;
            Command::Put(Put {
                namespace,
                name,
                read: Version(read),
                seen,
                digest: Digest::from_bytes(digest),
                size: FileSize::new(size).ok_or("a file's size is too large")?,
                replicas: ReplicaCount::new(replicas),
                deposited: UtcSeconds::new(deposited),
                receipts: receipts.iter().map(load_receipt).collect::<Result<_, _>>()?,
                wanted: load_names(&wanted)?,
                operation: OperationId(operation),
            })
        }
        StoredCommand::SetReplicas { at, read, replicas, wanted, operation } => {
            let (namespace, name) = load_place(&at)?;
            Command::SetReplicas(SetReplicas {
                namespace,
                name,
                read: Version(read),
                replicas: ReplicaCount::new(replicas),
                wanted: load_names(&wanted)?,
                operation: OperationId(operation),
            })
        }
        StoredCommand::Remove { at, read, operation } => {
            let (namespace, name) = load_place(&at)?;
            let (read, operation) = (Version(read), OperationId(operation));
            Command::Remove(Remove { namespace, name, read, operation })
        }
        StoredCommand::Sweep { server, number } => {
            Command::Sweep(Sweep { server: server_name(&server)?, number: SweepNumber(number) })
        }
        StoredCommand::AddCopy { at, version, receipt } => {
            let (namespace, name) = load_place(&at)?;
            let (version, receipt) = (Version(version), load_receipt(&receipt)?);
            Command::AddCopy(AddCopy { namespace, name, version, receipt })
        }
        StoredCommand::Admit { server, incarnation } => Command::Admit(Admit {
            server: server_name(&server)?,
            incarnation: Incarnation(incarnation),
        }),
        StoredCommand::Away { server, incarnation, away } => {
            let (server, incarnation) = (server_name(&server)?, Incarnation(incarnation));
            Command::Away(Away { server, incarnation, away })
        }
        StoredCommand::Lost { server, incarnation, digest } => {
            let (server, incarnation) = (server_name(&server)?, Incarnation(incarnation));
            let (digest, most) = (Digest::from_bytes(digest), Lost::ALL);
            Command::Lost(Lost { server, incarnation, digest, after: None, most })
        }
        StoredCommand::LostPage { server, incarnation, digest, after, most } => {
            let (server, incarnation) = (server_name(&server)?, Incarnation(incarnation));
            let digest = Digest::from_bytes(digest);
            let after = after.as_ref().map(load_place).transpose()?;
            Command::Lost(Lost { server, incarnation, digest, after, most })
        }
        StoredCommand::Want { at, version, servers } => {
            let (namespace, name) = load_place(&at)?;
            let (version, servers) = (Version(version), load_names(&servers)?);
            Command::Want(Want { namespace, name, version, servers })
        }
        StoredCommand::Leave { at, version, server, incarnation } => {
            let (namespace, name) = load_place(&at)?;
            let (version, server) = (Version(version), server_name(&server)?);
            let incarnation = Incarnation(incarnation);
            Command::Leave(Leave { namespace, name, version, server, incarnation })
        }
    })
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredApplied {
    index: u64,
    outcome: StoredOutcome,
    released: Option<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
enum StoredOutcome {
    Done(StoredRecord),
    Removed,
    Swept,
    Admitted,
    Moved { current: Option<StoredRecord> },
    Absent,
    StaleReceipt { server: String, current: u64 },
    WrongIncarnation { server: String, current: Option<u64> },
    NoReceipt,
    SweepOutOfTurn { current: Option<u64> },
    Noted,
    Needed { others: u64 },
    NotedUpTo { at: StoredPlace },
}

pub(super) fn store_applied(applied: &Applied) -> StoredApplied {
    let outcome = match &applied.outcome {
        Outcome::Done(record) => StoredOutcome::Done(record.store()),
        Outcome::Removed => StoredOutcome::Removed,
        Outcome::Swept => StoredOutcome::Swept,
        Outcome::Admitted => StoredOutcome::Admitted,
        Outcome::Moved { current } => {
            StoredOutcome::Moved { current: current.as_ref().map(Row::store) }
        }
        Outcome::Absent => StoredOutcome::Absent,
        Outcome::StaleReceipt { server, current } => {
            StoredOutcome::StaleReceipt { server: server.as_str().to_owned(), current: current.0 }
        }
        Outcome::WrongIncarnation { server, current } => StoredOutcome::WrongIncarnation {
            server: server.as_str().to_owned(),
            current: current.map(|incarnation| incarnation.0),
        },
        Outcome::NoReceipt => StoredOutcome::NoReceipt,
        Outcome::SweepOutOfTurn { current } => {
            StoredOutcome::SweepOutOfTurn { current: current.map(|number| number.0) }
        }
        Outcome::Noted => StoredOutcome::Noted,
        Outcome::Needed { others } => StoredOutcome::Needed { others: *others },
        Outcome::NotedUpTo { namespace, name } => {
            StoredOutcome::NotedUpTo { at: store_place(namespace, name) }
        }
    };
    let released = applied.released.map(|digest| *digest.as_bytes());
    StoredApplied { index: applied.index, outcome, released }
}

pub(super) fn load_applied(stored: StoredApplied) -> Result<Applied, Rule> {
    let outcome = match stored.outcome {
        StoredOutcome::Done(record) => Outcome::Done(Record::load(record)?),
        StoredOutcome::Removed => Outcome::Removed,
        StoredOutcome::Swept => Outcome::Swept,
        StoredOutcome::Admitted => Outcome::Admitted,
        StoredOutcome::Moved { current } => {
            Outcome::Moved { current: current.map(Record::load).transpose()? }
        }
        StoredOutcome::Absent => Outcome::Absent,
        StoredOutcome::StaleReceipt { server, current } => {
            Outcome::StaleReceipt { server: server_name(&server)?, current: SweepNumber(current) }
        }
        StoredOutcome::WrongIncarnation { server, current } => Outcome::WrongIncarnation {
            server: server_name(&server)?,
            current: current.map(Incarnation),
        },
        StoredOutcome::NoReceipt => Outcome::NoReceipt,
        StoredOutcome::SweepOutOfTurn { current } => {
            Outcome::SweepOutOfTurn { current: current.map(SweepNumber) }
        }
        StoredOutcome::Noted => Outcome::Noted,
        StoredOutcome::Needed { others } => Outcome::Needed { others },
        StoredOutcome::NotedUpTo { at } => {
            let (namespace, name) = load_place(&at)?;
            Outcome::NotedUpTo { namespace, name }
        }
    };
    let released = stored.released.map(Digest::from_bytes);
    Ok(Applied { index: stored.index, outcome, released })
}

#[cfg(test)]
mod tests;
