//! The library `depot-client` against a real server: each call, as a program would use it.

#![allow(clippy::unwrap_used, reason = "a test that fails is found by its line")]

use std::fs;
use std::sync::mpsc::{Sender, channel};

use depot_client::{
    Client, ClientId, Endpoint, Error, ErrorCode, ErrorKind, Existing, FileName, FileSize,
    NoProgress, Options, Progress, ReplicaCount,
};
use depot_tests::content::{made_up_id, random_bytes, sha256};
use depot_tests::hostile_server::HostileServer;
use depot_tests::{Server, Setup, free_address};
use futures_util::TryStreamExt;

const NONE: ReplicaCount = ReplicaCount::new(0);

async fn client(server: &Server) -> Client {
    let options = Options { servers: vec![endpoint(server)], ..Options::default() };
    Client::connect(options, None).await.unwrap()
}

fn endpoint(server: &Server) -> Endpoint {
    Endpoint::parse(&server.address().to_string()).unwrap()
}

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

#[tokio::test]
async fn a_file_of_each_size_goes_in_and_out() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let client = client(&server).await;
    for size in [0, 1, 65_536, 65_537, 262_144, 1 << 20, (1 << 20) + 1, 3_000_001] {
        let (bytes, file) = (random_bytes(size as u64, size), name(&format!("a/{size}")));
        let (source, target) = (folder.path().join("in"), folder.path().join(format!("{size}")));
        fs::write(&source, &bytes).unwrap();
        let done = client.deposit_path(&source, &file, NONE, &NoProgress).await.unwrap();
        assert_eq!(done.hash.to_string(), sha256(&bytes));
        assert_eq!((done.size.get(), done.resumed_from), (size as u64, 0));
        let back = client.recover_path(&file, &target, Existing::Refuse, &NoProgress).await;
        assert_eq!(back.unwrap().hash, done.hash);
        assert!(fs::read(&target).unwrap() == bytes);
        let mut written = Vec::new();
        client.recover_writer(&file, &mut written, &NoProgress).await.unwrap();
        assert!(written == bytes);
    }
    // Nothing but the files is left beside them.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + 8);
}

#[tokio::test]
async fn a_reader_has_as_many_bytes_as_announced_or_nothing_is_stored() {
    let server = Server::start();
    let client = client(&server).await;
    for size in [10, 2_000_000] {
        let bytes = random_bytes(7, size);
        for (announced, good) in [(size, true), (size - 1, false), (size + 1, false)] {
            let file = name(&format!("{size} {announced}"));
            let announced = FileSize::new(announced as u64).unwrap();
            let done =
                client.deposit_reader(bytes.as_slice(), announced, &file, NONE, &NoProgress).await;
            assert_eq!(done.is_ok(), good);
            if let Err(error) = done {
                assert!(matches!(error, Error::Reader(_)), "{error}");
                let stat = client.stat(&file).await;
                assert_eq!(stat.unwrap_err().kind(), ErrorKind::NotFound);
            }
        }
    }
}

#[tokio::test]
async fn what_is_there_can_be_listed_looked_at_changed_and_removed() {
    let server = Server::start();
    let client = client(&server).await;
    let file = name("notes|a:b.txt");
    let bytes = b"hello".as_slice();
    let size = FileSize::new(5).unwrap();
    client.deposit_reader(bytes, size, &file, NONE, &NoProgress).await.unwrap();
    let info = client.stat(&file).await.unwrap().info;
    assert_eq!((info.size, info.hash.to_string()), (size, sha256(bytes)));
    assert_eq!(client.set_replicas(&file, NONE).await.unwrap(), (NONE, 0));
    let refused = client.set_replicas(&file, ReplicaCount::new(3)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Request);
    let listed = client.list().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(listed.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), [file.as_str()]);
    client.remove(&file).await.unwrap();
    let gone = client.remove(&file).await.unwrap_err();
    assert!(matches!(gone, Error::Refused(ref r) if r.code == ErrorCode::NoSuchFile), "{gone}");
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("x");
    let gone = client.recover_path(&file, &path, Existing::Refuse, &NoProgress).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    let servers = client.servers().await.unwrap();
    assert_eq!(servers.len(), 1);
    assert!(servers[0].active);
}

#[tokio::test]
async fn an_id_comes_back_and_is_never_shown() {
    let server = Server::start();
    let first = client(&server).await;
    let options = Options { servers: vec![endpoint(&server)], ..Options::default() };
    let again = Client::connect(options.clone(), Some(first.id())).await.unwrap();
    assert_eq!(again.id(), first.id());
    assert!(!format!("{again:?}").contains(&first.id().to_string()));
    let own = ClientId::parse(&made_up_id()).unwrap();
    assert_eq!(Client::connect(options, Some(own)).await.unwrap().id(), own);
    server.log_is_silent_on(&own.to_string());
}

