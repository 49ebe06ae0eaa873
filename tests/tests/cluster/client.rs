//! What a client of these stories does again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use depot_tests::content::{made_up_id, random_bytes, sha256};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, Recovered, answer};

/// A file and who may read it.
pub(crate) struct File {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl File {
    /// Random bytes under a new client's id.
    pub(crate) fn new(name: &str, size: usize) -> Self {
        let id = made_up_id();
        let seed = u64::from_str_radix(&id[..8], 16).expect("hex digits");
        Self { id, name: name.into(), bytes: random_bytes(seed, size) }
    }

    /// The same client's next version of it.
    pub(crate) fn changed(&self) -> Self {
        let bytes = random_bytes(self.bytes.len() as u64 + 1, self.bytes.len() + 1);
        Self { id: self.id.clone(), name: self.name.clone(), bytes }
    }

    pub(crate) fn hash(&self) -> String {
        sha256(&self.bytes)
    }

    /// Its deposit with so many replicas.
    pub(crate) fn header(&self, replicas: usize) -> Deposit {
        Deposit::of(&self.id, &self.name, &self.bytes).replicas(replicas)
    }

    /// Deposits it through a server; returns how many replicas there were at the answer.
    #[track_caller]
    pub(crate) fn deposit(&self, cluster: &Cluster, server: usize, replicas: usize) -> usize {
        let line = cluster.raw(server).deposit_as(&self.header(replicas), &self.bytes);
        promised(&line, replicas, &self.hash())
    }

    /// The same, and all replicas are made.
    #[track_caller]
    pub(crate) fn deposit_whole(&self, cluster: &Cluster, server: usize, replicas: usize) {
        self.deposit(cluster, server, replicas);
        cluster.wait_copies(server, &self.id, &self.name, replicas);
    }

    /// A server answers with the latest version, and it is this one.
    #[track_caller]
    pub(crate) fn is_at(&self, cluster: &Cluster, server: usize) {
        match cluster.raw(server).latest(&self.id, &self.name) {
            Recovered::Whole(bytes) => assert!(bytes == self.bytes, "{}: other bytes", self.name),
            Recovered::Cut(bytes) => panic!("{}: cut after {} bytes", self.name, bytes.len()),
            Recovered::Refused(line) => panic!("{}: {line}", self.name),
        }
    }

    /// The answer to `consultar`.
    #[track_caller]
    pub(crate) fn stat(&self, cluster: &Cluster, server: usize) -> String {
        cluster.raw(server).ask(headers::stat(&self.id, &self.name))
    }
}

/// The answer to a done deposit, with at least as many replicas as it promises; returns how many.
#[track_caller]
pub(crate) fn promised(line: &str, replicas: usize, hash: &str) -> usize {
    assert!(line.starts_with("resultado:1|"), "{line:?}");
    let copies = answer::number(line, "copias");
    assert_eq!(
        line,
        format!("resultado:1|qtd_replicas:{replicas}|copias:{copies}|hash_arquivo:{hash}")
    );
    assert!(copies >= replicas.div_ceil(2) && copies <= replicas, "{line:?}");
    copies
}

/// What goes on at the same time is over when this is dropped, also by a panic.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asks a server again until it knows that it has no majority: at once, when it has reached none
/// for 5 s.
#[track_caller]
pub(crate) fn knows_no_majority(cluster: &Cluster, server: usize) {
    let most = Duration::from_secs(60);
    let ask = headers::remove(&made_up_id(), "ninguem.txt");
    depot_tests::eventually_within(most, "no majority is known", || {
        let line = cluster.raw(server).ask(&ask);
        line.starts_with("resultado:0|erro:sem_quorum|")
    });
}
