//! The catalogue against a model made of maps: any commands, in any order, with kills, power cuts
//! and stops between them.

mod steps;

use std::collections::{BTreeMap, BTreeSet};

use depot_protocol::{Digest, FileName, ReplicaCount, ServerName, UtcSeconds};
use depot_server::catalogue::command::{
    AddCopy, Admit, Away, Leave, Lost, Put, Remove, SetReplicas, Want,
};
use depot_server::catalogue::{
    Command, Holder, HolderId, HolderState, Incarnation, Namespace, OperationId, Outcome, Receipt,
    Record, Store, SweepNumber, Version,
};
use proptest::prelude::proptest;

use self::steps::{NAMES, Read, SERVERS, Step, Who, steps};
use crate::disk::{Dice, MemDisk};
use crate::world::{CHECKED, World, client, digest, found, name, put, receipt, server, sweep};

#[derive(Default)]
struct Model {
    files: BTreeMap<(Namespace, FileName), Record>,
    /// When a name went that is not there.
    removed: BTreeMap<(Namespace, FileName), u64>,
    sweep: u64,
    /// Server b's life.
    life: Option<u64>,
    away: BTreeSet<&'static str>,
    applied: u64,
}

impl Model {
    fn command(&self, step: &Step) -> Option<Command> {
        let place = |(owner, text): (u8, usize)| (client(owner), name(NAMES[text]));
        let version = |at, read| match read {
            Read::Current => self.files.get(&place(at)).map_or(Version(0), |file| file.version),
            Read::None => Version(0),
            Read::Any(version) => Version(version),
        };
        Some(match *step {
            Step::Put { at, content, read, ago, sweep, wanted, operation } => Command::Put(Put {
                namespace: place(at).0,
                read: version(at, read),
                seen: self.applied.saturating_sub(ago),
                digest: digest(content),
                deposited: UtcSeconds::new(u64::from(operation)),
                receipts: vec![receipt(sweep.unwrap_or(self.sweep))],
                wanted: wanted_of(wanted),
                operation: OperationId([operation; 16]),
                ..put(NAMES[at.1])
            }),
            Step::SetReplicas { at, replicas, read, wanted, operation } => {
                Command::SetReplicas(SetReplicas {
                    namespace: place(at).0,
                    name: place(at).1,
                    read: version(at, read),
                    replicas: ReplicaCount::new(replicas),
                    wanted: wanted_of(wanted),
                    operation: OperationId([operation; 16]),
                })
            }
            Step::Remove { at, read } => Command::Remove(Remove {
                namespace: place(at).0,
                name: place(at).1,
                read: version(at, read),
                operation: OperationId([0xFF; 16]),
            }),
            Step::Sweep { ahead } => sweep(self.sweep + ahead),
            Step::AddCopy { at, read, by } => Command::AddCopy(AddCopy {
                namespace: place(at).0,
                name: place(at).1,
                version: version(at, read),
                receipt: match by {
                    None => receipt(self.sweep),
                    Some(life) => Receipt {
                        server: server("b"),
                        incarnation: Incarnation(life),
                        sweep: SweepNumber(0),
                    },
                },
            }),
            Step::Admit { life } => {
                Command::Admit(Admit { server: server("b"), incarnation: Incarnation(life) })
            }
            Step::Away { who, away } => {
                let (server, incarnation) = self.who(who);
                Command::Away(Away { server, incarnation, away })
            }
            Step::Lost { who, content, after, most } => {
                let (server, incarnation) = self.who(who);
                let (digest, after) = (digest(content), after.map(place));
                Command::Lost(Lost { server, incarnation, digest, after, most })
            }
            Step::Want { at, read, server: wanted } => Command::Want(Want {
                namespace: place(at).0,
                name: place(at).1,
                version: version(at, read),
                servers: vec![server(SERVERS[wanted])],
            }),
            Step::Leave { at, read, who } => {
                let (server, incarnation) = self.who(who);
                let (namespace, name) = place(at);
                let version = version(at, read);
                Command::Leave(Leave { namespace, name, version, server, incarnation })
            }
            Step::Kill | Step::PowerCut(_) | Step::Restart => return None,
        })
    }

