//! Many files over connections that are cut: each is told of once, and all are right.

use std::collections::BTreeMap;
use std::fs;

use depot_client::{Existing, FileName, NoProgress};
use depot_tests::Server;
use depot_tests::content::{Random, random_bytes, seed};

use crate::proxy::{Proxy, Way};
use crate::{NONE, client};

const FILES: u64 = 300;
const CUTS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn many_files_survive_cut_connections() {
    let (server, home, seed) = (Server::start(), tempfile::tempdir().unwrap(), seed());
    let mut random = Random::new(seed);
    let mut files = BTreeMap::new();
    for n in 0..FILES {
        let size = match n % 100 {
            50 => 3 << 20,
            51 => 100_000,
            _ => usize::try_from(random.below(9000)).unwrap(),
        };
        files.insert(format!("f{n:03}"), random_bytes(n, size));
    }
    let total = files.values().map(Vec::len).sum::<usize>() as u64;
    let mut cuts = || {
        let mut cuts = (0..CUTS).map(|_| random.below(total)).collect::<Vec<_>>();
        cuts.sort_unstable();
        cuts
    };

    let proxy = Proxy::start(server.address(), Way::Up, cuts());
    let up = client(proxy.address(), None).await;
    let mut sources = Vec::new();
    for (name, bytes) in &files {
        let path = home.path().join(name);
        fs::write(&path, bytes).unwrap();
        sources.push((path, FileName::parse(name).unwrap()));
    }
    let mut told = BTreeMap::new();
    up.deposit_many(sources, NONE, 3, &NoProgress, &mut |_, name, done| {
        assert!(told.insert(name.clone(), done.unwrap()).is_none(), "{name:?} is told of twice");
    })
    .await
    .unwrap();
    assert_eq!(told.len() as u64, FILES);
    assert_eq!(proxy.passed().1, 0);

    let proxy = Proxy::start(server.address(), Way::Down, cuts());
    let down = client(proxy.address(), Some(up.id())).await;
    let out = home.path().join("out");
    let wanted = told.keys().map(|name| (name.clone(), out.join(name.as_str()))).collect();
    let mut back = BTreeMap::new();
    down.recover_many(wanted, Existing::Refuse, 3, &NoProgress, &mut |name, _, done| {
        assert!(back.insert(name.clone(), done.unwrap()).is_none(), "{name:?} is told of twice");
    })
    .await
    .unwrap();
    assert_eq!(back.len() as u64, FILES);
    assert_eq!(proxy.passed().1, 0);
    for (name, bytes) in &files {
        assert!(fs::read(out.join(name)).unwrap() == *bytes, "{name}");
    }
    // No parts are left.
    assert_eq!(fs::read_dir(&out).unwrap().count() as u64, FILES);
}
