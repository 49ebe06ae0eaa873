//! Rows 82 and 83 in a cluster: whatever happened to a copy, readers get the right bytes, the copy
//! is put aside, and another is made; found by a reader, or by a scrub before any reader came.

use std::fs;

use depot_tests::{Cluster, Recovered, answer, eventually};

use crate::harm::{File, Harm, Place};

/// The sizes at which a copy's file looks different, but the largest.
const SIZES: [usize; 5] = [1, 65_535, 65_536, 65_537, 1 << 20];
/// Two segments, and what belongs to each.
const LARGE: usize = 40 << 20;

/// All that can become of a copy but a flipped bit.
const HARMS: [Harm; 7] = [
    Harm::Truncated,
    Harm::Emptied,
    Harm::Longer,
    Harm::Deleted,
    Harm::Folder,
    Harm::Symlink,
    Harm::Fifo,
];

/// A file and what happens to its copy on which server.
type Case = (File, usize, Harm);

#[track_caller]
fn each_size_and_place(cluster: &Cluster) -> Vec<Case> {
    let case = |(number, (size, place)): (usize, (usize, Place))| {
        let file = File::deposited(cluster, number % 3, &format!("{size} {place:?}"), size);
        (file, number % 2 + 1, Harm::Flip(place))
    };
    let all = SIZES.into_iter().flat_map(|size| Place::ALL.map(|place| (size, place)));
    all.enumerate().map(case).collect()
}

#[track_caller]
fn each_harm(cluster: &Cluster) -> Vec<Case> {
    let case = |(number, harm): (usize, Harm)| {
        let file = File::deposited(cluster, number % 3, &format!("{harm:?}"), 300_000);
        (file, number % 3, harm)
    };
    HARMS.into_iter().enumerate().map(case).collect()
}

/// Does it to all, has it found, and sees all made good.
#[track_caller]
fn heals(cluster: &Cluster, cases: &[Case], found: impl FnOnce()) {
    for (file, server, harm) in cases {
        file.suffers(cluster, *server, *harm);
    }
    found();
    for (file, server, harm) in cases {
        file.is_healed(cluster, *server, (server + 1) % 3);
        if *harm != Harm::Deleted {
            file.is_quarantined(cluster, *server);
        }
    }
    cases.iter().for_each(|(file, _, _)| file.is_served_by_all(cluster));
}

#[test]
fn row_82_a_flipped_bit_is_found_by_its_reader_who_gets_the_right_bytes() {
    let cluster = Cluster::of(3).start();
    let cases = each_size_and_place(&cluster);
    heals(&cluster, &cases, || {
        cases.iter().for_each(|(file, _, _)| file.is_served_by_all(&cluster))
    });
}

#[test]
fn row_82_a_flipped_bit_is_found_by_a_scrub_before_any_reader() {
    let cluster = Cluster::of(3).start();
    let cases = each_size_and_place(&cluster);
    heals(&cluster, &cases, || drop(cluster.operator(&["scrub"]).done()));
}

#[test]
fn row_82_a_large_copy_is_made_good_wherever_it_rots() {
    let cluster = Cluster::of(3).start();
    let file = File::deposited(&cluster, 0, "large.bin", LARGE);
    for places in [[Place::FirstChunk, Place::Checksums], [Place::MiddleChunk, Place::LastChunk]] {
        for (server, place) in [1, 2].into_iter().zip(places) {
            file.suffers(&cluster, server, Harm::Flip(place));
        }
        cluster.operator(&["scrub"]).done();
        [1, 2].into_iter().for_each(|server| file.is_healed(&cluster, server, 0));
    }
    file.suffers(&cluster, 0, Harm::Flip(Place::Footer));
    file.is_served_by_all(&cluster);
    file.is_healed(&cluster, 0, 1);
    (0..3).for_each(|server| file.is_quarantined(&cluster, server));
}

#[test]
fn row_83_whatever_lies_in_a_copys_place_its_reader_gets_the_right_bytes() {
    let cluster = Cluster::of(3).start();
    let cases = each_harm(&cluster);
    heals(&cluster, &cases, || {
        cases.iter().for_each(|(file, _, _)| file.is_served_by_all(&cluster))
    });
}

#[test]
fn row_83_whatever_lies_in_a_copys_place_is_found_by_a_scrub_before_any_reader() {
    let cluster = Cluster::of(3).start();
    let cases = each_harm(&cluster);
    heals(&cluster, &cases, || drop(cluster.operator(&["scrub"]).done()));
}

#[test]
fn row_83_two_copies_that_were_swapped_are_both_made_good() {
    let cluster = Cluster::of(3).start();
    let files = ["one", "other"].map(|name| File::deposited(&cluster, 0, name, 300_000));
    let [one, other] = [&files[0], &files[1]].map(|file| file.copy(&cluster, 1));
    let aside = cluster.aside().join("swap");
    for (from, to) in [(&one, &aside), (&other, &one), (&aside, &other)] {
        fs::rename(from, to).expect("swapped");
    }
    files.iter().for_each(|file| file.is_served_by_all(&cluster));
    for file in &files {
        file.is_healed(&cluster, 1, 0);
        file.is_quarantined(&cluster, 1);
    }
}

#[test]
fn copies_that_are_bad_everywhere_are_counted_nowhere_and_never_served() {
    let cluster = Cluster::of(3).start();
    let file = File::deposited(&cluster, 0, "lost.bin", 300_000);
    (0..3).for_each(|server| file.suffers(&cluster, server, Harm::Flip(Place::MiddleChunk)));
    cluster.operator(&["scrub"]).done();
    for server in 0..3 {
        eventually("no bad copy is counted", || file.copies(&cluster, server) == 0);
        match file.recovered(&cluster, server) {
            Recovered::Refused(line) => drop(answer::refused(&line, "copia_indisponivel")),
            Recovered::Cut(bytes) => assert!(file.begins_with(&bytes), "wrong bytes"),
            Recovered::Whole(_) => panic!("no good copy is left"),
        }
    }
    (0..3).for_each(|server| file.is_quarantined(&cluster, server));
}
