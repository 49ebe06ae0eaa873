//! The list of a client's files, a page at a time.

use std::collections::VecDeque;

use depot_protocol::{Answer, ListCursor, ListItem, ListLimit, Request};
use futures_util::Stream;
use futures_util::stream::try_unfold;

use crate::Error;
use crate::pool::Pool;

/// Where a list is: what has come and was not taken, and from where to ask on.
struct Position {
    page: VecDeque<ListItem>,
    /// Nothing where all has come.
    next: Option<ListCursor>,
}

/// All files in byte order of their names. It holds one page at most, and ends: names only grow.
pub(crate) fn list(pool: &Pool) -> impl Stream<Item = Result<ListItem, Error>> + Send + '_ {
    let start = Position { page: VecDeque::new(), next: Some(ListCursor::start()) };
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
    let Answer::List { items, more, .. } = pool.ask(&request).await? else {
        return Err(pool.broken("an answer that is no list"));
    };
    if items.first().is_some_and(|first| first.name.as_str() <= after.as_str()) {
        return Err(pool.broken("a list that goes back"));
    }
    let last = items.last().map(|last| ListCursor::from(&last.name));
    if more && last.is_none() {
        return Err(pool.broken("an empty page of a list of more"));
    }
    Ok(Position { page: items.into(), next: last.filter(|_| more) })
}
