//! This machine's side: rows 105 to 107 of RELIABILITY.md.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use depot_client::{Error, ErrorKind, Existing, FileName, NoProgress, Progress};
use depot_tests::Server;
use depot_tests::content::random_bytes;
use depot_tests::hostile_server::HostileServer;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::{NONE, client, name};

/// Does something to a file while it is sent.
pub(crate) struct Meanwhile<F>(pub(crate) F);

impl<F: Fn(u64) + Send + Sync> Progress for Meanwhile<F> {
    fn begin(&self, _: &FileName, _: u64, _: u64) {}

    fn advance(&self, _: &FileName, bytes: u64) {
        (self.0)(bytes);
    }
}

#[tokio::test]
async fn a_file_that_grows_shrinks_or_changes_while_it_is_sent_is_not_stored() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let (client, source) = (client(server.address()).await, home.path().join("in"));
    let open = || OpenOptions::new().write(true).open(&source).unwrap();
    let grow = |_| OpenOptions::new().append(true).open(&source).unwrap().write_all(b"x").unwrap();
    let shrink = |_| open().set_len(3 << 20).unwrap();
    let change = |_| open().write_all(b"other").unwrap();
    let changes: [(&str, &(dyn Fn(u64) + Send + Sync)); 3] =
        [("grows", &grow), ("shrinks", &shrink), ("changes", &change)];
    for (what, change) in changes {
        fs::write(&source, random_bytes(1, 4 << 20)).unwrap();
        let done = client.deposit_path(&source, &name(what), NONE, &Meanwhile(change)).await;
        let error = done.unwrap_err();
        assert!(matches!(error, Error::Changed(_)), "{what}: {error}");
        assert_eq!(client.stat(&name(what)).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused_before_anything_is_sent() {
    let (server, home) = (HostileServer::start(|_| ()), tempfile::tempdir().unwrap());
    let (client, pipe) = (client(server.address()).await, home.path().join("pipe"));
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let paths = [
        (home.path(), "a folder"),
        (&pipe, "a pipe"),
        (Path::new("/dev/zero"), "a device"),
        (Path::new("/proc/self/status"), "does not tell its size"),
    ];
    for (path, what) in paths {
        let done = client.deposit_path(path, &name("x"), NONE, &NoProgress).await;
        let error = done.unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    let gone = client.deposit_path(&home.path().join("no"), &name("x"), NONE, &NoProgress).await;
    assert!(matches!(gone, Err(Error::Io { .. })), "{gone:?}");
    assert_eq!(server.heard(), [""; 0]);
}

#[tokio::test]
async fn what_is_there_is_not_replaced_without_a_word() {
    let (server, home) = (HostileServer::start(|_| ()), tempfile::tempdir().unwrap());
    let client = client(server.address()).await;
    let (file, link) = (home.path().join("file"), home.path().join("link"));
    fs::write(&file, "mine").unwrap();
    symlink(home.path().join("nowhere"), &link).unwrap();
    for target in [file.as_path(), &link, home.path()] {
        let done = client.recover_path(&name("x"), target, Existing::Refuse, &NoProgress).await;
        assert!(matches!(done, Err(Error::Exists(_))), "{done:?}");
    }
    let done = client.recover_path(&name("x"), home.path(), Existing::Replace, &NoProgress).await;
    assert!(matches!(done, Err(Error::Io { .. })), "{done:?}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(server.heard(), [""; 0]);
}

#[tokio::test]
async fn a_link_at_the_target_is_replaced_itself() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let (client, target) = (client(server.address()).await, home.path().join("out"));
    let (victim, source) = (home.path().join("victim"), home.path().join("in"));
    fs::write(&victim, "mine").unwrap();
    fs::write(&source, "new").unwrap();
    client.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
    symlink(&victim, &target).unwrap();
    client.recover_path(&name("x"), &target, Existing::Replace, &NoProgress).await.unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
    assert_eq!(fs::read(&target).unwrap(), b"new");
    assert!(target.symlink_metadata().unwrap().is_file());
}

#[tokio::test]
async fn a_file_that_appears_meanwhile_is_not_replaced() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let (client, target) = (client(server.address()).await, home.path().join("out"));
    let source = home.path().join("in");
    fs::write(&source, random_bytes(1, 2 << 20)).unwrap();
    client.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
    let appear = Meanwhile(|_| fs::write(&target, "mine").unwrap());
    let done = client.recover_path(&name("x"), &target, Existing::Refuse, &appear).await;
    assert!(matches!(done, Err(Error::Exists(_))), "{done:?}");
    assert_eq!(fs::read(&target).unwrap(), b"mine");
}

#[tokio::test]
async fn a_name_as_long_as_a_file_may_have_is_recovered() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let (client, source) = (client(server.address()).await, home.path().join("in"));
    fs::write(&source, random_bytes(1, 100_000)).unwrap();
    let file = name("a/b|c");
    client.deposit_path(&source, &file, NONE, &NoProgress).await.unwrap();
    for length in [240, 241, 255] {
        let target = home.path().join("n".repeat(length));
        let done = client.recover_path(&file, &target, Existing::Refuse, &NoProgress);
        done.await.unwrap();
    }
    let done = client.recover_path(&file, Path::new("/"), Existing::Replace, &NoProgress);
    assert!(matches!(done.await, Err(Error::Io { .. })));
}
