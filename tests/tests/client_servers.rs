//! The servers of a depot that a client was not told of: learned from the one that it was, gone to
//! when that one dies, and never in the way.

#![allow(clippy::unwrap_used, reason = "a test that fails is found by its line")]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use depot_client::{
    Client, ClientId, Deposited, Endpoint, Error, ErrorKind, Existing, FileName, NoProgress,
    Options, Recovered, ReplicaCount,
};
use depot_tests::Server;
use depot_tests::content::{EMPTY_HASH, made_up_id, random_bytes, sha256};
use depot_tests::hostile_server::{HostileServer, Talk};

const NONE: ReplicaCount = ReplicaCount::new(0);
const SIZE: usize = 3_000_000;

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

fn options(server: SocketAddr) -> Options {
    let servers = vec![Endpoint::parse(&server.to_string()).unwrap()];
    Options { servers, ..Options::default() }
}

/// A client that was told of this server only.
async fn client(server: SocketAddr, id: Option<ClientId>) -> Client {
    Client::connect(options(server), id).await.unwrap()
}

/// A server that has a file `x` of these bytes, and whose it is.
async fn with_file(bytes: &[u8], home: &Path) -> (Server, ClientId) {
    let (server, source) = (Server::start(), home.join("in"));
    fs::write(&source, bytes).unwrap();
    let owner = client(server.address(), None).await;
    owner.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
    (server, owner.id())
}

/// Sends the beginning of a file once and dies, as it does again whatever it is asked.
fn dying(bytes: &[u8], sent: usize) -> impl FnMut(&mut Talk) + Send + use<> {
    let header = format!("resultado:1|tamanho_arquivo:{SIZE}|hash_arquivo:{}\n", sha256(bytes));
    let mut beginning = Some(bytes[..sent].to_vec());
    move |talk| {
        if talk.line().is_some()
            && let Some(beginning) = beginning.take()
        {
            talk.send(&header);
            talk.send(beginning);
        }
    }
}

#[tokio::test]
async fn a_recover_goes_on_at_a_server_that_was_learned() {
    let (home, bytes) = (tempfile::tempdir().unwrap(), random_bytes(1, SIZE));
    let (other, id) = with_file(&bytes, home.path()).await;
    let first = HostileServer::naming(&[other.address()], dying(&bytes, 2_000_000));
    let target = home.path().join("out");
    let client_of = client(first.address(), Some(id)).await;
    let back = client_of.recover_path(&name("x"), &target, Existing::Refuse, &NoProgress).await;
    assert_eq!(back.unwrap().resumed_from, 2_000_000);
    assert!(fs::read(&target).unwrap() == bytes);
    assert_eq!(client_of.server().to_string(), other.address().to_string());

    let first = HostileServer::naming(&[other.address()], dying(&bytes, 2_000_000));
    let mut written = Vec::new();
    let client_of = client(first.address(), Some(id)).await;
    let back = client_of.recover_writer(&name("x"), &mut written, &NoProgress).await.unwrap();
    assert_eq!(back.resumed_from, 2_000_000);
    assert!(written == bytes);
}

#[tokio::test]
async fn other_content_at_the_next_server_is_not_sewn_to_the_first() {
    let (home, bytes) = (tempfile::tempdir().unwrap(), random_bytes(1, SIZE));
    let newer = random_bytes(2, SIZE);
    let (other, id) = with_file(&newer, home.path()).await;
    let start = || HostileServer::naming(&[other.address()], dying(&bytes, 1_500_000));
    let (first, target) = (start(), home.path().join("out"));
    let client_of = client(first.address(), Some(id)).await;
    let back = client_of.recover_path(&name("x"), &target, Existing::Refuse, &NoProgress).await;
    assert_eq!(back.unwrap().resumed_from, 0);
    assert!(fs::read(&target).unwrap() == newer);

    let (first, mut written) = (start(), Vec::new());
    let client_of = client(first.address(), Some(id)).await;
    let back = client_of.recover_writer(&name("x"), &mut written, &NoProgress).await;
    assert!(matches!(back, Err(Error::Replaced)), "{back:?}");
    assert!(written == bytes[..1_500_000]);
}

