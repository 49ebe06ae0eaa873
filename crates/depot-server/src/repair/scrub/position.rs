//! How far the scrub has come, as it is kept.

use depot_protocol::{Digest, FileName};
use serde::{Deserialize, Serialize};

use super::super::kept::{Kept, WrittenKey};
use crate::catalogue::Namespace;

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
    /// The reading of new copies that is under way.
    pub(super) new: Option<NewCopies>,
}

/// How far new copies were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewCopies {
    /// When that began.
    pub(super) began: u64,
    /// Up to which version of the catalogue they are read.
    pub(super) mark: u64,
    /// The last record whose copy was read.
    pub(super) after: Option<(Namespace, FileName)>,
}

/// The file as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    format: u32,
    began: u64,
    shard: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    rounds: u64,
    mark: u64,
    fresh: u64,
    bad: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new: Option<WrittenNew>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNew {
    began: u64,
    mark: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<WrittenKey>,
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
}

impl Kept for Position {
    const FILE: &'static str = "SCRUB";
    type Written = Written;

    fn write(&self) -> Written {
        let Position { began, shard, after, rounds, mark, fresh, bad, new } = self.clone();
        let after = after.map(|digest| digest.to_string());
        let new = new.map(|NewCopies { began, mark, after }| {
            let after = after.as_ref().map(WrittenKey::of);
            WrittenNew { began, mark, after }
        });
        Written { format: FORMAT, began, shard, after, rounds, mark, fresh, bad, new }
    }

    fn read(written: Written) -> Option<Self> {
        let Written { format, began, shard, after, rounds, mark, fresh, bad, new } = written;
        if format != FORMAT {
            return None;
        }
        let after = match after {
            Some(text) => Some(Digest::parse(&text).ok()?),
            None => None,
        };
        let new = match new {
            Some(written) => Some(written.read()?),
            None => None,
        };
        Some(Position { began, shard, after, rounds, mark, fresh, bad, new })
    }
}

impl WrittenNew {
    fn read(&self) -> Option<NewCopies> {
        let after = match &self.after {
            Some(key) => Some(key.read()?),
            None => None,
        };
        Some(NewCopies { began: self.began, mark: self.mark, after })
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
        let mut position = Position {
            began: 1,
            shard: 0xab,
            after,
            rounds: 3,
            mark: 4,
            fresh: 5,
            bad: 6,
            new: None,
        };
        position.save(&disk).unwrap();
        let path = folder.path().join("SCRUB");
        let text = std::fs::read_to_string(&path).unwrap();
        let hash = "ab".repeat(32);
        let expected = format!(
            "format = 1\nbegan = 1\nshard = 171\nafter = \"{hash}\"\nrounds = 3\nmark = 4\nfresh = 5\nbad = 6\n"
        );
        assert_eq!(text, expected);
        assert_eq!(Position::load(&disk).unwrap().as_ref(), Some(&position));
        let after = Some((Namespace::from_bytes([0xab; 32]), FileName::parse("x").unwrap()));
        position.new = Some(NewCopies { began: 7, mark: 8, after });
        position.save(&disk).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let new = format!(
            "\n[new]\nbegan = 7\nmark = 8\n\n[new.after]\nnamespace = \"{hash}\"\nname = \"x\"\n"
        );
        assert_eq!(text, expected + &new);
        assert_eq!(Position::load(&disk).unwrap(), Some(position));
        std::fs::write(&path, text.replace("mark = 4", "mark = x")).unwrap();
        assert_eq!(Position::load(&disk).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    }
}
