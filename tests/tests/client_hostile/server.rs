//! The server's side: row 109 of RELIABILITY.md.

use std::fs;
use std::future::Future;
use std::time::Duration;

use depot_client::{Client, Error, ErrorKind, Existing, FileSize, NoProgress, Recovered};
use depot_tests::Server;
use depot_tests::content::sha256;
use depot_tests::hostile_server::{HostileServer, Talk};
use futures_util::TryStreamExt;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, DuplexStream};

use crate::{NONE, client, name, options};

/// Asks for `x` from a server that answers so; the folder that it went to comes, too.
async fn recover(
    habit: impl FnMut(&mut Talk) + Send + 'static,
) -> (Result<Recovered, Error>, TempDir) {
    let (server, home) = (HostileServer::start(habit), tempfile::tempdir().unwrap());
    let (client, target) = (client(server.address()).await, home.path().join("out"));
    let done = client.recover_path(&name("x"), &target, Existing::Refuse, &NoProgress).await;
    (done, home)
}

fn header(size: u64, bytes: &[u8]) -> String {
    format!("resultado:1|tamanho_arquivo:{size}|hash_arquivo:{}\n", sha256(bytes))
}

fn is_empty(folder: &TempDir) {
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), [""; 0]);
}

/// Answers each request of a connection with the same.
fn always(answer: impl Into<Vec<u8>>) -> impl FnMut(&mut Talk) + Send + 'static {
    let answer = answer.into();
    move |talk| {
        while talk.line().is_some() {
            talk.send(&answer);
        }
    }
}

#[tokio::test]
async fn wrong_bytes_make_no_file() {
    for size in [5, 100_000, 3 << 20] {
        let wrong = vec![b'w'; size];
        let answer = [header(size as u64, b"right").into_bytes(), wrong.clone()].concat();
        let (done, home) = recover(always(answer.clone())).await;
        assert!(matches!(done, Err(Error::HashMismatch)), "{done:?}");
        is_empty(&home);

        let server = HostileServer::start(always(answer));
        let client = client(server.address()).await;
        let mut written = Vec::new();
        let done = client.recover_writer(&name("x"), &mut written, &NoProgress).await.unwrap_err();
        assert_eq!(done.kind(), ErrorKind::Integrity);
        assert!(done.to_string().contains("not to be trusted"), "{done}");

        let target = home.path().join("out");
        let mut kinds = Vec::new();
        client
            .recover_many(
                vec![(name("x"), target)],
                Existing::Refuse,
                1,
                &NoProgress,
                &mut |_, _, done| kinds.push(done.unwrap_err().kind()),
            )
            .await
            .unwrap();
        assert_eq!(kinds, [ErrorKind::Integrity]);
        is_empty(&home);
    }
}

#[tokio::test]
async fn fewer_bytes_than_announced_make_no_file() {
    let (done, home) = recover(|talk| {
        let offset = talk.line().unwrap_or_default().contains("deslocamento");
        talk.send(header(1 << 20, b"x"));
        if !offset {
            talk.send(vec![b'w'; 300_000]);
        }
    })
    .await;
    let error = done.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Later, "{error}");
    assert!(!home.path().join("out").exists());
}

