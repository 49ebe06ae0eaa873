//! From a line to a request, faults told in the protocol's order.

use super::{BadHead, Deposit, HeadFault, Prepare, Recover, Request};
use crate::conversation::Owed;
use crate::keys;
use crate::line::{Cursor, Line, Misfit};
use crate::refusal::{ErrorCode, Refusal};
use crate::types::{
    Announced, ClientId, FieldFault, FileName, FileSize, ListCursor, ListLimit, ReplicaCount,
    parse_offset,
};

/// A fault of a request that has no payload, or none that its reader knows of.
enum Fault {
    Field(Misfit),
    Name(FieldFault),
}

impl From<Misfit> for Fault {
    fn from(misfit: Misfit) -> Fault {
        Fault::Field(misfit)
    }
}

impl Fault {
    fn refusal(self) -> Refusal {
        match self {
            Fault::Field(Misfit(message)) => Refusal::new(ErrorCode::FieldInvalid, message),
            Fault::Name(fault) => {
                Refusal::new(ErrorCode::NameInvalid, format!("{}: {fault}", keys::NAME))
            }
        }
    }

    fn head(self, then: HeadFault) -> BadHead {
        BadHead { refusal: self.refusal(), then, past_end: None }
    }
}

pub(super) fn request(bytes: &[u8]) -> Result<Request, BadHead> {
    let line = Line::parse(bytes).map_err(|fault| BadHead::unreadable(fault.message()))?;
    match (line.key(0), line.key(1)) {
        (Some(keys::COMMAND), _) => command(line).map_err(|fault| fault.head(HeadFault::Stays)),
        (_, None) => connection(line).map_err(|fault| fault.head(HeadFault::Stays)),
        (_, Some(keys::NAME | keys::OFFSET)) => {
            recover(line).map_err(|fault| fault.head(HeadFault::Stays))
        }
        (_, Some(_)) => deposit(line),
    }
}

impl BadHead {
    /// A line without the form: what follows it can't be told.
    pub(crate) fn unreadable(message: &str) -> BadHead {
        let refusal = Refusal::new(ErrorCode::HeaderInvalid, message);
        BadHead { refusal, then: HeadFault::Closes, past_end: None }
    }
}

fn connection(line: Line<'_>) -> Result<Request, Fault> {
    let mut fields = Cursor::new(line);
    let client = fields.take_as(keys::CLIENT, |value| match value {
        "" => Ok(None),
        id => ClientId::parse(id).map(Some),
    })?;
    fields.finish()?;
    Ok(client.map_or(Request::FirstConnection, |client| Request::Reconnection { client }))
}

fn recover(line: Line<'_>) -> Result<Request, Fault> {
    let mut fields = Cursor::new(line);
    let client = fields.take_as(keys::CLIENT, ClientId::parse)?;
    let offset = fields.take_if(keys::OFFSET, parse_offset)?;
    let name = last_name(fields)?;
    Ok(Request::Recover(Recover { client, offset, name }))
}

fn command(line: Line<'_>) -> Result<Request, Fault> {
    let mut fields = Cursor::new(line);
    match fields.take(keys::COMMAND)? {
        "preparar" => prepare(fields),
        "consultar" => {
            let client = fields.take_as(keys::CLIENT, ClientId::parse)?;
            Ok(Request::Stat { client, name: last_name(fields)? })
        }
        "listar" => list(fields),
        "replicas" => {
            let client = fields.take_as(keys::CLIENT, ClientId::parse)?;
            let replicas = fields.take_as(keys::REPLICAS, ReplicaCount::parse)?;
            Ok(Request::SetReplicas { client, replicas, name: last_name(fields)? })
        }
        "remover" => {
            let client = fields.take_as(keys::CLIENT, ClientId::parse)?;
            Ok(Request::Remove { client, name: last_name(fields)? })
        }
        "estado" => {
            let client = fields.take_as(keys::CLIENT, ClientId::parse)?;
            fields.finish()?;
            Ok(Request::State { client })
        }
        "encerrar" => {
            fields.finish()?;
            Ok(Request::End)
        }
        _ => Err(Fault::Field(Misfit::value(
            keys::COMMAND,
            FieldFault(
                "preparar, consultar, listar, replicas, remover, estado or encerrar is wanted",
            ),
        ))),
    }
}

