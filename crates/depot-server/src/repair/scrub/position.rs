//! How far the scrub has come: one small file of the data folder, so that a server that is started
//! often reads everything just as often. Losing it costs reading again, never a copy.

use std::io;
use std::path::Path;

use depot_protocol::Digest;
use serde::{Deserialize, Serialize};

use crate::seams::Disk;
use crate::volume::{read_file, write_file};

const FILE: &str = "SCRUB";
/// Some numbers and a hash.
const SIZE_MAX: u64 = 4096;
const FORMAT: u32 = 1;
/// The blobs lie in so many shards.
const SHARDS: u64 = 256;

/// How far it is. Times are in seconds of this server's running time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// When the round began that is under way.
    pub(super) began: u64,
    /// The shard that is read next in it, or now.
    pub(super) shard: u8,
    /// The last copy that was read of it.
    pub(super) after: Option<Digest>,
    /// How many rounds were finished.
    pub(super) rounds: u64,
    /// Up to which version of the catalogue new copies were read.
    pub(super) mark: u64,
    /// When they were.
    pub(super) fresh: u64,
    /// How many bad copies were found in all.
    pub(super) bad: u64,
}

/// The file as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    began: u64,
    shard: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    rounds: u64,
    mark: u64,
    fresh: u64,
    bad: u64,
}

impl Position {
    /// Where a server begins that has none yet.
    pub(super) fn begin(now: u64) -> Self {
        Position { began: now, fresh: now, ..Position::default() }
    }

    /// When the shard is due that is read next, in a round of so many seconds: reading is spread
    /// over all of it.
    pub(super) fn due(&self, round: u64) -> u64 {
        let share = u128::from(round) * u128::from(self.shard) / u128::from(SHARDS);
        self.began.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// The shard was read to its end. Whoever is late begins the next round now, not earlier.
    pub(super) fn advance(&mut self, round: u64, now: u64) {
        self.after = None;
        match self.shard.checked_add(1) {
            Some(next) => self.shard = next,
            None => {
                self.shard = 0;
                self.rounds += 1;
                self.began = self.began.saturating_add(round).max(now);
            }
        }
    }

    /// As it was saved last, if it was. An error: it can't be used.
    pub(super) fn load(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file SCRUB is damaged");
        let Some(bytes) = read_file(disk, Path::new(FILE), SIZE_MAX)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let written: Written = toml::from_str(text).map_err(|_| damaged())?;
        if written.format != FORMAT {
            return Err(damaged());
        }
        let Written { format: _, began, shard, after, rounds, mark, fresh, bad } = written;
        let after = after.map(|text| Digest::parse(&text)).transpose().map_err(|_| damaged())?;
        Ok(Some(Position { began, shard, after, rounds, mark, fresh, bad }))
    }

    /// Saves it, durably.
    pub(super) fn save(&self, disk: &dyn Disk) -> io::Result<()> {
        let Position { began, shard, after, rounds, mark, fresh, bad } = self.clone();
        let after = after.map(|digest| digest.to_string());
        let written = Written { format: FORMAT, began, shard, after, rounds, mark, fresh, bad };
        let text = toml::to_string(&written).expect("numbers and a hash are TOML");
        write_file(disk, Path::new(FILE), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_spread_over_its_time_and_the_next_one_follows_it() {
        let mut position = Position::begin(1000);
        assert_eq!(position.due(512), 1000);
        for shard in 1..=u8::MAX {
            position.advance(512, 1001);
            assert_eq!(position.due(512), 1000 + 2 * u64::from(shard));
        }
        position.advance(512, 1511);
        assert_eq!((position.shard, position.rounds, position.began), (0, 1, 1512));
    }

    #[test]
    fn who_is_late_begins_the_next_round_at_once_and_one_only() {
        let mut position = Position { shard: u8::MAX, ..Position::begin(0) };
        position.advance(512, 10_000);
        assert_eq!((position.began, position.due(512)), (10_000, 10_000));
    }

    /// Yesterday's file opens tomorrow.
    #[test]
    fn the_file_is_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let disk = crate::seams::system_disk::SystemDisk::open(folder.path()).unwrap();
        assert_eq!(Position::load(&disk).unwrap(), None);
        let after = Some(Digest::from_bytes([0xab; 32]));
        let position =
            Position { began: 1, shard: 0xab, after, rounds: 3, mark: 4, fresh: 5, bad: 6 };
        position.save(&disk).unwrap();
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let hash = "ab".repeat(32);
        let expected = format!(
            "format = 1\nbegan = 1\nshard = 171\nafter = \"{hash}\"\nrounds = 3\nmark = 4\nfresh = 5\nbad = 6\n"
        );
        assert_eq!(text, expected);
        assert_eq!(Position::load(&disk).unwrap(), Some(position));
        std::fs::write(&path, text.replace("mark = 4", "mark = x")).unwrap();
        assert_eq!(Position::load(&disk).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
