//! What is measured: one load that the command line describes, or the rows of the table.

use std::time::Duration;

use crate::load::{Load, Until, Work};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Something is deposited, and maybe recovered after that; both are measured, or one of them.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// On how many servers; of servers that run already it does not say anything.
    pub(crate) servers: usize,
    /// What is done first: deposits, or a mix.
    pub(crate) first: Load,
    /// As which row it is shown, if it is.
    pub(crate) first_row: Option<RowName>,
    /// What is done with what the first part deposited, and as which row it is shown.
    pub(crate) then: Option<(Load, Through, RowName)>,
}

/// How a row is called, and what it is to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowName {
    /// The work, in a few words.
    pub(crate) work: &'static str,
    /// The floor that the project has set itself.
    pub(crate) wanted: Option<Wanted>,
}

/// What a row is to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// At least this rate, in the row's unit.
    AtLeast(f64),
    /// Less than this figure, in the row's unit.
    Below(f64),
    /// Servers that hold less than so many MiB.
    PeakBelow(f64),
}

/// Which server each client recovers from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    /// The one that took its deposits.
    TheSame,
    /// The next one.
    Another,
}

/// How large the table's measurements are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// The size of a large file.
    pub(crate) large: u64,
    /// The size of each file where 64 are deposited at once.
    pub(crate) each_of_many: u64,
    /// How long small files are deposited or recovered.
    pub(crate) small: Until,
    /// How many connections are idle at once.
    pub(crate) idle: u32,
}

impl Extent {
    /// So large that the figures mean something.
    pub(crate) fn whole(large_mib: u64, seconds: u64) -> Self {
        let small = Until::Elapsed(Duration::from_secs(seconds));
        Self { large: large_mib * MIB, each_of_many: 16 * MIB, small, idle: 2000 }
    }

    /// So small that it only shows that everything works.
    pub(crate) fn smoke() -> Self {
        Self { large: 8 * MIB, each_of_many: MIB, small: Until::Count(200), idle: 50 }
    }
}

/// The rows of the table but that of the idle connections.
pub(crate) fn table(extent: Extent) -> Vec<Scenario> {
    use Wanted::{AtLeast, PeakBelow};
    let large = |replicas| deposits(extent.large, 1, replicas, Until::Count(1));
    let small = |replicas| deposits(4 * KIB, 32, replicas, extent.small);
    let many = deposits(extent.each_of_many, 64, 0, Until::Count(64));
    let row = |work, wanted| RowName { work, wanted: Some(wanted) };
    let recovers = |load: Load| Load { work: Work::Recover, ..load };
    let again = |load: Load, wanted| {
        Some((recovers(load), Through::TheSame, row("recover", AtLeast(wanted))))
    };
    let elsewhere =
        Some((recovers(large(0)), Through::Another, row("recover elsewhere", AtLeast(600.0))));
    let scenario = |servers, first, wanted: Option<Wanted>, then| Scenario {
        servers,
        first,
        first_row: wanted.map(|wanted| row("deposit", wanted)),
        then,
    };
    vec![
        scenario(1, large(0), Some(AtLeast(600.0)), again(large(0), 1000.0)),
        scenario(3, large(2), Some(AtLeast(300.0)), None),
        scenario(3, large(0), None, elsewhere),
        scenario(1, small(0), Some(AtLeast(15_000.0)), again(small(0), 40_000.0)),
        scenario(3, small(2), Some(AtLeast(6_000.0)), again(small(2), 15_000.0)),
        scenario(1, many, Some(PeakBelow(128.0)), None),
    ]
}

/// The row of the idle connections: bytes of the server's memory for each.
pub(crate) const IDLE: RowName =
    RowName { work: "idle connections", wanted: Some(Wanted::Below(8192.0)) };

/// The one scenario of a load: what is recovered must first have been deposited, once each turn.
pub(crate) fn of(load: Load, servers: usize, through: Through, to_recover: u64) -> Scenario {
    let row = |work| RowName { work, wanted: None };
    match load.work {
        Work::Deposit => {
            Scenario { servers, first: load, first_row: Some(row("deposit")), then: None }
        }
        Work::Mix { .. } => {
            Scenario { servers, first: load, first_row: Some(row("mix")), then: None }
        }
        Work::Recover => Scenario {
            servers,
            first: Load { work: Work::Deposit, until: Until::Count(to_recover), ..load },
            first_row: None,
            then: Some((load, through, row("recover"))),
        },
    }
}

fn deposits(bytes: u64, workers: u32, replicas: u8, until: Until) -> Load {
    Load { work: Work::Deposit, bytes, workers, pipelining: 1, replicas, until }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_asks_for_copies_that_its_servers_can_make() {
        for scenario in table(Extent::smoke()) {
            assert!(usize::from(scenario.first.replicas) < scenario.servers, "{scenario:?}");
            assert!(scenario.first_row.is_some() || scenario.then.is_some(), "{scenario:?}");
        }
    }

    #[test]
    fn what_is_recovered_is_deposited_first() {
        let load = Load { work: Work::Recover, ..deposits(4096, 4, 0, Until::Count(100)) };
        let scenario = of(load, 1, Through::TheSame, 8);
        assert_eq!(scenario.first.work, Work::Deposit);
        assert_eq!(scenario.first.until, Until::Count(8));
        assert!(scenario.first_row.is_none() && scenario.then.is_some());
    }
}
