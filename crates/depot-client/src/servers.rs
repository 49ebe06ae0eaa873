//! The servers of one depot that are known: those that were named, and those that one of them has
//! named since. Which of them to go to, and which not to for a while.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::ServerState;
use tokio::time::Instant;

use crate::Endpoint;

/// How many are known at most; a server may name any number.
const KNOWN_MAX: usize = 64;

/// How long one that did not take a connection is gone to last.
const DEAD_FOR: Duration = Duration::from_secs(60);

/// What all connections of a client know of its servers. An index stays good: none is forgotten.
pub(crate) struct Servers(Mutex<State>);

struct State {
    known: Vec<Known>,
    /// The one to go to next; the index of one that is known, or 0.
    current: usize,
}

struct Known {
    endpoint: Endpoint,
    dead_until: Option<Instant>,
}

impl Servers {
    /// Those that were named, the preferred first.
    pub(crate) fn new(named: &[Endpoint]) -> Servers {
        let known = named.iter().map(|endpoint| Known::new(endpoint.clone())).collect();
        Servers(Mutex::new(State { known, current: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of the one to go to next.
    pub(crate) fn current(&self) -> usize {
        self.state().current
    }

    /// Where the one to go to next is; nothing where none was named.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        let state = self.state();
        state.known.get(state.current).map(|known| known.endpoint.clone())
    }

    /// All, in the order in which they are to be dialled: from the current one around, those that are
    /// taken for dead at the end.
    pub(crate) fn in_turn(&self) -> Vec<(usize, Endpoint)> {
        let state = self.state();
        let (living, dead): (Vec<_>, Vec<_>) =
            state.around(state.current).partition(|&(_, known)| !known.is_dead());
        let all = living.into_iter().chain(dead);
        all.map(|(server, known)| (server, known.endpoint.clone())).collect()
    }

    /// One took a connection: it is gone to from now on.
    pub(crate) fn arrived(&self, server: usize) {
        let mut state = self.state();
        if let Some(known) = state.known.get_mut(server) {
            known.dead_until = None;
            state.current = server;
        }
    }

    /// One took no connection: for a while it is gone to last.
    pub(crate) fn died(&self, server: usize) {
        if let Some(known) = self.state().known.get_mut(server) {
            known.dead_until = Some(Instant::now() + DEAD_FOR);
        }
    }

    /// Goes to the next one from now on, unless somebody has gone on from this one already.
    pub(crate) fn leave(&self, server: usize) {
        let mut state = self.state();
        if state.current != server {
            return;
        }
        let others = || state.around(server).skip(1);
        let next = others().find(|(_, known)| !known.is_dead()).or_else(|| others().next());
        if let Some((next, _)) = next {
            state.current = next;
        }
    }

    /// Takes in those that a server has named. One that it does not reach itself is gone to last.
    pub(crate) fn learn(&self, named: &[ServerState], by: usize) {
        let mut state = self.state();
        let here = state.known.get(by).is_some_and(|known| is_of_this_machine(&known.endpoint));
        for named in named {
            let Some(endpoint) = dialled(&named.address) else { continue };
            // What is its own machine to one elsewhere is not ours.
            if is_of_this_machine(&endpoint) && !here {
                continue;
            }
            let is_known = state.known.iter().any(|known| known.endpoint == endpoint);
            if is_known || state.known.len() >= KNOWN_MAX {
                continue;
            }
            tracing::debug!(server = %endpoint, active = named.active, "learned");
            let dead_until = (!named.active).then(|| Instant::now() + DEAD_FOR);
            state.known.push(Known { endpoint, dead_until });
        }
    }
}

impl State {
    /// All, beginning with that one.
    fn around(&self, server: usize) -> impl Iterator<Item = (usize, &Known)> {
        let known = self.known.iter().enumerate();
        known.clone().skip(server).chain(known.take(server))
    }
}

impl Known {
    fn new(endpoint: Endpoint) -> Known {
        Known { endpoint, dead_until: None }
    }

    fn is_dead(&self) -> bool {
        self.dead_until.is_some_and(|until| Instant::now() < until)
    }
}

/// What a server names, where it can be dialled: `0.0.0.0` would be this machine, whoever says it.
fn dialled(address: &str) -> Option<Endpoint> {
    let endpoint = Endpoint::parse(address).ok()?;
    let nowhere = endpoint.host().parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    Some(endpoint).filter(|_| !nowhere)
}

fn is_of_this_machine(endpoint: &Endpoint) -> bool {
    let host = endpoint.host();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use depot_protocol::ServerName;

    use super::*;

    fn named(address: &str, active: bool) -> ServerState {
        let name = ServerName::parse("a").unwrap();
        ServerState { name, address: address.to_owned(), active }
    }

    fn servers(named: &[&str]) -> Servers {
        let named = named.iter().map(|text| Endpoint::parse(text).unwrap());
        Servers::new(&named.collect::<Vec<_>>())
    }

    fn in_turn(servers: &Servers) -> Vec<String> {
        servers.in_turn().into_iter().map(|(_, endpoint)| endpoint.to_string()).collect()
    }

    #[test]
    fn those_that_are_named_come_first_and_each_is_known_once() {
        let servers = servers(&["a:1", "b:1"]);
        servers.learn(&[named("b:1", true), named("c:1", false), named("d:1", true)], 0);
        servers.learn(&[named("d:1", true), named("a:1", true)], 0);
        assert_eq!(in_turn(&servers), ["a:1", "b:1", "d:1", "c:1"]);
    }

    #[test]
    fn what_can_not_be_dialled_is_not_learned() {
        let servers = servers(&["a:1"]);
        for address in ["", "b", "b:0", "0.0.0.0:1", "[::]:1", "a b:1", "\u{1b}:1", "a:1"] {
            servers.learn(&[named(address, true)], 0);
        }
        assert_eq!(in_turn(&servers), ["a:1"]);
        let many = (1..2000).map(|port| named(&format!("x:{port}"), true));
        servers.learn(&many.collect::<Vec<_>>(), 0);
        assert_eq!(in_turn(&servers).len(), KNOWN_MAX);
    }

    #[test]
    fn a_server_elsewhere_names_nothing_on_this_machine() {
        let own =
            [named("127.0.0.1:22", true), named("localhost:22", true), named("[::1]:22", true)];
        let (elsewhere, here) = (servers(&["a:1"]), servers(&["localhost:1"]));
        elsewhere.learn(&own, 0);
        here.learn(&own, 0);
        assert_eq!((in_turn(&elsewhere).len(), in_turn(&here).len()), (1, 4));
    }

    #[test]
    fn one_that_died_is_gone_to_last_for_a_while() {
        let servers = servers(&["a:1", "b:1", "c:1"]);
        servers.died(0);
        servers.died(1);
        assert_eq!(in_turn(&servers), ["c:1", "a:1", "b:1"]);
        servers.arrived(2);
        servers.leave(2);
        assert_eq!(servers.current(), 0, "all others are dead: the next is as good");
        servers.arrived(1);
        assert_eq!(in_turn(&servers), ["b:1", "c:1", "a:1"]);
        servers.state().known[0].dead_until = Some(Instant::now());
        servers.died(2);
        assert_eq!(in_turn(&servers), ["b:1", "a:1", "c:1"]);
        servers.leave(1);
        servers.leave(1);
        assert_eq!(servers.current(), 0);
    }
}
