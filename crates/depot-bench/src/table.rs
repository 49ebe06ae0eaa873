//! From what was measured to a table for people and JSON for programs.

use std::fmt::{self, Display};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::load::{Load, Measured};

/// All that one start of this program found out.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The version of this program.
    pub(crate) version: &'static str,
    /// Whether this program was optimised; only then its figures mean something.
    pub(crate) optimised: bool,
    /// How many processors client and server share.
    pub(crate) processors: usize,
    /// The file system under the limit's files, and under the server's if it is ours.
    pub(crate) file_system: String,
    /// Where the server came from.
    pub(crate) server: String,
    /// What was on disk before an answer counted.
    pub(crate) synced: [&'static str; 4],
    /// One for each kind of work.
    pub(crate) rows: Vec<Row>,
}

/// One kind of work, over all runs.
#[derive(Serialize)]
pub(crate) struct Row {
    work: String,
    file_bytes: u64,
    workers: u32,
    unit: &'static str,
    median: f64,
    limit: f64,
    ratio: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    cpu_seconds_per_gib: Option<f64>,
    peak_rss_mib: Option<f64>,
    runs: Vec<Run>,
}

/// One run of one kind of work.
#[derive(Serialize, Clone, Copy)]
pub(crate) struct Run {
    rate: f64,
    limit: f64,
    ratio: f64,
    cpu_seconds_per_gib: Option<f64>,
    peak_rss_mib: Option<f64>,
}

/// Gathers the runs of one kind of work.
pub(crate) struct Gathered {
    work: &'static str,
    load: Load,
    runs: Vec<Run>,
    latency: Option<Histogram<u64>>,
}

/// What a server used for one run: processor seconds, and the peak of its memory in MiB.
pub(crate) type Used = (f64, f64);

impl Gathered {
    /// No run yet.
    pub(crate) fn new(work: &'static str, load: Load) -> Self {
        Self { work, load, runs: Vec::new(), latency: None }
    }

    /// One run more, beside the limit that was measured with it.
    pub(crate) fn add(&mut self, measured: Measured, limit: &Measured, used: Option<Used>) {
        let run = Run {
            rate: measured.rate,
            limit: limit.rate,
            ratio: measured.rate / limit.rate,
            cpu_seconds_per_gib: used.map(|(cpu_seconds, _)| cpu_seconds / measured.gib),
            peak_rss_mib: used.map(|(_, peak)| peak),
        };
        let (work, size, unit) = (self.work, self.load.file_size(), self.load.unit());
        eprintln!("  {work} {size}: {:.0} {unit}, limit {:.0}", run.rate, run.limit);
        self.runs.push(run);
        match &mut self.latency {
            Some(latency) => latency
                .add(&measured.latency)
                .expect("all histograms of this program have the same bounds"),
            empty => *empty = Some(measured.latency),
        }
    }

    /// The medians.
    pub(crate) fn into_row(self) -> Row {
        let many = self.latency.filter(|latency| latency.len() >= 100);
        let quantile = |quantile| {
            many.as_ref().map(|latency| latency.value_at_quantile(quantile) as f64 / 1000.0)
        };
        let middle = |figure: fn(&Run) -> f64| median(self.runs.iter().map(figure)).unwrap_or(0.0);
        let known = |figure: fn(&Run) -> Option<f64>| self.runs.iter().filter_map(figure);
        Row {
            work: format!("{} {}", self.work, self.load.file_size()),
            file_bytes: self.load.bytes,
            workers: self.load.workers,
            unit: self.load.unit(),
            median: middle(|run| run.rate),
            limit: middle(|run| run.limit),
            ratio: middle(|run| run.ratio),
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            cpu_seconds_per_gib: median(known(|run| run.cpu_seconds_per_gib)),
            peak_rss_mib: known(|run| run.peak_rss_mib).reduce(f64::max),
            runs: self.runs,
        }
    }
}

/// The middle one; of an even number of figures the lower of the two in the middle.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "server: {}", self.server)?;
        writeln!(out, "{} processors, files on {}", self.processors, self.file_system)?;
        writeln!(
            out,
            "\n{:<20} {:>7} {:>16} {:>8} {:>6} {:>8} {:>8} {:>9} {:>7}",
            "work",
            "workers",
            "median",
            "limit",
            "ratio",
            "p50 ms",
            "p99 ms",
            "CPU s/GiB",
            "RSS MiB"
        )?;
        for row in &self.rows {
            writeln!(
                out,
                "{:<20} {:>7} {:>8.0} {:<7} {:>8.0} {:>6.2} {:>8} {:>8} {:>9} {:>7}",
                row.work,
                row.workers,
                row.median,
                row.unit,
                row.limit,
                row.ratio,
                shown(row.p50_ms, 2),
                shown(row.p99_ms, 2),
                shown(row.cpu_seconds_per_gib, 2),
                shown(row.peak_rss_mib, 0),
            )?;
        }
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

/// A figure, or a dash where there is none.
fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
}
