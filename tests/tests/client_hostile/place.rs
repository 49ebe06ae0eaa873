//! Where a recovered file is put together: nothing of anybody else's is taken for a part, and no link
//! is followed, whenever it was put there.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use depot_client::{Error, ErrorKind, Existing, FileName, NoProgress, Recovered};
use depot_tests::Server;
use depot_tests::content::{random_bytes, sha256};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use crate::local::Meanwhile;
use crate::{NONE, client, name};

/// Where a target's part is.
fn part_of(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap().to_str().unwrap();
    let hash = sha256(format!("depot-part 2\n{name}").as_bytes());
    target.with_file_name(format!(".{name}.{}.depot-part", &hash[..16]))
}

#[tokio::test]
async fn what_is_planted_where_the_part_would_be_is_not_written_to() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let (client, target) = (client(server.address()).await, home.path().join("out"));
    let (victim, source) = (home.path().join("victim"), home.path().join("in"));
    fs::write(&victim, "mine").unwrap();
    let part = part_of(&target);
    for size in [10, 200_000] {
        fs::write(&source, random_bytes(1, size)).unwrap();
        client.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
        let plant: [(&str, &dyn Fn()); 4] = [
            ("a link", &|| symlink(&victim, &part).unwrap()),
            ("a second name", &|| fs::hard_link(&victim, &part).unwrap()),
            ("a pipe", &|| mkfifo(&part, Mode::S_IRWXU).unwrap()),
            ("a locked part", &|| {
                let file = File::create(&part).unwrap();
                file.lock().unwrap();
                std::mem::forget(file);
            }),
        ];
        for (what, plant) in plant {
            plant();
            let file = name("x");
            let done = client.recover_path(&file, &target, Existing::Refuse, &NoProgress);
            let error = done.await.unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{what}: {error}");
            let files: Vec<(FileName, PathBuf)> = vec![(name("x"), target.clone())];
            let mut kinds = Vec::new();
            let mut each = |_: &FileName, _: &Path, done: Result<_, Error>| {
                kinds.push(done.map(|_: depot_client::Recovered| ()).unwrap_err().kind());
            };
            let many = client.recover_many(files, Existing::Refuse, 2, &NoProgress, &mut each);
            many.await.unwrap();
            assert_eq!(kinds, [ErrorKind::Local], "{what}");
            assert_eq!(fs::read(&victim).unwrap(), b"mine", "{what}");
            assert!(!target.exists(), "{what}");
            fs::remove_file(&part).unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_that_is_named_like_a_part_is_left_alone() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let (client, target) = (client(server.address()).await, home.path().join("out"));
    let source = home.path().join("in");
    let own = [".out.depot-part", ".out.depot-part.of", ".out.0123456789abcdef.depot-part"];
    for size in [10, 200_000] {
        fs::write(&source, random_bytes(1, size)).unwrap();
        own.iter().for_each(|own| fs::write(home.path().join(own), "mine").unwrap());
        client.deposit_path(&source, &name("x"), NONE, &NoProgress).await.unwrap();
        let back = client.recover_path(&name("x"), &target, Existing::Replace, &NoProgress).await;
        assert_eq!(back.unwrap().size.get(), size as u64);
        let mut each = |_: &FileName, _: &Path, done: Result<Recovered, Error>| {
            done.unwrap();
        };
        let files = vec![(name("x"), target.clone())];
        let many = client.recover_many(files, Existing::Replace, 2, &NoProgress, &mut each);
        many.await.unwrap();
        for own in own {
            assert_eq!(fs::read(home.path().join(own)).unwrap(), b"mine", "{own}");
        }
    }
}

/// A link is put where the folder was while the file comes: the file lands in the folder that was
/// found, and nothing is touched where the link leads.
#[tokio::test]
async fn a_link_that_is_slipped_in_is_not_followed() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let client = client(server.address()).await;
    let source = home.path().join("in");
    let bytes = random_bytes(1, 2 << 20);
    fs::write(&source, &bytes).unwrap();
    client.deposit_path(&source, &name("sub/x"), NONE, &NoProgress).await.unwrap();
    for existing in [Existing::Refuse, Existing::Replace] {
        let (to, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (folder, moved) = (to.path().join("sub"), to.path().join("moved"));
        fs::write(elsewhere.path().join("x"), "theirs").unwrap();
        let slip = Meanwhile(|_| {
            if !moved.exists() {
                fs::rename(&folder, &moved).unwrap();
                symlink(elsewhere.path(), &folder).unwrap();
            }
        });
        let mut told = Vec::new();
        let mut each = |_: &FileName, _: &Path, done: Result<Recovered, Error>| told.push(done);
        let names = vec![name("sub/x")];
        let many = client.recover_beneath(to.path(), names, existing, 1, &slip, &mut each);
        many.await.unwrap();
        // Its name cannot be made durable any more where it was to be, so it is not called done.
        assert!(matches!(told.as_slice(), [Err(Error::NotAFolder(_))]), "{told:?}");
        assert!(fs::read(moved.join("x")).unwrap() == bytes);
        assert_eq!(fs::read(elsewhere.path().join("x")).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_link_that_stands_beneath_the_target_is_told_and_not_followed() {
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let client = client(server.address()).await;
    let (source, elsewhere) = (home.path().join("in"), TempDir::new().unwrap());
    fs::write(&source, "new").unwrap();
    let names = [name("link/x"), name("deep/er/x"), name("file/x")];
    for file in &names {
        client.deposit_path(&source, file, NONE, &NoProgress).await.unwrap();
    }
    let to = home.path().join("to");
    fs::create_dir(&to).unwrap();
    symlink(elsewhere.path(), to.join("link")).unwrap();
    fs::write(to.join("file"), "mine").unwrap();
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    let mut each = |_: &FileName, path: &Path, back: Result<Recovered, Error>| match back {
        Ok(_) => done.push(path.to_owned()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Local);
            refused.push(error.to_string());
        }
    };
    let all = names.to_vec();
    let many = client.recover_beneath(&to, all, Existing::Replace, 2, &NoProgress, &mut each);
    many.await.unwrap();
    assert_eq!(done, [to.join("deep/er/x")]);
    refused.sort();
    assert!(refused.len() == 2 && refused[0].contains("to/file is"), "{refused:?}");
    assert!(refused[1].contains("to/link is"), "{refused:?}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