    /// The rules once more, in the plainest words.
    fn apply(&mut self, command: &Command) -> (Outcome, Option<Digest>) {
        self.applied += 1;
        let version = Version(self.applied);
        match command {
            Command::Put(put) => {
                let at = (put.namespace, put.name.clone());
                let before = self.files.get(&at).cloned();
                if let Some(before) = &before
                    && before.operation == put.operation
                {
                    return (Outcome::Done(before.clone()), None);
                }
                if before.as_ref().map_or(0, |before| before.version.0) != put.read.0 {
                    return (Outcome::Moved { current: before }, None);
                }
                if self.removed.get(&at).is_some_and(|removed| *removed > put.seen) {
                    return (Outcome::Moved { current: None }, None);
                }
                if put.receipts[0].sweep.0 != self.sweep {
                    let current = SweepNumber(self.sweep);
                    return (Outcome::StaleReceipt { server: server("a"), current }, None);
                }
                let same = before.as_ref().filter(|before| before.digest == put.digest);
                let mut holders = same.map(|same| same.holders.clone()).unwrap_or_default();
                confirm(&mut holders, "a", 7);
                want(&mut holders, &put.wanted);
                let record = Record {
                    version,
                    digest: put.digest,
                    size: put.size,
                    replicas: put.replicas,
                    deposited: same.map_or(put.deposited, |same| same.deposited),
                    holders,
                    operation: put.operation,
                };
                self.removed.remove(&at);
                self.files.insert(at, record.clone());
                let released = before.map(|before| before.digest);
                (Outcome::Done(record), released.filter(|digest| *digest != put.digest))
            }
            Command::SetReplicas(change) => {
                let at = (change.namespace, change.name.clone());
                let Some(file) = self.files.get_mut(&at) else { return (Outcome::Absent, None) };
                if file.operation != change.operation {
                    if file.version != change.read {
                        return (Outcome::Moved { current: Some(file.clone()) }, None);
                    }
                    file.version = version;
                    file.replicas = change.replicas;
                    want(&mut file.holders, &change.wanted);
                    file.operation = change.operation;
                }
                (Outcome::Done(file.clone()), None)
            }
            Command::Remove(remove) => {
                let at = (remove.namespace, remove.name.clone());
                let Some(file) = self.files.get(&at).cloned() else {
                    return (Outcome::Absent, None);
                };
                if file.version != remove.read {
                    return (Outcome::Moved { current: Some(file) }, None);
                }
                self.files.remove(&at);
                self.removed.insert(at, self.applied);
                (Outcome::Removed, Some(file.digest))
            }
            Command::Sweep(sweep) => {
                if sweep.number.0 > self.sweep + 1 {
                    let current = Some(SweepNumber(self.sweep));
                    return (Outcome::SweepOutOfTurn { current }, None);
                }
                self.sweep = sweep.number.0;
                (Outcome::Swept, None)
            }
            Command::AddCopy(copy) => (self.add_copy(copy), None),
            Command::Admit(admit) => {
                if self.life > Some(admit.incarnation.0) {
                    return (self.wrong_life("b"), None);
                }
                if self.life != Some(admit.incarnation.0) {
                    self.away.remove("b");
                }
                self.life = Some(admit.incarnation.0);
                (Outcome::Admitted, None)
            }
            Command::Away(said) => {
                let Some(name) = self.lives(&said.server, said.incarnation) else {
                    return (self.wrong_life(said.server.as_str()), None);
                };
                match said.away {
                    true => self.away.insert(name),
                    false => self.away.remove(name),
                };
                (Outcome::Noted, None)
            }
            Command::Lost(lost) => {
                if self.lives(&lost.server, lost.incarnation).is_none() {
                    return (self.wrong_life(lost.server.as_str()), None);
                }
                let behind =
                    self.files.iter_mut().filter(|(at, _)| Some(*at) > lost.after.as_ref());
                let files = behind.filter(|(_, file)| file.digest == lost.digest);
                let mut outcome = Outcome::Noted;
                for (nth, (at, file)) in (1..).zip(files).take(lost.most as usize) {
                    if nth == lost.most {
                        outcome = Outcome::NotedUpTo { namespace: at.0, name: at.1.clone() };
                    }
                    for holder in &mut file.holders {
                        let had = HolderState::Confirmed { incarnation: lost.incarnation };
                        if holder.who == HolderId::Server(lost.server.clone())
                            && holder.state == had
                        {
                            holder.state = HolderState::Wanted;
                        }
                    }
                }
                (outcome, None)
            }
            Command::Want(wanted) => (self.want(wanted), None),
            Command::Leave(leave) => (self.leave(leave), None),
        }
    }

