//! From what was measured to a table for people and JSON for programs.

use std::fmt::{self, Display};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::depot::Usage;
use crate::load::{Load, Measured, file_size};
use crate::scenario::{RowName, Wanted};

/// All that one start of this program found out.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The version of this program.
    pub(crate) version: &'static str,
    /// Whether this program was optimised; only then its figures mean something.
    pub(crate) optimised: bool,
    /// How many processors clients and servers share.
    pub(crate) processors: usize,
    /// The file system under the limit's files, and under the servers' if they are ours.
    pub(crate) file_system: String,
    /// Where the servers came from.
    pub(crate) servers: String,
    /// What was on disk before an answer counted.
    pub(crate) synced: [&'static str; 5],
    /// One for each kind of work.
    pub(crate) rows: Vec<Row>,
}

/// One kind of work, over all runs.
#[derive(Serialize)]
pub(crate) struct Row {
    work: String,
    servers: usize,
    replicas: u8,
    file_bytes: u64,
    workers: u32,
    pipelining: usize,
    unit: &'static str,
    median: f64,
    limit: Option<f64>,
    ratio: Option<f64>,
    wanted: Option<String>,
    met: Option<bool>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
    cpu: Option<f64>,
    cpu_unit: &'static str,
    peak_rss_mib: Option<f64>,
    runs: Vec<Run>,
}

/// One run of one kind of work.
#[derive(Serialize, Clone)]
pub(crate) struct Run {
    rate: f64,
    limit: Option<f64>,
    ratio: Option<f64>,
    cpu: Option<f64>,
    /// What each server used for it.
    servers: Vec<Usage>,
}

/// Gathers the runs of one kind of work.
pub(crate) struct Gathered {
    name: RowName,
    servers: usize,
    load: Load,
    unit: &'static str,
    runs: Vec<Run>,
    latency: Option<Histogram<u64>>,
}

impl Gathered {
    /// No run yet.
    pub(crate) fn new(name: RowName, servers: usize, load: Load) -> Self {
        let (unit, runs, latency) = (load.unit(), Vec::new(), None);
        Self { name, servers, load, unit, runs, latency }
    }

    /// No run yet of something that is no rate and has no limit of the machine's.
    pub(crate) fn plain(name: RowName, servers: usize, load: Load, unit: &'static str) -> Self {
        Self { unit, ..Self::new(name, servers, load) }
    }

    /// The load of which this is.
    pub(crate) fn load(&self) -> Load {
        self.load
    }

    /// One run more, beside the limit that was measured with it, and what each server used for it.
    pub(crate) fn add(&mut self, measured: Measured, limit: &Measured, servers: Vec<Usage>) {
        let used: f64 = servers.iter().map(|usage| usage.cpu_seconds).sum();
        let each = if self.load.large() {
            used / measured.gib
        } else {
            used * 1e6 / measured.files as f64
        };
        let cpu = (!servers.is_empty()).then_some(each);
        let (rate, limit) = (measured.rate, limit.rate);
        let (ratio, limit) = (Some(rate / limit), Some(limit));
        self.add_run(Run { rate, limit, ratio, cpu, servers });
        match &mut self.latency {
            Some(latency) => latency
                .add(&measured.latency)
                .expect("all histograms of this program have the same bounds"),
            empty => *empty = Some(measured.latency),
        }
    }

    /// One run more of something that has no limit.
    pub(crate) fn add_plain(&mut self, figure: f64, servers: Vec<Usage>) {
        self.add_run(Run { rate: figure, limit: None, ratio: None, cpu: None, servers });
    }

    fn add_run(&mut self, run: Run) {
        let limit = run.limit.map_or(String::new(), |limit| format!(", limit {limit:.0}"));
        let (work, servers, size) = (self.name.work, self.servers, file_size(self.load.bytes));
        eprintln!("  {work}, {servers} servers, {size}: {:.0} {}{limit}", run.rate, self.unit);
        self.runs.push(run);
    }

