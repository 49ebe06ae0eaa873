//! What a client asks of its records: one file's, or a page of them all.

use depot_protocol::{
    Answer, ClientId, FileInfo, FileName, ListCursor, ListItem, ListLimit, Refusal,
};

use crate::catalogue::{Freshness, ReadError, Record, View};
use crate::depot::{Depot, unknown_file};

/// Answers `consultar`.
pub async fn stat(depot: &Depot, client: &ClientId, name: &FileName) -> Result<Answer, Refusal> {
    let (namespace, name) = (depot.namespace(client), name.clone());
    let (info, local) = depot
        .ask(move |view| {
            let record = view.get(&namespace, &name)?;
            let info = record.map(|record| info(view, &record)).transpose()?;
            Ok((info, view.freshness() == Freshness::Local))
        })
        .await?;
    match info {
        Some(info) => Ok(Answer::Stat { info, local }),
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
    let view = depot.view().await?;
    let page = move || -> Result<_, ReadError> {
        let limit = usize::from(limit.get());
        let (records, more) = view.list(&namespace, after.as_str(), limit)?;
        let item =
            |(name, record): (FileName, Record)| Ok(ListItem { info: info(&view, &record)?, name });
        let items = records.into_iter().map(item).collect::<Result<_, ReadError>>()?;
        Ok((items, more, view.freshness() == Freshness::Local))
    };
    let page = depot.run(page).await?;
    let (items, more, local) = page.map_err(|error| depot.unreadable(&error))?;
    Ok(Answer::List { items, more, local })
}

fn info(view: &View, record: &Record) -> Result<FileInfo, ReadError> {
    Ok(FileInfo {
        replicas: record.replicas,
        copies: view.copies(record)?,
        size: record.size,
        hash: record.digest,
        deposited: record.deposited,
    })
}
