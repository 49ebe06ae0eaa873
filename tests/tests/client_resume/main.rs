//! Connections cut at random places: the next try goes on from where it was, the hash is right, and
//! hardly a byte is sent twice.
//!
//! `DEPOT_CUT_MIB=1024` makes the file of the twenty cuts 1 GiB.

#![allow(clippy::unwrap_used, reason = "a test that fails is found by its line")]

mod many;
mod proxy;

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use depot_client::{
    Client, ClientId, Deposited, Endpoint, Error, Existing, FileName, NoProgress, Options,
    Progress, ReplicaCount,
};
use depot_tests::Server;
use depot_tests::content::{Random, Stream, random_bytes, seed, sha256};
use proxy::{Proxy, Way};
use tempfile::TempDir;

const CUTS: u64 = 20;
const NONE: ReplicaCount = ReplicaCount::new(0);

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_is_cut_twenty_times_goes_on_each_time() {
    let story = Story::new();
    let (server, tries) = (Server::start(), Tries::default());
    let proxy = Proxy::start(server.address(), Way::Up, story.cuts());
    let client = client(proxy.address(), None).await;
    let done = client.deposit_path(&story.path(), &name(), NONE, &tries).await.unwrap();
    assert_eq!(done.hash.to_string(), story.hash);
    story.was_gone_on_with(&tries, &proxy, done.resumed_from);
    let mut written = Vec::new();
    client.recover_writer(&name(), &mut written, &NoProgress).await.unwrap();
    assert_eq!(sha256(&written), story.hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recover_that_is_cut_twenty_times_goes_on_each_time() {
    let story = Story::new();
    let server = Server::start();
    let id = story.deposit(&server).await;

    let (proxy, tries) =
        (Proxy::start(server.address(), Way::Down, story.cuts()), Tries::default());
    let cut = client(proxy.address(), Some(id)).await;
    let target = story.home.path().join("out");
    let back = cut.recover_path(&name(), &target, Existing::Refuse, &tries).await.unwrap();
    assert_eq!(back.hash.to_string(), story.hash);
    assert_eq!(sha256(&fs::read(&target).unwrap()), story.hash);
    story.was_gone_on_with(&tries, &proxy, back.resumed_from);

    let (proxy, tries) =
        (Proxy::start(server.address(), Way::Down, story.cuts()), Tries::default());
    let cut = client(proxy.address(), Some(id)).await;
    let mut written = Vec::new();
    let back = cut.recover_writer(&name(), &mut written, &tries).await.unwrap();
    assert_eq!(sha256(&written), story.hash);
    story.was_gone_on_with(&tries, &proxy, back.resumed_from);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_whose_answer_is_lost_is_not_sent_again() {
    let (story, server, tries) = (Story::new(), Server::start(), Tries::default());
    // The answer to the greeting, the one to `preparar`, and a byte of the next.
    let greeting = "resultado:1|id_cliente:\n".len() + 36;
    let prepared = "resultado:1|deslocamento:0|hash_parcial:\n".len() + 64;
    let lost = (greeting + prepared + 1) as u64;
    let proxy = Proxy::start(server.address(), Way::Down, [lost]);
    let client = client(proxy.address(), None).await;
    let done = client.deposit_path(&story.path(), &name(), NONE, &tries).await.unwrap();
    assert_eq!((done.hash.to_string(), done.resumed_from), (story.hash.clone(), story.size));
    assert_eq!(tries.begun(), [0]);
    assert_eq!(proxy.passed().1, 0);
    assert_eq!(client.stat(&name()).await.unwrap().info.hash, done.hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_call_was_cut_in_the_next_one_goes_on_with() {
    let (story, server) = (Story::new(), Server::start());
    let half = story.size / 2;
    let up = Proxy::start(server.address(), Way::Up, [half]);
    let mut options = options(up.address());
    options.retries = 0;
    let first = Client::connect(options, None).await.unwrap();
    let id = first.id();
    let error = first.deposit_path(&story.path(), &name(), NONE, &NoProgress).await.unwrap_err();
    assert!(matches!(error, Error::Cut { .. }), "{error}");
    let whole = client(server.address(), Some(id)).await;
    let done = whole.deposit_path(&story.path(), &name(), NONE, &NoProgress).await.unwrap();
    // What the server had not read yet when it was asked again is sent again.
    assert!(done.resumed_from > half / 2, "{done:?}");

    let down = Proxy::start(server.address(), Way::Down, [half]);
    let mut options = self::options(down.address());
    options.retries = 0;
    let first = Client::connect(options, Some(id)).await.unwrap();
    let target = story.home.path().join("out");
    let error = first.recover_path(&name(), &target, Existing::Refuse, &NoProgress).await;
    assert!(matches!(error, Err(Error::Cut { .. })), "{error:?}");
    assert!(!target.exists());
    let back = whole.recover_path(&name(), &target, Existing::Refuse, &NoProgress).await.unwrap();
    assert!(back.resumed_from > half - (1 << 20), "{back:?}");
    assert_eq!(sha256(&fs::read(&target).unwrap()), story.hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_dropped_is_gone_on_with() {
    let (story, server) = (Story::new(), Server::start());
    let client = client(server.address(), None).await;
    let deposit = |progress| {
        let (client, path) = (client.clone(), story.path());
        async move { client.deposit_path(&path, &name(), NONE, progress).await }
    };
    let stop = StopAt::new(story.size / 2);
    tokio::select! {
        done = deposit(&stop) => panic!("it was to be dropped: {done:?}"),
        () = stop.reached() => {}
    }
    let done: Deposited = deposit(&stop).await.unwrap();
    assert!(done.resumed_from > 0, "{done:?}");

    let target = story.home.path().join("out");
    let stop = StopAt::new(story.size / 2);
    let file = name();
    let recover = || client.recover_path(&file, &target, Existing::Refuse, &stop);
    tokio::select! {
        done = recover() => panic!("it was to be dropped: {done:?}"),
        () = stop.reached() => {}
    }
    assert!(!target.exists());
    let back = recover().await.unwrap();
    assert!(back.resumed_from > 0, "{back:?}");
    assert_eq!(sha256(&fs::read(&target).unwrap()), story.hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_other_content_is_not_gone_on_with() {
    let (story, server) = (Story::new(), Server::start());
    let id = story.deposit(&server).await;
    let down = Proxy::start(server.address(), Way::Down, [story.size / 2]);
    let mut options = options(down.address());
    options.retries = 0;
    let first = Client::connect(options, Some(id)).await.unwrap();
    let target = story.home.path().join("out");
    let error = first.recover_path(&name(), &target, Existing::Refuse, &NoProgress).await;
    assert!(matches!(error, Err(Error::Cut { .. })), "{error:?}");

    // Of the same size, of a larger one, and one that is shorter than the part.
    let client = client(server.address(), Some(id)).await;
    let size = usize::try_from(story.size).unwrap();
    for (seed, size) in [(5, size), (6, size + 1), (7, 300_000)] {
        let (other, bytes) = (story.home.path().join("other"), random_bytes(seed, size));
        fs::write(&other, &bytes).unwrap();
        client.deposit_path(&other, &name(), NONE, &NoProgress).await.unwrap();
        let target = story.home.path().join("out");
        let back = client.recover_path(&name(), &target, Existing::Replace, &NoProgress).await;
        assert_eq!(back.unwrap().resumed_from, 0);
        assert!(fs::read(&target).unwrap() == bytes);
    }

    // A part whose bytes have rotted since is found out, and begun anew.
    let part = part_of(&target);
    fs::write(&part, vec![0; 100_000]).unwrap();
    let info = client.stat(&name()).await.unwrap().info;
    let of = format!("depot-part 2\ntamanho_arquivo:{}|hash_arquivo:{}\n", info.size, info.hash);
    fs::write(part.with_added_extension("of"), of).unwrap();
    let tries = Tries::default();
    client.recover_path(&name(), &target, Existing::Replace, &tries).await.unwrap();
    assert_eq!(tries.begun(), [100_000, 0]);
    assert!(fs::read(&target).unwrap() == random_bytes(7, 300_000));
    assert!(!part.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_without_its_record_or_with_a_torn_one_is_begun_anew() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    let (client, bytes) = (client(server.address(), None).await, random_bytes(3, 300_000));
    let (source, target) = (home.path().join("in"), home.path().join("out"));
    fs::write(&source, &bytes).unwrap();
    client.deposit_path(&source, &name(), NONE, &NoProgress).await.unwrap();
    for record in [None, Some(""), Some("depot-part 2\ntamanho_arq")] {
        fs::write(part_of(&target), &bytes[..100_000]).unwrap();
        if let Some(record) = record {
            fs::write(part_of(&target).with_added_extension("of"), record).unwrap();
        }
        let back = client.recover_path(&name(), &target, Existing::Replace, &NoProgress).await;
        assert_eq!(back.unwrap().resumed_from, 0);
        assert!(fs::read(&target).unwrap() == bytes);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }
}

/// Where a target's part is.
fn part_of(target: &Path) -> std::path::PathBuf {
    let name = target.file_name().unwrap().to_str().unwrap();
    let hash = sha256(format!("depot-part 2\n{name}").as_bytes());
    target.with_file_name(format!(".{name}.{}.depot-part", &hash[..16]))
}

fn name() -> FileName {
    FileName::parse("grande").unwrap()
}

fn options(address: SocketAddr) -> Options {
    let servers = vec![Endpoint::parse(&address.to_string()).unwrap()];
    // The proxy is the only way: no other is to be found.
    Options { servers, retries: 25, learn: false, ..Options::default() }
}

async fn client(address: SocketAddr, id: Option<ClientId>) -> Client {
    Client::connect(options(address), id).await.unwrap()
}

/// A large file, its hash, and where its connections are cut.
struct Story {
    home: TempDir,
    size: u64,
    hash: String,
    random: Mutex<Random>,
}

impl Story {
    fn new() -> Self {
        let (home, seed) = (tempfile::tempdir().unwrap(), seed());
        let mib = std::env::var("DEPOT_CUT_MIB").map_or(64, |text| text.parse().unwrap());
        let size = mib * (1 << 20) + 4321;
        let stream = Stream::new(seed, size);
        let mut file = File::create(home.path().join("in")).unwrap();
        stream.clone().for_each(|piece| file.write_all(&piece).unwrap());
        Self { home, size, hash: stream.hash(), random: Mutex::new(Random::new(seed)) }
    }

    fn path(&self) -> std::path::PathBuf {
        self.home.path().join("in")
    }

    /// Random places in the file, in their order.
    fn cuts(&self) -> Vec<u64> {
        let mut random = self.random.lock().unwrap();
        let mut cuts = (0..CUTS).map(|_| 1 + random.below(self.size)).collect::<Vec<_>>();
        cuts.sort_unstable();
        cuts
    }

    async fn deposit(&self, server: &Server) -> ClientId {
        let client = client(server.address(), None).await;
        client.deposit_path(Path::new(&self.path()), &name(), NONE, &NoProgress).await.unwrap();
        client.id()
    }

    fn was_gone_on_with(&self, tries: &Tries, proxy: &Proxy, resumed_from: u64) {
        let (passed, cuts_left) = proxy.passed();
        let begun = tries.begun();
        assert_eq!(cuts_left, 0);
        assert!(begun.is_sorted(), "each try goes on from where the last was: {begun:?}");
        assert_eq!(begun.last(), Some(&resumed_from));
        let twice = passed.saturating_sub(self.size);
        println!("{twice} bytes passed twice; the tries began at {begun:?}");
        assert!(twice < self.size, "{twice} bytes more than the file has");
    }
}

/// Where each try began.
#[derive(Default)]
struct Tries(Mutex<Vec<u64>>);

impl Tries {
    fn begun(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Tries {
    fn begin(&self, _: &FileName, _: u64, from: u64) {
        self.0.lock().unwrap().push(from);
    }

    fn advance(&self, _: &FileName, _: u64) {}
}

/// Tells when so many bytes have gone.
struct StopAt {
    at: u64,
    gone: Mutex<u64>,
}

impl StopAt {
    fn new(at: u64) -> Self {
        Self { at, gone: Mutex::new(0) }
    }

    async fn reached(&self) {
        while *self.gone.lock().unwrap() < self.at {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Progress for StopAt {
    fn begin(&self, _: &FileName, _: u64, _: u64) {}

    fn advance(&self, _: &FileName, bytes: u64) {
        *self.gone.lock().unwrap() += bytes;
    }
}
