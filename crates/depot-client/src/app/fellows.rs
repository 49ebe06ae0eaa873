//! The other servers of a depot: an id that one of them has issued is good at all of them, so it is
//! kept for each.
//!
//! No server tells what depot it is of, so its word is not enough: one could name a stranger, and the
//! client would be known there by an id that the first one knows. So the other is asked, as nobody,
//! and must name the first one too.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::identity::Home;
use super::output::Output;
use crate::{Client, Endpoint, Error, Options};

/// How many others are asked.
const MOST: usize = 16;

/// How long each of them may take; they are asked at the same time.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it may take to learn of them and to ask them.
const PATIENCE_IN_ALL: Duration = Duration::from_secs(4);

/// Keeps the id that `server` has issued for the depot's other servers too, where none is kept for
/// them. One that does not answer now gets an id of its own when it is first named by itself.
pub(super) async fn keep(client: &Client, server: &Endpoint, home: &Home, output: &Output) {
    let others = timeout(PATIENCE_IN_ALL, others(client, server)).await.unwrap_or_default();
    for other in others {
        let kept = match home.kept(&other) {
            Ok(Some(_)) => continue,
            Ok(None) => home.keep(&other, client.id()),
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            output.warn(&error.text(output.texts()));
        }
    }
}

/// Those that `server` names and that name it.
async fn others(client: &Client, server: &Endpoint) -> Vec<Endpoint> {
    let named = client.servers().await.unwrap_or_default();
    let named = named.iter().filter_map(|named| Endpoint::parse(&named.address).ok());
    let named = named.filter(|other| other != server).take(MOST).collect::<Vec<_>>();
    if named.is_empty() {
        return named;
    }
    let mut known_as = vec![server.to_string()];
    if let Ok(found) = lookup_host((server.host(), server.port())).await {
        known_as.extend(found.map(|address| address.to_string()));
    }
    let ask = async |other: Endpoint| {
        let names = timeout(PATIENCE, names(&other)).await;
        let names_us = names.ok()?.ok()?.iter().any(|named| known_as.contains(named));
        names_us.then_some(other)
    };
    join_all(named.into_iter().map(ask)).await.into_iter().flatten().collect()
}

/// The addresses that a server names, asked without an id.
async fn names(other: &Endpoint) -> Result<Vec<String>, Error> {
    let servers = vec![other.clone()];
    let options = Options { servers, learn: false, retries: 0, ..Options::default() };
    let named = Client::connect(options, None).await?.servers().await?;
    Ok(named.into_iter().map(|named| named.address).collect())
}
