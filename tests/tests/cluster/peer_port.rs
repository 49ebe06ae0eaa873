//! Rows 63 to 65: strangers on the port that is for servers. They are shown out in time, told nothing,
//! and clients do not notice them.

use std::time::Duration;

use depot_tests::content::random_bytes;
use depot_tests::{Cluster, Raw, answer, eventually, within};

use crate::client::{File, knows_no_majority};

/// A stranger is gone by then, who has 5 s to prove who he is.
const SHOWN_OUT: Duration = Duration::from_secs(40);

/// What strangers say first.
fn openings() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("zeros", vec![0; 4096]),
        ("noise", random_bytes(7, 1 << 20)),
        ("TLS", tls_hello()),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: depot\r\n\r\n".to_vec()),
        ("a client", b"id_cliente:\n".to_vec()),
        ("2^32-1, little end first", [[0xff; 4].as_slice(), &[1; 1000]].concat()),
        ("2^31", 0x8000_0000_u32.to_le_bytes().to_vec()),
        ("4 MiB and a little", (5_u32 << 20).to_le_bytes().to_vec()),
        ("a length and silence", 64_u32.to_le_bytes().to_vec()),
        ("one byte", vec![1]),
        ("nothing", vec![]),
    ]
}

/// The beginning of a TLS 1.3 handshake.
fn tls_hello() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend(random_bytes(1, 501));
    hello
}

#[test]
fn row_64_strangers_are_shown_out_in_time_and_told_nothing() {
    let cluster = Cluster::shared();
    let before = cluster.server(1).memory();
    let mut strangers = openings()
        .into_iter()
        .map(|(who, opening)| {
            let mut stranger = Raw::connect(cluster.peer_address(1)).patient_for(SHOWN_OUT);
            // It may be shown out while it still talks.
            let _ = stranger.try_send(&opening);
            (who, stranger)
        })
        .collect::<Vec<_>>();
    let file = File::new("meanwhile.bin", 300_000);
    file.deposit_whole(&cluster, 1, 2);
    within(Duration::ZERO, SHOWN_OUT, || {
        for (who, stranger) in &mut strangers {
            let told = stranger.until_cut();
            // A nonce to prove oneself against is all that there may be.
            assert!(told.len() <= 128, "{who} is told {} bytes", told.len());
            let text = String::from_utf8_lossy(&told);
            assert!(!text.contains("tests") && !text.contains("depot-"), "{who}: {text:?}");
        }
    });
    let grown = cluster.server(1).memory().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB were taken for what was announced");
    (0..3).for_each(|server| file.is_at(&cluster, server));
}

#[test]
fn a_crowd_of_silent_strangers_keeps_no_server_out() {
    let mut cluster = Cluster::of(3).start();
    let crowd = |server| (0..300).map(move |_| server).collect::<Vec<_>>();
    let stand = |server| Raw::connect(cluster.peer_address(server));
    let crowd = [crowd(0), crowd(1), crowd(2)].concat().into_iter().map(stand).collect::<Vec<_>>();
    let file = File::new("a.bin", 300_000);
    file.deposit_whole(&cluster, 0, 2);
    cluster.kill9(2);
    cluster.start(2);
    eventually("it is let in", || cluster.serves(2));
    file.is_at(&cluster, 2);
    drop(crowd);
    cluster.ready();
}

#[test]
fn row_65_who_has_another_secret_is_no_operator_and_learns_nothing() {
    let cluster = Cluster::shared();
    let other = cluster.another_config("other-secret", |text| {
        text.replace("secret = \"", "secret = \"not the one of the others ")
    });
    for command in [&["status"][..], &["init"], &["admit", "a"]] {
        let told = cluster.operator_with(&other, command);
        told.refused(&[]);
        assert!(!told.stdout.contains("incarnation"), "{told:?}");
    }
    File::new("a.bin", 1000).deposit_whole(&cluster, 0, 2);
}

#[test]
fn row_65_a_server_with_another_secret_is_alone_and_both_sides_say_so() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    let other = cluster.another_config("other-secret", |text| {
        text.replace("secret = \"", "secret = \"not the one of the others ")
    });
    cluster.stop(2);
    cluster.start_with(2, &other);
    knows_no_majority(&cluster, 2);
    answer::refused(&cluster.raw(2).deposit(&file.id, "b", b"x"), "sem_quorum");
    for server in 0..3 {
        eventually("it stands in the log", || {
            let log = cluster.server(server).log();
            log.lines().any(|line| line.contains("WARN") && line.contains("secret"))
        });
    }
    file.is_at(&cluster, 0);
    cluster.stop(2);
    cluster.start(2);
    cluster.ready();
    file.is_at(&cluster, 2);
}

#[test]
fn a_secret_changes_by_restarts_one_after_the_other() {
    let mut cluster = Cluster::of(3).start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    let old = std::fs::read_to_string(cluster.config()).expect("the file");
    let old = old.split("secret = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("it");
    let (old, new) = (old.to_owned(), "the new secret of thirty-two and more".to_owned());
    let line = |secret: &str, accepted: &str| {
        format!("secret = \"{secret}\"\nalso_accept = [\"{accepted}\"]")
    };
    let was = format!("secret = \"{old}\"");
    let both = cluster.another_config("both", |text| text.replace(&was, &line(&old, &new)));
    let swapped = cluster.another_config("swapped", |text| text.replace(&was, &line(&new, &old)));
    let last = cluster.another_config("last", |text| text.replace(&old, &new));
    for config in [both, swapped, last] {
        for server in 0..3 {
            cluster.stop(server);
            cluster.start_with(server, &config);
            cluster.ready();
            file.is_at(&cluster, server);
        }
    }
}

#[test]
fn row_63_what_servers_say_to_each_other_is_nothing_on_the_client_port() {
    let cluster = Cluster::shared();
    for opening in [64_u32.to_le_bytes().to_vec(), vec![0xff; 64], vec![1; 64]] {
        let mut stranger = cluster.raw(0);
        stranger.send(&opening);
        answer::refused(&stranger.line(), "cabecalho_invalido");
        stranger.until_cut();
    }
    File::new("a.bin", 1000).deposit_whole(&cluster, 0, 2);
}
