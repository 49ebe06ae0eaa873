//! Five servers in three zones: copies are spread over zones while these last.

use std::collections::BTreeSet;

use depot_tests::Cluster;

use crate::client::File;

const ZONES: [&str; 5] = ["north", "north", "south", "south", "west"];

#[test]
fn no_two_copies_stand_in_one_zone_while_that_is_possible() {
    let cluster = Cluster::of(5).zones(&ZONES).start();
    for replicas in [1, 2, 4] {
        let deposited = (0..10).map(|number| {
            let (server, file) = (number % 5, File::new(&format!("{number}.bin"), 20_000));
            file.deposit(&cluster, server, replicas);
            (server, file)
        });
        for (server, file) in deposited.collect::<Vec<_>>() {
            cluster.wait_copies(server, &file.id, &file.name, replicas);
            let holding = cluster.holding(&file.hash());
            assert_eq!(holding.len(), replicas + 1, "{holding:?}");
            let zones = holding.iter().map(|&server| ZONES[server]).collect::<BTreeSet<_>>();
            assert_eq!(zones.len(), (replicas + 1).min(3), "{holding:?} are in {zones:?}");
            file.is_at(&cluster, (server + 1) % 5);
        }
    }
}

#[test]
fn a_zone_that_is_gone_is_done_without() {
    let mut cluster = Cluster::of(5).zones(&ZONES).start();
    cluster.kill9(4);
    cluster.ready();
    let file = File::new("a.bin", 100_000);
    file.deposit_whole(&cluster, 0, 2);
    let holding = cluster.holding(&file.hash());
    assert_eq!(holding.len(), 3, "{holding:?}");
    let zones = holding.iter().map(|&server| ZONES[server]).collect::<BTreeSet<_>>();
    assert_eq!(zones.len(), 2, "{holding:?} are in {zones:?}");
}
