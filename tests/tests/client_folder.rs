//! A folder of many small files, and a few large ones, in and out: equal.
//!
//! `DEPOT_FOLDER_FILES=10000` makes them more than 2,000.

#![allow(clippy::unwrap_used, reason = "a test that fails is found by its line")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use depot_client::{
    Client, Endpoint, ErrorKind, Existing, FileName, NoProgress, Options, ReplicaCount,
};
use depot_tests::Server;
use depot_tests::content::random_bytes;
use futures_util::TryStreamExt;

const CONNECTIONS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_and_out_is_equal() {
    let files = std::env::var("DEPOT_FOLDER_FILES").map_or(2000, |text| text.parse().unwrap());
    let (server, home) = (Server::start(), tempfile::tempdir().unwrap());
    let client = client(&server).await;
    let name = |n: u64| format!("pasta {}/sub/{n:05}.bin", n % 37);
    let bytes = |n: u64| {
        random_bytes(
            n,
            match n % 1000 {
                7 => 3 << 20,
                8 => 100_000,
                9 => 0,
                _ => 4096,
            },
        )
    };
    let mut sources = Vec::new();
    for n in 0..files {
        let path = home.path().join("in").join(name(n));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes(n)).unwrap();
        sources.push((path, FileName::parse(&name(n)).unwrap()));
    }
    sources.push((home.path().join("in/not there"), FileName::parse("not there").unwrap()));
    sources.push((home.path().join("in"), FileName::parse("a folder").unwrap()));

    let (mut told, mut failed) = (BTreeSet::new(), Vec::new());
    let none = ReplicaCount::new(0);
    client
        .deposit_many(sources, none, CONNECTIONS, &NoProgress, &mut |_, name, done| match done {
            Ok(_) => assert!(told.insert(name.as_str().to_owned()), "told twice: {name:?}"),
            Err(error) => failed.push(error),
        })
        .await
        .unwrap();
    assert_eq!(told.len() as u64, files);
    assert!(failed.iter().all(|error| error.kind() == ErrorKind::Local), "{failed:?}");
    assert_eq!(failed.len(), 2);

    let listed = client.list().try_collect::<Vec<_>>().await.unwrap();
    let listed = listed.iter().map(|item| item.name.as_str().to_owned());
    assert!(listed.eq(told.iter().cloned()), "the list has all, in order");

    let out = home.path().join("out");
    let mut wanted = told
        .iter()
        .map(|name| (FileName::parse(name).unwrap(), out.join(name)))
        .collect::<Vec<(FileName, PathBuf)>>();
    wanted.push((FileName::parse("never was").unwrap(), out.join("never was")));
    let again = wanted.clone();
    let (mut recovered, mut failed) = (0, Vec::new());
    client
        .recover_many(wanted, Existing::Refuse, CONNECTIONS, &NoProgress, &mut |_, _, done| {
            match done {
                Ok(_) => recovered += 1,
                Err(error) => failed.push(error.kind()),
            }
        })
        .await
        .unwrap();
    assert_eq!((recovered, failed), (files, vec![ErrorKind::NotFound]));
    for n in 0..files {
        assert!(fs::read(out.join(name(n))).unwrap() == bytes(n), "{}", name(n));
        let folder = out.join(name(n));
        let beside = fs::read_dir(folder.parent().unwrap()).unwrap();
        let parts =
            beside.filter(|e| e.as_ref().unwrap().file_name().as_encoded_bytes()[0] == b'.');
        assert_eq!(parts.count(), 0, "a part is left");
    }

    // All are there already, so none is asked for.
    let (mut exist, mut other) = (0, 0);
    client
        .recover_many(again, Existing::Refuse, CONNECTIONS, &NoProgress, &mut |_, _, done| {
            match done.map_err(|error| error.kind()) {
                Err(ErrorKind::Local) => exist += 1,
                _ => other += 1,
            }
        })
        .await
        .unwrap();
    assert_eq!((exist, other), (files, 1));
}

async fn client(server: &Server) -> Client {
    let endpoint = Endpoint::parse(&server.address().to_string()).unwrap();
    Client::connect(Options { servers: vec![endpoint], ..Options::default() }, None).await.unwrap()
}
