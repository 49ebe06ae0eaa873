//! The sweep (RELIABILITY.md, 1.1) as a model, explored whole: three servers, one content, two
//! deposits of it, a removal, a holder that leaves, a sweep and a crash at any moment, in every order.
//! A record never names a server whose copy is gone.
//!
//! One step of the model is one step that the real thing takes under one lock, or in one place of
//! the catalogue's order. What a server saw of the catalogue before it acts may be old by then, as
//! it may in life. The model without the sweep's number, or without the memory of what was vouched
//! for, is shown to lose a copy: the check has teeth.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use stateright::{Checker, Model, Property};

const SERVERS: usize = 3;
/// So many sweeps, and a crash, of each server.
const SWEEPS: u8 = 1;
const DEPOSITS: usize = 2;

/// Where the content's copy is on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Copy {
    Absent,
    Sealed,
    Trashed,
}

/// How far a server's sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Sweep {
    None,
    /// Its number stands in the catalogue; the volume has not heard of it.
    Proposed,
    /// The volume vouches under the new number.
    Begun,
    /// The catalogue was asked, after that: whether a record lists the copy here.
    Looked {
        listed: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Server {
    copy: Copy,
    /// The number that this server vouches under.
    number: u8,
    /// Whether it has vouched for the copy under that number; in memory only.
    given: bool,
    sweep: Sweep,
    /// A look before the trash is emptied: whether a record lists the copy here.
    emptying: Option<bool>,
    crashed: bool,
}

/// A deposit on its way; its coordinator is somewhere, and may be slow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Deposit {
    /// The version that it has read of the name.
    read: u8,
    /// By server: the number on its receipt.
    receipts: [Option<u8>; SERVERS],
    /// It is an equal one: it asks for copies that are there, and sends nothing.
    equal: bool,
    done: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    servers: [Server; SERVERS],
    /// The catalogue: each server's number, and the record's confirmed holders, if there is one.
    numbers: [u8; SERVERS],
    record: Option<[bool; SERVERS]>,
    version: u8,
    removed: bool,
    deposits: [Deposit; DEPOSITS],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    /// The payload's bytes are sealed there, over whatever lies there; a receipt is given.
    Seal(usize, usize),
    /// A copy that is there is vouched for, one in the trash taken out; a receipt is given.
    Vouch(usize, usize),
    Commit(usize),
    /// The coordinator reads the name's version again.
    Read(usize),
    Remove,
    /// A holder takes itself out: another one is named.
    Leave(usize),
    Propose(usize),
    Begin(usize),
    Look(usize),
    Trash(usize),
    LookBeforeEmptying(usize),
    Empty(usize),
    Crash(usize),
}

/// The model, and what of the real thing is left out of it.
#[derive(Clone, Copy, Default)]
struct Sweeping {
    without_numbers: bool,
    without_memory: bool,
}

