//! One life up to its end, by a power cut or another fault, and the one after it.

use super::{
    Breach, ID, Ledger, RESUMED, Server, Site, Violation, audit, left_behind, life, resumed,
    settle, steps, work,
};
use crate::Recovered;
use crate::twins::memory_disk::MemoryDisk;

/// Small steps between checkpoints, so that the workload makes some.
fn site(seed: u64) -> Site {
    Site::new(seed).with(|settings| {
        settings.deposit.checkpoint = 64 * 1024;
        // So small that they are full again and again.
        settings.volume.pack = 16 * 1024;
        settings.catalogue.journal = 16 * 1024;
    })
}

/// Founds a depot, or comes back to one, does the workload and stops, unless the power fails
/// before. Returns what was promised until then.
///
/// # Panics
/// Where the server does not start though nothing was planned to go wrong.
pub fn first_life(disk: &MemoryDisk) -> Ledger {
    let mut ledger = Ledger::default();
    life(async {
        let Ok(server) = site(1).start(disk).await else {
            assert!(disk.is_frozen() || disk.faults_fired() > 0, "a good disk is started on");
            return;
        };
        work(&server, &steps(), &mut ledger, || disk.is_frozen()).await;
        settle().await;
        if !disk.is_frozen() && server.aborts.is_empty() {
            reads_right(&server, &ledger).await;
            server.stop().await;
        }
    });
    ledger
}

/// What can be recovered is what was deposited. Something may be out of reach just now.
async fn reads_right(server: &Server, ledger: &Ledger) {
    for name in ledger.names() {
        // A recover that is cut ends its connection.
        if let Recovered::Whole(bytes) = server.connect().await.recover(ID, &name).await {
            assert!(ledger.possible(&name).contains(&Some(bytes.into())), "{name:?} is wrong");
        }
    }
}

/// Founds a depot and stops it again.
///
/// # Panics
/// Where that does not work.
pub fn found(disk: &MemoryDisk) {
    life(async {
        site(0).start(disk).await.expect("an empty disk is founded").stop().await;
    });
}

/// Starts a server on what the power cut has left and holds it to the ledger. The upload that was
/// cut is taken up again, if it was still to come.
pub fn second_life(disk: &MemoryDisk, mut ledger: Ledger) -> Vec<Violation> {
    life(async {
        let server = match site(2).start(disk).await {
            Ok(server) => server,
            Err(error) => return vec![Violation::new(Breach::Down, format!("{error:?}"))],
        };
        settle().await; // its first sweep
        let mut violations = left_behind(disk, &ledger);
        let mut client = server.connect().await;
        violations.extend(audit(&mut client, &mut ledger).await);
        if !client.resume(ID, RESUMED, &resumed()).await.is_done() {
            violations.push(Violation::new(Breach::Refuses, "the upload that was cut"));
        }
        ledger.settle(RESUMED, Some(resumed()));
        settle().await;
        violations.extend(left_behind(disk, &ledger));
        violations.extend(
            server.aborts.reasons().into_iter().map(|why| Violation::new(Breach::Down, why)),
        );
        violations
    })
}

/// Starts a server, which may or may not come so far, on a disk whose power is about to fail.
///
/// # Panics
/// Where it does not start before that.
pub fn cut_life(disk: &MemoryDisk) {
    life(async {
        match site(3).start(disk).await {
            Ok(_server) => settle().await,
            Err(_) => assert!(disk.is_frozen(), "a server on a good disk starts"),
        }
    });
}