#[tokio::test]
async fn a_dead_server_is_passed_over_and_all_dead_ones_are_named() {
    let server = Server::start();
    let dead = Endpoint::parse(&free_address().to_string()).unwrap();
    let servers = vec![dead.clone(), endpoint(&server)];
    let client = Client::connect(Options { servers, ..Options::default() }, None).await.unwrap();
    assert_eq!(client.server(), endpoint(&server));
    client.servers().await.unwrap();
    let error =
        Client::connect(Options { servers: vec![dead.clone()], ..Options::default() }, None)
            .await
            .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&dead.to_string()), "{error}");
    let none = Client::connect(Options::default(), None).await.unwrap_err();
    assert_eq!(none.to_string(), "no server can be reached: none was given");
}

#[tokio::test]
async fn a_server_that_takes_no_changes_is_left_for_the_next() {
    let server = Server::start();
    for code in ["sem_quorum", "servidor_indisponivel", "encerrando"] {
        let refusal = format!("resultado:0|erro:{code}|mensagem:try another\n");
        let first = HostileServer::start(move |talk| {
            if talk.line().is_some() {
                talk.send(&refusal);
            }
        });
        let client = both(&first, &server).await;
        let bytes = random_bytes(1, 2_000_000);
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("in");
        for size in [10, 2_000_000] {
            fs::write(&source, &bytes[..size]).unwrap();
            client.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
            assert_eq!(client.server(), endpoint(&server));
        }
    }
}

#[tokio::test]
async fn a_recover_that_one_server_cuts_is_gone_on_with_at_the_next() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let (source, target) = (folder.path().join("in"), folder.path().join("out"));
    let bytes = random_bytes(1, 2_000_000);
    fs::write(&source, &bytes).unwrap();
    let (half, header) = (
        bytes[..1_000_000].to_vec(),
        format!("resultado:1|tamanho_arquivo:2000000|hash_arquivo:{}\n", sha256(&bytes)),
    );
    let first = HostileServer::start(move |talk| {
        let line = talk.line().unwrap_or_default();
        talk.send(&header);
        if !line.contains("deslocamento") {
            talk.send(&half);
        }
    });
    let client = both(&first, &server).await;
    let options = Options { servers: vec![endpoint(&server)], ..Options::default() };
    let owner = Client::connect(options, Some(client.id())).await.unwrap();
    owner.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
    let back = client.recover_path(&name("x"), &target, Existing::Refuse, &NoProgress).await;
    assert_eq!(back.unwrap().resumed_from, 1_000_000);
    assert!(fs::read(&target).unwrap() == bytes);
    assert_eq!(client.server(), endpoint(&server));
}

/// A client that prefers the first.
async fn both(first: &HostileServer, second: &Server) -> Client {
    let first = Endpoint::parse(&first.address().to_string()).unwrap();
    let options = Options { servers: vec![first, endpoint(second)], ..Options::default() };
    Client::connect(options, None).await.unwrap()
}

/// Tells when something is about to be tried again.
struct Retrying(Sender<()>);

impl Progress for Retrying {
    fn begin(&self, _: &FileName, _: u64, _: u64) {}

    fn advance(&self, _: &FileName, _: u64) {}

    fn retrying(&self, _: &FileName, _: &Error) {
        // After the first time nobody listens.
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_gone_on_with() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let (address, source) = (server.address(), home.path().join("in"));
    fs::write(&source, "x").unwrap();
    let options = Options { servers: vec![endpoint(&server)], retries: 10, ..Options::default() };
    let client = Client::connect(options, None).await.unwrap();
    let setup = server.stop().address(&address.to_string());
    let (retrying, retried) = channel();
    let (started, restarted) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        retried.recv().unwrap();
        let _ = started.send(setup.start());
    });
    let (file, retrying) = (name("x"), Retrying(retrying));
    let deposit = client.deposit_path(&source, &file, NONE, &retrying);
    let (done, server) = futures_util::future::join(deposit, restarted).await;
    assert_eq!(done.unwrap().size.get(), 1);
    assert_eq!(server.unwrap().address(), address);
}

#[tokio::test]
async fn a_client_that_was_idle_longer_than_the_server_waits_is_served() {
    let server = Setup::new().limits("idle = \"1s\"").start();
    let before = server.descriptors();
    let client = client(&server).await;
    client.servers().await.unwrap();
    depot_tests::eventually("the server lets the client go", || server.descriptors() <= before);
    client.servers().await.unwrap();
}

/// Every call can run on any thread.
#[test]
fn the_futures_are_send() {
    fn send<T: Send>(_: T) {}
    fn all(client: &Client, file: &FileName, path: &std::path::Path) {
        let none = &NoProgress;
        send(client.deposit_path(path, file, NONE, none));
        send(client.deposit_reader(tokio::io::empty(), FileSize::ZERO, file, NONE, none));
        send(client.recover_path(file, path, Existing::Refuse, none));
        send(client.recover_writer(file, tokio::io::sink(), none));
        send(client.deposit_many(Vec::new(), NONE, 4, none, &mut |_, _, _| ()));
        send(client.recover_many(Vec::new(), Existing::Refuse, 4, none, &mut |_, _, _| ()));
        let names = Vec::new();
        let each = &mut |_: &FileName, _: &std::path::Path, _| ();
        send(client.recover_beneath(path, names, Existing::Refuse, 4, none, each));
        send(client.list());
        send(client.list_below(file));
        send(client.remove(file));
    }
    let _ = all;
}
