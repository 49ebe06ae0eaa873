//! What a client asks of its records: one file's, or a page of them all.

use depot_protocol::{
    Answer, ClientId, FileInfo, FileName, ListCursor, ListItem, ListLimit, Refusal,
};

use crate::catalogue::{Freshness, Record};
use crate::depot::{Depot, unknown_file};

/// Answers `consultar`.
pub async fn stat(depot: &Depot, client: &ClientId, name: &FileName) -> Result<Answer, Refusal> {
    let (namespace, name) = (depot.namespace(client), name.clone());
    let (record, local) = depot
        .ask(move |view| Ok((view.get(&namespace, &name)?, view.freshness() == Freshness::Local)))
        .await?;
    match record {
        Some(record) => Ok(Answer::Stat { info: info(&record), local }),
        None => Err(unknown_file(local)),
    }
}

/// Answers `listar`.
pub async fn list(
    depot: &Depot,
    client: &ClientId,
    limit: ListLimit,
    after: &ListCursor,
) -> Result<Answer, Refusal> {
    let (namespace, after) = (depot.namespace(client), after.clone());
    let ((records, more), local) = depot
        .ask(move |view| {
            let page = view.list(&namespace, after.as_str(), usize::from(limit.get()))?;
            Ok((page, view.freshness() == Freshness::Local))
        })
        .await?;
    let items = records.into_iter().map(|(name, record)| ListItem { info: info(&record), name });
    Ok(Answer::List { items: items.collect(), more, local })
}

fn info(record: &Record) -> FileInfo {
    FileInfo {
        replicas: record.replicas,
        copies: record.copies(),
        size: record.size,
        hash: record.digest,
        deposited: record.deposited,
    }
}