    fn want(&mut self, wanted: &Want) -> Outcome {
        let b = self.life;
        let file = self.files.get_mut(&(wanted.namespace, wanted.name.clone()));
        let Some(file) = file else { return Outcome::Moved { current: None } };
        if file.version != wanted.version {
            return Outcome::Moved { current: Some(file.clone()) };
        }
        let who = HolderId::Server(wanted.servers[0].clone());
        match file.holders.iter_mut().find(|holder| holder.who == who) {
            Some(holder) => match holder.state {
                HolderState::Confirmed { incarnation }
                    if who == HolderId::Server(server("b")) && b != Some(incarnation.0) =>
                {
                    holder.state = HolderState::Wanted;
                }
                _ => {}
            },
            None => file.holders.push(Holder { who, state: HolderState::Wanted }),
        }
        Outcome::Done(file.clone())
    }

    fn leave(&mut self, leave: &Leave) -> Outcome {
        let at = (leave.namespace, leave.name.clone());
        let Some(file) = self.files.get(&at) else { return Outcome::Moved { current: None } };
        if file.version != leave.version {
            return Outcome::Moved { current: Some(file.clone()) };
        }
        if self.lives(&leave.server, leave.incarnation).is_none() {
            return self.wrong_life(leave.server.as_str());
        }
        if !file.lists(&leave.server) {
            return Outcome::Done(file.clone());
        }
        let others = self.counting(file).filter(|other| **other != leave.server).count() as u64;
        if others < u64::from(file.replicas.get()) + 1 {
            return Outcome::Needed { others };
        }
        let file = self.files.get_mut(&at).unwrap();
        file.holders.retain(|holder| holder.who != HolderId::Server(leave.server.clone()));
        Outcome::Done(file.clone())
    }

