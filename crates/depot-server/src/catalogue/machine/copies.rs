//! What commands do to the holders of a record: who is listed for a copy, and who goes.
//!
//! A holder is taken out only by itself, and only where more than enough others count.

use depot_protocol::{FileName, ServerName};

use super::super::command::{AddCopy, Leave, Lost, Outcome, Want};
use super::super::fault::StoreError;
use super::super::record::{
    Holder, HolderId, HolderState, Incarnation, Namespace, Receipt, Record,
};
use super::super::tables::Tables;
use super::{Change, check_receipts};

pub(super) fn apply_add_copy(
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
    replace(tables, (&copy.namespace, &copy.name), before, record)
}

pub(super) fn apply_want(
    tables: &mut Tables<'_>,
    wanted: &Want,
    before: Option<&Record>,
) -> Result<Outcome, StoreError> {
    let Some(before) = before.filter(|before| before.version == wanted.version) else {
        return Ok(Outcome::Moved { current: before.cloned() });
    };
    let mut record = before.clone();
    for server in &wanted.servers {
        let life = tables.server(server)?.map(|now| now.incarnation);
        if let Some(holder) = holder(&mut record, server)
            && let HolderState::Confirmed { incarnation } = holder.state
            && Some(incarnation) != life
        {
            holder.state = HolderState::Wanted; // that copy went with an earlier life
        }
    }
    want(&mut record.holders, &wanted.servers);
    replace(tables, (&wanted.namespace, &wanted.name), before, record)
}

pub(super) fn apply_leave(
    tables: &mut Tables<'_>,
    leave: &Leave,
    before: Option<&Record>,
) -> Result<Outcome, StoreError> {
    let Some(before) = before.filter(|before| before.version == leave.version) else {
        return Ok(Outcome::Moved { current: before.cloned() });
    };
    if let Some(refusal) = check_life(tables, &leave.server, leave.incarnation)? {
        return Ok(refusal);
    }
    if !before.lists(&leave.server) {
        return Ok(Outcome::Done(before.clone())); // a late duplicate
    }
    let mut others = 0;
    for (holder, incarnation) in before.confirmed().filter(|(holder, _)| **holder != leave.server) {
        let now = tables.server(holder)?;
        others += u64::from(now.is_some_and(|now| now.counts(incarnation)));
    }
    if others <= u64::from(before.replicas.get()) {
        return Ok(Outcome::Needed { others });
    }
    let mut record = before.clone();
    let who = HolderId::Server(leave.server.clone());
    record.holders.retain(|holder| holder.who != who);
    replace(tables, (&leave.namespace, &leave.name), before, record)
}

/// Goes through the records of the content, whoever's: one bad copy is bad for all of them.
pub(super) fn apply_lost(
    tables: &mut Tables<'_>,
    lost: &Lost,
    changes: &mut Vec<Change>,
) -> Result<Outcome, StoreError> {
    if let Some(refusal) = check_life(tables, &lost.server, lost.incarnation)? {
        return Ok(refusal);
    }
    let most = lost.most as usize;
    let files = tables.files_with(&lost.digest, lost.after.as_ref(), most)?;
    let last = files.last().filter(|_| files.len() == most).cloned();
    for (namespace, name) in files {
        let Some(before) = tables.record(&namespace, &name)? else { continue };
        let mut record = before.clone();
        let Some(holder) = holder(&mut record, &lost.server) else { continue };
        if holder.state != (HolderState::Confirmed { incarnation: lost.incarnation }) {
            continue;
        }
        holder.state = HolderState::Wanted;
        tables.put_record(&namespace, &name, Some(&before), &record)?;
        changes.push(Change { namespace, name, before: Some(before), after: Some(record) });
    }
    Ok(last.map_or(Outcome::Noted, |(namespace, name)| Outcome::NotedUpTo { namespace, name }))
}

/// Why what is said of this life of a server is not taken, if it is not.
fn check_life(
    tables: &Tables<'_>,
    server: &ServerName,
    incarnation: Incarnation,
) -> Result<Option<Outcome>, StoreError> {
    let current = tables.server(server)?.map(|now| now.incarnation);
    let server = server.clone();
    Ok((current != Some(incarnation)).then_some(Outcome::WrongIncarnation { server, current }))
}

pub(super) fn confirm(holders: &mut Vec<Holder>, receipt: &Receipt) {
    let who = HolderId::Server(receipt.server.clone());
    let state = HolderState::Confirmed { incarnation: receipt.incarnation };
    match holders.iter_mut().find(|holder| holder.who == who) {
        Some(holder) => holder.state = state,
        None => holders.push(Holder { who, state }),
    }
}

pub(super) fn want(holders: &mut Vec<Holder>, wanted: &[ServerName]) {
    for server in wanted {
        let who = HolderId::Server(server.clone());
        if !holders.iter().any(|holder| holder.who == who) {
            holders.push(Holder { who, state: HolderState::Wanted });
        }
    }
}

fn holder<'r>(record: &'r mut Record, server: &ServerName) -> Option<&'r mut Holder> {
    let named =
        |holder: &&mut Holder| matches!(&holder.who, HolderId::Server(who) if who == server);
    record.holders.iter_mut().find(named)
}

/// The record with other holders, of the same version and request.
fn replace(
    tables: &mut Tables<'_>,
    (namespace, name): (&Namespace, &FileName),
    before: &Record,
    record: Record,
) -> Result<Outcome, StoreError> {
    if record != *before {
        tables.put_record(namespace, name, Some(before), &record)?;
    }
    Ok(Outcome::Done(record))
}
