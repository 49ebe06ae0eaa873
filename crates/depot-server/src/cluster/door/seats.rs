//! Who is connected at the peer port, and who gives way when there are too many.
//!
//! Those that have not proven themselves are few, and a newcomer takes the oldest one's place: who
//! connects and says nothing keeps no server out. Those that have are counted by peer and class, so
//! that none of these uses up what another needs; a newcomer takes the place of the one that has had
//! nothing to do for longest, which is as a rule the other end of a connection that is dead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use depot_protocol::ServerName;
use tokio_util::sync::CancellationToken;

use crate::cluster::handshake::Class;
use crate::cluster::link::TRANSFER_MAX;

/// Connections that have not proven themselves.
pub(super) const UNPROVEN_MAX: usize = 128;
/// Connections of all peers that carry payloads or commands. Pings and the catalogue's do not count
/// here: each peer has its own few.
pub(super) const ALL_MAX: usize = 2 * TRANSFER_MAX;

/// Connections of one peer in one class: more than it opens, since those that are dead may still be
/// counted when it comes back.
fn most(class: Class) -> usize {
    match class {
        Class::Operator => 16,
        Class::Ping => 2,
        Class::Catalogue => 16,
        Class::Transfer => TRANSFER_MAX + TRANSFER_MAX / 2,
    }
}

/// Who is connected.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    next: u64,
    /// By age.
    unproven: BTreeMap<u64, CancellationToken>,
    proven: BTreeMap<u64, Seated>,
}

struct Seated {
    peer: Option<ServerName>,
    class: Class,
    /// Since when it has nothing to do, in order of all seats' changes.
    idle: Option<u64>,
    leave: CancellationToken,
}

/// A connection's seat; ends when it is dropped.
pub(super) struct Seat {
    seats: Seats,
    number: u64,
    leave: CancellationToken,
}

impl Seats {
    /// A seat for one that has not proven itself.
    pub(super) fn unproven(&self) -> Seat {
        let mut taken = self.lock();
        if taken.unproven.len() >= UNPROVEN_MAX
            && let Some((_, oldest)) = taken.unproven.pop_first()
        {
            oldest.cancel();
        }
        let (number, leave) = (taken.number(), CancellationToken::new());
        taken.unproven.insert(number, leave.clone());
        Seat { seats: self.clone(), number, leave }
    }

    /// A seat for one that has; `None` where all are taken by those that have something to do.
    pub(super) fn proven(&self, peer: Option<&ServerName>, class: Class) -> Option<Seat> {
        let mut taken = self.lock();
        let counted = |class| matches!(class, Class::Operator | Class::Transfer);
        let of_peer = |other: &Seated| other.class == class && other.peer.as_ref() == peer;
        if taken.count(of_peer) >= most(class) {
            taken.evict(of_peer)?;
        } else if counted(class) && taken.count(|other| counted(other.class)) >= ALL_MAX {
            taken.evict(|other| counted(other.class))?;
        }
        let (number, leave) = (taken.number(), CancellationToken::new());
        let idle = Some(number);
        taken
            .proven
            .insert(number, Seated { peer: peer.cloned(), class, idle, leave: leave.clone() });
        Some(Seat { seats: self.clone(), number, leave })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn count(&self, which: impl Fn(&Seated) -> bool) -> usize {
        self.proven.values().filter(|seat| which(seat)).count()
    }

    /// Has the one leave that has had nothing to do for longest.
    fn evict(&mut self, which: impl Fn(&Seated) -> bool) -> Option<()> {
        let rivals = self.proven.iter().filter(|(_, seat)| which(seat));
        let idle = rivals.filter_map(|(number, seat)| Some((seat.idle?, *number)));
        let (_, number) = idle.min()?;
        self.proven.remove(&number)?.leave.cancel();
        Some(())
    }
}

impl Seat {
    /// Ends when another needs this one's place.
    pub(super) async fn taken_away(&self) {
        self.leave.cancelled().await;
    }

    /// A conversation begins.
    pub(super) fn busy(&self) {
        if let Some(seat) = self.seats.lock().proven.get_mut(&self.number) {
            seat.idle = None;
        }
    }

    /// It has ended.
    pub(super) fn idle(&self) {
        let mut taken = self.seats.lock();
        let now = taken.number();
        if let Some(seat) = taken.proven.get_mut(&self.number) {
            seat.idle = Some(now);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.unproven.remove(&self.number);
        taken.proven.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    #[test]
    fn the_one_that_was_idle_for_longest_gives_way() {
        let (seats, a) = (Seats::default(), name("a"));
        let full: Vec<_> =
            (0..16).map(|_| seats.proven(Some(&a), Class::Catalogue).unwrap()).collect();
        full.iter().for_each(Seat::busy);
        assert!(seats.proven(Some(&a), Class::Catalogue).is_none(), "nobody is idle");
        assert!(seats.proven(Some(&name("b")), Class::Catalogue).is_some());
        assert!(seats.proven(Some(&a), Class::Ping).is_some());

        full[7].idle();
        full[3].idle();
        let next = seats.proven(Some(&a), Class::Catalogue).unwrap();
        assert!(full[7].leave.is_cancelled() && !full[3].leave.is_cancelled());
        next.busy();
        drop(seats.proven(Some(&a), Class::Catalogue).unwrap());
        assert!(full[3].leave.is_cancelled());
        assert!(seats.proven(Some(&a), Class::Catalogue).is_some(), "one is free");
    }

    #[test]
    fn payloads_of_all_peers_leave_room_for_pings_and_questions() {
        let seats = Seats::default();
        let mut taken = Vec::new();
        for peer in 0..10 {
            let peer = name(&format!("peer{peer}"));
            let one = |_| seats.proven(Some(&peer), Class::Transfer).inspect(Seat::busy);
            taken.extend((0..most(Class::Transfer)).map_while(one));
        }
        assert_eq!(taken.len(), ALL_MAX);
        assert!(seats.proven(None, Class::Operator).is_none());
        let late = name("late");
        assert!(seats.proven(Some(&late), Class::Transfer).is_none());
        assert!(seats.proven(Some(&late), Class::Ping).is_some());
        assert!(seats.proven(Some(&late), Class::Catalogue).is_some());
        drop(taken);
        assert!(seats.proven(None, Class::Operator).is_some());
    }

    #[test]
    fn of_those_that_have_not_proven_themselves_the_oldest_gives_way() {
        let seats = Seats::default();
        let crowd: Vec<_> = (0..=UNPROVEN_MAX).map(|_| seats.unproven()).collect();
        let gone = crowd.iter().filter(|seat| seat.leave.is_cancelled()).count();
        assert!(gone == 1 && crowd[0].leave.is_cancelled());
    }
}