    /// The server's name, if this is its present life.
    fn lives(&self, of: &ServerName, life: Incarnation) -> Option<&'static str> {
        match of.as_str() {
            "a" => (life.0 == 7).then_some("a"),
            "b" => (self.life == Some(life.0)).then_some("b"),
            _ => None,
        }
    }

    /// A server in some life: the present one, if it has any, unless another is asked for.
    fn who(&self, who: Who) -> (ServerName, Incarnation) {
        let present = match SERVERS[who.server] {
            "a" => 7,
            _ => self.life.unwrap_or(1),
        };
        (server(SERVERS[who.server]), Incarnation(who.life.unwrap_or(present)))
    }

    fn counting<'f>(&'f self, file: &'f Record) -> impl Iterator<Item = &'f ServerName> {
        let counts = |(holder, life): &(&ServerName, Incarnation)| {
            self.lives(holder, *life).is_some_and(|name| !self.away.contains(name))
        };
        file.confirmed().filter(counts).map(|(holder, _)| holder)
    }

    fn add_copy(&mut self, copy: &AddCopy) -> Outcome {
        let file = self.files.get_mut(&(copy.namespace, copy.name.clone()));
        let Some(file) = file else { return Outcome::Moved { current: None } };
        if file.version != copy.version {
            return Outcome::Moved { current: Some(file.clone()) };
        }
        if copy.receipt.server == server("a") {
            confirm(&mut file.holders, "a", 7);
        } else if Some(copy.receipt.incarnation.0) == self.life {
            confirm(&mut file.holders, "b", copy.receipt.incarnation.0);
        } else {
            return self.wrong_life("b");
        }
        Outcome::Done(file.clone())
    }

    fn wrong_life(&self, of: &str) -> Outcome {
        let current = match of {
            "a" => Some(7),
            "b" => self.life,
            _ => None,
        };
        Outcome::WrongIncarnation { server: server(of), current: current.map(Incarnation) }
    }

    /// The proven copies of servers in their present life that are not away, less one.
    fn copies(&self, file: &Record) -> u8 {
        u8::try_from(self.counting(file).count().saturating_sub(1)).unwrap()
    }

    async fn compare(&self, world: &World) {
        let view = world.view().await;
        assert_eq!(view.applied().unwrap(), self.applied);
        assert_eq!(view.sweep_number(&server("a")).unwrap(), SweepNumber(self.sweep));
        let of = |n| {
            let files = self.files.iter().filter(move |((owner, _), _)| *owner == client(n));
            files.map(|((_, name), record)| (name.clone(), record.clone())).collect::<Vec<_>>()
        };
        for n in 0..2 {
            assert_eq!(view.list(&client(n), "", 100).unwrap(), (of(n), false));
            for text in NAMES {
                let file = self.files.get(&(client(n), name(text)));
                assert_eq!(view.get(&client(n), &name(text)).unwrap().as_ref(), file);
                if let Some(file) = file {
                    assert_eq!(view.copies(file).unwrap(), self.copies(file));
                    let counting: Vec<_> =
                        view.servers().unwrap().counting(file).cloned().collect();
                    assert!(counting.iter().eq(self.counting(file)));
                }
            }
            for content in 0..3 {
                let with = view.with_content(&client(n), &digest(content)).unwrap();
                let first = of(n).into_iter().find(|(_, file)| file.digest == digest(content));
                assert_eq!(with, first.map(|(_, file)| file));
            }
        }
        let listed: BTreeSet<_> = self.files.values().map(|file| file.digest).collect();
        assert_eq!(view.contents(None, 10).unwrap(), (listed.iter().copied().collect(), false));
        for holder in ["a", "b", "c"].map(server) {
            for content in (0..3).map(digest) {
                let mut files = self.files.values().filter(|file| file.digest == content);
                let lists = files.any(|file| file.lists(&holder));
                assert_eq!(view.lists_blob(&content, &holder).unwrap(), lists);
                let life = self.who(Who { server: 1, life: None }).1;
                let mut files = self.files.values().filter(|file| file.digest == content);
                let counts = files.any(|file| file.confirmed().any(|of| of == (&holder, life)));
                assert_eq!(view.counts_blob(&content, (&holder, life)).unwrap(), counts);
            }
        }
        assert_eq!(view.verify().unwrap().records, self.files.len() as u64);
    }
}

fn wanted_of(wanted: bool) -> Vec<ServerName> {
    if wanted { vec![server("b")] } else { vec![] }
}

fn confirm(holders: &mut Vec<Holder>, name: &str, life: u64) {
    let who = HolderId::Server(server(name));
    let state = HolderState::Confirmed { incarnation: Incarnation(life) };
    match holders.iter_mut().find(|holder| holder.who == who) {
        Some(holder) => holder.state = state,
        None => holders.push(Holder { who, state }),
    }
}

fn want(holders: &mut Vec<Holder>, wanted: &[ServerName]) {
    for who in wanted.iter().cloned().map(HolderId::Server) {
        if holders.iter().all(|holder| holder.who != who) {
            holders.push(Holder { who, state: HolderState::Wanted });
        }
    }
}

async fn play(steps: Vec<Step>) {
    async fn open(disk: &MemDisk) -> World {
        World::start(Store::open(disk, &CHECKED, false).unwrap()).await
    }
    let mut disk = MemDisk::default();
    found(&disk);
    let (mut world, mut model) = (open(&disk).await, Model::default());
    for step in steps {
        match model.command(&step) {
            Some(command) => {
                let applied = world.propose(command.clone()).await;
                let (outcome, released) = model.apply(&command);
                assert_eq!((applied.outcome, applied.released), (outcome, released), "{command:?}");
                assert_eq!(applied.index, model.applied);
            }
            None => {
                disk = match step {
                    Step::Kill => disk.after_kill(),
                    Step::PowerCut(seed) => disk.after_power_cut(&mut Dice(seed)),
                    _ => disk,
                };
                world.close().await;
                world = open(&disk).await;
            }
        }
        model.compare(&world).await;
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(100))]

    #[test]
    fn it_does_what_the_model_does(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(play(steps));
    }
}
