//! What a command does to the tables: a function of the two and of nothing else, so that every
//! server that applies the same commands in the same order holds the same catalogue.
//!
//! Called with the commands in their order, many in one transaction; the index of the last one is
//! written in the same transaction.

use depot_protocol::{FileName, ServerName};

use super::command::{AddCopy, Admit, Applied, Command, Outcome, Put, Remove, SetReplicas, Sweep};
use super::fault::StoreError;
use super::record::{
    Holder, HolderId, HolderState, Namespace, Receipt, Record, SweepNumber, Version,
};
use super::rows::Server;
use super::tables::Tables;

/// So many removed names are remembered, the last ones. The same on every server, or their tables
/// would differ.
const TOMBSTONES_MAX: u64 = 65_536;

/// What a command did to one file.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) namespace: Namespace,
    pub(super) name: FileName,
    pub(super) before: Option<Record>,
    pub(super) after: Option<Record>,
}

/// Applies commands in their order, each at the index after the one before. `changes` gets what
/// they did to files.
pub(super) fn apply_all<'c>(
    tables: &mut Tables<'_>,
    commands: impl IntoIterator<Item = &'c Command>,
    changes: &mut Vec<Change>,
) -> Result<Vec<Applied>, StoreError> {
    let mut index = tables.applied()?;
    let mut applied = Vec::new();
    for command in commands {
        index += 1;
        let (outcome, change) = apply(tables, index, command)?;
        let released = change.as_ref().and_then(|change| {
            let (before, after) = (change.before.as_ref()?.digest, change.after.as_ref());
            (after.map(|after| after.digest) != Some(before)).then_some(before)
        });
        applied.push(Applied { index, outcome, released });
        changes.extend(change);
    }
    tables.set_applied(index)?;
    Ok(applied)
}

fn apply(
    tables: &mut Tables<'_>,
    index: u64,
    command: &Command,
) -> Result<(Outcome, Option<Change>), StoreError> {
    match command {
        Command::Put(put) => {
            let before = tables.record(&put.namespace, &put.name)?;
            let outcome = apply_put(tables, index, put, before.as_ref())?;
            Ok(changed(outcome, &put.namespace, &put.name, before))
        }
        Command::SetReplicas(change) => {
            let before = tables.record(&change.namespace, &change.name)?;
            let outcome = apply_set_replicas(tables, index, change, before.as_ref())?;
            Ok(changed(outcome, &change.namespace, &change.name, before))
        }
        Command::Remove(remove) => {
            let before = tables.record(&remove.namespace, &remove.name)?;
            let outcome = apply_remove(tables, index, remove, before.as_ref())?;
            Ok(changed(outcome, &remove.namespace, &remove.name, before))
        }
        Command::AddCopy(copy) => {
            let before = tables.record(&copy.namespace, &copy.name)?;
            let outcome = apply_add_copy(tables, copy, before.as_ref())?;
            Ok(changed(outcome, &copy.namespace, &copy.name, before))
        }
        Command::Sweep(sweep) => Ok((apply_sweep(tables, sweep)?, None)),
        Command::Admit(admit) => Ok((apply_admit(tables, admit)?, None)),
    }
}

/// The outcome, and what it did to the file if it did anything.
fn changed(
    outcome: Outcome,
    namespace: &Namespace,
    name: &FileName,
    before: Option<Record>,
) -> (Outcome, Option<Change>) {
    let after = match &outcome {
        Outcome::Done(record) => Some(record.clone()),
        Outcome::Removed => None,
        _ => return (outcome, None),
    };
    if before == after {
        return (outcome, None); // a late duplicate
    }
    let change = Change { namespace: *namespace, name: name.clone(), before, after };
    (outcome, Some(change))
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
    if before.is_none() && went_since(tables, put)? {
        return Ok(Outcome::Moved { current: None });
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

/// Whether a file of this name may have gone since the proposer saw that there was none: then it
/// may be the one that an earlier copy of this very command made.
fn went_since(tables: &Tables<'_>, put: &Put) -> Result<bool, StoreError> {
    let removed = tables.tombstone(&put.namespace, &put.name)?;
    Ok(removed.is_some_and(|removed| removed > put.seen) || put.seen < tables.floor()?)
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
        confirm(&mut holders, receipt);
    }
    want(&mut holders, &put.wanted);
    holders
}

fn confirm(holders: &mut Vec<Holder>, receipt: &Receipt) {
    let who = HolderId::Server(receipt.server.clone());
    let state = HolderState::Confirmed { incarnation: receipt.incarnation };
    match holders.iter_mut().find(|holder| holder.who == who) {
        Some(holder) => holder.state = state,
        None => holders.push(Holder { who, state }),
    }
}

fn want(holders: &mut Vec<Holder>, wanted: &[ServerName]) {
    for server in wanted {
        let who = HolderId::Server(server.clone());
        if !holders.iter().any(|holder| holder.who == who) {
            holders.push(Holder { who, state: HolderState::Wanted });
        }
    }
}

fn apply_set_replicas(
    tables: &mut Tables<'_>,
    index: u64,
    change: &SetReplicas,
    before: Option<&Record>,
) -> Result<Outcome, StoreError> {
    let Some(before) = before else { return Ok(Outcome::Absent) };
    if before.operation == change.operation {
        return Ok(Outcome::Done(before.clone())); // a late duplicate
    }
    if before.version != change.read {
        return Ok(Outcome::Moved { current: Some(before.clone()) });
    }
    let mut record = Record {
        version: Version(index),
        replicas: change.replicas,
        operation: change.operation,
        ..before.clone()
    };
    want(&mut record.holders, &change.wanted);
    tables.put_record(&change.namespace, &change.name, Some(before), &record)?;
    Ok(Outcome::Done(record))
}

fn apply_remove(
    tables: &mut Tables<'_>,
    index: u64,
    remove: &Remove,
    before: Option<&Record>,
) -> Result<Outcome, StoreError> {
    let Some(before) = before else { return Ok(Outcome::Absent) };
    if before.version != remove.read {
        return Ok(Outcome::Moved { current: Some(before.clone()) });
    }
    tables.remove_record(&remove.namespace, &remove.name, before)?;
    tables.bury(&remove.namespace, &remove.name, index, TOMBSTONES_MAX)?;
    Ok(Outcome::Removed)
}

fn apply_add_copy(
    tables: &mut Tables<'_>,
    copy: &AddCopy,
    before: Option<&Record>,
) -> Result<Outcome, StoreError> {
    let Some(before) = before.filter(|before| before.version == copy.version) else {
        return Ok(Outcome::Moved { current: before.cloned() });
    };
    if let Some(refusal) = check_receipts(tables, std::slice::from_ref(&copy.receipt))? {
        return Ok(refusal);
    }
    let mut record = before.clone();
    confirm(&mut record.holders, &copy.receipt);
    tables.put_record(&copy.namespace, &copy.name, Some(before), &record)?;
    Ok(Outcome::Done(record))
}

fn apply_admit(tables: &mut Tables<'_>, admit: &Admit) -> Result<Outcome, StoreError> {
    let (server, incarnation) = (&admit.server, admit.incarnation);
    match tables.server(server)? {
        Some(now) if now.incarnation == incarnation => {} // a late duplicate
        Some(now) if now.incarnation > incarnation => {
            let current = Some(now.incarnation);
            return Ok(Outcome::WrongIncarnation { server: server.clone(), current });
        }
        _ => tables.set_server(server, Server { incarnation, sweep: SweepNumber(0) })?,
    }
    Ok(Outcome::Admitted)
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