fn prepare(mut fields: Cursor<'_>) -> Result<Request, Fault> {
    let client = fields.take_as(keys::CLIENT, ClientId::parse)?;
    let replicas = fields.take_as(keys::REPLICAS, ReplicaCount::parse)?;
    let size = fields.take_as(keys::SIZE, FileSize::parse)?;
    let hash = fields.take_as(keys::HASH, Announced::parse)?;
    let name = last_name(fields)?;
    Ok(Request::Prepare(Prepare { client, replicas, size, hash, name }))
}

fn list(mut fields: Cursor<'_>) -> Result<Request, Fault> {
    let client = fields.take_as(keys::CLIENT, ClientId::parse)?;
    let limit = fields.take_as(keys::LIMIT, ListLimit::parse)?;
    let after = fields.take_as(keys::AFTER, ListCursor::parse)?;
    fields.finish()?;
    Ok(Request::List { client, limit, after })
}

/// The name, which is judged after every field.
fn last_name(mut fields: Cursor<'_>) -> Result<FileName, Fault> {
    let name = fields.take(keys::NAME)?;
    fields.finish()?;
    FileName::parse(name).map_err(Fault::Name)
}

fn deposit(line: Line<'_>) -> Result<Request, BadHead> {
    let header =
        deposit_fields(line).map_err(|misfit| Fault::from(misfit).head(HeadFault::Closes))?;
    let DepositFields { client, replicas, size, hash, offset, name } = header;
    let past_end = offset.is_some_and(|offset| offset > size.get());
    let name = FileName::parse(name).map_err(|fault| {
        let payload = size.get().saturating_sub(offset.unwrap_or(0));
        let fault = Fault::Name(fault);
        if past_end {
            fault.head(HeadFault::Closes)
        } else {
            fault.head(HeadFault::Payload { remaining: payload, hash_line: hash.is_last() })
        }
    })?;
    let deposit = Deposit { client, replicas, size, hash, offset, name };
    if past_end {
        return Err(BadHead {
            refusal: Refusal::new(
                ErrorCode::OffsetInvalid,
                "deslocamento is above tamanho_arquivo; send what preparar answers",
            ),
            then: HeadFault::Closes,
            past_end: Some(Box::new(deposit)),
        });
    }
    Ok(Request::Deposit(deposit))
}

/// A deposit's header, its name not yet judged.
struct DepositFields<'a> {
    client: ClientId,
    replicas: ReplicaCount,
    size: FileSize,
    hash: Announced,
    offset: Option<u64>,
    name: &'a str,
}

fn deposit_fields(line: Line<'_>) -> Result<DepositFields<'_>, Misfit> {
    let mut fields = Cursor::new(line);
    let header = DepositFields {
        client: fields.take_as(keys::CLIENT, ClientId::parse)?,
        replicas: fields.take_as(keys::REPLICAS, ReplicaCount::parse)?,
        size: fields.take_as(keys::SIZE, FileSize::parse)?,
        hash: fields.take_as(keys::HASH, Announced::parse)?,
        offset: fields.take_if(keys::OFFSET, parse_offset)?,
        name: fields.take(keys::NAME)?,
    };
    fields.finish()?;
    Ok(header)
}

impl HeadFault {
    /// What is still to come behind the line.
    #[must_use]
    pub fn owed(self) -> Owed {
        match self {
            HeadFault::Stays | HeadFault::Closes => Owed::NOTHING,
            HeadFault::Payload { remaining, hash_line } => Owed { payload: remaining, hash_line },
        }
    }
}
