//! Copies that rot where nobody reads them: found by reading all of them again, in their time. A day
//! is an hour here.

use std::path::Path;
use std::time::Duration;

use depot_protocol::{ClientId, Digest};
use depot_server::catalogue::Namespace;
use depot_server::volume::write_file;
use depot_tests::Recovered;
use depot_tests::content::sha256;
use depot_tests::in_process::{ID, Server, Site, life, settle};
use depot_tests::twins::memory_disk::{Errno, Fault, MemoryDisk, Op};
use tokio::time::sleep;

use crate::{files_in, is_whole, refused};

/// Seven of them are a round here.
const DAY: Duration = Duration::from_secs(60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60 / 24);
/// What passes between the time up to which copies are new and their reading.
const LANES: Duration = Duration::from_secs(600);
/// As good as never.
const NEVER: Duration = Duration::from_secs(3000 * 24 * 60 * 60);

fn blob(bytes: &[u8]) -> String {
    let hash = sha256(bytes);
    format!("volume/blobs/{}/{hash}", &hash[..2])
}

/// A content that lies in one of the last shards.
fn late() -> Vec<u8> {
    let mut contents = (0_u32..).map(|n| format!("content {n}").into_bytes());
    contents.find(|bytes| sha256(bytes).starts_with("fd")).unwrap()
}

/// A server that reads all copies again within this time, and new ones after that.
fn site(seed: u64, scrub: Duration, fresh: Duration) -> Site {
    Site::new(seed).with(|settings| {
        settings.volume.scrub = scrub;
        settings.volume.scrub_fresh = fresh;
    })
}

/// Deposits this and has it rot.
async fn rots(server: &Server, disk: &MemoryDisk, bytes: &[u8]) {
    let mut client = server.connect().await;
    assert!(client.deposit(ID, "podre", bytes).await.is_done());
    settle().await;
    assert!(disk.flip(blob(bytes), 1, 0).unwrap());
}

/// The client's namespace, in the notation of a hash.
fn namespace(disk: &MemoryDisk) -> Digest {
    let marker = String::from_utf8(disk.read("volume/blobs/MARKER").unwrap()).unwrap();
    let cluster = marker.lines().find_map(|line| line.strip_prefix("cluster = \"")).unwrap();
    let byte = |at: usize| u8::from_str_radix(&cluster[2 * at..2 * at + 2], 16).unwrap();
    let namespace = Namespace::of(&std::array::from_fn(byte), &ClientId::parse(ID).unwrap());
    Digest::from_bytes(*namespace.as_bytes())
}

fn quarantined(disk: &MemoryDisk) -> usize {
    files_in(disk, "volume/quarantine").len()
}

#[test]
fn rot_is_found_within_a_round() {
    let (disk, bytes) = (MemoryDisk::new(), late());
    life(async {
        let server = site(1, 7 * DAY, NEVER).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "bom", b"stays good").await.is_done());
        rots(&server, &disk, &bytes).await;
        sleep(6 * DAY).await;
        assert_eq!(quarantined(&disk), 0, "its turn comes late in the round");
        sleep(DAY).await;
        assert_eq!(quarantined(&disk), 1);
        let mut client = server.connect().await;
        assert_eq!(refused(&mut client, "podre").await, "copia_indisponivel");
        is_whole(client.recover(ID, "bom").await, b"stays good");
    });
}

#[test]
fn every_further_round_finds_it_too() {
    let disk = MemoryDisk::new();
    life(async {
        let server = site(1, 7 * DAY, NEVER).start(&disk).await.unwrap();
        sleep(15 * DAY).await;
        rots(&server, &disk, b"deposited later").await;
        sleep(8 * DAY).await;
        assert_eq!(quarantined(&disk), 1);
    });
}

#[test]
fn a_server_that_is_started_anew_goes_on_where_it_was() {
    let (disk, bytes) = (MemoryDisk::new(), late());
    life(async {
        let server = site(1, 7 * DAY, NEVER).start(&disk).await.unwrap();
        rots(&server, &disk, &bytes).await;
        sleep(4 * DAY).await;
    });
    let disk = disk.kill();
    life(async {
        let _server = site(2, 7 * DAY, NEVER).start(&disk).await.unwrap();
        sleep(3 * DAY).await;
        assert_eq!(quarantined(&disk), 1);
    });
}

