//! C13: a disk that was rolled back, and two processes that are one server. The others know.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use depot_tests::{Cluster, eventually, eventually_within, free_address};

use crate::client::File;

#[test]
fn row_72_an_older_copy_of_a_data_folder_is_fenced_with_exit_code_10() {
    let mut cluster = Cluster::of(3).start();
    let older = copied(&mut cluster, 2);
    for name in ["newer.bin", "newest.bin"] {
        cluster.start(2);
        cluster.ready();
        File::new(name, 100_000).deposit_whole(&cluster, 2, 2);
        cluster.stop(2);
    }
    put_back(&cluster, 2, &older);
    is_fenced(&mut cluster, 2);
}

#[test]
fn row_72_an_older_copy_is_fenced_though_it_was_started_as_often_as_the_newer_one() {
    let mut cluster = Cluster::of(3).start();
    let older = copied(&mut cluster, 2);
    cluster.start(2);
    cluster.ready();
    File::new("newer.bin", 100_000).deposit_whole(&cluster, 2, 2);
    cluster.stop(2);
    put_back(&cluster, 2, &older);
    is_fenced(&mut cluster, 2);
}

#[test]
fn row_72_a_fenced_server_is_emptied_and_admitted() {
    let mut cluster = Cluster::of(3).start();
    let older = copied(&mut cluster, 1);
    for _ in 0..2 {
        cluster.start(1);
        cluster.ready();
        cluster.stop(1);
    }
    let file = File::new("newer.bin", 100_000);
    cluster.ready();
    file.deposit(&cluster, 0, 1);
    put_back(&cluster, 1, &older);
    is_fenced(&mut cluster, 1);
    fs::remove_dir_all(cluster.folder(1).root()).expect("emptied");
    cluster.start(1);
    cluster.operator(&["admit", "b"]).done();
    cluster.ready();
    file.is_at(&cluster, 1);
}

#[test]
fn row_73_of_two_processes_with_one_identity_one_is_fenced() {
    let mut cluster = Cluster::of(3).start();
    let twin = copied(&mut cluster, 2);
    cluster.start(2);
    cluster.ready();
    // The same server by the same file, but for where it listens and its folder.
    let (client, peer) = (cluster.address(2).to_string(), cluster.peer_address(2).to_string());
    let data = cluster.folder(2).root().display().to_string();
    let config = cluster.another_config("twin", |text| {
        let [elsewhere, beside] = [free_address(), free_address()].map(|at| at.to_string());
        let text = text.replace(&client, &elsewhere).replace(&peer, &beside);
        text.replace(&data, &twin.display().to_string())
    });
    let mut second = cluster.twin(2, &config);
    let mut ended = (None, None);
    eventually_within(Duration::from_secs(60), "one of the two is fenced", || {
        ended = (cluster.ended(2), second.ended());
        ended != (None, None)
    });
    let (first, second) = ended;
    assert!(first.is_none() || second.is_none(), "both ended: {ended:?}");
    assert_eq!(first.or(second), Some(Some(10)), "{ended:?}");
    File::new("a.bin", 1000).deposit(&cluster, 0, 1);
}

/// A copy of a server's folder; the server is stopped.
fn copied(cluster: &mut Cluster, server: usize) -> std::path::PathBuf {
    cluster.stop(server);
    let older = cluster.aside().join("older");
    copy(cluster.folder(server).root(), &older);
    older
}

fn put_back(cluster: &Cluster, server: usize, older: &Path) {
    let folder = cluster.folder(server);
    fs::remove_dir_all(folder.root()).expect("taken away");
    copy(older, folder.root());
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs");
    assert!(status.success(), "copied");
}

/// It gives up with 10 and says why; the others go on.
#[track_caller]
fn is_fenced(cluster: &mut Cluster, server: usize) {
    let refusal = cluster.refuses(server);
    assert_eq!(refusal.code, Some(10), "{}", refusal.stderr);
    let error = refusal.stderr.lines().find(|line| line.contains("depot-server: error: "));
    let error = error.unwrap_or_else(|| panic!("no error line: {}", refusal.stderr));
    assert!(error.contains("older"), "{error}");
    let others = cluster.others(server);
    // It may have led before, so that the others have yet to elect one of them.
    eventually("the others go on", || others.iter().all(|&other| cluster.serves(other)));
}