    /// The medians.
    pub(crate) fn into_row(self) -> Row {
        let many = self.latency.filter(|latency| latency.len() >= 100);
        let quantile = |quantile| {
            many.as_ref().map(|latency| latency.value_at_quantile(quantile) as f64 / 1000.0)
        };
        let known = |figure: fn(&Run) -> Option<f64>| self.runs.iter().filter_map(figure);
        let middle = median(self.runs.iter().map(|run| run.rate)).unwrap_or(0.0);
        let peaks = self.runs.iter().flat_map(|run| &run.servers).map(|usage| usage.peak_rss_mib);
        let peak = peaks.reduce(f64::max);
        Row {
            work: self.name.work.to_owned(),
            servers: self.servers,
            replicas: self.load.replicas,
            file_bytes: self.load.bytes,
            workers: self.load.workers,
            pipelining: self.load.pipelining,
            unit: self.unit,
            median: middle,
            limit: median(known(|run| run.limit)),
            ratio: median(known(|run| run.ratio)),
            wanted: self.name.wanted.map(|wanted| wanted.to_string()),
            met: self.name.wanted.and_then(|wanted| wanted.met(middle, peak)),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            max_ms: quantile(1.0),
            cpu: median(known(|run| run.cpu)),
            cpu_unit: if self.load.large() { "s/GiB" } else { "us/file" },
            peak_rss_mib: peak,
            runs: self.runs,
        }
    }
}

impl Wanted {
    /// Whether it was reached, where the figures for it are known.
    fn met(self, figure: f64, peak_rss_mib: Option<f64>) -> Option<bool> {
        match self {
            Wanted::AtLeast(least) => Some(figure >= least),
            Wanted::Below(most) => Some(figure < most),
            Wanted::PeakBelow(most) => peak_rss_mib.map(|peak| peak < most),
        }
    }
}

impl Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::AtLeast(least) => write!(out, ">= {least:.0}"),
            Wanted::Below(most) => write!(out, "< {most:.0}"),
            Wanted::PeakBelow(most) => write!(out, "RSS < {most:.0}"),
        }
    }
}

/// The middle one; of an even number of figures the lower of the two in the middle.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

const HEADINGS: [&str; 13] = [
    "work", "servers", "R", "size", "workers", "median", "wanted", "limit", "ratio", "p50 ms",
    "p99 ms", "max ms", "CPU",
];

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "servers: {}", self.servers)?;
        writeln!(out, "{} processors, files on {}\n", self.processors, self.file_system)?;
        writeln!(out, "| {} | RSS MiB |", HEADINGS.join(" | "))?;
        writeln!(out, "|{}", " --- |".repeat(HEADINGS.len() + 1))?;
        self.rows.iter().try_for_each(|row| row.fmt(out))?;
        writeln!(out, "\nsynced before an answer counted:")?;
        self.synced.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        if !self.optimised {
            writeln!(
                out,
                "\nThis is a debug build: its figures show that it works, not how fast."
            )?;
        }
        Ok(())
    }
}

impl Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = self.met.map_or("", |met| if met { " (met)" } else { " (not met)" });
        let wanted =
            self.wanted.as_deref().map_or("-".to_owned(), |wanted| format!("{wanted}{met}"));
        let size = file_size(self.file_bytes);
        let cpu = self.cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.2} {}", self.cpu_unit));
        let (work, servers, replicas, workers) =
            (&self.work, self.servers, self.replicas, self.workers);
        write!(out, "| {work} | {servers} | {replicas} | {size} | {workers} | ")?;
        write!(out, "{:.0} {} | {wanted} | ", self.median, self.unit)?;
        write!(out, "{} | {} | ", shown(self.limit, 0), shown(self.ratio, 2))?;
        let latency = [self.p50_ms, self.p99_ms, self.max_ms];
        latency.iter().try_for_each(|figure| write!(out, "{} | ", shown(*figure, 2)))?;
        writeln!(out, "{cpu} | {} |", shown(self.peak_rss_mib, 0))
    }
}

/// A figure, or a dash where there is none.
fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
}
