//! What a deposit costs below the network, on the disk that the temporary folder lies on: its payload
//! in the volume, its record in the catalogue.

#![allow(clippy::disallowed_methods)] // it measures real time, and has no simulation to run in

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use depot_protocol::{ClientId, Digest, FileName, FileSize, ReplicaCount, ServerName, UtcSeconds};
use depot_server::catalogue::command::Put;
use depot_server::catalogue::{
    Catalogue, Command, Founding, Identity, Incarnation, Namespace, OperationId, RaftCatalogue,
    Receipt, Store, StoreSettings, SweepNumber, Version,
};
use depot_server::config::VolumeSettings;
use depot_server::seams::system_disk::SystemDisk;
use depot_server::seams::{Disk, Seams};
use depot_server::volume::{Seal, Volume};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

fn folder() -> (TempDir, SystemDisk) {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = SystemDisk::open(folder.path()).expect("a disk");
    (folder, disk)
}

/// Staged, hashed, written, synced; a small one into a pack, a large one named and its folder synced.
fn volume(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads");
    let _entered = runtime.enter(); // the index of packs is written by a job
    let (_folder, disk) = folder();
    Volume::found(&disk).expect("a volume");
    let volume = Volume::open(Arc::new(disk), &Seams::system(), VolumeSettings::default());
    let volume = Arc::new(volume.expect("a volume"));
    let mut group = criterion.benchmark_group("volume");
    let mut number = 0_u64;
    for (name, size) in [("deposit of 4 KiB", 4 << 10), ("deposit of 1 MiB", 1 << 20)] {
        let mut payload = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                number += 1;
                payload[..8].copy_from_slice(&number.to_le_bytes());
                let digest = Digest::from_bytes(Sha256::digest(&payload).into());
                let mut staging = volume.stage(size as u64).expect("room");
                staging.append(&payload).expect("it is written");
                assert!(matches!(staging.seal(&digest), Ok(Seal::Done(_))));
            });
        });
    }
    group.finish();
}

/// A depot of one's catalogue in a folder of its own.
struct Running {
    runtime: Runtime,
    catalogue: Arc<RaftCatalogue>,
    stop: CancellationToken,
    tasks: TaskTracker,
    number: u64,
    _folder: TempDir,
}

impl Running {
    fn start() -> Self {
        let (folder, disk) = folder();
        disk.create_dir("catalogue".as_ref()).expect("a folder");
        let server = ServerName::parse("alone").expect("a name");
        let identity = Identity { cluster: [1; 16], server, incarnation: Incarnation(1) };
        Store::found(&disk, Founding::alone(identity)).expect("a catalogue");
        let settings = StoreSettings { cache: 16 << 20, check_on_open: 0, journal: 64 << 10 };
        let store = Store::open(&disk, &settings, false).expect("a catalogue");
        let (runtime, tasks) = (Runtime::new().expect("a runtime"), TaskTracker::new());
        let stop = CancellationToken::new();
        let seams = Seams::system();
        let start = RaftCatalogue::start(store, None, &seams, &tasks, stop.clone());
        let (catalogue, mut events) = runtime.block_on(start).expect("it starts");
        // Nobody listens to them here, and they must not fill their queue.
        runtime.spawn(async move { while events.recv().await.is_some() {} });
        Running { runtime, catalogue, stop, tasks, number: 0, _folder: folder }
    }

    /// The next file's record.
    fn put(&mut self) -> Command {
        self.number += 1;
        let server = ServerName::parse("alone").expect("a name");
        let content = Sha256::digest(self.number.to_le_bytes());
        Command::Put(Put {
            namespace: Namespace::of(&[1; 16], &ClientId::from_random([2; 16])),
            name: FileName::parse(&format!("file-{}", self.number)).expect("a name"),
            read: Version(0),
            seen: u64::MAX,
            digest: Digest::from_bytes(content.into()),
            size: FileSize::new(4096).expect("a size"),
            replicas: ReplicaCount::new(0),
            deposited: UtcSeconds::new(1_000),
            receipts: vec![Receipt { server, incarnation: Incarnation(1), sweep: SweepNumber(0) }],
            wanted: Vec::new(),
            operation: OperationId(u128::from(self.number).to_be_bytes()),
        })
    }

    /// So many records at the same time.
    fn propose(&mut self, commands: usize) {
        let mut proposed = JoinSet::new();
        for _ in 0..commands {
            let (catalogue, command) = (Arc::clone(&self.catalogue), self.put());
            let propose = async move { catalogue.propose(command).await };
            proposed.spawn_on(propose, self.runtime.handle());
        }
        for outcome in self.runtime.block_on(proposed.join_all()) {
            outcome.expect("it is in the catalogue");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.close();
        self.runtime.block_on(self.tasks.wait());
    }
}

/// Proposed, in the log and synced, applied.
fn catalogue(criterion: &mut Criterion) {
    let mut running = Running::start();
    let mut group = criterion.benchmark_group("catalogue");
    for (name, commands) in [("a lone command", 1), ("32 at the same time", 32)] {
        group.throughput(Throughput::Elements(commands as u64));
        group.bench_function(name, |bencher| bencher.iter(|| running.propose(commands)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = volume, catalogue
}
criterion_main!(benches);
