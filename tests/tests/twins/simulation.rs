//! The twins in simulated hosts.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use depot_server::seams::disk::{Disk, OpenMode};
use depot_server::seams::{Clock, Network};
use depot_tests::twins::clock::TokioClock;
use depot_tests::twins::memory_disk::{CrashMode, Op};
use depot_tests::twins::turmoil_disk::TurmoilDisk;
use depot_tests::twins::turmoil_network::TurmoilNetwork;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{address, disk_with_directories, make_directories, publish};

#[test]
fn simulated_hosts_talk_on_simulated_time() {
    let mut sim = turmoil::Builder::new().build();
    sim.host("server", || async {
        let mut listener = TurmoilNetwork.bind(address("127.0.0.1:7070")).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(b"hello").await?;
        }
    });
    sim.client("client", async {
        let clock = TokioClock::start();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(clock.uptime().as_secs(), 5);
        let mut stream = turmoil::net::TcpStream::connect("server:7070").await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        assert_eq!(said, "hello");
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_simulated_crash_loses_what_was_not_synced() {
    for (leave_out, survives) in [(vec![], true), (vec![Op::SyncDir], false)] {
        let mut sim = turmoil::Builder::new().build();
        let lives = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lives);
        sim.host("server", move || {
            let (log, leave_out) = (Arc::clone(&log), leave_out.clone());
            async move {
                let disk = TurmoilDisk::open("/data")?;
                let blob = disk.open(Path::new("blobs/blob"), OpenMode::Read);
                log.lock().unwrap().push(blob.is_ok());
                if log.lock().unwrap().len() == 1 {
                    make_directories(&disk);
                    publish(&disk, b"bytes", &leave_out)?;
                }
                std::future::pending().await
            }
        });
        sim.step().unwrap();
        sim.crash("server");
        sim.bounce("server");
        sim.step().unwrap();
        assert_eq!(*lives.lock().unwrap(), [false, survives]);
    }
}

#[test]
fn a_rename_survives_a_crash_whoever_else_syncs_the_directory_that_it_left() {
    let mut sim = turmoil::Builder::new().build();
    let found = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&found);
    sim.host("server", move || {
        let log = Arc::clone(&log);
        async move {
            let disk = TurmoilDisk::open("/data")?;
            if disk.list(Path::new(""))?.is_empty() {
                make_directories(&disk);
                for name in ["one", "two"] {
                    let staged = Path::new("tmp").join(name);
                    disk.open(&staged, OpenMode::CreateNew)?.sync()?;
                    disk.rename(&staged, &Path::new("blobs").join(name))?;
                    disk.sync_dir(Path::new("tmp"))?;
                }
                disk.sync_dir(Path::new("blobs"))?;
            } else {
                let names = disk.list(Path::new("blobs"))?.into_iter().map(|entry| entry.name);
                log.lock().unwrap().extend(names);
            }
            std::future::pending().await
        }
    });
    sim.step().unwrap();
    sim.crash("server");
    sim.bounce("server");
    sim.step().unwrap();
    let mut found = found.lock().unwrap().clone();
    found.sort();
    assert_eq!(found, ["one", "two"]);
}

#[test]
fn outside_of_a_host_a_simulated_file_fails_and_drops_without_a_panic() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let mut sim = turmoil::Builder::new().build();
    sim.client("server", async move {
        let disk = TurmoilDisk::open("/data")?;
        let file = disk.open(Path::new("file"), OpenMode::CreateNew)?;
        *keep.lock().unwrap() = Some((disk, file));
        Ok(())
    });
    sim.run().unwrap();
    let (disk, file) = kept.lock().unwrap().take().unwrap();
    file.size().unwrap_err();
    disk.sync_dir(Path::new("")).unwrap_err();
    drop(file);
    drop(sim);
}

#[test]
fn the_memory_disk_serves_a_simulated_host_too() {
    let current = Arc::new(Mutex::new(disk_with_directories()));
    let disks = Arc::clone(&current);
    let mut sim = turmoil::Builder::new().build();
    sim.host("server", move || {
        let disk = disks.lock().unwrap().clone();
        async move {
            if disk.read("blobs/blob").is_err() {
                publish(&disk, b"bytes", &[])?;
            }
            std::future::pending().await
        }
    });
    sim.step().unwrap();
    sim.crash("server");
    let crashed = current.lock().unwrap().crash(CrashMode::Random(7));
    *current.lock().unwrap() = crashed;
    sim.bounce("server");
    sim.step().unwrap();
    assert_eq!(current.lock().unwrap().read("blobs/blob").unwrap(), b"bytes");
    assert_eq!(current.lock().unwrap().mutations(), 0, "the second life had nothing to publish");
}