#[tokio::test]
async fn a_deposit_goes_on_at_a_server_that_was_learned() {
    let (home, bytes) = (tempfile::tempdir().unwrap(), random_bytes(1, SIZE));
    let (other, source) = (Server::start(), home.path().join("in"));
    fs::write(&source, &bytes).unwrap();
    // Takes a million bytes, and dies; again it says how many it has, and dies.
    let first = HostileServer::naming(&[other.address()], move |talk| {
        if talk.line().is_some() {
            talk.send(format!("resultado:1|deslocamento:0|hash_parcial:{EMPTY_HASH}\n"));
            talk.line();
            talk.swallow(1_000_000);
            talk.cut();
        }
    });
    let client_of = client(first.address(), None).await;
    let done = client_of.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
    assert_eq!(done.hash.to_string(), sha256(&bytes));
    assert_eq!(client_of.server().to_string(), other.address().to_string());
    let prepared = first.heard().iter().filter(|line| line.starts_with("comando:preparar")).count();
    // Once more for each time that it got on, which on a busy machine may be seen in between.
    assert!((2..=4).contains(&prepared), "one that was merely cut off is gone back to: {prepared}");
    let there = client(other.address(), Some(client_of.id())).await;
    assert_eq!(there.stat(&name("x")).await.unwrap().info.hash, done.hash);
}

#[tokio::test]
async fn a_server_that_refuses_all_is_left_for_one_that_was_learned() {
    let (home, bytes) = (tempfile::tempdir().unwrap(), random_bytes(1, SIZE));
    let (other, id) = with_file(&bytes, home.path()).await;
    for code in ["sem_quorum", "servidor_indisponivel", "encerrando"] {
        let refusal = format!("resultado:0|erro:{code}|mensagem:try another\n");
        let first = || {
            let refusal = refusal.clone();
            HostileServer::naming(&[other.address()], move |talk| {
                if talk.line().is_some() {
                    talk.send(&refusal);
                }
            })
        };
        for size in [10, SIZE] {
            let (server, source) = (first(), home.path().join(code));
            fs::write(&source, &bytes[..size]).unwrap();
            let client_of = client(server.address(), Some(id)).await;
            client_of.deposit_path(&source, &name("y"), NONE, &NoProgress).await.unwrap();
        }
        let (server, mut written) = (first(), Vec::new());
        let client_of = client(server.address(), Some(id)).await;
        client_of.recover_writer(&name("x"), &mut written, &NoProgress).await.unwrap();
        assert!(written == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_go_on_at_a_server_that_was_learned() {
    let (home, other) = (tempfile::tempdir().unwrap(), Server::start());
    let id = ClientId::parse(&made_up_id()).unwrap();
    let dead = || HostileServer::naming(&[other.address()], |talk| drop(talk.line()));
    let files: Vec<(PathBuf, FileName)> = (0..100_u64)
        .map(|n| {
            let path = home.path().join(format!("{n}"));
            fs::write(&path, random_bytes(n, if n == 50 { SIZE } else { 2000 })).unwrap();
            (path, name(&format!("n/{n}")))
        })
        .collect();
    let (first, mut done) = (dead(), 0);
    let mut each = |_: &Path, _: &FileName, told: Result<Deposited, Error>| {
        told.unwrap();
        done += 1;
    };
    let client_of = client(first.address(), Some(id)).await;
    client_of.deposit_many(files.clone(), NONE, 3, &NoProgress, &mut each).await.unwrap();
    assert_eq!(done, 100);

    let (first, mut back, to) = (dead(), 0, home.path().join("to"));
    let mut each = |_: &FileName, _: &Path, told: Result<Recovered, Error>| {
        told.unwrap();
        back += 1;
    };
    let client_of = client(first.address(), Some(id)).await;
    let names = files.iter().map(|(_, name)| name.clone()).collect();
    let refuse = Existing::Refuse;
    client_of.recover_beneath(&to, names, refuse, 3, &NoProgress, &mut each).await.unwrap();
    assert_eq!(back, 100);
    for (path, name) in files {
        assert!(fs::read(path).unwrap() == fs::read(to.join(name.as_str())).unwrap());
    }
}

/// An address that takes connections and says nothing, and how often somebody came there.
fn black_hole() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, came) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&came);
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            count.fetch_add(1, Ordering::SeqCst);
            open.push(stream);
        }
    });
    (address, came)
}

