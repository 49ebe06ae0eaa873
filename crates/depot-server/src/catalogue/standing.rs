//! Whose copies count now. A record lists holders, each in the life in which it proved its copy; the
//! servers' own rows say which life that is today, and who is away.

use std::collections::BTreeMap;

use depot_protocol::ServerName;

use super::record::{Incarnation, Record};

/// How a server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its current life.
    pub incarnation: Incarnation,
    /// Gone for long: its copies don't count until it is back.
    pub away: bool,
}

/// All servers that were ever admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Servers(pub(super) BTreeMap<ServerName, Standing>);

impl Servers {
    /// One of them.
    pub fn get(&self, server: &ServerName) -> Option<Standing> {
        self.0.get(server).copied()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &ServerName> {
        self.0.keys()
    }

    /// The holders whose copies count.
    pub fn counting<'r>(&'r self, record: &'r Record) -> impl Iterator<Item = &'r ServerName> {
        let counts = |(server, life): &(&ServerName, Incarnation)| {
            self.get(server).is_some_and(|now| now.incarnation == *life && !now.away)
        };
        record.confirmed().filter(counts).map(|(server, _)| server)
    }

    /// The holders that shall have a copy and are not away.
    pub fn coming<'r>(&'r self, record: &'r Record) -> impl Iterator<Item = &'r ServerName> {
        let here = |server: &&ServerName| self.get(server).is_some_and(|now| !now.away);
        record.servers().filter(|server| record.wants(server)).filter(here)
    }
}
