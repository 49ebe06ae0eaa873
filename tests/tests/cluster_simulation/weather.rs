//! What goes wrong, at moments that the seed decides, and how it becomes good again.

use std::path::Path;
use std::time::Duration;

use depot_tests::content::Random;
use depot_tests::twins::memory_disk::{MemoryDisk, When};
use turmoil::Sim;

use crate::world::{World, host};

/// How much a disk holds when it is not full.
const CAPACITY: usize = 1 << 30;

/// What is wrong now, and until when.
pub(crate) struct Weather {
    /// When each server that is down comes back.
    back: Vec<Option<Duration>>,
    /// Which links are cut, one way, and when they are whole again.
    cuts: Vec<(usize, usize, Duration)>,
    /// Which links keep what is sent on them, both ways, and when they let it go.
    held: Vec<(usize, usize, Duration)>,
    /// Until when each server's disk is full.
    full: Vec<Option<Duration>>,
    /// Whether one server has lost copies for good: what is promised then counts on the others.
    lost: bool,
}

impl Weather {
    pub(crate) fn new(world: &World) -> Self {
        let servers = world.plan.servers;
        Weather {
            back: vec![None; servers],
            cuts: Vec::new(),
            held: Vec::new(),
            full: vec![None; servers],
            lost: !world.plan.loss,
        }
    }

    /// A server whose disk was cut in the middle of an operation is gone, and comes back later.
    pub(crate) fn bounce_the_frozen(
        &mut self,
        world: &World,
        sim: &mut Sim<'_>,
        chance: &mut Random,
    ) {
        for at in 0..world.plan.servers {
            if self.back[at].is_none() && world.disk(at).is_frozen() {
                world.crash(sim, at, chance);
                self.back[at] = Some(sim.elapsed() + Duration::from_millis(chance.below(3_000)));
            }
        }
    }

    /// One more thing goes wrong.
    pub(crate) fn strike(&mut self, world: &World, sim: &mut Sim<'_>, chance: &mut Random) {
        let servers = world.plan.servers;
        let now = sim.elapsed();
        let one = chance.below(servers as u64) as usize;
        let other = (one + 1 + chance.below(servers as u64 - 1) as usize) % servers;
        let until = now + Duration::from_millis(200 + chance.below(6_000));
        match chance.below(13) {
            // The power fails, at once or at an operation of the disk to come.
            0..=2 if self.back[one].is_none() => {
                world.crash(sim, one, chance);
                self.back[one] = Some(now + Duration::from_millis(chance.below(4_000)));
            }
            3..=4 if self.back[one].is_none() => {
                let when = *chance.pick(&[When::Before, When::After]);
                world.disk(one).crash_at(1 + chance.below(300), when);
            }
            5 => {
                for at in 0..servers {
                    if self.back[at].is_none() {
                        world.crash(sim, at, chance);
                        self.back[at] = Some(now + Duration::from_millis(chance.below(2_000)));
                    }
                }
            }
            6 => self.cut(world, sim, &[(one, other), (other, one)], until),
            7 => self.cut(world, sim, &[(one, other)], until),
            8 => {
                let island: Vec<_> = (0..servers)
                    .filter(|at| *at != one)
                    .flat_map(|at| [(one, at), (at, one)])
                    .collect();
                self.cut(world, sim, &island, until);
            }
            9 => self.hold(world, sim, (one, other), until),
            10 if self.full[one].is_none() => {
                world.fault(now, format!("{}'s disk is full", host(one)));
                world.disk(one).set_capacity(0);
                self.full[one] = Some(until);
            }
            11 | 12 if !self.lost => self.lose(world, sim, one, chance),
            _ => {}
        }
    }

    /// One server loses copies, once in a story: its disk is replaced, or rots in many places.
    fn lose(&mut self, world: &World, sim: &mut Sim<'_>, one: usize, chance: &mut Random) {
        self.lost = true;
        if chance.below(2) == 0 {
            if self.back[one].is_none() {
                world.crash(sim, one, chance);
                self.back[one] = Some(sim.elapsed() + Duration::from_millis(chance.below(4_000)));
            }
            self.full[one] = None;
            return world.replaces(sim.elapsed(), one, MemoryDisk::new());
        }
        let disk = world.disk(one);
        let copies = |path: &Path| {
            path.starts_with("volume/blobs") && !path.ends_with("MARKER")
                || path.starts_with("volume/packs")
        };
        for (path, bytes) in disk.files().into_iter().filter(|(path, _)| copies(path)) {
            if chance.below(2) == 0 && !bytes.is_empty() {
                world.fault(sim.elapsed(), format!("{} rots: {}", host(one), path.display()));
                let at = chance.below(bytes.len() as u64) as usize;
                assert!(disk.flip(path, at, chance.below(8) as u8).unwrap());
            }
        }
    }

    fn hold(
        &mut self,
        world: &World,
        sim: &Sim<'_>,
        (one, other): (usize, usize),
        until: Duration,
    ) {
        if !self.held.iter().any(|(a, b, _)| (*a, *b) == (one, other) || (*b, *a) == (one, other)) {
            world.fault(sim.elapsed(), format!("held: {:?}", (one, other)));
            sim.hold(host(one), host(other));
            self.held.push((one, other, until));
        }
    }

    fn cut(&mut self, world: &World, sim: &Sim<'_>, links: &[(usize, usize)], until: Duration) {
        world.fault(sim.elapsed(), format!("cut: {links:?}"));
        for (from, to) in links {
            if !self.cuts.iter().any(|(a, b, _)| (a, b) == (from, to)) {
                sim.partition_oneway(host(*from), host(*to));
                self.cuts.push((*from, *to, until));
            }
        }
    }

    /// What is over comes to its end.
    pub(crate) fn clear_up(&mut self, world: &World, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        for at in 0..world.plan.servers {
            if self.back[at].is_some_and(|back| now >= back) {
                self.back[at] = None;
                sim.bounce(host(at));
            }
        }
        self.cuts.retain(|(from, to, until)| {
            let over = now >= *until;
            if over {
                sim.repair_oneway(host(*from), host(*to));
            }
            !over
        });
        self.held.retain(|(one, other, until)| {
            let over = now >= *until;
            if over {
                sim.release(host(*one), host(*other));
            }
            !over
        });
        for at in 0..world.plan.servers {
            if self.full[at].is_some_and(|until| now >= until) {
                self.full[at] = None;
                world.disk(at).set_capacity(CAPACITY);
            }
        }
    }

    /// Everything is over.
    pub(crate) fn calm(&mut self, world: &World, sim: &mut Sim<'_>) {
        world.note(sim.elapsed(), "calm".into());
        for (.., until) in self.cuts.iter_mut().chain(&mut self.held) {
            *until = Duration::ZERO;
        }
        for until in self.back.iter_mut().chain(&mut self.full).flatten() {
            *until = Duration::ZERO;
        }
        for at in 0..world.plan.servers {
            world.disk(at).clear_faults();
        }
        self.clear_up(world, sim);
    }
}
