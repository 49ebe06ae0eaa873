//! The list of a client's files, a page at a time.

use std::collections::VecDeque;

use depot_protocol::{Answer, FileInfo, FileName, ListCursor, ListLimit, Request};
use futures_util::stream::try_unfold;
use futures_util::{Stream, StreamExt};

use crate::Error;
use crate::pool::Pool;

/// A file in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: FileName,
    /// What is known about it.
    pub info: FileInfo,
    /// Whether the server answered from what it has, without a majority: newer files may be missing,
    /// and removed ones may be told.
    pub local: bool,
}

/// Where a list is: what has come and was not taken, and from where to ask on.
struct Position {
    page: VecDeque<Listed>,
    /// Nothing where all has come.
    next: Option<ListCursor>,
}

/// All files in byte order of their names. It holds one page at most, and ends: names only grow.
pub(crate) fn list(pool: &Pool) -> impl Stream<Item = Result<Listed, Error>> + Send + '_ {
    from(pool, Some(ListCursor::start()))
}

/// The files below a folder. It begins at the folder and ends behind it: in byte order, between
/// `folder/` and the first name that does not begin so, there are no others.
pub(crate) fn below<'a>(
    pool: &'a Pool,
    folder: &FileName,
) -> impl Stream<Item = Result<Listed, Error>> + Send + 'a {
    let prefix = format!("{}/", folder.as_str());
    // Where that is longer than a name can be, nothing is below.
    let files = from(pool, ListCursor::parse(&prefix).ok());
    files.take_while(move |listed| {
        let is_below = !matches!(listed, Ok(file) if !file.name.as_str().starts_with(&prefix));
        std::future::ready(is_below)
    })
}

fn from(
    pool: &Pool,
    start: Option<ListCursor>,
) -> impl Stream<Item = Result<Listed, Error>> + Send + '_ {
    let start = Position { page: VecDeque::new(), next: start };
    try_unfold(start, move |mut position| async move {
        loop {
            if let Some(item) = position.page.pop_front() {
                return Ok(Some((item, position)));
            }
            let Some(after) = position.next.take() else { return Ok(None) };
            position = page(pool, after).await?;
        }
    })
}

async fn page(pool: &Pool, after: ListCursor) -> Result<Position, Error> {
    let request = Request::List { client: pool.id, limit: ListLimit::MAX, after: after.clone() };
    let Answer::List { items, more, local } = pool.ask(&request).await? else {
        return Err(pool.broken("an answer that is no list"));
    };
    if items.first().is_some_and(|first| first.name.as_str() <= after.as_str()) {
        return Err(pool.broken("a list that goes back"));
    }
    let last = items.last().map(|last| ListCursor::from(&last.name));
    if more && last.is_none() {
        return Err(pool.broken("an empty page of a list of more"));
    }
    let page = items.into_iter().map(|item| Listed { name: item.name, info: item.info, local });
    Ok(Position { page: page.collect(), next: last.filter(|_| more) })
}
