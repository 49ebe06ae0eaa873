//! What a power cut leaves behind, and what chance has to do with it.

use crate::twins::entropy::SplitMix64;

/// Which of the changes that were not synced survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMode {
    /// None of them.
    DropAll,
    /// All of them, as if the kernel had just written everything back. Changes whose sync failed
    /// are lost even so.
    KeepAll,
    /// Some: each sector of 512 bytes, each size and each name by itself, in any order, as this
    /// seed has it. Some files and directories come off better than others.
    Random(u64),
}

impl CrashMode {
    /// Both extremes, and the seeds below `seeds`.
    pub fn all(seeds: u64) -> impl Iterator<Item = CrashMode> {
        [CrashMode::DropAll, CrashMode::KeepAll]
            .into_iter()
            .chain((0..seeds).map(CrashMode::Random))
    }
}

/// Decides, change by change.
#[derive(Debug)]
pub(super) enum Fate {
    Certain { survives: bool },
    Chance { numbers: SplitMix64, of_four: u64 },
}

impl Fate {
    pub(super) fn new(mode: CrashMode) -> Self {
        match mode {
            CrashMode::DropAll => Fate::Certain { survives: false },
            CrashMode::KeepAll => Fate::Certain { survives: true },
            CrashMode::Random(seed) => Fate::Chance { numbers: SplitMix64::new(seed), of_four: 2 },
        }
    }

    /// The next file or directory: with even odds everywhere, a long file would never survive
    /// whole, nor be lost whole.
    pub(super) fn turn(&mut self) {
        if let Fate::Chance { numbers, of_four } = self {
            *of_four = numbers.below(5);
        }
    }

    pub(super) fn survives(&mut self) -> bool {
        match self {
            Fate::Certain { survives } => *survives,
            Fate::Chance { numbers, of_four } => numbers.below(4) < *of_four,
        }
    }
}
