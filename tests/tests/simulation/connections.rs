//! How many connections one address may have. On loopback they are not counted, so no real socket
//! of a test could show it.

use depot_tests::headers::stat;
use depot_tests::in_process::{Client, Heard, ID, Server, Site, life, settle};
use depot_tests::twins::memory_disk::MemoryDisk;
use tokio::io::DuplexStream;

async fn server() -> Server {
    let site = Site::new(1).with(|settings| settings.limits.connections_per_address = 3);
    site.start(&MemoryDisk::new()).await.unwrap()
}

async fn is_served(client: &mut Client<DuplexStream>) -> bool {
    client.ask(stat(ID, "nada")).await.error() == Some("arquivo_inexistente")
}

#[test]
fn the_connection_over_the_limit_of_its_address_is_told_and_closed() {
    life(async {
        let server = server().await;
        let mut guests = Vec::new();
        for port in 1..=3 {
            let mut guest = server.connect_from(&format!("192.0.2.1:{port}")).await;
            assert!(is_served(&mut guest).await);
            guests.push(guest);
        }
        let mut fourth = server.connect_from("192.0.2.1:4").await;
        assert_eq!(fourth.hear().await.error(), Some("limite_excedido"));
        assert_eq!(fourth.hear().await, Heard::Closed);
        assert!(is_served(&mut server.connect_from("192.0.2.2:1").await).await, "another address");
        assert!(is_served(&mut server.connect_from("[2001:db8::1]:1").await).await);

        guests.pop();
        settle().await;
        assert!(is_served(&mut server.connect_from("192.0.2.1:5").await).await, "a place is free");
        assert!(is_served(&mut guests[0]).await, "the others go on");
    });
}

#[test]
fn connections_from_this_machine_are_not_counted() {
    life(async {
        let server = server().await;
        let mut guests = Vec::new();
        for port in 1..=10 {
            let mut guest = server.connect_from(&format!("127.0.0.1:{port}")).await;
            assert!(is_served(&mut guest).await);
            guests.push(guest);
        }
    });
}
