//! Recovering through any server, wherever the copies are and whatever becomes of them meanwhile:
//! the client notices nothing, and the bytes are right.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use depot_tests::headers;
use depot_tests::{Cluster, Raw, Recovered, answer, eventually, within};

use crate::client::File;

/// What a paused server may cost a reader: it is let go when it has said nothing for 2 s, or for 10 s
/// where it was asked once more. The rest is for a busy machine.
const LET_GO: Duration = Duration::from_secs(45);

/// More than the buffers of all connections on the way hold.
const LARGE: usize = 24 << 20;

#[test]
fn a_server_without_a_copy_recovers_from_those_that_have_one() {
    let cluster = Cluster::shared();
    for size in [0, 1, 65_536, 65_537, 3_000_000] {
        let file = File::new("elsewhere.bin", size);
        file.deposit_whole(&cluster, 0, 1);
        let without = without_a_copy(&cluster, &file);
        file.is_at(&cluster, without);
        let mut client = cluster.raw(without);
        let offset = size / 3;
        let line = client.ask(headers::recover_from(&file.id, offset, &file.name));
        assert_eq!(answer::field(&line, "hash_arquivo"), file.hash(), "{line}");
        assert!(client.exact(size - offset) == file.bytes[offset..], "from {offset} of {size}");
        client.stays_open();
    }
}

#[test]
fn a_holder_that_dies_in_the_middle_is_not_noticed() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", LARGE);
    file.deposit_whole(&cluster, 0, 1);
    let reader = without_a_copy(&cluster, &file);
    // Nobody sees which of the two is read from: each dies once.
    for holder in cluster.others(reader) {
        let mut reading = Reading::begun(&cluster, reader, &file);
        cluster.kill9(holder);
        reading.ends_right();
        cluster.start(holder);
        cluster.ready();
    }
}

#[test]
fn a_holder_that_stands_still_in_the_middle_costs_a_bounded_time() {
    let cluster = Cluster::of(3).start();
    let file = File::new("a.bin", LARGE);
    file.deposit_whole(&cluster, 0, 1);
    let reader = without_a_copy(&cluster, &file);
    for holder in cluster.others(reader) {
        let mut reading = Reading::begun(&cluster, reader, &file);
        cluster.pause(holder);
        within(Duration::ZERO, LET_GO, || reading.ends_right());
        cluster.resume(holder);
        cluster.ready();
    }
}

#[test]
fn a_byte_that_flipped_in_a_holders_copy_is_not_noticed() {
    let cluster = Cluster::of(3).start();
    for (number, place) in [0, 1_500_000, 2_999_999].into_iter().enumerate() {
        let files = [0, 1].map(|turn| File::new(&format!("{number} {turn}.bin"), 3_000_000));
        for (turn, file) in files.iter().enumerate() {
            file.deposit_whole(&cluster, 0, 1);
            let (holding, reader) = (cluster.holding(&file.hash()), without_a_copy(&cluster, file));
            flip(&cluster, holding[turn], file, place);
            file.is_at(&cluster, reader);
        }
    }
}

#[test]
fn a_byte_that_flipped_in_the_own_copy_is_not_noticed_and_the_copy_is_put_aside() {
    let cluster = Cluster::of(3).start();
    for (server, place) in [(0, 0), (1, 1_500_000), (2, 2_999_999)] {
        let file = File::new("own.bin", 3_000_000);
        file.deposit_whole(&cluster, 0, 2);
        flip(&cluster, server, &file, place);
        file.is_at(&cluster, server);
        let quarantined = || cluster.folder(server).quarantined();
        eventually("it is put aside", || quarantined().iter().any(|n| n.contains(&file.hash())));
        file.is_at(&cluster, server);
    }
}

