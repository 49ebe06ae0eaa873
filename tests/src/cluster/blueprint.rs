//! What a cluster is to be like, and the files that say so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::network::Network;
use super::{Cluster, alive, free_address};
use crate::content::made_up_id;

/// A cluster that does not run yet.
#[derive(Clone, Debug)]
pub struct Blueprint {
    members: Vec<Member>,
    /// Lines of the configuration by section.
    sections: BTreeMap<&'static str, String>,
    secret: String,
    proxied: bool,
}

/// One server of the file.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) peer: SocketAddr,
    zone: Option<String>,
    pub(super) witness: bool,
}

impl Member {
    fn new(number: u8) -> Self {
        let name = char::from(b'a' + number).to_string();
        let (address, peer) = (free_address(), free_address());
        Self { name, address, peer, zone: None, witness: false }
    }
}

impl Blueprint {
    pub(super) fn of(servers: usize) -> Self {
        let numbers = 0..u8::try_from(servers).expect("a few servers");
        let secret = made_up_id() + &made_up_id();
        let members = numbers.map(Member::new).collect();
        // Each copy has a file of its own, to be found and harmed.
        let sections = BTreeMap::from([("volume", "pack = \"0 B\"".to_owned())]);
        Self { members, sections, secret, proxied: false }
    }

    /// The zones that the servers stand in, in their order.
    pub fn zones(mut self, zones: &[&str]) -> Self {
        assert_eq!(zones.len(), self.members.len(), "a zone for each server");
        for (member, zone) in self.members.iter_mut().zip(zones) {
            member.zone = Some((*zone).to_owned());
        }
        self
    }

    /// The last server is a witness.
    pub fn with_a_witness(mut self) -> Self {
        self.members.last_mut().expect("a server").witness = true;
        self
    }

    /// Lines for a section of the configuration, like `("deposit", "ack = \"all\"")`.
    pub fn section(mut self, name: &'static str, toml: &str) -> Self {
        self.sections.insert(name, toml.to_owned());
        self
    }

    /// The servers reach each other through proxies, so that [`Cluster::cut`] and its like work.
    pub fn through_proxies(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Starts none of the servers.
    #[track_caller]
    pub fn stopped(self) -> Cluster {
        let home = Arc::new(TempDir::with_prefix("depot-cluster-").expect("a temporary folder"));
        let peers = self.members.iter().map(|member| member.peer).collect::<Vec<_>>();
        let network = self.proxied.then(|| Network::between(&peers));
        write_private(&home.path().join("depot.toml"), &self.text(home.path(), |to| peers[to]));
        for (from, member) in self.members.iter().enumerate() {
            let Some(network) = &network else { break };
            let seen = |to: usize| if to == from { peers[to] } else { network.proxy(from, to) };
            let path = home.path().join(&member.name).with_extension("toml");
            write_private(&path, &self.text(home.path(), seen));
        }
        let alive = alive::let_in(self.members.len());
        Cluster::new(home, self.members, network, alive)
    }

    /// Starts all, on empty folders: they wait to be founded.
    #[track_caller]
    pub fn waiting(self) -> Cluster {
        let mut cluster = self.stopped();
        cluster.start_all();
        cluster
    }

    /// Starts all, founded and ready: each serves, and knows that all others do.
    #[track_caller]
    pub fn start(self) -> Cluster {
        let mut cluster = self.waiting();
        cluster.operator(&["init"]).done();
        if cluster.network.is_some() {
            // `init` wants equal lists, so it was another file until now.
            (0..cluster.size()).for_each(|server| cluster.kill9(server));
            cluster.proxied = true;
            cluster.start_all();
        }
        cluster.ready();
        cluster
    }

    /// The file, in which each server takes its peers where `peer` says.
    fn text(&self, home: &Path, peer: impl Fn(usize) -> SocketAddr) -> String {
        let mut text = format!("[cluster]\nname = \"tests\"\nsecret = \"{}\"\n", self.secret);
        if let Some(lines) = self.sections.get("cluster") {
            writeln!(text, "{lines}").expect("a string takes all");
        }
        for (name, lines) in self.sections.iter().filter(|(name, _)| **name != "cluster") {
            writeln!(text, "\n[{name}]\n{lines}").expect("a string takes all");
        }
        for (number, Member { name, address, zone, witness, .. }) in self.members.iter().enumerate()
        {
            let (data, peer) = (home.join(name), peer(number));
            writeln!(text, "\n[[server]]\nname = \"{name}\"\naddress = \"{address}\"").expect("so");
            writeln!(text, "peer = \"{peer}\"\ndata = {data:?}").expect("a string takes all");
            let zone = zone.iter().map(|zone| format!("zone = \"{zone}\"\n")).collect::<String>();
            writeln!(text, "{zone}witness = {witness}").expect("a string takes all");
        }
        text
    }
}

/// Writes a file that holds a secret.
pub(super) fn write_private(path: &Path, text: &str) {
    fs::write(path, text).expect("the configuration is written");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("its mode");
}
