//! One client under load: deposits of new, replaced and equal files, with the hash first and last,
//! and removals, each followed in its model.

use std::net::SocketAddr;

use depot_tests::content::{Random, made_up_id, random_bytes};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Raw, Recovered, answer};

use crate::model::{Content, Model};

const SIZES: [usize; 5] = [0, 1, 4 << 10, 100 << 10, 1 << 20];
const NAMES: u64 = 12;

/// Contents are few, so that clients and names share them.
const CONTENTS: u64 = 8;

/// A client and what it knows.
pub(crate) struct Client {
    id: String,
    random: Random,
    model: Model,
    done: u64,
}

impl Client {
    /// A client whose choices follow from the seed.
    pub(crate) fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        Self { id: made_up_id(), random, model: Model::default(), done: 0 }
    }

    /// How many requests were acknowledged.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Changes files until the connection breaks. Every answer that does come is a good one.
    pub(crate) fn work_until_cut(&mut self, address: SocketAddr) {
        // The kill may come before the connection does.
        let Ok(mut connection) = Raw::try_connect(address) else { return };
        while self.one_request(&mut connection).is_some() {
            self.model.acknowledge();
            self.done += 1;
        }
    }

    /// `None` when no answer came.
    fn one_request(&mut self, connection: &mut Raw) -> Option<()> {
        let name = format!("pasta/{}", self.random.below(NAMES));
        let old = self.model.get(&name);
        let (message, new) = match (self.random.below(8), old) {
            (0, Some(_)) => (format!("{}\n", headers::remove(&self.id, &name)).into_bytes(), None),
            (1, Some(content)) => (self.deposit(&name, content), old),
            _ => {
                let size = *self.random.pick(&SIZES);
                let content = Content { seed: self.random.below(CONTENTS), size };
                (self.deposit(&name, content), Some(content))
            }
        };
        self.model.send(&name, new);
        connection.try_send(message).ok()?;
        let line = connection.line_or_end()?;
        assert!(line == "resultado:1" || line.starts_with("resultado:1|"), "{name}: {line}");
        Some(())
    }

    /// The whole message of a deposit, with the hash first or last.
    fn deposit(&mut self, name: &str, content: Content) -> Vec<u8> {
        let bytes = bytes_of(content);
        let deposit = Deposit::of(&self.id, name, &bytes);
        if self.random.below(2) == 0 {
            return [format!("{}\n", deposit.header()).as_bytes(), &bytes].concat();
        }
        let header = format!("{}\n", deposit.hash_last().header());
        [header.as_bytes(), &bytes, format!("{}\n", hash_line(&bytes)).as_bytes()].concat()
    }

    /// Every name has what was acknowledged, or what the one unanswered request would have made.
    pub(crate) fn check(&mut self, connection: &mut Raw) {
        for number in 0..NAMES {
            let name = format!("pasta/{number}");
            let found = match connection.try_recover(&self.id, &name) {
                Recovered::Whole(bytes) => Some(bytes),
                Recovered::Cut(bytes) => panic!("{name}: cut after {} bytes", bytes.len()),
                Recovered::Refused(line) => {
                    answer::refused(&line, "arquivo_inexistente");
                    None
                }
            };
            let possible = self.model.possible(&name);
            let right = possible.iter().find(|version| version.map(bytes_of) == found);
            let size = found.map(|bytes| bytes.len());
            let right = right.unwrap_or_else(|| panic!("{name}: found {size:?}, not {possible:?}"));
            self.model.settle(&name, *right);
        }
        self.model.forget_pending();
        assert_eq!(connection.names(&self.id), self.model.names());
    }
}

fn bytes_of(content: Content) -> Vec<u8> {
    random_bytes(content.seed, content.size)
}