#[test]
fn where_every_copy_is_bad_it_is_refused_or_cut_and_never_wrong() {
    let cluster = Cluster::of(3).start();
    let file = File::new("rotten.bin", 1_000_000);
    file.deposit_whole(&cluster, 0, 1);
    for holder in cluster.holding(&file.hash()) {
        flip(&cluster, holder, &file, 500_000);
    }
    for server in 0..3 {
        match cluster.raw(server).try_recover(&file.id, &file.name) {
            Recovered::Refused(line) => drop(answer::refused(&line, "copia_indisponivel")),
            Recovered::Cut(bytes) => assert!(file.bytes.starts_with(&bytes), "wrong bytes"),
            Recovered::Whole(_) => panic!("no good copy is left"),
        }
    }
    // The client still has it, and depositing it again heals it.
    file.deposit_whole(&cluster, 1, 2);
    (0..3).for_each(|server| file.is_at(&cluster, server));
}

#[test]
fn without_a_holder_that_lives_it_is_copia_indisponivel_and_comes_back_with_it() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("alone.bin", 100_000);
    file.deposit(&cluster, 0, 0);
    cluster.kill9(0);
    for server in [1, 2] {
        eventually("two are a majority", || cluster.serves(server));
        within(Duration::ZERO, LET_GO, || {
            let recovered = cluster.raw(server).try_recover(&file.id, &file.name);
            let Recovered::Refused(line) = recovered else { panic!("from where?") };
            answer::refused(&line, "copia_indisponivel");
        });
        let line = file.stat(&cluster, server);
        assert!(line.starts_with("resultado:1|qtd_replicas:0|copias:0|"), "{line}");
    }
    cluster.start(0);
    cluster.ready();
    (0..3).for_each(|server| file.is_at(&cluster, server));
}

#[test]
fn row_52_replaced_and_removed_during_a_recover_it_is_the_old_version_or_a_cut() {
    let cluster = Cluster::shared();
    for remove in [false, true] {
        let file = File::new("a.bin", LARGE);
        file.deposit_whole(&cluster, 0, 1);
        let mut readings = [0, 1, 2].map(|server| Reading::begun(&cluster, server, &file));
        let new = file.changed();
        if remove {
            let line = cluster.raw(1).ask(headers::remove(&file.id, &file.name));
            assert_eq!(line, "resultado:1");
        } else {
            new.deposit(&cluster, 1, 1);
        }
        readings.iter_mut().for_each(Reading::ends_right_or_cut);
        if !remove {
            (0..3).for_each(|server| new.is_at(&cluster, server));
        }
    }
}

/// A recover of which only the beginning was read.
struct Reading<'a> {
    client: Raw,
    file: &'a File,
}

impl<'a> Reading<'a> {
    const BEGINNING: usize = 1 << 20;

    #[track_caller]
    fn begun(cluster: &Cluster, server: usize, file: &'a File) -> Self {
        let mut client = cluster.raw(server);
        let line = client.ask(headers::recover(&file.id, &file.name));
        assert_eq!(answer::field(&line, "hash_arquivo"), file.hash(), "{line}");
        assert!(client.exact(Self::BEGINNING) == file.bytes[..Self::BEGINNING], "wrong bytes");
        Self { client, file }
    }

    #[track_caller]
    fn ends_right(&mut self) {
        let rest = &self.file.bytes[Self::BEGINNING..];
        let read = self.client.up_to(rest.len());
        assert_eq!(read.len(), rest.len(), "it was cut");
        assert!(read == rest, "wrong bytes");
        self.client.stays_open();
    }

    #[track_caller]
    fn ends_right_or_cut(&mut self) {
        let rest = &self.file.bytes[Self::BEGINNING..];
        assert!(rest.starts_with(&self.client.up_to(rest.len())), "wrong bytes");
    }
}

/// The server of three that has none of the two copies.
#[track_caller]
fn without_a_copy(cluster: &Cluster, file: &File) -> usize {
    let holding = cluster.holding(&file.hash());
    assert_eq!(holding.len(), 2, "{holding:?}");
    (0..3).find(|server| !holding.contains(server)).expect("one of three")
}

/// Flips a bit of a copy, behind the server's back.
fn flip(cluster: &Cluster, server: usize, file: &File, place: u64) {
    let blob = cluster.folder(server).blob(&file.hash());
    let blob = OpenOptions::new().read(true).write(true).open(blob).expect("a copy");
    let mut byte = [0];
    blob.read_exact_at(&mut byte, place).expect("a byte");
    blob.write_all_at(&[byte[0] ^ 1], place).expect("flipped");
}
