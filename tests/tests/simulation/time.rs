//! Every time limit at its real value, in time that leaps.

use std::time::Duration;

use depot_tests::answer::{field, number};
use depot_tests::content::random_bytes;
use depot_tests::headers::Deposit;
use depot_tests::in_process::{Client, Heard, ID, Server, Site, life, settle};
use depot_tests::twins::memory_disk::MemoryDisk;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

async fn server(disk: &MemoryDisk) -> Server {
    Site::new(disk.operations().len() as u64).start(disk).await.unwrap()
}

/// What comes, and after how many seconds.
async fn hears_after(client: &mut Client<DuplexStream>) -> (Heard, u64) {
    let start = Instant::now();
    let heard = client.hear().await;
    (heard, start.elapsed().as_secs())
}

#[test]
fn a_connection_on_which_nothing_is_asked_for_60_s_is_closed_without_a_word() {
    life(async {
        let server = server(&MemoryDisk::new()).await;
        let mut client = server.connect().await;
        assert_eq!(hears_after(&mut client).await, (Heard::Closed, 60));
        let mut client = server.connect().await;
        sleep(Duration::from_secs(59)).await;
        assert!(client.deposit(ID, "a", b"in time").await.is_done());
        assert_eq!(hears_after(&mut client).await, (Heard::Closed, 60), "counted anew");
    });
}

#[test]
fn a_header_ends_within_10_s_of_its_first_byte_however_it_drips() {
    life(async {
        let server = server(&MemoryDisk::new()).await;
        let mut client = server.connect().await;
        let start = Instant::now();
        for letter in ["i", "d", "_"] {
            client.send(letter).await;
            sleep(Duration::from_secs(3)).await;
        }
        assert_eq!(client.hear().await.error(), Some("tempo_esgotado"));
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(client.hear().await, Heard::Closed);
    });
}

#[test]
fn a_payload_that_stands_still_for_30_s_is_cut_and_kept_as_a_part() {
    let (disk, bytes) = (MemoryDisk::new(), random_bytes(1, 100_000));
    life(async {
        let server = server(&disk).await;
        let mut client = server.connect().await;
        client.send_line(Deposit::of(ID, "a", &bytes).header()).await;
        client.send(&bytes[..40_000]).await;
        let (heard, after) = hears_after(&mut client).await;
        assert_eq!((heard.error(), after), (Some("tempo_esgotado"), 30));
        assert_eq!(client.hear().await, Heard::Closed);
        let mut client = server.connect().await;
        assert_eq!(held(&mut client, &bytes).await, 40_000);
        assert!(client.resume(ID, "a", &bytes).await.is_done());
    });
}

#[test]
fn a_payload_that_brings_1_kib_in_every_30_s_is_slow_and_no_more() {
    let (disk, bytes) = (MemoryDisk::new(), random_bytes(1, 20 * 1024));
    life(async {
        let server = server(&disk).await;
        let mut client = server.connect().await;
        client.send_line(Deposit::of(ID, "a", &bytes).header()).await;
        for piece in bytes.chunks(1024) {
            sleep(Duration::from_secs(29)).await;
            client.send(piece).await;
        }
        assert!(client.hear().await.is_done());
    });
}

/// How much of the upload of `bytes` is held.
async fn held(client: &mut Client<DuplexStream>, bytes: &[u8]) -> usize {
    number(&client.ask(Deposit::of(ID, "a", bytes).prepare()).await.line(), "deslocamento")
}

async fn leaves_a_part(server: &Server, bytes: &[u8]) {
    let mut client = server.connect().await;
    client.send_line(Deposit::of(ID, "a", bytes).header()).await;
    client.send(&bytes[..40_000]).await;
    client.end().await;
    assert_eq!(field(&client.hear().await.line(), "erro"), "mensagem_incompleta");
}

fn files_in(disk: &MemoryDisk, folder: &str) -> usize {
    disk.files().into_keys().filter(|path| path.starts_with(folder)).count()
}

#[test]
fn a_part_is_kept_for_24_h() {
    let (disk, bytes) = (MemoryDisk::new(), random_bytes(1, 100_000));
    life(async {
        let server = server(&disk).await;
        leaves_a_part(&server, &bytes).await;
        sleep(24 * HOUR - MINUTE).await;
        assert_eq!(held(&mut server.connect().await, &bytes).await, 40_000);
        sleep(2 * MINUTE).await;
        assert_eq!(held(&mut server.connect().await, &bytes).await, 0);
        assert_eq!(files_in(&disk, "volume/staging"), 0);
    });
}

#[test]
fn the_24_h_of_a_part_are_the_servers_running_time() {
    let (disk, bytes) = (MemoryDisk::new(), random_bytes(1, 100_000));
    life(async {
        let server = server(&disk).await;
        leaves_a_part(&server, &bytes).await;
        sleep(12 * HOUR).await;
    });
    let disk = disk.kill(); // and for how long it is down does not matter
    life(async {
        let server = server(&disk).await;
        sleep(12 * HOUR - 2 * MINUTE).await;
        assert_eq!(held(&mut server.connect().await, &bytes).await, 40_000);
        // The minute that was not saved is run again.
        sleep(5 * MINUTE).await;
        assert_eq!(held(&mut server.connect().await, &bytes).await, 0);
        assert_eq!(files_in(&disk, "volume/staging"), 0);
    });
}

#[test]
fn what_was_removed_leaves_the_trash_after_24_h() {
    let disk = MemoryDisk::new();
    life(async {
        let server = server(&disk).await;
        let mut client = server.connect().await;
        assert!(client.deposit(ID, "a", b"bytes").await.is_done());
        assert!(client.remove(ID, "a").await.is_done());
        settle().await;
        assert_eq!(files_in(&disk, "volume/trash"), 1);
        sleep(24 * HOUR - MINUTE).await;
        assert_eq!(files_in(&disk, "volume/trash"), 1);
        sleep(2 * MINUTE).await;
        assert_eq!(files_in(&disk, "volume/trash"), 0);
    });
}
