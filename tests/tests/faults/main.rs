//! Disks that are full, fail and rot under a running server: one test per row of the list of
//! hostile inputs, and a sweep that lets the nth operation of every kind fail.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod catalogue;
mod full;
mod nth;
mod payload;
mod reading;
mod scrub;

use std::path::PathBuf;

use depot_tests::Recovered;
use depot_tests::in_process::{Client, ID};
use depot_tests::twins::memory_disk::MemoryDisk;
use tokio::io::DuplexStream;

/// What lies in a folder of the data folder, and beneath.
fn files_in(disk: &MemoryDisk, folder: &str) -> Vec<PathBuf> {
    disk.files().into_keys().filter(|path| path.starts_with(folder)).collect()
}

/// Recovers a file and expects these bytes.
#[track_caller]
fn is_whole(found: Recovered, bytes: &[u8]) {
    assert_eq!(found, Recovered::Whole(bytes.to_vec()));
}

/// Recovers a file and expects this refusal.
async fn refused(client: &mut Client<DuplexStream>, name: &str) -> String {
    match client.recover(ID, name).await {
        Recovered::Refused(line) => depot_tests::answer::field(&line, "erro").to_owned(),
        other => panic!("{name:?}: a refusal, not {other:?}"),
    }
}
