//! A client of the simulated cluster: works through whichever server answers, writes down what it
//! was promised, and holds the cluster to it in the end, through every server; and to as many copies
//! as were wished for.
//!
//! What it did and saw of a name is that name's history, for which there must be an order (`linear`):
//! a change without an answer may take effect late, even behind one that was answered since, for the
//! server that took it may still be at it. Clients that share one id write into the same histories.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use depot_tests::answer::{field, number};
use depot_tests::content::{Random, random_bytes, sha256};
use depot_tests::headers::{self, Deposit};
use depot_tests::in_process::{Client, Heard};
use depot_tests::linear::Did;
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use crate::world::{Stage, World, host};

/// A client that hears nothing for so long goes on elsewhere, and does not know.
const PATIENCE: Duration = Duration::from_secs(8);
/// A connection is made within this time or not at all.
const CONNECT: Duration = Duration::from_secs(3);
const NAMES: [&str; 4] = ["um", "dois", "três", "quatro"];
/// How often everything is looked at again in the end, until it is as it must be.
const LOOKS: u32 = 120;

/// One client's work.
struct Worker {
    world: World,
    number: u64,
    id: String,
    chance: Random,
}

/// What a recover brought.
enum Got {
    Content(Option<Bytes>),
    /// From a server that can't ask the others.
    Local(String),
    /// No word on it.
    Nothing(String),
}

pub(crate) async fn work(world: World, number: u64) -> Result<(), Box<dyn Error>> {
    let mut worker = Worker {
        id: format!(
            "6f1d2a9e-54b0-4f0c-9d3e-00000000000{}",
            if world.plan.shared { 9 } else { number + 1 }
        ),
        chance: Random::new(world.seed << 8 | number),
        world,
        number,
    };
    while worker.world.stage() == Stage::Founding {
        sleep(Duration::from_millis(50)).await;
    }
    while worker.world.stage() == Stage::Storm {
        sleep(Duration::from_millis(worker.chance.below(300))).await;
        worker.act().await;
    }
    worker.audit().await;
    worker.world.seen.lock().unwrap().content += 1;
    Ok(())
}

impl Worker {
    /// One thing that a client does, through any server.
    async fn act(&mut self) {
        let servers = self.world.plan.servers as u64;
        let server = self.chance.below(servers) as usize;
        let Some(mut client) = connect(server).await else { return };
        let name = *self.chance.pick(&NAMES);
        let least = u64::from(self.world.plan.loss);
        let replicas = least + self.chance.below(servers.min(3) - least);
        let what = self.chance.below(12);
        let size = *self.chance.pick(&[0, 10, 5_000, 70 * 1024, 400 * 1024]);
        let bytes = random_bytes(self.chance.below(4) << 8 | self.number, size);
        match what {
            0..=5 => {
                let deposit = Deposit::of(&self.id, name, &bytes).replicas(replicas);
                let called = self.now();
                client.send_line(deposit.header()).await;
                client.send(&bytes).await;
                let heard = client.hear().await;
                let did = Did::Wrote(sha256(&bytes));
                let what = format!("deposit of {size}, {replicas} replicas");
                self.hears(server, name, &what, (did, called), heard);
            }
            6 => self.resume(&mut client, server, name, replicas, &bytes).await,
            7 => {
                let called = self.now();
                let heard = client.remove(&self.id, name).await;
                self.hears(server, name, "remove", (Did::Removed, called), heard);
            }
            8 => {
                let called = self.now();
                let heard = client.ask(headers::set_replicas(&self.id, replicas, name)).await;
                self.note(server, name, &format!("{replicas} replicas: {heard:?}"));
                self.world.histories.heard(&self.file(name), (Did::Found, called), &heard);
            }
            _ => self.look(&mut client, server, name).await,
        }
    }

    /// `preparar`, then what is missing.
    async fn resume(
        &mut self,
        client: &mut Client<TcpStream>,
        server: usize,
        name: &str,
        replicas: u64,
        bytes: &[u8],
    ) {
        let deposit = Deposit::of(&self.id, name, bytes).replicas(replicas);
        let prepared = client.ask(deposit.prepare()).await;
        if !prepared.is_done() {
            return self.note(server, name, &format!("prepare: {prepared:?}"));
        }
        let prepared = prepared.line();
        let held = number(&prepared, "deslocamento");
        assert_eq!(field(&prepared, "hash_parcial"), sha256(&bytes[..held]), "it holds our bytes");
        let called = self.now();
        client.send_line(deposit.offset(held).header()).await;
        client.send(&bytes[held..]).await;
        let heard = client.hear().await;
        let did = Did::Wrote(sha256(bytes));
        self.hears(server, name, &format!("resumed at {held}"), (did, called), heard);
    }

