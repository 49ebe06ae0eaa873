//! Who belongs to the cluster, as this server's configuration has it. It tells where each is and
//! what it can take; who votes is the catalogue's to say.

use std::net::SocketAddr;

use depot_protocol::ServerName;
use sha2::{Digest, Sha256};

use crate::config::Settings;

pub use crate::config::Server as Member;

/// The servers of the file.
#[derive(Debug, Clone)]
pub struct Members {
    me: ServerName,
    all: Vec<Member>,
}

impl Members {
    /// Those that this server was configured with.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Members { me: settings.server.clone(), all: settings.members.clone() }
    }

    /// This server.
    #[must_use]
    pub fn me(&self) -> &ServerName {
        &self.me
    }

    /// All of them, in the file's order.
    #[must_use]
    pub fn all(&self) -> &[Member] {
        &self.all
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &ServerName) -> Option<&Member> {
        self.all.iter().find(|member| member.name == *name)
    }

    /// The others, in the file's order.
    pub fn others(&self) -> impl Iterator<Item = &Member> {
        self.all.iter().filter(|member| member.name != self.me)
    }

    /// Where another server takes its peers.
    #[must_use]
    pub fn peer_address(&self, name: &ServerName) -> Option<SocketAddr> {
        self.get(name).and_then(|member| member.peer)
    }

    /// A SHA-256 over what the list says of its servers, in whatever order; but not over their
    /// folders and lines, which are no matter of the others.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut sorted: Vec<&Member> = self.all.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let told = |member: &Member| {
            let Member { name, address, peer, zone, capacity, witness, .. } = member;
            format!("{:?}\n", (name.as_str(), address, peer, zone, capacity, witness))
        };
        Sha256::digest(sorted.into_iter().map(told).collect::<String>()).into()
    }

    /// How many other servers hold payloads: as many replicas can be asked for.
    #[must_use]
    pub fn replicas_max(&self) -> u8 {
        let holders = self.others().filter(|member| !member.witness).count();
        u8::try_from(holders).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_what_matters_to_the_others() {
        let mut settings = Settings::alone(7070, "/a".into());
        let second = Member {
            name: ServerName::parse("second").unwrap(),
            peer: Some(([127, 0, 0, 1], 7101).into()),
            ..settings.members[0].clone()
        };
        settings.members.push(second);
        let first = Members::of(&settings);
        let with = |change: fn(&mut Vec<Member>)| {
            let mut members = first.clone();
            change(&mut members.all);
            members.fingerprint()
        };
        assert_eq!(with(|all| all.reverse()), first.fingerprint());
        assert_eq!(with(|all| all[0].data = "/b".into()), first.fingerprint());
        assert_eq!(with(|all| all[0].line = 7), first.fingerprint());
        let mut seen = vec![first.fingerprint()];
        for change in [
            (|all| drop(all.pop())) as fn(&mut Vec<Member>),
            |all| all[1].witness = true,
            |all| all[1].zone = Some("x".into()),
            |all| all[1].capacity = Some(1),
            |all| all[1].peer = None,
            |all| all[1].address.set_port(1),
        ] {
            let other = with(change);
            assert!(!seen.contains(&other));
            seen.push(other);
        }
    }
}
