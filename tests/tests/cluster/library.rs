//! The library `depot-client`, given all servers: it finishes by itself when one dies.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use depot_client::{
    Client, ClientId, Endpoint, Existing, FileName, FileSize, NoProgress, Options, Progress,
    ReplicaCount,
};
use depot_tests::Cluster;
use depot_tests::content::{made_up_id, random_bytes, sha256};

use crate::client::Over;

const SIZE: usize = 24 << 20;

#[test]
fn the_library_finishes_a_deposit_whose_server_dies() {
    let (mut cluster, home) = (Cluster::of(3).start(), tempfile::tempdir().expect("a folder"));
    let (source, bytes) = (home.path().join("in"), random_bytes(1, SIZE));
    fs::write(&source, &bytes).expect("written");
    let id = made_up_id();
    while_one_dies(&mut cluster, 0, async |servers, progress| {
        let (client, name) = (client(servers, &id).await, name());
        let deposit = client.deposit_path(&source, &name, ReplicaCount::new(1), progress);
        let done = deposit.await.expect("it finishes");
        assert_eq!(done.hash.to_string(), sha256(&bytes));
    });
    depot_tests::eventually("two are a majority", || cluster.serves(2));
    let recovered = cluster.raw(2).recover(&id, "a.bin");
    assert!(recovered == bytes, "other bytes");
}

#[test]
fn the_library_finishes_a_recover_whose_server_dies() {
    let (mut cluster, home) = (Cluster::of(3).start(), tempfile::tempdir().expect("a folder"));
    let (target, bytes) = (home.path().join("out"), random_bytes(2, SIZE));
    let id = made_up_id();
    let deposit = depot_tests::headers::Deposit::of(&id, "a.bin", &bytes).replicas(2);
    assert!(cluster.raw(0).deposit_as(&deposit, &bytes).starts_with("resultado:1|"));
    cluster.wait_copies(0, &id, "a.bin", 2);
    while_one_dies(&mut cluster, 0, async |servers, progress| {
        let (client, name) = (client(servers, &id).await, name());
        let recover = client.recover_path(&name, &target, Existing::Refuse, progress);
        assert_eq!(recover.await.expect("it finishes").hash.to_string(), sha256(&bytes));
    });
    assert!(fs::read(&target).expect("it is there") == bytes, "other bytes");
}

#[test]
fn the_library_notices_no_rolling_restart() {
    let (mut cluster, id) = (Cluster::of(3).start(), made_up_id());
    let order = [0, 1, 2].map(|server| Endpoint::parse(&cluster.address(server).to_string()));
    let servers = order.map(|endpoint| endpoint.expect("an address")).to_vec();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ends = Over(&over);
        let working = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (client, mut done) = (client(servers, &id).await, 0);
                while !over.load(Ordering::SeqCst) {
                    let (name, size) = (FileName::parse(&format!("{done}")), FileSize::new(1000));
                    let (name, size) = (name.expect("a name"), size.expect("a size"));
                    let (bytes, one) = (random_bytes(done, 1000), ReplicaCount::new(1));
                    let deposit =
                        client.deposit_reader(bytes.as_slice(), size, &name, one, &NoProgress);
                    deposit.await.expect("each one finishes");
                    let stat = client.stat(&name).await.expect("it is there");
                    assert_eq!(stat.info.hash.to_string(), sha256(&bytes));
                    done += 1;
                }
                done
            })
        });
        for server in 0..3 {
            cluster.stop(server);
            cluster.start(server);
            cluster.ready();
        }
        drop(ends);
        let done = working.join().expect("no call failed");
        println!("{done} deposits during three restarts");
        assert_eq!(cluster.raw(0).names(&id).len() as u64, done);
    });
}

fn name() -> FileName {
    FileName::parse("a.bin").expect("a name")
}

async fn client(servers: Vec<Endpoint>, id: &str) -> Client {
    let id = ClientId::parse(id).expect("an id");
    let options = Options { servers, ..Options::default() };
    Client::connect(options, Some(id)).await.expect("a server")
}

/// Runs a story of the library, which prefers the server that is killed when a third is done.
fn while_one_dies(
    cluster: &mut Cluster,
    server: usize,
    story: impl AsyncFnOnce(Vec<Endpoint>, &Counted) + Send,
) {
    let order = [server].into_iter().chain(cluster.others(server));
    let endpoint = |server| Endpoint::parse(&cluster.address(server).to_string()).expect("so");
    let servers = order.map(endpoint).collect::<Vec<_>>();
    let progress = Counted::default();
    let done = &progress.0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(story(servers, &progress));
        });
        depot_tests::eventually("a third of it", || done.load(Ordering::SeqCst) > SIZE as u64 / 3);
        cluster.kill9(server);
    });
}

/// How many bytes have gone.
#[derive(Default)]
struct Counted(AtomicU64);

impl Progress for Counted {
    fn begin(&self, _name: &FileName, _size: u64, _from: u64) {}

    fn advance(&self, _name: &FileName, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }
}