#[tokio::test]
async fn more_bytes_than_announced_are_not_taken() {
    let answer = [header(5, b"right").as_bytes(), b"right, and more\n"].concat();
    let server = HostileServer::start(always(answer));
    let client = client(server.address()).await;
    let mut written = Vec::new();
    client.recover_writer(&name("x"), &mut written, &NoProgress).await.unwrap();
    assert_eq!(written, b"right");
    // What came behind is not taken for the answer to the next question.
    let error = client.stat(&name("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}

#[tokio::test]
async fn a_size_that_no_disk_has_is_refused_at_once() {
    let (done, home) = recover(|talk| {
        talk.line();
        talk.send(header((1 << 63) - 1, b"x"));
        talk.send_forever(&[b'x'; 65_536]);
    })
    .await;
    let error = done.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    assert!(error.to_string().contains("no room"), "{error}");
    is_empty(&home);
}

#[tokio::test]
async fn a_header_without_end_is_cut_off() {
    let (done, home) = recover(|talk| {
        talk.line();
        talk.send_forever(&[b'a'; 65_536]);
    })
    .await;
    let error = done.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    is_empty(&home);
}

#[tokio::test]
async fn what_is_no_answer_is_told_in_printable_characters() {
    for answer in [
        "\u{1b}[2J\u{1b}]0;title\u{7}\n".as_bytes(),
        b"resultado:0|erro:\xff\xfe|mensagem:x\n",
        b"resultado:0|erro:novo_codigo|mensagem:x\n",
        b"resultado:1|tamanho_arquivo:-1|hash_arquivo:x\n",
        b"resultado:1\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\n",
        b"\0\0\0\0\n",
    ] {
        let (done, home) = recover(always(answer)).await;
        let error = done.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
        is_empty(&home);
    }
    let coloured = "resultado:0|erro:arquivo_inexistente|mensagem:\u{1b}[31mgone\n";
    let error = recover(always(coloured)).await.0.unwrap_err();
    assert_eq!(error.to_string(), "arquivo_inexistente:  [31mgone");
    let turning = "resultado:0|erro:arquivo_inexistente|mensagem:\u{202e}\u{2028}gone\n";
    let error = recover(always(turning)).await.0.unwrap_err();
    assert_eq!(error.to_string(), "arquivo_inexistente: \\u{202e}\\u{2028}gone");
}

#[tokio::test]
async fn a_server_that_is_none_is_told() {
    for greeting in ["SSH-2.0-x\r\n", "resultado:1|id_cliente:x\n", ""] {
        let server = HostileServer::rude(move |talk| {
            talk.line();
            talk.send(greeting);
        });
        let error = Client::connect(options(server.address()), None).await.unwrap_err();
        let kind = if greeting.is_empty() { ErrorKind::Unreachable } else { ErrorKind::Integrity };
        assert_eq!(error.kind(), kind, "{error}");
    }
    let silent = HostileServer::rude(|_| std::thread::sleep(Duration::from_secs(5)));
    let mut options = options(silent.address());
    options.connect_timeout = Duration::from_millis(100);
    let error = Client::connect(options, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = HostileServer::start(|talk| {
        talk.line();
        std::thread::sleep(Duration::from_secs(5));
    });
    let mut options = options(server.address());
    (options.silence_timeout, options.retries) = (Duration::from_millis(100), 0);
    let client = Client::connect(options, None).await.unwrap();
    let error = client.remove(&name("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
}

/// A page of a list.
fn page(more: u8, names: &[&str]) -> String {
    let item = |name: &&str| {
        format!(
            "qtd_replicas:0|copias:0|tamanho_arquivo:0|hash_arquivo:{}\
             |depositado:2026-11-23T02:10:00Z|nome_arquivo:{name}\n",
            sha256(b"")
        )
    };
    let items = names.iter().map(item).collect::<String>();
    format!("resultado:1|itens:{}|mais:{more}\n{items}", names.len())
}

#[tokio::test]
async fn of_a_list_without_end_only_what_is_below_the_folder_is_asked_for() {
    let answers = [page(1, &["b/1", "b/2"]), page(1, &["b/3", "b0", "c"])];
    let mut answers = answers.into_iter();
    let server = HostileServer::start(move |talk| {
        while talk.line().is_some() {
            talk.send(answers.next().unwrap_or_default());
        }
    });
    let client = client(server.address()).await;
    let below = client.list_below(&name("b")).try_collect::<Vec<_>>().await.unwrap();
    assert!(below.iter().map(|file| file.name.as_str()).eq(["b/1", "b/2", "b/3"]));
    let heard = server.heard();
    let after = heard.iter().map(|line| line.rsplit_once("|apos:").unwrap().1);
    assert_eq!(after.collect::<Vec<_>>(), ["b/", "b/2"]);
}

#[tokio::test]
async fn a_list_that_does_not_get_on_ends() {
    for answer in [
        page(1, &["a", "b"]),
        page(1, &[]),
        page(0, &["b", "a"]),
        page(0, &["../../etc/passwd"]),
        "resultado:1|itens:1001|mais:0\n".to_owned(),
        "resultado:1|itens:99999999999999999999|mais:0\n".to_owned(),
    ] {
        let server = HostileServer::start(always(answer.clone()));
        let client = client(server.address()).await;
        let error = client.list().try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{answer}: {error}");
    }
}

#[tokio::test]
async fn offsets_that_lie_are_found_out() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("in");
    fs::write(&source, vec![b'x'; 2 << 20]).unwrap();
    // More than the file has.
    let past = format!("resultado:1|deslocamento:{}|hash_parcial:{}\n", 3 << 20, sha256(b""));
    let server = HostileServer::start(always(past));
    let done = client(server.address()).await;
    let done = done.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap_err();
    assert_eq!(done.kind(), ErrorKind::Integrity, "{done}");
    // Other bytes than ours: all are sent.
    let other = format!("resultado:1|deslocamento:{}|hash_parcial:{}\n", 1 << 20, sha256(b""));
    let whole = sha256(&vec![b'x'; 2 << 20]);
    let done = format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{whole}\n");
    let server = HostileServer::start(move |talk| {
        while let Some(line) = talk.line() {
            if line.starts_with("comando:preparar") {
                talk.send(&other);
            } else {
                assert!(talk.swallow(2 << 20));
                talk.line();
                talk.send(&done);
            }
        }
    });
    let client = client(server.address()).await;
    let done = client.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
    assert_eq!(done.resumed_from, 0);
    assert!(!server.heard().iter().any(|line| line.contains("|deslocamento:")));
}

#[tokio::test]
async fn a_deposit_is_done_only_when_it_is() {
    let home = tempfile::tempdir().unwrap();
    for size in [10, 900_000] {
        let source = home.path().join("in");
        fs::write(&source, vec![b'x'; size]).unwrap();
        // Another hash; and done before all was sent.
        let done =
            format!("resultado:1|qtd_replicas:0|copias:0|hash_arquivo:{}\n", sha256(b"other"));
        let server = HostileServer::start(always(done));
        let client = client(server.address()).await;
        let done = client.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap_err();
        assert_eq!(done.kind(), ErrorKind::Integrity, "{done}");
    }
}

#[tokio::test]
async fn a_refusal_that_comes_early_is_read_while_sending() {
    let server = HostileServer::start(|talk| {
        talk.line();
        talk.send("resultado:0|erro:sem_espaco|mensagem:no room\n");
        talk.cut();
    });
    let client = client(server.address()).await;
    let size = FileSize::new(1 << 40).unwrap();
    let zeros = tokio::io::repeat(0);
    let done = client.deposit_reader(zeros, size, &name("x"), NONE, &NoProgress).await;
    let error = done.unwrap_err();
    assert_eq!(error.to_string(), "sem_espaco: no room");
}

/// A reader that gives these bytes and then neither more nor an end, as long as the other half is
/// there.
fn endless(bytes: &'static [u8]) -> (impl AsyncRead + Send + Unpin, DuplexStream) {
    let (open, end) = tokio::io::duplex(1);
    (bytes.chain(open), end)
}

/// What ends by itself, and long before a minute has passed.
async fn soon<T>(done: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), done).await.expect("an endless wait")
}

#[tokio::test]
async fn a_reader_that_does_not_end_is_not_waited_for_once_it_has_given_all() {
    let server = Server::start();
    let (client, file) = (client(server.address()).await, name("x"));
    for bytes in [&[b'x'; 10][..], &[b'x'; 300_000]] {
        let (reader, _end) = endless(bytes);
        let size = FileSize::new(bytes.len() as u64).unwrap();
        let done = soon(client.deposit_reader(reader, size, &file, NONE, &NoProgress));
        assert_eq!(done.await.unwrap().hash.to_string(), sha256(bytes));
    }
}

#[tokio::test]
async fn a_reader_that_gives_nothing_does_not_hold_a_refusal_back() {
    let server = HostileServer::start(|talk| {
        talk.line();
        talk.send("resultado:0|erro:sem_espaco|mensagem:no room\n");
        // Until the client goes.
        talk.line();
    });
    let (client, file) = (client(server.address()).await, name("x"));
    let (reader, _end) = endless(&[b'x'; 300_000]);
    let size = FileSize::new(1 << 30).unwrap();
    let done = soon(client.deposit_reader(reader, size, &file, NONE, &NoProgress));
    assert_eq!(done.await.unwrap_err().to_string(), "sem_espaco: no room");
}

#[tokio::test]
async fn a_file_without_end_takes_little_memory() {
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let size = 512 << 20;
    let server = HostileServer::start(move |talk| {
        while talk.line().is_some() {
            talk.send(header(size, b"other"));
            (0..size >> 16).all(|_| talk.send([b'x'; 65_536]));
        }
    });
    let (client, before) = (client(server.address()).await, peak());
    let sink = tokio::io::sink();
    let done = client.recover_writer(&name("x"), sink, &NoProgress).await.unwrap_err();
    assert!(matches!(done, Error::HashMismatch), "{done}");
    // Other tests run beside this one.
    assert!(peak() - before < 64 << 10, "{} KiB", peak() - before);
}
