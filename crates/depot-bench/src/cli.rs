//! The command line: what is asked for, and what follows from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::content::SMALLEST;
use crate::load::{Load, Until};

const ABOUT: &str = "Measures a depot server over real sockets, beside what this machine can do";

const LONG_ABOUT: &str = "\
Measures a depot server over real sockets, beside what this machine can do.

Two loads, each deposited and then recovered: large files (1 GiB, one worker) and small ones
(4 KiB, 32 workers). In every run the machine's limit is measured first, with the same sizes and
as many workers in one plain program, so that each figure stands beside its limit as a ratio.
Only ratios taken in one run count: disks and shared machines change from hour to hour.

Unless told to drive a running server, it starts a real `depot-server` of its own on a free port
with an empty data folder, and stops and removes both at the end.";

const AFTER_HELP: &str = "\
What the columns say:
  median      of the runs: MiB/s for large files, files a second for small ones
  limit       the median of what the plain program did with the same work
  ratio       the median of the runs' own ratios, each to the limit of the same run
  p50, p99    latency of one file in milliseconds, over all runs (small files)
  CPU s/GiB   of the server, user and system, for each GiB of payload
  RSS MiB     the most memory that the server held during this work

Limits:
  deposit, large   receive over loopback + SHA-256 + write + fdatasync; the sender doesn't hash
  deposit, small   new file + write + fsync + rename + fsync of the folder, a thread for each worker
  recover          ask and receive over loopback from memory + SHA-256

Before you believe a figure:
  * look at every run: the first may find a cold page cache, which costs ten times the CPU
  * build with --release; a debug build says so in its output
  * --data on the disk that you mean: on tmpfs a sync costs nothing, and this is said too
  * nothing is removed between runs (creating files after a mass delete is slow for a minute): this
    needs room for runs x 2 x the large size, and some GiB for the small files: by default 10 GiB
  * what is recovered has just been deposited: it comes from the page cache

Examples:
  cargo run --release -p depot-bench                        everything, about 90 s
  depot-bench --only small --workers 1 --seconds 10         one client that waits for each answer
  depot-bench --large-mib 16 --large-workers 64             64 deposits at once: look at RSS
  depot-bench --address 127.0.0.1:5000 --json figures.json  a server that is running
  depot-bench --smoke                                       a few seconds: does everything work?";

/// Measures a depot server over real sockets.
#[derive(Parser, Debug, Clone)]
#[command(version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Drive this running server, instead of one of our own
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "server_binary")]
    pub(crate) address: Option<String>,

    /// The server to start [default: depot-server beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) server_binary: Option<PathBuf>,

    /// Folder on the disk to measure; a temporary one is made in it [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Only the large or only the small files
    #[arg(long, value_name = "SIZE")]
    pub(crate) only: Option<Size>,

    /// Size of a large file in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(1..=1024 * 1024))]
    pub(crate) large_mib: u64,

    /// Connections that deposit or recover a large file at the same time
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) large_workers: u32,

    /// Size of a small file in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4096,
          value_parser = clap::value_parser!(u64).range(SMALLEST..=1024 * 1024))]
    pub(crate) small_bytes: u64,

    /// Connections that deposit or recover small files at the same time
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) workers: u32,

    /// Seconds that each measurement of small files takes
    #[arg(long, value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,

    /// Small files in each measurement, instead of a time
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) count: Option<u64>,

    /// How often everything is measured; medians are shown
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,

    /// Also write the figures of every run to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Everything once and tiny, in less than 5 s: shows that it works, not how fast
    #[arg(long, conflicts_with_all = ["large_mib", "large_workers", "small_bytes", "workers",
          "seconds", "count", "runs"])]
    pub(crate) smoke: bool,
}

/// The two sizes of file.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// A few large files, where the bytes are the work.
    Large,
    /// Many small ones, where the syncs and the round trips are.
    Small,
}

impl Args {
    /// What is to be done, in order.
    pub(crate) fn loads(&self) -> Vec<Load> {
        let mib = 1024 * 1024;
        let (large, small) = if self.smoke {
            (
                Load { size: Size::Large, bytes: 8 * mib, workers: 1, until: Until::Count(1) },
                Load { size: Size::Small, bytes: 4096, workers: 4, until: Until::Count(100) },
            )
        } else {
            let time = Until::Elapsed(Duration::from_secs(self.seconds));
            let workers = self.large_workers;
            let each_one = Until::Count(u64::from(workers));
            (
                Load { size: Size::Large, bytes: self.large_mib * mib, workers, until: each_one },
                Load {
                    size: Size::Small,
                    bytes: self.small_bytes,
                    workers: self.workers,
                    until: self.count.map_or(time, Until::Count),
                },
            )
        };
        match self.only {
            None => vec![large, small],
            Some(Size::Large) => vec![large],
            Some(Size::Small) => vec![small],
        }
    }

    /// How often everything is measured.
    pub(crate) fn runs(&self) -> u32 {
        if self.smoke { 1 } else { self.runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn by_default_both_loads_are_measured_three_times() {
        let args = Args::parse_from(["depot-bench"]);
        assert_eq!(args.runs(), 3);
        let [large, small] = args.loads()[..] else { panic!("two loads") };
        assert_eq!((large.bytes, large.workers), (1 << 30, 1));
        assert_eq!((small.bytes, small.workers), (4096, 32));
    }

    #[test]
    fn a_count_takes_the_place_of_the_seconds() {
        let args = Args::parse_from(["depot-bench", "--only", "small", "--count", "64"]);
        assert_eq!(args.loads()[0].until, Until::Count(64));
        assert!(Args::try_parse_from(["depot-bench", "--count", "1", "--seconds", "1"]).is_err());
    }

    #[test]
    fn smoke_takes_no_sizes() {
        assert_eq!(Args::parse_from(["depot-bench", "--smoke"]).runs(), 1);
        assert!(Args::try_parse_from(["depot-bench", "--smoke", "--runs", "2"]).is_err());
    }
}