#[test]
fn a_place_that_cannot_be_read_costs_reading_again_and_no_start() {
    let disk = MemoryDisk::new();
    life(async {
        let server = site(1, 7 * DAY, NEVER).start(&disk).await.unwrap();
        rots(&server, &disk, b"bytes").await;
        sleep(HOUR).await;
    });
    let disk = disk.kill();
    disk.flip("SCRUB", 0, 0).unwrap();
    life(async {
        let _server = site(2, 7 * DAY, NEVER).start(&disk).await.unwrap();
        sleep(7 * DAY).await;
        assert_eq!(quarantined(&disk), 1);
    });
}

#[test]
fn a_new_copy_is_read_again_within_a_day() {
    let disk = MemoryDisk::new();
    life(async {
        let server = site(1, NEVER, DAY / 2).start(&disk).await.unwrap();
        for round in 1..=3 {
            let bytes = [&late()[..], &[round]].concat();
            rots(&server, &disk, &bytes).await;
            sleep(HOUR).await;
            assert_eq!(quarantined(&disk), usize::from(round) - 1);
            sleep(DAY + LANES).await;
            assert_eq!(quarantined(&disk), usize::from(round));
        }
    });
}

#[test]
fn new_copies_are_read_on_from_where_that_was() {
    let disk = MemoryDisk::new();
    life(async {
        let server = site(1, NEVER, DAY).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "a", b"before").await.is_done());
        assert!(client.deposit(ID, "z", b"behind").await.is_done());
        settle().await;
        sleep(DAY / 2).await; // the file is there
    });
    let disk = disk.kill();
    for bytes in [&b"before"[..], b"behind"] {
        assert!(disk.flip(blob(bytes), 1, 0).unwrap());
    }
    let written = String::from_utf8(disk.read("SCRUB").unwrap()).unwrap();
    let begun = format!(
        "{}\n[new]\nbegan = 3600\nmark = 9\n[new.after]\nnamespace = \"{}\"\nname = \"m\"\n",
        written.replace("fresh = ", "fresh = 0 # "),
        namespace(&disk)
    );
    write_file(&disk, Path::new("SCRUB"), begun.as_bytes()).unwrap();
    life(async {
        let _server = site(2, NEVER, DAY).start(&disk).await.unwrap();
        sleep(DAY).await;
        assert_eq!(quarantined(&disk), 1);
        assert!(disk.read(blob(b"before")).is_ok(), "it was read already");
        let written = String::from_utf8(disk.read("SCRUB").unwrap()).unwrap();
        assert!(written.contains("mark = 9") && !written.contains("[new]"), "{written}");
    });
}

#[test]
fn a_copy_that_was_read_as_new_is_left_to_its_round() {
    let (disk, bytes) = (MemoryDisk::new(), late());
    life(async {
        let server = site(1, NEVER, DAY / 2).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "a", &bytes).await.is_done());
        sleep(DAY + LANES).await;
        assert!(disk.flip(blob(&bytes), 1, 0).unwrap());
        sleep(3 * DAY).await;
        assert_eq!(quarantined(&disk), 0);
    });
}

#[test]
fn a_disk_that_is_short_of_descriptors_condemns_nothing() {
    let disk = MemoryDisk::new();
    life(async {
        let server = site(1, DAY, DAY / 2).start(&disk).await.unwrap();
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "a", b"bytes").await.is_done());
        settle().await;
        disk.inject(Fault::at(1, Errno::EMFILE).of(Op::Open).under("volume/blobs").for_ever());
        sleep(3 * DAY).await;
        assert_eq!(quarantined(&disk), 0);
        disk.clear_faults();
        let mut client = server.connect().await;
        is_whole(client.recover(ID, "a").await, b"bytes");
    });
}

