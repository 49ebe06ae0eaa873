//! The way through all records. It begins where the last one was left and goes round to there, so
//! that whatever ends it (a restart, another leader, a fault), the records at the end have their
//! turn as often as those at the beginning.

use depot_protocol::FileName;
use serde::{Deserialize, Serialize};

use super::super::kept::{Kept, WrittenKey};
use crate::catalogue::Namespace;

const FORMAT: u32 = 1;

/// A file of somebody.
type Key = (Namespace, FileName);

/// Behind which record to go on; none: from the first one on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::repair) struct Place(pub(in crate::repair) Option<Key>);

/// One round.
#[derive(Debug, Default)]
pub(in crate::repair) struct Round {
    /// Behind which record it began.
    begun: Place,
    /// Whether it came to the last record and went on from the first.
    wrapped: bool,
    /// Behind which record it goes on.
    pub(in crate::repair) at: Place,
}

impl Round {
    pub(in crate::repair) fn begin(at: Place) -> Self {
        Round { begun: at.clone(), wrapped: false, at }
    }

    /// Whether this record is of the round; those behind where it began were looked at already.
    pub(in crate::repair) fn covers(&self, key: &Key) -> bool {
        !self.wrapped || Some(key) <= self.begun.0.as_ref()
    }

    /// A page was looked at, and there are more behind `last`, or none. Whether that was all.
    pub(in crate::repair) fn advance(&mut self, last: Option<Key>) -> bool {
        let done = match &last {
            Some(last) => self.wrapped && Some(last) >= self.begun.0.as_ref(),
            None => self.wrapped || self.begun.0.is_none(),
        };
        self.wrapped |= last.is_none();
        self.at = if done { self.begun.clone() } else { Place(last) };
        done
    }
}

/// The file as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::repair) struct Written {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<WrittenKey>,
}

impl Kept for Place {
    const FILE: &'static str = "PLAN";
    type Written = Written;

    fn write(&self) -> Written {
        Written { format: FORMAT, after: self.0.as_ref().map(WrittenKey::of) }
    }

    fn read(Written { format, after }: Written) -> Option<Self> {
        match (format, after) {
            (FORMAT, None) => Some(Place(None)),
            (FORMAT, Some(after)) => Some(Place(Some(after.read()?))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (Namespace::from_bytes([0xab; 32]), FileName::parse(name).unwrap())
    }

    /// The names that a round from here looks at, of pages of two.
    fn round(all: &[&str], from: Option<&str>) -> (Vec<String>, Place) {
        let (mut round, mut seen) = (Round::begin(Place(from.map(key))), Vec::new());
        loop {
            let behind = all.iter().map(|name| key(name));
            let page: Vec<_> =
                behind.filter(|key| Some(key) > round.at.0.as_ref()).take(2).collect();
            let names = page.iter().filter(|key| round.covers(key));
            seen.extend(names.map(|(_, name)| name.as_str().to_owned()));
            let last = (page.len() == 2).then(|| page[1].clone());
            if round.advance(last) {
                return (seen, round.at);
            }
        }
    }

    #[test]
    fn a_round_looks_at_every_record_once_wherever_it_begins() {
        for all in [&["a", "b", "c", "d", "e"][..], &["a", "b", "c", "d"], &["a"], &[]] {
            assert_eq!(
                round(all, None),
                (all.iter().map(|n| n.to_string()).collect(), Place(None))
            );
            for from in ["a", "b", "bb", "d", "e", "z"] {
                let (seen, _) = round(all, Some(from));
                let (before, after): (Vec<_>, _) = all.iter().partition(|name| **name <= from);
                let expected: Vec<&str> = [after, before].concat();
                assert_eq!(seen, expected, "from {from}");
            }
        }
    }

    #[test]
    fn a_round_ends_where_it_began() {
        for all in [&["a", "b", "c", "d", "e"][..], &["a"], &[]] {
            for from in [None, Some("a"), Some("c"), Some("z")] {
                assert_eq!(round(all, from).1, Place(from.map(key)));
            }
        }
    }

    /// Yesterday's file opens tomorrow.
    #[test]
    fn the_file_is_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let disk = crate::seams::system_disk::SystemDisk::open(folder.path()).unwrap();
        assert_eq!(Place::load(&disk).unwrap(), None);
        let text = || std::fs::read_to_string(folder.path().join("PLAN")).unwrap();
        Place(None).save(&disk).unwrap();
        assert_eq!(text(), "format = 1\n");
        assert_eq!(Place::load(&disk).unwrap(), Some(Place(None)));
        let place = Place(Some(key("férias/\"1\".jpg")));
        place.save(&disk).unwrap();
        let namespace = "ab".repeat(32);
        let expected = format!(
            "format = 1\n\n[after]\nnamespace = \"{namespace}\"\nname = 'férias/\"1\".jpg'\n"
        );
        assert_eq!(text(), expected);
        assert_eq!(Place::load(&disk).unwrap(), Some(place));
        std::fs::write(folder.path().join("PLAN"), text().replace("name = '", "name = '/"))
            .unwrap();
        assert!(Place::load(&disk).is_err());
    }
}
