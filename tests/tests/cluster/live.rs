//! The number of replicas goes up and down while the file is read all the time, through all servers.
//!
//! `DEPOT_LIVE_MIB=1024` makes the file larger, and then waits for the trash to be emptied too,
//! which servers do once a minute.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use depot_tests::content::{Stream, made_up_id};
use depot_tests::headers::{self, Deposit};
use depot_tests::{Cluster, Folder, answer, eventually_within, timed};

use crate::client::{Over, promised};

const SERVERS: usize = 5;
const NAME: &str = "live.bin";
/// What a volume without a copy of the file may take: its markers and folders.
const NEXT_TO_NOTHING: u64 = 64 << 10;

#[test]
fn replicas_go_from_none_to_four_to_one_while_the_file_is_read() {
    let by_hand = std::env::var("DEPOT_LIVE_MIB").ok();
    let mebibytes = by_hand.as_ref().map_or(64, |mib| mib.parse().expect("a number of MiB"));
    let cluster = Cluster::of(SERVERS).section("volume", "trash = \"1s\"").start();
    let file = Live::deposited(&cluster, mebibytes);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = Over(&over);
        let (file, over) = (&file, &over);
        let reading = [0, 3].map(|first| scope.spawn(move || file.is_read_until(over, first)));
        file.comes_to_have(4);
        assert_eq!(cluster.holding(&file.hash), [0, 1, 2, 3, 4]);
        file.comes_to_have(1);
        file.is_only_on_two("volume/blobs");
        drop(ends);
        let reads = reading.map(|reader| reader.join().expect("every read was right"));
        println!("{reads:?} whole reads meanwhile");
    });
    if by_hand.is_some() {
        file.is_only_on_two("volume");
    }
    let left = cluster.holding(&file.hash);
    assert_eq!(left.len(), 2, "{left:?}");
    let without = (0..SERVERS).find(|server| !left.contains(server)).expect("three of five");
    [left[0], without].into_iter().for_each(|server| file.reads_right(server));
}

/// A file too large to hold.
struct Live<'a> {
    cluster: &'a Cluster,
    id: String,
    hash: String,
    size: usize,
    /// How long a change of replicas may take.
    patience: Duration,
}

impl<'a> Live<'a> {
    /// It, without replicas.
    #[track_caller]
    fn deposited(cluster: &'a Cluster, mebibytes: u64) -> Self {
        let (id, stream) = (made_up_id(), Stream::new(5, mebibytes << 20));
        let size = usize::try_from(mebibytes << 20).expect("a size in memory's reach");
        let patience = Duration::from_secs(60 + mebibytes);
        let file = Self { cluster, id, hash: stream.hash(), size, patience };
        let mut client = cluster.raw(0);
        let deposit = Deposit::of(&file.id, NAME, b"").size(size).hash(&file.hash);
        client.send_line(deposit.header());
        stream.for_each(|piece| client.send(piece));
        promised(&client.line(), 0, &file.hash);
        file
    }

    /// Reads it through one server after the other, three at least; returns how often.
    #[track_caller]
    fn is_read_until(&self, over: &AtomicBool, first: usize) -> usize {
        let mut reads = 0;
        while reads < 3 || !over.load(Ordering::SeqCst) {
            self.reads_right((first + reads) % SERVERS);
            reads += 1;
        }
        reads
    }

    /// A server sends the right bytes, and all of them.
    #[track_caller]
    fn reads_right(&self, server: usize) {
        let mut client = self.cluster.raw(server);
        let line = client.ask(headers::recover(&self.id, NAME));
        let (size, hash) = (self.size, &self.hash);
        assert_eq!(line, format!("resultado:1|tamanho_arquivo:{size}|hash_arquivo:{hash}"));
        assert_eq!(client.hash_of(size), *hash, "other bytes through {server}");
    }

    /// A number of replicas is asked for, and every server tells that they are there.
    #[track_caller]
    fn comes_to_have(&self, replicas: usize) {
        let line = self.cluster.raw(1).ask(headers::set_replicas(&self.id, replicas, NAME));
        assert_eq!(answer::number(&line, "qtd_replicas"), replicas, "{line}");
        let (took, ()) =
            timed(|| (0..SERVERS).for_each(|server| self.wait_copies(server, replicas)));
        println!("{replicas} replicas after {took:?}");
    }

    #[track_caller]
    fn wait_copies(&self, server: usize, replicas: usize) {
        let (mut client, what) = (self.cluster.raw(server), format!("{replicas} replicas"));
        eventually_within(self.patience, &what, || {
            let line = client.ask(headers::stat(&self.id, NAME));
            answer::number(&line, "copias") == replicas
        });
    }

    /// In this part of the data folders, two hold the file and the others hold nothing.
    #[track_caller]
    fn is_only_on_two(&self, part: &str) {
        let taken = || (0..SERVERS).map(|server| self.taken(server, part)).collect::<Vec<_>>();
        let on_two = || {
            let taken = taken();
            let empty = taken.iter().filter(|&&bytes| bytes < NEXT_TO_NOTHING).count();
            let full = taken.iter().filter(|&&bytes| bytes >= self.size as u64).count();
            (empty, full) == (SERVERS - 2, 2)
        };
        let what = "the others have their space back";
        let (took, ()) = timed(|| eventually_within(self.patience, what, on_two));
        println!("{part}: {:?} bytes taken after {took:?}", taken());
    }

    fn taken(&self, server: usize, part: &str) -> u64 {
        Folder::new(self.cluster.folder(server).path(part)).disk_use()
    }
}