    /// Recovers a file, and writes down what it is.
    async fn look(&mut self, client: &mut Client<TcpStream>, server: usize, name: &str) {
        let called = self.now();
        match recover(client, &self.id, name).await {
            Got::Content(found) => {
                self.saw(name, called, &found);
                self.note(server, name, &format!("is {:?}", found.map(|bytes| bytes.len())));
            }
            Got::Local(hash) => {
                self.world.histories.saw_local(&self.file(name), &hash);
                self.note(server, name, "is told from what this server knows");
            }
            Got::Nothing(why) => self.note(server, name, &why),
        }
    }

    /// In the end everything is as promised, through every server.
    async fn audit(&mut self) {
        for server in 0..self.world.plan.servers {
            for name in NAMES {
                let called = self.now();
                let found = self.settled(server, name).await;
                self.saw(name, called, &found);
            }
        }
        for name in NAMES {
            self.has_its_copies(name).await;
        }
    }

    /// A file that is there comes to have the copies that it shall have, as every server tells it.
    async fn has_its_copies(&mut self, name: &str) {
        let servers = self.world.plan.servers;
        let mut told = Vec::new();
        for _ in 0..LOOKS {
            told.clear();
            for server in 0..servers {
                let Some(mut client) = connect(server).await else { continue };
                told.push(client.ask(headers::stat(&self.id, name)).await);
            }
            let right = |heard: &Heard| match heard {
                Heard::Line(line) if heard.is_done() => {
                    number(line, "copias") == number(line, "qtd_replicas").min(servers - 1)
                }
                other => other.error() == Some("arquivo_inexistente"),
            };
            if told.len() == servers && told.iter().all(right) {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("seed {}: {name}: {told:?}", self.world.seed);
    }

    /// A file, once this server can tell for sure.
    async fn settled(&mut self, server: usize, name: &str) -> Option<Bytes> {
        let mut last = String::new();
        for _ in 0..LOOKS {
            if let Some(mut client) = connect(server).await {
                match recover(&mut client, &self.id, name).await {
                    Got::Content(found) => return found,
                    Got::Local(_) => last = "is only told locally".into(),
                    Got::Nothing(why) => last = why,
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("seed {}: {name} through {}: {last}", self.world.seed, host(server));
    }

    fn hears(&mut self, server: usize, name: &str, what: &str, did: (Did, u64), heard: Heard) {
        self.world.seen.lock().unwrap().promises += usize::from(heard.is_done());
        self.world.histories.heard(&self.file(name), did, &heard);
        self.note(server, name, &format!("{what}: {heard:?}"));
    }

    fn saw(&self, name: &str, called: u64, found: &Option<Bytes>) {
        let value = found.as_ref().map(|bytes| sha256(bytes));
        self.world.histories.saw(&self.file(name), called, value);
    }

    /// What a name is called among the names of all clients.
    fn file(&self, name: &str) -> String {
        format!("{name} of {}", self.id)
    }

    fn now(&self) -> u64 {
        self.world.histories.now()
    }

    fn note(&self, server: usize, name: &str, what: &str) {
        let what = format!("client{} {} {name}: {what}", self.number, host(server));
        self.world.note(turmoil::elapsed(), what);
    }
}

async fn connect(server: usize) -> Option<Client<TcpStream>> {
    match timeout(CONNECT, TcpStream::connect((host(server), 7070))).await {
        Ok(Ok(stream)) => Some(Client::new(stream).patience(PATIENCE)),
        _ => None,
    }
}

async fn recover(client: &mut Client<TcpStream>, id: &str, name: &str) -> Got {
    let Heard::Line(head) = client.ask(headers::recover(id, name)).await else {
        return Got::Nothing("no answer".into());
    };
    if !head.starts_with("resultado:1|") {
        return match field(&head, "erro") {
            "arquivo_inexistente" => Got::Content(None),
            _ => Got::Nothing(head),
        };
    }
    let hash = field(&head, "hash_arquivo").to_owned();
    let Some(bytes) = client.exact(number(&head, "tamanho_arquivo")).await else {
        return Got::Nothing("cut".into());
    };
    assert_eq!(sha256(&bytes), hash, "{name:?} has its hash");
    match head.ends_with("|leitura:local") {
        true => Got::Local(hash),
        false => Got::Content(Some(bytes.into())),
    }
}