#[test]
fn a_bad_copy_that_cannot_be_put_aside_makes_the_volume_suspect_until_it_can() {
    let disk = MemoryDisk::new();
    life(async {
        let server = site(1, NEVER, NEVER).start(&disk).await.unwrap();
        rots(&server, &disk, b"bytes").await;
        disk.inject(Fault::at(1, Errno::EROFS).of(Op::Rename).under("volume/blobs").for_ever());
        let mut client = server.connect().await;
        assert_eq!(refused(&mut client, "podre").await, "copia_indisponivel");
        settle().await;
        let answer = client.deposit(ID, "novo", b"not now").await;
        assert_eq!(answer.error(), Some("servidor_indisponivel"));
        assert_eq!(refused(&mut client, "podre").await, "copia_indisponivel");
        disk.clear_faults();
        sleep(2 * Duration::from_secs(601)).await;
        assert_eq!(quarantined(&disk), 1);
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "novo", b"now").await.is_done());
    });
}

/// Deposits so many files; their bytes.
async fn deposits(server: &Server, files: usize) -> Vec<Vec<u8>> {
    let mut client = server.connect().await;
    let mut all = Vec::new();
    for n in 0..files {
        let bytes = format!("bytes of {n}").into_bytes();
        assert!(client.deposit(ID, &n.to_string(), &bytes).await.is_done());
        all.push(bytes);
    }
    settle().await;
    all
}

async fn is_read_only(server: &Server) -> bool {
    let answer = server.connect().await.deposit(ID, "novo", b"new").await;
    answer.error() == Some("servidor_indisponivel")
}

#[test]
fn a_disk_that_gives_nothing_is_suspect_and_keeps_its_copies() {
    let disk = MemoryDisk::new();
    life(async {
        let server = site(1, NEVER, NEVER).start(&disk).await.unwrap();
        let files = deposits(&server, 60).await;
        disk.inject(Fault::at(1, Errno::EIO).of(Op::Read).under("volume/blobs").for_ever());
        for n in 0..files.len() {
            let mut client = server.connect().await;
            assert_eq!(refused(&mut client, &n.to_string()).await, "copia_indisponivel");
        }
        settle().await;
        let aside = quarantined(&disk);
        assert!((1..16).contains(&aside), "{aside} copies were taken away");
        assert!(is_read_only(&server).await);
        sleep(5 * Duration::from_secs(601)).await;
        assert_eq!(quarantined(&disk), aside, "nor does the scrub take them");
        assert!(is_read_only(&server).await);
        disk.clear_faults();
        sleep(2 * Duration::from_secs(601)).await;
        assert!(!is_read_only(&server).await);
        let mut whole = 0;
        for (n, bytes) in files.iter().enumerate() {
            let mut client = server.connect().await;
            match client.recover(ID, &n.to_string()).await {
                Recovered::Whole(read) => whole += usize::from(read == *bytes),
                other => assert!(matches!(other, Recovered::Refused(_)), "{other:?}"),
            }
        }
        assert_eq!(whole, files.len() - aside);
    });
}

#[test]
fn bad_spots_under_many_copies_are_set_aside_by_the_scrub_when_most_others_are_good() {
    let disk = MemoryDisk::new();
    life(async {
        let server = site(1, NEVER, NEVER).start(&disk).await.unwrap();
        let files = deposits(&server, 100).await;
        for bytes in &files[..20] {
            disk.inject(Fault::at(1, Errno::EIO).of(Op::Read).under(blob(bytes)).for_ever());
        }
        for n in 0..20 {
            let mut client = server.connect().await;
            assert_eq!(refused(&mut client, &n.to_string()).await, "copia_indisponivel");
        }
        assert!(is_read_only(&server).await);
        sleep(2 * Duration::from_secs(601)).await;
        assert_eq!(quarantined(&disk), 20);
        assert!(!is_read_only(&server).await);
        for (n, bytes) in files.iter().enumerate().skip(20) {
            let mut client = server.connect().await;
            is_whole(client.recover(ID, &n.to_string()).await, bytes);
        }
    });
}