impl Model for Sweeping {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let server = Server {
            copy: Copy::Absent,
            number: 0,
            given: false,
            sweep: Sweep::None,
            emptying: None,
            crashed: false,
        };
        let deposit = Deposit { read: 0, receipts: [None; SERVERS], equal: false, done: false };
        vec![World {
            servers: std::array::from_fn(|_| server.clone()),
            numbers: [0; SERVERS],
            record: None,
            version: 0,
            removed: false,
            deposits: [deposit.clone(), Deposit { equal: true, ..deposit }],
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (d, deposit) in world.deposits.iter().enumerate().filter(|(_, d)| !d.done) {
            steps.extend((0..SERVERS).map(|s| match deposit.equal {
                false => Step::Seal(d, s),
                true => Step::Vouch(d, s),
            }));
            // A coordinator whose receipt is refused asks that server again.
            steps.extend((0..SERVERS).filter(|_| !deposit.equal).map(|s| Step::Vouch(d, s)));
            steps.extend([Step::Commit(d), Step::Read(d)]);
        }
        if !world.removed {
            steps.push(Step::Remove);
        }
        for s in 0..SERVERS {
            steps.extend([
                Step::Leave(s),
                Step::Propose(s),
                Step::Begin(s),
                Step::Look(s),
                Step::Trash(s),
                Step::LookBeforeEmptying(s),
                Step::Empty(s),
                Step::Crash(s),
            ]);
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        let listed = |s: usize| before.record.is_some_and(|holders| holders[s]);
        match step {
            Step::Seal(d, s) => {
                world.servers[s].copy = Copy::Sealed;
                world.give(d, s);
            }
            Step::Vouch(d, s) => {
                if world.servers[s].copy == Copy::Absent {
                    return None;
                }
                world.servers[s].copy = Copy::Sealed;
                world.give(d, s);
            }
            Step::Commit(d) => {
                let deposit = &mut world.deposits[d];
                let current = |(s, number): (usize, &Option<u8>)| {
                    number.is_none_or(|number| self.without_numbers || number == world.numbers[s])
                };
                let good = deposit.receipts.iter().enumerate().all(current);
                if !good || deposit.read != world.version || deposit.receipts == [None; SERVERS] {
                    return None; // refused: nothing changes
                }
                deposit.done = true;
                let given = deposit.receipts.map(|receipt| receipt.is_some());
                let held = world.record.unwrap_or_default();
                world.record = Some(std::array::from_fn(|s| given[s] || held[s]));
                world.version += 1;
            }
            Step::Read(d) => world.deposits[d].read = world.version,
            Step::Remove => {
                world.record.take()?;
                world.version += 1;
                world.removed = true;
            }
            Step::Leave(s) => {
                let holders = world.record.as_mut().filter(|holders| holders[s])?;
                let others = holders.iter().filter(|named| **named).count() - 1;
                (others > 0).then_some(())?;
                holders[s] = false;
            }
            Step::Propose(s) => {
                if world.is_busy() || world.numbers[s] == SWEEPS {
                    return None;
                }
                world.numbers[s] += 1;
                world.servers[s].sweep = Sweep::Proposed;
            }
            Step::Begin(s) => {
                let number = world.numbers[s];
                let server = &mut world.servers[s];
                (server.sweep == Sweep::Proposed).then_some(())?;
                *server = Server { number, given: false, sweep: Sweep::Begun, ..server.clone() };
            }
            Step::Look(s) => {
                let server = &mut world.servers[s];
                (server.sweep == Sweep::Begun).then_some(())?;
                server.sweep = Sweep::Looked { listed: listed(s) };
            }
            Step::Trash(s) => {
                let server = &mut world.servers[s];
                let Sweep::Looked { listed } = server.sweep else { return None };
                server.sweep = Sweep::None;
                let wanted = listed || (server.given && !self.without_memory);
                if server.copy == Copy::Sealed && !wanted {
                    server.copy = Copy::Trashed;
                }
            }
            Step::LookBeforeEmptying(s) => {
                let busy = world.is_busy();
                let server = &mut world.servers[s];
                (server.copy == Copy::Trashed && !busy).then_some(())?;
                server.emptying = Some(listed(s));
            }
            Step::Empty(s) => {
                let server = &mut world.servers[s];
                let listed = server.emptying.take()?;
                if server.copy == Copy::Trashed && !listed {
                    server.copy = Copy::Absent;
                }
            }
            Step::Crash(s) => {
                let number = world.numbers[s];
                let server = &mut world.servers[s];
                (!server.crashed).then_some(())?;
                *server = Server {
                    copy: server.copy,
                    number, // read from the catalogue at the start
                    given: false,
                    sweep: Sweep::None,
                    emptying: None,
                    crashed: true,
                };
            }
        }
        (world != *before).then(|| world.canonical())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("who is named has the copy", |_, world: &World| {
                let holds = |s: usize| world.servers[s].copy == Copy::Sealed;
                let named = world.record.unwrap_or_default();
                (0..SERVERS).all(|s| !named[s] || holds(s))
            }),
            Property::sometimes("a copy goes", |_, world: &World| {
                world.removed && world.servers.iter().any(|s| s.copy == Copy::Trashed)
            }),
            Property::sometimes("both deposits are done", |_, world: &World| {
                world.deposits.iter().all(|deposit| deposit.done) && world.record.is_some()
            }),
        ]
    }
}

impl World {
    /// The servers are alike, so worlds that differ only in which is which are one.
    fn canonical(mut self) -> World {
        let [one, two] = &self.deposits;
        let mut all: Vec<_> = (0..SERVERS)
            .map(|s| {
                let held = self.record.map(|holders| holders[s]);
                let receipts = (one.receipts[s], two.receipts[s]);
                (self.servers[s].clone(), self.numbers[s], held, receipts)
            })
            .collect();
        all.sort_unstable();
        for (s, (server, number, held, receipts)) in all.into_iter().enumerate() {
            self.servers[s] = server;
            self.numbers[s] = number;
            if let (Some(holders), Some(held)) = (&mut self.record, held) {
                holders[s] = held;
            }
            (self.deposits[0].receipts[s], self.deposits[1].receipts[s]) = receipts;
        }
        self
    }

    /// One server sweeps at a time, or empties its trash: what two of them do touches nothing that
    /// both see, so their steps in another order lead to the same worlds.
    fn is_busy(&self) -> bool {
        self.servers.iter().any(|s| s.sweep != Sweep::None || s.emptying.is_some())
    }

    /// A server vouches for its copy, under the number that it knows.
    fn give(&mut self, deposit: usize, server: usize) {
        self.servers[server].given = true;
        self.deposits[deposit].receipts[server] = Some(self.servers[server].number);
    }
}

#[test]
fn a_record_never_names_a_server_whose_copy_is_gone() {
    let checker = Sweeping::default().checker().threads(2).spawn_bfs().join();
    println!("{} states, all of them", checker.unique_state_count());
    assert!(checker.is_done());
    checker.assert_properties();
}

#[test]
fn without_the_sweeps_number_a_copy_is_lost() {
    let model = Sweeping { without_numbers: true, ..Sweeping::default() };
    let checker = model.checker().spawn_bfs().join();
    assert!(checker.discovery("who is named has the copy").is_some());
}

#[test]
fn without_the_memory_of_what_was_vouched_for_a_copy_is_lost() {
    let model = Sweeping { without_memory: true, ..Sweeping::default() };
    let checker = model.checker().spawn_bfs().join();
    assert!(checker.discovery("who is named has the copy").is_some());
}
