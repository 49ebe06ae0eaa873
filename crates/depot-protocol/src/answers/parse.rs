//! From a line to what a server says: as strict as a request's reader about what is known, and deaf
//! to new fields where they may stand.

use super::{Answer, AnswerHead, BadAnswer, Expecting, FileInfo, ListItem, ServerState};
use crate::keys;
use crate::limits::{ADDRESS_MAX, LIST_MAX, SERVERS_MAX};
use crate::line::{Cursor, Line, Misfit};
use crate::refusal::{ErrorCode, Refusal};
use crate::types::{
    ClientId, Digest, FieldFault, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds,
    parse_bit, parse_u8, parse_up_to,
};

impl From<Misfit> for BadAnswer {
    fn from(Misfit(message): Misfit) -> BadAnswer {
        BadAnswer(message)
    }
}

pub(super) fn head(line: &[u8], expecting: Option<Expecting>) -> Result<AnswerHead, BadAnswer> {
    let mut fields = read(line)?;
    match (fields.take_as(keys::RESULT, parse_bit)?, expecting) {
        (false, _) => Ok(AnswerHead::Whole(Answer::Refused(refusal(fields)?))),
        (true, Some(expecting)) => Ok(done(fields, expecting)?),
        (true, None) => Err(BadAnswer("nothing was asked".to_owned())),
    }
}

fn read(line: &[u8]) -> Result<Cursor<'_>, BadAnswer> {
    match Line::parse(line) {
        Ok(line) => Ok(Cursor::new(line)),
        Err(fault) => Err(BadAnswer(fault.message().to_owned())),
    }
}

fn refusal(mut fields: Cursor<'_>) -> Result<Refusal, Misfit> {
    let code = fields.take_as(keys::ERROR, |code| {
        ErrorCode::parse(code).ok_or(FieldFault("a code of this protocol is wanted"))
    })?;
    Ok(Refusal::new(code, last(fields, keys::MESSAGE)?))
}

fn done(mut fields: Cursor<'_>, expecting: Expecting) -> Result<AnswerHead, Misfit> {
    let answer = match expecting {
        Expecting::Connected => {
            Answer::Connected { client: fields.take_as(keys::CLIENT, ClientId::parse)? }
        }
        Expecting::Deposited => Answer::Deposited {
            replicas: fields.take_as(keys::REPLICAS, ReplicaCount::parse)?,
            copies: fields.take_as(keys::COPIES, parse_u8)?,
            hash: fields.take_as(keys::HASH, Digest::parse)?,
        },
        Expecting::Prepared => Answer::Prepared {
            offset: fields.take_as(keys::OFFSET, FileSize::parse)?.get(),
            partial: fields.take_as(keys::PARTIAL, Digest::parse)?,
        },
        Expecting::Recovering { offset } => return recovering(fields, offset),
        Expecting::Stat => {
            let info = file_info(&mut fields)?;
            return Ok(AnswerHead::Whole(Answer::Stat { info, local: is_local(fields)? }));
        }
        Expecting::List => {
            let items = fields.take_as(keys::ITEMS, |text| count(text, LIST_MAX))?;
            let more = fields.take_as(keys::MORE, parse_bit)?;
            return Ok(AnswerHead::List { items, more, local: is_local(fields)? });
        }
        Expecting::ReplicasSet => Answer::ReplicasSet {
            replicas: fields.take_as(keys::REPLICAS, ReplicaCount::parse)?,
            copies: fields.take_as(keys::COPIES, parse_u8)?,
        },
        Expecting::Removed => Answer::Removed,
        Expecting::State => {
            fields.take_as(keys::VERSION, version)?;
            let items = fields.take_as(keys::ITEMS, |text| count(text, SERVERS_MAX))?;
            ignore_new(fields)?;
            return Ok(AnswerHead::State { items });
        }
        Expecting::Ended => Answer::Ended,
    };
    ignore_new(fields)?;
    Ok(AnswerHead::Whole(answer))
}

fn recovering(mut fields: Cursor<'_>, offset: u64) -> Result<AnswerHead, Misfit> {
    let size = fields.take_as(keys::SIZE, |text| {
        let size = FileSize::parse(text)?;
        let reached = offset <= size.get();
        reached.then_some(size).ok_or(FieldFault("not below the offset asked for is wanted"))
    })?;
    let hash = fields.take_as(keys::HASH, Digest::parse)?;
    Ok(AnswerHead::Recovering { size, hash, local: is_local(fields)? })
}

fn file_info(fields: &mut Cursor<'_>) -> Result<FileInfo, Misfit> {
    Ok(FileInfo {
        replicas: fields.take_as(keys::REPLICAS, ReplicaCount::parse)?,
        copies: fields.take_as(keys::COPIES, parse_u8)?,
        size: fields.take_as(keys::SIZE, FileSize::parse)?,
        hash: fields.take_as(keys::HASH, Digest::parse)?,
        deposited: fields.take_as(keys::DEPOSITED, UtcSeconds::parse)?,
    })
}

pub(super) fn list_item(line: &[u8]) -> Result<ListItem, BadAnswer> {
    let mut fields = read(line)?;
    let info = file_info(&mut fields)?;
    let name = FileName::parse(last(fields, keys::NAME)?)
        .map_err(|fault| Misfit::value(keys::NAME, fault))?;
    Ok(ListItem { info, name })
}

pub(super) fn server_state(line: &[u8]) -> Result<ServerState, BadAnswer> {
    let mut fields = read(line)?;
    let name = fields.take_as(keys::SERVER, ServerName::parse)?;
    let address = fields.take_as(keys::ADDRESS, address)?;
    let active = fields.take_as(keys::ACTIVE, parse_bit)?;
    ignore_new(fields)?;
    Ok(ServerState { name, address, active })
}

fn address(text: &str) -> Result<String, FieldFault> {
    if text.is_empty() || text.len() > ADDRESS_MAX || text.chars().any(char::is_control) {
        return Err(FieldFault("host:port of at most 512 bytes is wanted"));
    }
    Ok(text.to_owned())
}

fn version(text: &str) -> Result<(), FieldFault> {
    if text == "1" { Ok(()) } else { Err(FieldFault("this is a client of version 1")) }
}

fn count(text: &str, max: usize) -> Result<usize, FieldFault> {
    u64::try_from(max)
        .ok()
        .and_then(|max| parse_up_to(text, max))
        .and_then(|items| usize::try_from(items).ok())
        .ok_or(FieldFault("more items than there may be"))
}

/// The value of a last field, new fields before it passed over.
fn last<'a>(mut fields: Cursor<'a>, key: &'static str) -> Result<&'a str, Misfit> {
    while let Some(field) = fields.take_any()? {
        if field.key == key {
            return Ok(field.value);
        }
    }
    Err(Misfit(format!("{key} is missing")))
}

fn ignore_new(mut fields: Cursor<'_>) -> Result<(), Misfit> {
    while fields.take_any()?.is_some() {}
    Ok(())
}

/// Whether `leitura:local` is among the rest.
fn is_local(mut fields: Cursor<'_>) -> Result<bool, Misfit> {
    let mut local = false;
    while let Some(field) = fields.take_any()? {
        match (field.key, field.value) {
            (keys::READING, keys::LOCAL) => local = true,
            (keys::READING, _) => {
                return Err(Misfit::value(keys::READING, FieldFault("local is wanted")));
            }
            _ => {}
        }
    }
    Ok(local)
}
