//! A load, and what it came to: the words that the program, the server and the limit share.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

const MIB: f64 = 1024.0 * 1024.0;

/// Files from this size on are counted in MiB/s, smaller ones in files a second.
const LARGE: u64 = 1024 * 1024;

/// The longest latency that is told apart from a longer one, in microseconds: ten minutes.
const LONGEST_MICROS: u64 = 600 * 1_000_000;

/// Files of one size, deposited or recovered by some workers at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// What each worker does.
    pub(crate) work: Work,
    /// The size of each file.
    pub(crate) bytes: u64,
    /// How many connections or threads work at the same time, each on one file after the other.
    pub(crate) workers: u32,
    /// How many answers each worker lets stand out at most.
    pub(crate) pipelining: usize,
    /// How many replicas a deposit asks for.
    pub(crate) replicas: u8,
    /// When it is over.
    pub(crate) until: Until,
}

/// What a worker does, turn by turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Deposits only.
    Deposit,
    /// Recovers only, of what was deposited before.
    Recover,
    /// So many recovers, of what this worker has deposited so far, for so many deposits.
    Mix {
        /// Recovers in each round.
        recovers: u32,
        /// Deposits in each round, first.
        deposits: u32,
    },
}

/// One turn of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Another file is deposited.
    Deposit,
    /// A file is recovered.
    Recover,
}

/// When a load is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// After so much time; what is under way is finished.
    Elapsed(Duration),
    /// After so many files, shared out evenly between the workers.
    Count(u64),
}

impl Work {
    /// What the turn with this number is. A mix begins with a deposit, so there is always a file.
    pub(crate) fn turn(self, number: u64) -> Turn {
        match self {
            Work::Deposit => Turn::Deposit,
            Work::Recover => Turn::Recover,
            Work::Mix { recovers, deposits } => {
                let place = number % (u64::from(recovers) + u64::from(deposits));
                if place < u64::from(deposits) { Turn::Deposit } else { Turn::Recover }
            }
        }
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Work, String> {
        let wrong = || "deposit, recover, or a mix like 9:1 (recovers to deposits)".to_owned();
        match text {
            "deposit" => return Ok(Work::Deposit),
            "recover" => return Ok(Work::Recover),
            _ => {}
        }
        let (recovers, deposits) = text.split_once(':').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        match (number(recovers), number(deposits)) {
            (Some(recovers), Some(deposits)) => Ok(Work::Mix { recovers, deposits }),
            _ => Err(wrong()),
        }
    }
}

impl Display for Work {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Deposit => write!(out, "deposit"),
            Work::Recover => write!(out, "recover"),
            Work::Mix { recovers, deposits } => write!(out, "mix {recovers}:{deposits}"),
        }
    }
}

impl Load {
    /// The numbers of the turns that `worker` takes one after the other, from 0 on, until it is over.
    pub(crate) fn turns(self, worker: u32, start: Instant) -> impl Iterator<Item = u64> {
        let (last, deadline) = match self.until {
            Until::Elapsed(time) => (u64::MAX, Some(start + time)),
            Until::Count(files) => {
                let workers = u64::from(self.workers);
                (files / workers + u64::from(u64::from(worker) < files % workers), None)
            }
        };
        (0..last).take_while(move |_| deadline.is_none_or(|deadline| Instant::now() < deadline))
    }

    /// Whether bytes are what counts; else files are.
    pub(crate) fn large(self) -> bool {
        self.bytes >= LARGE
    }

    /// What the rate is given in.
    pub(crate) fn unit(self) -> &'static str {
        if self.large() { "MiB/s" } else { "files/s" }
    }
}

/// "1 GiB" or "4 KiB".
pub(crate) fn file_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = |(unit, _): &(u64, _)| bytes >= *unit && bytes.is_multiple_of(*unit);
    let (unit, name) = units.into_iter().find(fits).unwrap_or((1, "B"));
    format!("{} {name}", bytes / unit)
}

/// What one worker did.
pub(crate) struct Tally {
    files: u64,
    latency: Histogram<u64>,
}

impl Tally {
    /// Nothing done yet. It takes the same memory whatever is recorded.
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_MICROS, 2)
            .expect("the bounds and the digits are those that a histogram takes");
        Self { files: 0, latency }
    }

    /// One file more, begun at `start` and done now.
    pub(crate) fn file_done(&mut self, start: Instant) {
        self.files += 1;
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(LONGEST_MICROS);
        self.latency.saturating_record(micros.max(1));
    }
}

/// What all workers of a load did together.
pub(crate) struct Measured {
    /// MiB/s or files a second, as [`Load::unit`] says.
    pub(crate) rate: f64,
    /// All payload together.
    pub(crate) gib: f64,
    /// All files together.
    pub(crate) files: u64,
    /// Of each file, in microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Measured {
    /// Adds up what the workers did from `start` until now.
    pub(crate) fn since(start: Instant, load: Load, tallies: &[Tally]) -> Result<Self> {
        let seconds = start.elapsed().as_secs_f64();
        let mut whole = Tally::new();
        for tally in tallies {
            whole.files += tally.files;
            whole.latency.add(&tally.latency).context("can't add up the latencies")?;
        }
        ensure!(whole.files > 0, "no file was done; give it more time or more files");
        let mib = whole.files as f64 * load.bytes as f64 / MIB;
        let work = if load.large() { mib } else { whole.files as f64 };
        let (rate, gib) = (work / seconds, mib / 1024.0);
        Ok(Self { rate, gib, files: whole.files, latency: whole.latency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(workers: u32, until: Until) -> Load {
        let (work, replicas, pipelining) = (Work::Deposit, 0, 1);
        Load { work, bytes: 4096, workers, pipelining, replicas, until }
    }

    #[test]
    fn a_count_is_shared_out_to_the_last_file() {
        let load = small(4, Until::Count(10));
        let shares: Vec<usize> =
            (0..4).map(|worker| load.turns(worker, Instant::now()).count()).collect();
        assert_eq!(shares, [3, 3, 2, 2]);
    }

    #[test]
    fn when_the_time_is_up_no_file_is_begun() {
        let load = small(1, Until::Elapsed(Duration::ZERO));
        assert_eq!(load.turns(0, Instant::now()).count(), 0);
    }

    #[test]
    fn a_mix_begins_with_its_deposits() {
        let mix: Work = "2:1".parse().unwrap();
        let turns: Vec<Turn> = (0..4).map(|number| mix.turn(number)).collect();
        assert_eq!(turns, [Turn::Deposit, Turn::Recover, Turn::Recover, Turn::Deposit]);
        for wrong in ["", "1", "0:1", "1:0", "deposits", "1:2:3"] {
            assert!(wrong.parse::<Work>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_named_in_the_largest_unit_that_fits() {
        assert_eq!(file_size(1 << 30), "1 GiB");
        assert_eq!(file_size(64 << 20), "64 MiB");
        assert_eq!(file_size(4096), "4 KiB");
        assert_eq!(file_size(1000), "1000 B");
        assert_eq!(file_size(0), "0 B");
    }

    #[test]
    fn doing_nothing_is_no_measurement() {
        let load = small(1, Until::Count(1));
        assert!(Measured::since(Instant::now(), load, &[Tally::new()]).is_err());
    }
}
