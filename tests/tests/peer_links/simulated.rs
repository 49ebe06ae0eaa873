//! The same in a simulated network, which can be cut in every way.

use std::net::SocketAddr;
use std::sync::Arc;

use depot_tests::twins::turmoil_network::TurmoilNetwork;
use tokio::time::Instant;

use crate::site::{SECOND, Site, name};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The site as one of its hosts sees it.
fn site() -> Site {
    let at = NAMES.iter().map(|name| SocketAddr::new(turmoil::lookup(*name), 7101));
    Site::over(Arc::new(TurmoilNetwork), &NAMES, at)
}

#[test]
fn a_cut_one_way_is_a_cut_and_passes_when_it_is_mended() {
    let mut sim = turmoil::Builder::new().simulation_duration(300 * SECOND).build();
    for me in ["b", "c"] {
        sim.host(me, move || async move {
            let _server = site().server(me).run().await;
            std::future::pending().await
        });
    }
    sim.client("a", async {
        let a = site().server("a").run().await;
        for cut in [
            (|| turmoil::partition("a", "b")) as fn(),
            || turmoil::partition_oneway("a", "b"),
            || turmoil::partition_oneway("b", "a"),
        ] {
            a.until_up("b").await;
            a.until_up("c").await;
            assert_eq!(a.ask("b", b"hello").await.unwrap(), "a: hello");
            cut();
            let begun = Instant::now();
            a.until(|links| !links.is_up(&name("b"))).await;
            assert!(begun.elapsed() <= 3 * SECOND + SECOND / 10, "{:?}", begun.elapsed());
            let asked = a.ask("b", b"hello").await;
            assert!(asked.is_err());
            tokio::time::sleep(20 * SECOND).await;
            assert!(a.links.is_up(&name("c")) && !a.links.is_up(&name("b")));
            turmoil::repair("a", "b");
        }
        a.until_up("b").await;
        assert_eq!(a.ask("b", b"hello").await.unwrap(), "a: hello");
        Ok(())
    });
    sim.run().unwrap();
}
