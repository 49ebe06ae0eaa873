//! A load, and what it came to: the words that the program, the server and the limit share.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

use crate::cli::Size;

const MIB: f64 = 1024.0 * 1024.0;

/// The longest latency that is told apart from a longer one, in microseconds: ten minutes.
const LONGEST_MICROS: u64 = 600 * 1_000_000;

/// Files of one size, deposited or recovered by some workers at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Whether bytes or files are what counts.
    pub(crate) size: Size,
    /// The size of each file.
    pub(crate) bytes: u64,
    /// How many connections or threads work at the same time, each on one file after the other.
    pub(crate) workers: u32,
    /// When it is over.
    pub(crate) until: Until,
}

/// When a load is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// After so much time; what is under way is finished.
    Elapsed(Duration),
    /// After so many files, shared out evenly between the workers.
    Count(u64),
}

impl Load {
    /// The numbers of the files that `worker` does one after the other, from 0 on, until it is over.
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

    /// What `figures` show for this size is given in.
    pub(crate) fn unit(self) -> &'static str {
        match self.size {
            Size::Large => "MiB/s",
            Size::Small => "files/s",
        }
    }

    /// "1 GiB" or "4 KiB".
    pub(crate) fn file_size(self) -> String {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
        let (unit, name) = units
            .into_iter()
            .find(|(unit, _)| self.bytes.is_multiple_of(*unit))
            .expect("every number is a multiple of 1");
        format!("{} {name}", self.bytes / unit)
    }
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

    /// How many files that were.
    pub(crate) fn files(&self) -> u64 {
        self.files
    }
}

/// What all workers of a load did together.
pub(crate) struct Measured {
    /// MiB/s or files a second, as [`Load::unit`] says.
    pub(crate) rate: f64,
    /// All payload together.
    pub(crate) gib: f64,
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
        ensure!(whole.files > 0, "no file was done; give it more time or a larger --count");
        let mib = whole.files as f64 * load.bytes as f64 / MIB;
        let work = match load.size {
            Size::Large => mib,
            Size::Small => whole.files as f64,
        };
        Ok(Self { rate: work / seconds, gib: mib / 1024.0, latency: whole.latency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(workers: u32, until: Until) -> Load {
        Load { size: Size::Small, bytes: 4096, workers, until }
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
    fn sizes_are_named_in_the_largest_unit_that_fits() {
        let named = |bytes| Load { bytes, ..small(1, Until::Count(1)) }.file_size();
        assert_eq!(named(1 << 30), "1 GiB");
        assert_eq!(named(64 << 20), "64 MiB");
        assert_eq!(named(4096), "4 KiB");
        assert_eq!(named(1000), "1000 B");
    }

    #[test]
    fn doing_nothing_is_no_measurement() {
        let load = small(1, Until::Count(1));
        assert!(Measured::since(Instant::now(), load, &[Tally::new()]).is_err());
    }
}
