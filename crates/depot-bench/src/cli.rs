//! The command line: what is asked for, and what follows from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use depot_protocol::PIPELINE_MAX;

use crate::content::SMALLEST;
use crate::load::{Load, Until, Work};
use crate::scenario::{self, Extent, Scenario, Through};

const ABOUT: &str = "Measures depot servers over real sockets, beside what this machine can do";

const LONG_ABOUT: &str = "\
Measures depot servers over real sockets, beside what this machine can do.

`run` measures one load, `table` the loads that the project has set itself floors for, `entries` whether
the size of a catalogue shows. In every run of the first two each load stands beside the machine's own limit, the same work in one
plain program on the same disk, measured just before it. Only ratios taken in one run count: disks and
shared machines change from hour to hour.

Unless told to drive running servers, it starts real `depot-server` processes of its own on free ports
of loopback with empty data folders, founds a cluster where there are several, and stops and removes
all of it at the end.";

const AFTER_HELP: &str = "\
What the columns say:
  median        of the runs: MiB/s for files of 1 MiB and more, files a second for smaller ones
  limit         the median of what the plain program did with the same work
  ratio         the median of the runs' own ratios, each to the limit of the same run
  p50, p99, max latency of one file in milliseconds, over all runs (from 100 files on)
  CPU           of all servers together: seconds for each GiB, or microseconds for each small file
  RSS MiB       the most memory that one of the servers held during this work

Limits, each with as many threads as the load has workers:
  deposit, large   receive over loopback + SHA-256 + write + fdatasync; the sender doesn't hash
  deposit, small   SHA-256 + append to a log that is written and fdatasynced together
  both, replicas   the same for every copy, all copies of a file at the same time
  recover          ask and receive over loopback from memory + SHA-256

Before you believe a figure:
  * look at every run (--json): the first may find a cold page cache, which costs ten times the CPU
  * build with --release; a debug build says so in its output
  * --data on the disk that you mean: on tmpfs a sync costs nothing, and this is said too
  * what servers hold is not removed between runs (creating files after a mass delete is slow for a
    minute): the table needs room for runs x 6 x the large size, and some GiB for the small files
  * what is recovered has just been deposited: up to 8 MiB it comes from the page cache

Examples:
  cargo run --release -p depot-bench -- table         everything
  depot-bench run --workers 1 --seconds 10            one client that waits for each answer
  depot-bench run --size 16MiB --workers 64           64 deposits at once: look at RSS
  depot-bench run --work 9:1 --servers 3 --replicas 2 nine recovers for each deposit
  depot-bench run --address 127.0.0.1:5000            a server that is running
  depot-bench entries 1000 1000000                    lookups with two catalogues
  depot-bench table --smoke                           does everything work?";

/// Measures depot servers over real sockets.
#[derive(Parser, Debug, Clone)]
#[command(version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is measured.
#[derive(Subcommand, Debug, Clone)]
pub(crate) enum Command {
    /// One load
    Run(One),
    /// Every load that the project has set itself a floor for
    Table(Table),
    /// Lookups, pages of a list and deposits with catalogues of different sizes
    Entries(Entries),
}

/// What `run` and `table` come to.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How to measure.
    pub(crate) how: How,
    /// How often.
    pub(crate) runs: u32,
    /// What is to be done in each run, in order.
    pub(crate) scenarios: Vec<Scenario>,
    /// How many idle connections are measured, if any are.
    pub(crate) idle: Option<u32>,
    /// The running servers to drive; none where we start our own.
    pub(crate) addresses: Vec<String>,
}

/// Whom to measure, and where.
#[derive(Args, Debug, Clone)]
pub(crate) struct Place {
    /// The server to start [default: depot-server beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) server_binary: Option<PathBuf>,

    /// Folder on the disk to measure; a temporary one is made in it [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// How to measure a load.
#[derive(Args, Debug, Clone)]
pub(crate) struct How {
    #[command(flatten)]
    pub(crate) place: Place,

    /// How often everything is measured, all loads in turn; medians are shown
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,

    /// Also write the figures of every run to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// One load.
#[derive(Args, Debug, Clone)]
pub(crate) struct One {
    /// deposit, recover, or a mix of recovers to deposits like 9:1
    #[arg(long, value_name = "WORK", default_value = "deposit")]
    work: Work,

    /// Size of each file: bytes, or with KiB, MiB or GiB
    #[arg(long, value_name = "SIZE", default_value = "4KiB", value_parser = size)]
    size: u64,

    /// Connections at the same time, each a client of its own
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: u32,

