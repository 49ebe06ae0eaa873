//! One client under load: deposits of new, replaced and equal files with zero to two replicas, the
//! hash first and last, removals and recovers, through whichever server answers.

use std::net::SocketAddr;
use std::time::Duration;

use depot_tests::content::{Random, made_up_id, random_bytes};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::{Raw, Recovered, answer};

use super::ledger::{Content, Ledger, Version};

const SIZES: [usize; 5] = [0, 1, 4 << 10, 100 << 10, 1 << 20];
const NAMES: u64 = 12;

/// Contents are few, so that clients and names share them.
const CONTENTS: u64 = 8;

/// The longest that any answer may take while one server dies.
const ANSWER: Duration = Duration::from_secs(60);

/// Refusals that are certain, and that a cluster without one of its servers may give.
const CERTAIN: [&str; 4] =
    ["sem_quorum", "copias_insuficientes", "servidor_indisponivel", "encerrando"];

/// Answers after which nobody knows.
const UNKNOWN: [&str; 2] = ["resultado_desconhecido", "interno"];

/// A client and what it knows.
pub(crate) struct Client {
    id: String,
    random: Random,
    ledger: Ledger,
    done: u64,
}

/// A request that changes a name, and what it makes of it.
struct Change {
    name: String,
    message: Vec<u8>,
    version: Version,
}

impl Client {
    /// A client whose choices follow from the seed.
    pub(crate) fn new(seed: u64) -> Self {
        let (random, ledger) = (Random::new(seed), Ledger::default());
        Self { id: made_up_id(), random, ledger, done: 0 }
    }

    /// How many changes were acknowledged.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Changes and reads files until it is over, at one server after the other.
    pub(crate) fn work(&mut self, servers: [SocketAddr; 3], over: impl Fn() -> bool) {
        while !over() {
            let Ok(connection) = Raw::try_connect(*self.random.pick(&servers)) else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let mut connection = connection.patient_for(ANSWER);
            while !over() && self.one_request(&mut connection).is_some() {}
        }
    }

    /// `None` when the connection is of no use any more.
    fn one_request(&mut self, connection: &mut Raw) -> Option<()> {
        if self.random.below(6) == 0 {
            return self.one_read(connection);
        }
        let Change { name, message, version } = self.change();
        let answered = connection.try_send(message).ok().and_then(|()| connection.line_or_end());
        let Some(line) = answered else {
            self.ledger.unknown(&name, version);
            return None;
        };
        if line == "resultado:1" || line.starts_with("resultado:1|") {
            self.ledger.acknowledged(&name, version);
            self.done += 1;
            return Some(());
        }
        let code = answer::field(&line, "erro");
        if UNKNOWN.contains(&code) {
            self.ledger.unknown(&name, version);
        } else if code == "arquivo_inexistente" {
            self.ledger.seen(&name, None);
        } else {
            assert!(CERTAIN.contains(&code), "{name}: {line}");
        }
        // Another server may do better.
        None
    }

    /// What is told as the latest is what was acknowledged, or asked for since.
    fn one_read(&mut self, connection: &mut Raw) -> Option<()> {
        let name = self.name();
        connection.try_send(format!("{}\n", headers::recover(&self.id, &name))).ok()?;
        let line = connection.line_or_end()?;
        if line.starts_with("resultado:0|") {
            match answer::field(&line, "erro") {
                "arquivo_inexistente" => self.ledger.seen(&name, None),
                "copia_indisponivel" | "sem_quorum" | "servidor_indisponivel" | "encerrando" => {}
                code => panic!("{name}: {code}: {line}"),
            }
            return Some(());
        }
        let size = answer::number(&line, "tamanho_arquivo");
        let bytes = connection.up_to(size);
        if bytes.len() < size {
            return None;
        }
        let content =
            content_of(&bytes).unwrap_or_else(|| panic!("{name}: bytes that nobody deposited"));
        if !line.ends_with("|leitura:local") {
            self.ledger.seen(&name, Some(content));
        }
        Some(())
    }

    fn name(&mut self) -> String {
        format!("pasta/{:02}", self.random.below(NAMES))
    }

    fn change(&mut self) -> Change {
        let name = self.name();
        let possible = self.ledger.possible(&name);
        let size = *self.random.pick(&SIZES);
        let bytes = random_bytes(self.random.below(CONTENTS), size);
        let content = content_of(&bytes).expect("one of the few");
        match (self.random.below(8), possible[0]) {
            (0, _) => {
                let message = format!("{}\n", headers::remove(&self.id, &name)).into_bytes();
                Change { name, message, version: None }
            }
            (1, Some(content)) => self.deposit(name, content),
            _ => self.deposit(name, content),
        }
    }

    /// The whole message of a deposit, with the hash first or last.
    fn deposit(&mut self, name: String, content: Content) -> Change {
        let bytes = bytes_of(content);
        let deposit = Deposit::of(&self.id, &name, &bytes).replicas(self.random.below(3));
        let message = if self.random.below(2) == 0 {
            [format!("{}\n", deposit.header()).as_bytes(), &bytes].concat()
        } else {
            let header = format!("{}\n", deposit.hash_last().header());
            let hash = format!("{}\n", hash_line(&bytes));
            [header.as_bytes(), &bytes, hash.as_bytes()].concat()
        };
        Change { name, message, version: Some(content) }
    }

    /// With all servers back, every name has what it may have, whole.
    #[track_caller]
    pub(crate) fn check(&mut self, connection: &mut Raw) {
        for number in 0..NAMES {
            let name = format!("pasta/{number:02}");
            let found = match connection.latest(&self.id, &name) {
                Recovered::Whole(bytes) => Some(bytes),
                Recovered::Cut(bytes) => panic!("{name}: cut after {}", bytes.len()),
                Recovered::Refused(line) => {
                    answer::refused(&line, "arquivo_inexistente");
                    None
                }
            };
            let possible = self.ledger.possible(&name);
            let version = possible.iter().find(|version| version.map(bytes_of) == found);
            let size = found.map(|bytes| bytes.len());
            let version = version.unwrap_or_else(|| panic!("{name}: {size:?} of {possible:?}"));
            self.ledger.seen(&name, *version);
        }
        let listed = connection.names(&self.id);
        for (name, must) in self.ledger.names().filter(|(_, must)| *must) {
            assert!(!must || listed.iter().any(|listed| listed == name), "{name} is not listed");
        }
    }
}

/// What these bytes are made from; small ones are the same for several seeds.
fn content_of(bytes: &[u8]) -> Option<Content> {
    let content = |seed| Content { seed, size: bytes.len() };
    (0..CONTENTS).map(content).find(|&content| bytes_of(content) == bytes)
}

fn bytes_of(content: Content) -> Vec<u8> {
    random_bytes(content.seed, content.size)
}
