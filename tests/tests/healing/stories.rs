//! Rows 82 and 83 in a cluster: whatever happened to a copy, readers get the right bytes, the copy
//! is put aside, and another is made; found by a reader, or by a scrub before any reader came.

use std::fs;

use depot_tests::{Cluster, Recovered, answer, eventually};

use crate::harm::{File, Harm, Place};

/// The sizes at which a copy's file looks different, but the largest.
const SIZES: [usize; 5] = [1, 65_535, 65_536, 65_537, 1 << 20];
/// Two segments, and what belongs to each.
const LARGE: usize = 33 << 20;

/// What can become of a copy of any size but a flipped bit.
const SIZED: [Harm; 4] = [Harm::Truncated, Harm::Emptied, Harm::Longer, Harm::Deleted];
/// What else may lie in its place.
const OTHERS: [Harm; 3] = [Harm::Folder, Harm::Symlink, Harm::Fifo];

/// What happens to two copies of a large file at once.
const LARGE_HARMS: [[Harm; 2]; 4] = [
    [Harm::Flip(Place::FirstChunk), Harm::Flip(Place::Checksums)],
    [Harm::Flip(Place::MiddleChunk), Harm::Flip(Place::LastChunk)],
    [Harm::Flip(Place::Footer), Harm::Truncated],
    [Harm::Emptied, Harm::Deleted],
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
    let case = |(number, (size, harm)): (usize, (usize, Harm))| {
        let file = File::deposited(cluster, number % 3, &format!("{size} {harm:?}"), size);
        (file, number % 3, harm)
    };
    let sized = SIZES.into_iter().flat_map(|size| SIZED.map(|harm| (size, harm)));
    let all = sized.chain(OTHERS.map(|harm| (300_000, harm)));
    all.enumerate().map(case).collect()
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
fn rows_82_and_83_large_copies_that_a_reader_finds_bad_are_made_good() {
    large_copies_are_made_good(|cluster, file| file.is_served_by_all(cluster));
}

#[test]
fn rows_82_and_83_large_copies_that_a_scrub_finds_bad_are_made_good() {
    large_copies_are_made_good(|cluster, _| drop(cluster.operator(&["scrub"]).done()));
}

#[track_caller]
fn large_copies_are_made_good(found: impl Fn(&Cluster, &File)) {
    let cluster = Cluster::of(3).start();
    let file = File::deposited(&cluster, 0, "large.bin", LARGE);
    for (good, harms) in [0, 1, 2, 0].into_iter().zip(LARGE_HARMS) {
        let bad = [(good + 1) % 3, (good + 2) % 3];
        for (server, harm) in bad.into_iter().zip(harms) {
            file.suffers(&cluster, server, harm);
        }
        found(&cluster, &file);
        bad.into_iter().for_each(|server| file.is_healed(&cluster, server, good));
    }
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
    for sizes in [[300_000, 300_000], [1, 65_537]] {
        let files = swapped(&cluster, sizes);
        files.iter().for_each(|file| file.is_served_by_all(&cluster));
        are_both_made_good(&cluster, &files);
        let files = swapped(&cluster, sizes);
        cluster.operator(&["scrub"]).done();
        are_both_made_good(&cluster, &files);
    }
}

/// Two files of these sizes, whose copies on one server have changed places.
#[track_caller]
fn swapped(cluster: &Cluster, sizes: [usize; 2]) -> [File; 2] {
    let files = sizes.map(|size| File::deposited(cluster, 0, "swapped", size));
    let [one, other] = [&files[0], &files[1]].map(|file| file.copy(cluster, 1));
    let aside = cluster.aside().join("swap");
    for (from, to) in [(&one, &aside), (&other, &one), (&aside, &other)] {
        fs::rename(from, to).expect("swapped");
    }
    files
}

#[track_caller]
fn are_both_made_good(cluster: &Cluster, files: &[File; 2]) {
    for file in files {
        file.is_healed(cluster, 1, 0);
        file.is_quarantined(cluster, 1);
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