#[tokio::test]
async fn an_address_that_can_not_be_reached_is_remembered() {
    let (other, (hole, came)) = (Server::start(), black_hole());
    let names = [hole, other.address()];
    let first = HostileServer::naming(&names, |talk| {
        if talk.line().is_some() {
            talk.send("resultado:0|erro:encerrando|mensagem:try another\n");
        }
    });
    let mut options = options(first.address());
    (options.connect_timeout, options.retries) = (Duration::from_secs(1), 2);
    let client_of = Client::connect(options, None).await.unwrap();
    assert_eq!(client_of.stat(&name("x")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(came.load(Ordering::SeqCst), 1);
    assert_eq!(client_of.server().to_string(), other.address().to_string());
    other.stop();
    let error = client_of.stat(&name("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Later, "{error}");
    // Nobody goes there again as long as another takes connections, whatever that one says.
    assert_eq!(came.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_does_not_name_the_others_is_as_good() {
    let gone = "resultado:0|erro:arquivo_inexistente|mensagem:gone\n";
    for state in [
        None,
        Some("resultado:0|erro:interno|mensagem:x\n"),
        Some("resultado:1|versao:1|itens:1\nservidor:a|endereco:nowhere|ativo:1\n"),
        Some("resultado:1|versao:1|itens:1\nservidor:a|endereco:127.0.0.1:1|ativo:0\n"),
        Some("HTTP/1.1 400 Bad Request\r\n"),
        Some("resultado:1\n"),
    ] {
        // Without an answer, it ends the connection.
        let server = HostileServer::stateless(move |talk| {
            while let Some(line) = talk.line() {
                if !line.starts_with("comando:estado") {
                    talk.send(gone);
                } else if let Some(state) = state {
                    talk.send(state);
                } else {
                    break;
                }
            }
        });
        let mut options = options(server.address());
        options.retries = 0;
        let client_of = Client::connect(options, None).await.unwrap();
        for _ in 0..3 {
            let error = client_of.stat(&name("x")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{state:?}: {error}");
        }
        let asked = server.heard().iter().filter(|line| line.starts_with("comando:estado")).count();
        assert_eq!(asked, 1, "{state:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_on_the_others_holds_nobody_up() {
    let server = HostileServer::stateless(|talk| {
        while let Some(line) = talk.line() {
            if !line.starts_with("comando:estado") {
                talk.send("resultado:0|erro:arquivo_inexistente|mensagem:gone\n");
            }
        }
    });
    let mut options = options(server.address());
    options.connect_timeout = Duration::from_secs(1);
    let asked = async {
        let client_of = Client::connect(options, None).await.unwrap();
        client_of.stat(&name("x")).await.unwrap_err()
    };
    let error = tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn nobody_is_learned_where_that_is_not_wanted() {
    let other = Server::start();
    let first = HostileServer::naming(&[other.address()], |talk| {
        if talk.line().is_some() {
            talk.send("resultado:0|erro:encerrando|mensagem:try another\n");
        }
    });
    let options = Options { learn: false, retries: 1, ..options(first.address()) };
    let client_of = Client::connect(options, None).await.unwrap();
    let error = client_of.stat(&name("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Later, "{error}");
    assert_eq!(client_of.server().to_string(), first.address().to_string());
}
