//! One of the clients that share an id: everything that a client can ask for, of any server, and
//! what was answered written into the histories.

use std::net::SocketAddr;
use std::time::Duration;

use depot_tests::answer::{field, number};
use depot_tests::content::{Random, random_bytes, sha256};
use depot_tests::headers::{self, Deposit, hash_line};
use depot_tests::history::Histories;
use depot_tests::in_process::Heard;
use depot_tests::linear::Did;
use depot_tests::{Cluster, Raw, Recovered};

use super::names::Names;

/// A client that hears nothing for so long goes on elsewhere, and does not know.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long one that found no server waits.
const NOBODY: Duration = Duration::from_millis(20);
const SIZES: [usize; 4] = [8, 5_000, 70 << 10, 400 << 10];

pub(crate) struct Client<'a> {
    id: &'a str,
    histories: &'a Histories,
    names: &'a Names,
    servers: [SocketAddr; 3],
    random: Random,
    /// Which of the clients this is, and how many contents it has made: no two are equal.
    number: u64,
    made: u64,
}

/// An answer that is done, or nothing that says anything of a file's content.
fn done(heard: Heard) -> Option<String> {
    heard.is_done().then(|| heard.line())
}

/// Whether a server said that it may be behind.
fn is_local(line: &str) -> bool {
    line.ends_with("|leitura:local")
}

impl<'a> Client<'a> {
    /// A client whose choices follow from seed and number.
    pub(crate) fn new(
        (id, histories, names): (&'a str, &'a Histories, &'a Names),
        servers: [SocketAddr; 3],
        seed: u64,
        number: u64,
    ) -> Self {
        let random = Random::new(seed << 8 | number);
        Self { id, histories, names, servers, random, number, made: 0 }
    }

    /// One operation after the other until it is over.
    pub(crate) fn work(mut self, over: impl Fn() -> bool) {
        while !over() {
            match Raw::try_connect(*self.random.pick(&self.servers)) {
                Ok(raw) => self.act(&mut raw.patient_for(PATIENCE)),
                Err(_) => std::thread::sleep(NOBODY),
            }
        }
    }

    fn act(&mut self, raw: &mut Raw) {
        let chance = self.random.below(12);
        if chance == 0 {
            return self.list(raw);
        }
        let name = self.names.one(&mut self.random);
        match chance {
            1..=4 => self.deposit(raw, &name),
            5 => {
                self.change(raw, &name, headers::remove(self.id, &name) + "\n", Did::Removed);
            }
            6 => {
                let replicas = self.random.below(3);
                let header = headers::set_replicas(self.id, replicas, &name);
                self.change(raw, &name, header + "\n", Did::Found);
            }
            7..=8 => self.stat(raw, &name),
            _ => self.recover(raw, &name),
        }
    }

    /// A content that nobody has deposited before, the hash first or last.
    fn deposit(&mut self, raw: &mut Raw, name: &str) {
        self.made += 1;
        let bytes = random_bytes(self.made << 8 | self.number, *self.random.pick(&SIZES));
        let deposit = Deposit::of(self.id, name, &bytes).replicas(self.random.below(3));
        let message = if self.random.below(2) == 0 {
            [format!("{}\n", deposit.header()).as_bytes(), &bytes].concat()
        } else {
            let header = format!("{}\n", deposit.hash_last().header());
            [header.as_bytes(), &bytes, format!("{}\n", hash_line(&bytes)).as_bytes()].concat()
        };
        self.change(raw, name, message, Did::Wrote(sha256(&bytes)));
    }

    fn change(&self, raw: &mut Raw, name: &str, message: impl AsRef<[u8]>, did: Did) {
        let called = self.histories.now();
        let heard = send(raw, message.as_ref());
        self.histories.heard(name, (did, called), &heard);
    }

    fn stat(&self, raw: &mut Raw, name: &str) {
        let called = self.histories.now();
        let heard = ask(raw, headers::stat(self.id, name));
        if heard.error() == Some("arquivo_inexistente") {
            self.histories.saw(name, called, None);
        } else if let Some(line) = done(heard) {
            self.tells(name, called, &line);
        }
    }

    fn recover(&self, raw: &mut Raw, name: &str) {
        let called = self.histories.now();
        let heard = ask(raw, headers::recover(self.id, name));
        if heard.error() == Some("arquivo_inexistente") {
            return self.histories.saw(name, called, None);
        }
        let Some(line) = done(heard) else { return };
        if let Some(bytes) = raw.try_exact(number(&line, "tamanho_arquivo")) {
            assert_eq!(sha256(&bytes), field(&line, "hash_arquivo"), "{name}: other bytes");
            self.tells(name, called, &line);
        }
    }

    /// Each name at work stands in the list, or there is no such file.
    fn list(&self, raw: &mut Raw) {
        let names = self.names.at_work();
        let called = self.histories.now();
        let Some(head) = done(ask(raw, headers::list(self.id, 1000, ""))) else { return };
        let lines = (0..number(&head, "itens")).map(|_| match raw.hear() {
            Heard::Line(line) => Some(line),
            _ => None,
        });
        let Some(lines) = lines.collect::<Option<Vec<_>>>() else { return };
        for name in names {
            let line = lines.iter().find(|line| field(line, "nome_arquivo") == name);
            match (line, is_local(&head)) {
                (Some(line), false) => self.tells(&name, called, line),
                (Some(line), true) => self.histories.saw_local(&name, field(line, "hash_arquivo")),
                (None, false) => self.histories.saw(&name, called, None),
                (None, true) => {}
            }
        }
    }

    /// A line says which content a name stands for.
    fn tells(&self, name: &str, called: u64, line: &str) {
        let hash = field(line, "hash_arquivo").to_owned();
        match is_local(line) {
            true => self.histories.saw_local(name, &hash),
            false => self.histories.saw(name, called, Some(hash)),
        }
    }

    /// With all servers well, each tells the latest of every name that there ever was.
    #[track_caller]
    pub(crate) fn reads_all(&self, cluster: &Cluster) {
        for server in 0..self.servers.len() {
            let mut raw = cluster.raw(server);
            for name in self.names.all() {
                let called = self.histories.now();
                let found = match raw.try_recover(self.id, &name) {
                    Recovered::Whole(bytes) => Some(sha256(&bytes)),
                    Recovered::Refused(line) => {
                        depot_tests::answer::refused(&line, "arquivo_inexistente");
                        None
                    }
                    Recovered::Cut(bytes) => panic!("{name}: cut after {} bytes", bytes.len()),
                };
                self.histories.saw(&name, called, found);
            }
        }
    }
}

fn ask(raw: &mut Raw, header: String) -> Heard {
    send(raw, (header + "\n").as_bytes())
}

/// Sends a message and hears what comes of it. A client whose sending fails reads what has arrived.
fn send(raw: &mut Raw, message: &[u8]) -> Heard {
    drop(raw.try_send(message));
    raw.hear()
}