    /// Answers that each connection lets stand out
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=PIPELINE_MAX as i64))]
    pipelining: u16,

    /// Replicas that a deposit asks for
    #[arg(long, value_name = "R", default_value_t = 0)]
    replicas: u8,

    /// Seconds that each measurement takes
    #[arg(long, value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// Files in each measurement, instead of a time
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    files: Option<u64>,

    /// Files that are deposited to be recovered [default: 64 for each worker, one of 1 MiB and more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    stock: Option<u64>,

    /// Recover through another server than the one that took the deposit
    #[arg(long)]
    elsewhere: bool,

    /// Servers to start
    #[arg(long, value_name = "N", default_value = "1", value_parser = ["1", "3", "5"])]
    servers: String,

    /// Drive these running servers instead; workers are spread over them
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',',
          conflicts_with_all = ["servers", "server_binary"])]
    address: Vec<String>,

    #[command(flatten)]
    how: How,
}

/// The table.
#[derive(Args, Debug, Clone)]
pub(crate) struct Table {
    /// Size of a large file in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(2..=1024 * 1024))]
    large_mib: u64,

    /// Seconds that each measurement of small files takes
    #[arg(long, value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// Everything once and tiny: shows that it works, not how fast
    #[arg(long, conflicts_with_all = ["large_mib", "seconds", "runs"])]
    smoke: bool,

    #[command(flatten)]
    how: How,
}

/// Catalogues.
#[derive(Args, Debug, Clone)]
pub(crate) struct Entries {
    /// How many entries each catalogue has, one after the other
    #[arg(value_name = "N", required = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) entries: Vec<u64>,

    /// How many lookups, pages and deposits are measured
    #[arg(long, value_name = "N", default_value_t = 500,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) turns: u32,

    #[command(flatten)]
    pub(crate) place: Place,
}

impl One {
    /// What it comes to.
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            how: self.how.clone(),
            runs: self.how.runs,
            scenarios: vec![self.scenario()],
            idle: None,
            addresses: self.address.clone(),
        }
    }

    fn scenario(&self) -> Scenario {
        let until =
            self.files.map_or(Until::Elapsed(Duration::from_secs(self.seconds)), Until::Count);
        let load = Load {
            work: self.work,
            bytes: self.size,
            workers: self.workers,
            pipelining: usize::from(self.pipelining),
            replicas: self.replicas,
            until,
        };
        let servers = self.servers.parse().unwrap_or(1);
        let through = if self.elsewhere { Through::Another } else { Through::TheSame };
        let each = if load.large() { 1 } else { 64 };
        let stock = self.stock.unwrap_or(u64::from(self.workers) * each);
        scenario::of(load, servers, through, stock)
    }
}

impl Table {
    /// What it comes to.
    pub(crate) fn plan(&self) -> Plan {
        let (extent, runs) = match self.smoke {
            true => (Extent::smoke(), 1),
            false => (Extent::whole(self.large_mib, self.seconds), self.how.runs),
        };
        Plan {
            how: self.how.clone(),
            runs,
            scenarios: scenario::table(extent),
            idle: Some(extent.idle),
            addresses: Vec::new(),
        }
    }
}

/// "4096", "4KiB", "1 MiB" or "1GiB" in bytes.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("bytes from {SMALLEST} on, or a size like 4KiB, 16MiB or 1GiB");
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes >= SMALLEST).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &str) -> Result<Plan, clap::Error> {
        let words = std::iter::once("depot-bench").chain(words.split_ascii_whitespace());
        match Cli::try_parse_from(words)?.command {
            Command::Run(one) => Ok(one.plan()),
            Command::Table(table) => Ok(table.plan()),
            Command::Entries(_) => panic!("this has no plan"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_run_is_small_deposits_on_one_server_unless_told_otherwise() {
        let [scenario] = &plan("run").unwrap().scenarios[..] else { panic!("one scenario") };
        assert_eq!((scenario.servers, scenario.first.work), (1, Work::Deposit));
        assert_eq!((scenario.first.bytes, scenario.first.workers), (4096, 32));
    }

    #[test]
    fn files_take_the_place_of_the_seconds() {
        let scenarios = plan("run --files 64 --size 16MiB").unwrap().scenarios;
        assert_eq!(scenarios[0].first.until, Until::Count(64));
        assert_eq!(scenarios[0].first.bytes, 16 << 20);
        assert!(plan("run --files 1 --seconds 1").is_err());
    }

    #[test]
    fn smoke_takes_no_sizes() {
        assert_eq!(plan("table --smoke").unwrap().runs, 1);
        assert!(plan("table --smoke --runs 2").is_err());
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("1 GiB"), Ok(1 << 30));
        for wrong in ["", "KiB", "4KB", "1", "99999999999999999999", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
