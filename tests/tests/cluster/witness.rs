//! Two servers and a witness: it votes, holds nothing and takes no clients, and either of the two may
//! die.

use std::net::TcpStream;
use std::time::Duration;

use depot_tests::headers;
use depot_tests::{Cluster, answer, eventually_within};

use crate::client::File;

const WITNESS: usize = 2;
const ELECTION: Duration = Duration::from_secs(60);

#[test]
fn a_witness_votes_holds_nothing_and_takes_no_clients() {
    let mut cluster = Cluster::of(3).with_a_witness().start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 1);
    assert_eq!(cluster.holding(&file.hash()), [0, 1]);
    let mut client = cluster.raw(1);
    answer::refused(&client.deposit_as(&file.header(2), &file.bytes), "replicas_indisponiveis");
    let line = client.ask(headers::set_replicas(&file.id, 2, &file.name));
    answer::refused(&line, "replicas_indisponiveis");
    assert!(TcpStream::connect(cluster.address(WITNESS)).is_err(), "it takes no clients");
    eventually_within(ELECTION, "all three tell of three voters", || {
        cluster.operator(&["status"]).done().matches("voters: a, b, c").count() == 3
    });
    // A restart tells what it is.
    cluster.stop(WITNESS);
    cluster.start(WITNESS);
    let line = cluster.server(WITNESS).ready_line();
    assert!(line.contains("a witness, takes no clients: servers on "), "{line}");
    assert!(cluster.folder(WITNESS).blobs().is_empty());
}

#[test]
fn with_a_witness_either_server_may_die() {
    let mut cluster = Cluster::of(3).with_a_witness().start();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 1);
    for (dead, left) in [(0, 1), (1, 0)] {
        cluster.kill9(dead);
        eventually_within(ELECTION, "a server and a witness are a majority", || {
            cluster.serves(left)
        });
        file.is_at(&cluster, left);
        // One copy is what there can be; two are not to be had now.
        let one = File::new("one.bin", 100_000);
        assert_eq!(one.deposit(&cluster, left, 0), 0);
        let two = File::new("two.bin", 100_000);
        let line = cluster.raw(left).deposit_as(&two.header(1), &two.bytes);
        answer::refused(&line, "copias_insuficientes");
        answer::refused(&two.stat(&cluster, left), "arquivo_inexistente");
        let mut client = cluster.raw(left);
        assert_eq!(client.prepare(&two.header(1), &two.bytes), two.bytes.len());
        let line = client.ask(headers::set_replicas(&one.id, 1, &one.name));
        assert_eq!(line, "resultado:1|qtd_replicas:1|copias:0");
        cluster.start(dead);
        cluster.ready();
        // Now the second copy is made by itself.
        cluster.wait_copies(dead, &one.id, &one.name, 1);
        one.is_at(&cluster, dead);
        let line = client.deposit_as(&two.header(1).offset(two.bytes.len()), b"");
        assert!(line.starts_with("resultado:1|qtd_replicas:1|copias:1|"), "{line}");
        assert_eq!(client.ask(headers::remove(&one.id, &one.name)), "resultado:1");
    }
}

#[test]
fn without_the_witness_all_goes_on() {
    let mut cluster = Cluster::of(3).with_a_witness().start();
    cluster.kill9(WITNESS);
    for server in [0, 1] {
        eventually_within(ELECTION, "two are a majority", || cluster.serves(server));
        let file = File::new("a.bin", 100_000);
        file.deposit_whole(&cluster, server, 1);
        file.is_at(&cluster, 1 - server);
    }
    cluster.start(WITNESS);
    cluster.ready();
}
