//! What can happen to a copy behind its server's back, and how one sees that it was made good.

use std::fs::{self, File as Disk, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use depot_tests::content::{made_up_id, random_bytes, sha256};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, answer, eventually_within};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// How long it may take until a copy is good again, on a machine that has much else to do.
const SOON: Duration = Duration::from_secs(40);

/// The unit of checksums in a copy's file, and the size of a block of them and of its footer.
const CHUNK: u64 = 65_536;
const BLOCK: u64 = 4_096;
/// After so many bytes of payload a block of checksums follows.
const SEGMENT: u64 = 32 << 20;

/// A file of a client of its own, of which all three servers have a copy.
pub(crate) struct File {
    id: String,
    name: String,
    bytes: Vec<u8>,
}

/// Where a bit flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    FirstChunk,
    MiddleChunk,
    LastChunk,
    Checksums,
    Footer,
}

/// What happens to a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    Flip(Place),
    Truncated,
    Emptied,
    Longer,
    Deleted,
    Folder,
    Symlink,
    Fifo,
}

impl Place {
    pub(crate) const ALL: [Place; 5] =
        [Self::FirstChunk, Self::MiddleChunk, Self::LastChunk, Self::Checksums, Self::Footer];

    /// The byte of the copy's file that flips.
    fn offset(self, payload: u64, file: u64) -> u64 {
        let lies = |position: u64| position + position / SEGMENT * BLOCK;
        match self {
            Self::FirstChunk => 0,
            Self::MiddleChunk => lies(payload / 2 / CHUNK * CHUNK),
            Self::LastChunk => lies(payload - 1),
            Self::Checksums => file - 2 * BLOCK,
            Self::Footer => file - 9,
        }
    }
}

impl File {
    /// Deposits random bytes through a server and waits until all have a copy.
    #[track_caller]
    pub(crate) fn deposited(cluster: &Cluster, server: usize, name: &str, size: usize) -> Self {
        let id = made_up_id();
        let seed = u64::from_str_radix(&id[..8], 16).expect("hex digits");
        let mut bytes = random_bytes(seed, size);
        // Files of one byte must differ too: equal ones would share their copies, and what harms them.
        static NEXT: AtomicU8 = AtomicU8::new(0);
        bytes[0] = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = Self { id, name: name.into(), bytes };
        let deposit = Deposit::of(&file.id, &file.name, &file.bytes).replicas(2);
        let line = cluster.raw(server).deposit_as(&deposit, &file.bytes);
        assert!(line.starts_with("resultado:1|"), "{line}");
        cluster.wait_copies(server, &file.id, &file.name, 2);
        file
    }

    pub(crate) fn hash(&self) -> String {
        sha256(&self.bytes)
    }

    /// Where its copy on a server lies.
    pub(crate) fn copy(&self, cluster: &Cluster, server: usize) -> PathBuf {
        cluster.folder(server).blob(&self.hash())
    }

    /// Does it to the copy on a server.
    #[track_caller]
    pub(crate) fn suffers(&self, cluster: &Cluster, server: usize, harm: Harm) {
        let copy = self.copy(cluster, server);
        let open = || -> Disk {
            OpenOptions::new().read(true).write(true).open(&copy).expect("the copy's file")
        };
        let size = open().metadata().expect("its size").len();
        match harm {
            Harm::Flip(place) => {
                let (file, mut byte) = (open(), [0]);
                let at = place.offset(self.bytes.len() as u64, size);
                file.read_exact_at(&mut byte, at).expect("a byte to flip");
                file.write_all_at(&[byte[0] ^ 0x10], at).expect("flipped");
            }
            Harm::Truncated => open().set_len(size / 2).expect("cut"),
            Harm::Emptied => open().set_len(0).expect("emptied"),
            Harm::Longer => open().set_len(size + BLOCK).expect("longer"),
            Harm::Deleted => fs::remove_file(&copy).expect("deleted"),
            Harm::Folder => {
                fs::remove_file(&copy).expect("deleted");
                fs::create_dir(&copy).expect("a folder");
            }
            Harm::Symlink => {
                let elsewhere = cluster.aside().join(self.hash() + cluster.name(server));
                fs::copy(&copy, &elsewhere).expect("the right bytes elsewhere");
                fs::remove_file(&copy).expect("deleted");
                symlink(elsewhere, &copy).expect("a link to the right bytes");
            }
            Harm::Fifo => {
                fs::remove_file(&copy).expect("deleted");
                mkfifo(&copy, Mode::S_IRWXU).expect("a FIFO");
            }
        }
    }

    /// Every server gives the right bytes, whatever lies on its own disk.
    #[track_caller]
    pub(crate) fn is_served_by_all(&self, cluster: &Cluster) {
        for server in cluster.holders() {
            let recovered = cluster.raw(server).recover(&self.id, &self.name);
            assert!(recovered == self.bytes, "{} from {server}: other bytes", self.name);
        }
    }

    /// The copy on a server is again, byte for byte, what the one on `good` is, and it is counted.
    #[track_caller]
    pub(crate) fn is_healed(&self, cluster: &Cluster, server: usize, good: usize) {
        let good = fs::read(self.copy(cluster, good)).expect("a good copy");
        let copy = self.copy(cluster, server);
        let whole = || {
            let regular = fs::symlink_metadata(&copy).is_ok_and(|found| found.is_file());
            regular && fs::read(&copy).is_ok_and(|bytes| bytes == good)
        };
        eventually_within(SOON, &format!("the copy of {} on {server}", self.name), whole);
        cluster.wait_copies(server, &self.id, &self.name, 2);
    }

    /// What was bad on a server lies in its quarantine.
    #[track_caller]
    pub(crate) fn is_quarantined(&self, cluster: &Cluster, server: usize) {
        let hash = self.hash();
        let quarantine = cluster.folder(server).path("volume/quarantine");
        let entries = fs::read_dir(quarantine).expect("the quarantine");
        let mut names = entries.map(|entry| entry.expect("an entry").file_name());
        let kept = names.any(|name| name.to_string_lossy().starts_with(&hash));
        assert!(kept, "the bad copy of {} on {server} is not kept", self.name);
    }

    /// `copias`, as a server tells it.
    pub(crate) fn copies(&self, cluster: &Cluster, server: usize) -> usize {
        let line = cluster.raw(server).ask(headers::stat(&self.id, &self.name));
        answer::number(&line, "copias")
    }

    /// What a recover through a server comes to.
    pub(crate) fn recovered(&self, cluster: &Cluster, server: usize) -> depot_tests::Recovered {
        cluster.raw(server).try_recover(&self.id, &self.name)
    }

    pub(crate) fn begins_with(&self, bytes: &[u8]) -> bool {
        self.bytes.starts_with(bytes)
    }
}
