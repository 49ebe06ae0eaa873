//! What a command does to the tables: a function of the two and of nothing else, so that every
//! server that applies the same commands in the same order holds the same catalogue.
//!
//! Called with the commands in their order, many in one transaction; the index of the last one is
//! written in the same transaction.

use super::command::{Applied, Command, Outcome, Put, Remove, SetReplicas, Sweep};
use super::fault::StoreError;
use super::record::{Holder, HolderId, HolderState, Receipt, Record, Version};
use super::rows::Server;
use super::tables::Tables;

/// Applies commands in their order, each at the index after the one before.
pub(super) fn apply_all<'c>(
    tables: &mut Tables<'_>,
    commands: impl IntoIterator<Item = &'c Command>,
) -> Result<Vec<Applied>, StoreError> {
    let mut index = tables.applied()?;
    let mut applied = Vec::new();
    for command in commands {
        index += 1;
        applied.push(apply(tables, index, command)?);
    }
    tables.set_applied(index)?;
    Ok(applied)
}

fn apply(tables: &mut Tables<'_>, index: u64, command: &Command) -> Result<Applied, StoreError> {
    let mut released = None;
    let outcome = match command {
        Command::Put(put) => {
            let before = tables.record(&put.namespace, &put.name)?;
            let outcome = apply_put(tables, index, put, before.as_ref())?;
            if let (Outcome::Done(after), Some(before)) = (&outcome, before) {
                released = (before.digest != after.digest).then_some(before.digest);
            }
            outcome
        }
        Command::SetReplicas(change) => apply_set_replicas(tables, index, change)?,
        Command::Remove(remove) => {
            let before = tables.record(&remove.namespace, &remove.name)?;
            released = before.as_ref().map(|before| before.digest);
            let outcome = apply_remove(tables, remove, before)?;
            released = released.filter(|_| outcome == Outcome::Removed);
            outcome
        }
        Command::Sweep(sweep) => apply_sweep(tables, sweep)?,
    };
    Ok(Applied { index, outcome, released })
}

fn apply_put(
    tables: &mut Tables<'_>,
    index: u64,
    put: &Put,
    before: Option<&Record>,
) -> Result<Outcome, StoreError> {
    if let Some(before) = before.filter(|before| before.operation == put.operation) {
        return Ok(Outcome::Done(before.clone())); // a late duplicate
    }
    if put.read != before.map_or(Version(0), |before| before.version) {
        return Ok(Outcome::Moved { current: before.cloned() });
    }
    if let Some(refusal) = check_receipts(tables, &put.receipts)? {
        return Ok(refusal);
    }
    let same = before.filter(|before| before.digest == put.digest);
    let record = Record {
        version: Version(index),
        digest: put.digest,
        size: put.size,
        replicas: put.replicas,
        deposited: same.map_or(put.deposited, |same| same.deposited),
        holders: holders(same.map(|same| same.holders.as_slice()).unwrap_or_default(), put),
        operation: put.operation,
    };
    tables.put_record(&put.namespace, &put.name, before, &record)?;
    Ok(Outcome::Done(record))
}

/// Why these receipts don't make a record, if they don't.
fn check_receipts(
    tables: &Tables<'_>,
    receipts: &[Receipt],
) -> Result<Option<Outcome>, StoreError> {
    if receipts.is_empty() {
        return Ok(Some(Outcome::NoReceipt));
    }
    for receipt in receipts {
        let server = receipt.server.clone();
        match tables.server(&server)? {
            Some(now) if now.incarnation != receipt.incarnation => {
                let current = Some(now.incarnation);
                return Ok(Some(Outcome::WrongIncarnation { server, current }));
            }
            None => return Ok(Some(Outcome::WrongIncarnation { server, current: None })),
            Some(now) if now.sweep != receipt.sweep => {
                return Ok(Some(Outcome::StaleReceipt { server, current: now.sweep }));
            }
            Some(_) => {}
        }
    }
    Ok(None)
}

/// The holders of a content that had `before`: nobody is taken out, who gave a receipt is
/// confirmed, who is wanted and not listed yet is listed.
fn holders(before: &[Holder], put: &Put) -> Vec<Holder> {
    let mut holders = before.to_vec();
    for receipt in &put.receipts {
        let who = HolderId::Server(receipt.server.clone());
        let state = HolderState::Confirmed { incarnation: receipt.incarnation };
        match holders.iter_mut().find(|holder| holder.who == who) {
            Some(holder) => holder.state = state,
            None => holders.push(Holder { who, state }),
        }
    }
    for server in &put.wanted {
        let who = HolderId::Server(server.clone());
        if !holders.iter().any(|holder| holder.who == who) {
            holders.push(Holder { who, state: HolderState::Wanted });
        }
    }
    holders
}

fn apply_set_replicas(
    tables: &mut Tables<'_>,
    index: u64,
    change: &SetReplicas,
) -> Result<Outcome, StoreError> {
    let Some(before) = tables.record(&change.namespace, &change.name)? else {
        return Ok(Outcome::Absent);
    };
    if before.operation == change.operation {
        return Ok(Outcome::Done(before)); // a late duplicate
    }
    if before.version != change.read {
        return Ok(Outcome::Moved { current: Some(before) });
    }
    let record = Record {
        version: Version(index),
        replicas: change.replicas,
        operation: change.operation,
        ..before.clone()
    };
    tables.put_record(&change.namespace, &change.name, Some(&before), &record)?;
    Ok(Outcome::Done(record))
}

fn apply_remove(
    tables: &mut Tables<'_>,
    remove: &Remove,
    before: Option<Record>,
) -> Result<Outcome, StoreError> {
    let Some(before) = before else {
        return Ok(Outcome::Absent);
    };
    if before.version != remove.read {
        return Ok(Outcome::Moved { current: Some(before) });
    }
    tables.remove_record(&remove.namespace, &remove.name, &before)?;
    Ok(Outcome::Removed)
}

fn apply_sweep(tables: &mut Tables<'_>, sweep: &Sweep) -> Result<Outcome, StoreError> {
    let Some(now) = tables.server(&sweep.server)? else {
        return Ok(Outcome::SweepOutOfTurn { current: None });
    };
    if sweep.number == now.sweep {
        return Ok(Outcome::Swept); // a late duplicate
    }
    if sweep.number.0 != now.sweep.0.wrapping_add(1) {
        return Ok(Outcome::SweepOutOfTurn { current: Some(now.sweep) });
    }
    tables.set_server(&sweep.server, Server { sweep: sweep.number, ..now })?;
    Ok(Outcome::Swept)
}
