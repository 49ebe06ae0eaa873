//! The twins are tested themselves: what a simulated server's tests prove is worth as much as they
//! are.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod crashes;
mod faults;
mod other_seams;
mod simulation;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use depot_server::seams::disk::{Disk, OpenMode};
use depot_server::seams::system_disk::SystemDisk;
use depot_tests::twins::conformance;
use depot_tests::twins::memory_disk::{CrashMode, MemoryDisk, Op};
use depot_tests::twins::turmoil_disk::TurmoilDisk;

/// How many ways in which a power cut can end are tried.
const SEEDS: u64 = 300;

#[test]
fn the_real_disk_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(&SystemDisk::open(folder.path()).unwrap());
}

#[test]
fn the_memory_disk_conforms() {
    conformance::check(&MemoryDisk::new());
}

#[test]
fn the_simulated_disk_conforms() {
    let mut sim = turmoil::Builder::new().build();
    sim.client("server", async {
        conformance::check(&TurmoilDisk::open("/data/depot").unwrap());
        Ok(())
    });
    sim.run().unwrap();
}

/// Publishes a file as the server does, except for the steps left out.
fn publish(disk: &dyn Disk, bytes: &[u8], leave_out: &[Op]) -> std::io::Result<()> {
    let does = |op| !leave_out.contains(&op);
    let staged = disk.open(Path::new("tmp/staged"), OpenMode::CreateNew)?;
    staged.reserve(0, bytes.len() as u64)?;
    staged.write_all_at(bytes, 0)?;
    if does(Op::Sync) {
        staged.sync()?;
    }
    staged.close()?;
    disk.rename(Path::new("tmp/staged"), Path::new("blobs/blob"))?;
    if does(Op::SyncDir) {
        disk.sync_dir(Path::new("blobs"))?;
    }
    Ok(())
}

fn disk_with_directories() -> MemoryDisk {
    let disk = MemoryDisk::new();
    make_directories(&disk);
    disk
}

fn make_directories(disk: &dyn Disk) {
    disk.create_dir(Path::new("tmp")).unwrap();
    disk.create_dir(Path::new("blobs")).unwrap();
    disk.sync_dir(Path::new("")).unwrap();
}

/// What a blob is after a power cut, in every way that it can end: absent, or these bytes.
fn fates(disk: &MemoryDisk) -> BTreeSet<Option<Vec<u8>>> {
    CrashMode::all(SEEDS).map(|mode| disk.crash(mode).read("blobs/blob").ok()).collect()
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 + 1).collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
