//! The copies of a deposit on other servers, made while it arrives.
//!
//! **When it returns.** [`Fanout::start`] returns at once: as many *lanes* as replicas are wanted
//! begin, each a task of its own, to the best candidates. [`Fanout::enough`] returns as soon as so
//! many receipts are there, or can't come any more, or the time is over.
//!
//! **A slow peer is let go.** A lane that does not take the next piece within `LANE_STALL`
//! (waiting for the client counts for nothing), or fails in any other way, ends, and the next
//! candidate begins at byte 0, while the upload still runs. One whose receipt takes longer than
//! `RECEIPT_PATIENCE` is not let go, for it may yet come, but the next candidate begins beside it.
//! When all were tried, those that are up once the payload is whole are tried again, once. That goes
//! on behind the commit: a peer that stands still is replaced at once, not when it counts as away.
//!
//! **The client is slowed** ([`Fanout::keeps_up`]) where it is more than `AHEAD` ahead of the lanes
//! that the promise needs: it goes on as they do, or its last bytes would not be elsewhere in time
//! for its answer. Only a lane that is sending slows it, and one that stands still is soon let go.
//!
//! **What is late is not lost.** A deposit that is refused with its payload whole here leaves its
//! lanes running ([`Fanout::linger`]); when it is tried again they are its lanes, with what they
//! brought.
//!
//! **Stragglers** are the lanes that still run at the commit. The record lists their servers as
//! wanted; they go on in the background, and each that finishes has the record list its copy, as
//! long as that still has this content. Only so many do, in all deposits together: for the rest, as
//! for lanes that fail, a wanted server fetches its copy itself.
//!
//! **Errors.** What goes wrong with one peer is logged; it tells the client nothing and fails no
//! other lane. A payload that is given up (cut, wrong hash), or a [`Fanout`] that is dropped before
//! its commit, ends all lanes, and the peers keep nothing of it.

mod lane;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::{Digest, ServerName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::feed::Feed;
use crate::catalogue::{Receipt, Version};
use crate::depot::Depot;
use crate::tasks::Tasks;
use crate::transfer::{Courier, File};
use crate::uploads::UploadKey;
use lane::LaneError;

/// How long a lane has to tell its peer that the payload was given up, before it is dropped.
const ABORT_WITHIN: Duration = Duration::from_secs(1);

/// How many bytes the client may be ahead of the lanes that the promise needs. More than a peer
/// falls behind in a moment's pause; at 2 MB/s little enough to be sent before it is too late.
const AHEAD: u64 = 64 << 20;
/// So many bytes may lie in sockets when all is sent as the client sees it, and its answer is due
/// from there on. So nobody is slowed in the last of a payload.
const IN_SOCKETS: u64 = 16 << 20;
/// A client that is slowed gets rid of a piece at least that often: it shall not take this server
/// for dead.
const SLOWED: Duration = Duration::from_secs(1);

/// A server that may get a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Which.
    pub(super) server: ServerName,
    /// How it comes to its copy.
    pub(super) by: By,
}

/// How a server comes to a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A record of this client lists it there: it is asked first, and sent the bytes if it has not.
    Vouching,
    /// It is sent the bytes.
    Pushing,
}

/// The lanes of one deposit.
pub(super) struct Fanout {
    lanes: Arc<Lanes>,
    promise: Promise,
}

/// How many copies on other servers a deposit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Promise {
    /// So many are wanted, at least one.
    pub(super) wanted: usize,
    /// So many receipts it waits for.
    pub(super) needed: usize,
}

/// Fewer servers than needed have a copy, and no more come.
#[derive(Debug)]
pub(super) struct TooFew;

/// What a commit is made of, besides this server's own receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copies {
    /// The proofs of the copies on other servers.
    pub(super) receipts: Vec<Receipt>,
    /// Who else shall have one: whose lanes still run, then who comes next.
    pub(super) wanted: Vec<ServerName>,
}

struct Lanes {
    courier: Courier,
    tasks: Tasks,
    /// How many lanes may go on after their commits.
    stragglers: Arc<Semaphore>,
    feed: Arc<Feed>,
    board: Mutex<Board>,
    changed: watch::Sender<()>,
}

/// How the lanes stand. A server is in one of the lists at most.
#[derive(Debug, Default)]
struct Board {
    next: VecDeque<Candidate>,
    running: Vec<ServerName>,
    /// How much those of them have taken that are being sent it.
    sending: BTreeMap<ServerName, u64>,
    failed: Vec<ServerName>,
    receipts: Vec<Receipt>,
    /// Those that failed have had their second try.
    tried_again: bool,
    /// How many tasks there are that may yet bring a receipt.
    slots: usize,
    /// The commit: copies that come now are added to this record.
    committed: Option<(File, Version)>,
    /// Held by the stragglers until the last has ended.
    permit: Option<OwnedSemaphorePermit>,
}

impl Fanout {
    /// Begins as many lanes for this payload as copies are wanted.
    pub(super) fn start(
        depot: &Depot,
        feed: Arc<Feed>,
        candidates: VecDeque<Candidate>,
        promise: Promise,
    ) -> Self {
        let lanes = Arc::new(Lanes {
            courier: depot.courier.clone(),
            tasks: depot.tasks.clone(),
            stragglers: Arc::clone(&depot.stragglers),
            feed,
            board: Mutex::new(Board { next: candidates, ..Board::default() }),
            changed: watch::Sender::new(()),
        });
        let fanout = Fanout { lanes, promise };
        fanout.fill_slots();
        fanout
    }

    /// Takes up the lanes that go on for this upload, which was refused; `None` where there are
    /// none.
    pub(super) fn lingering(depot: &Depot, key: &UploadKey) -> Option<Self> {
        depot.lingering.take(&key.part())
    }

    /// Whether they send a whole payload with this hash.
    pub(super) fn has(&self, is_it: impl FnOnce(&Digest) -> bool) -> bool {
        self.lanes.feed.hash().is_some_and(|digest| is_it(&digest))
    }

    /// The upload is tried again: what the lanes have brought counts, and as many as are missing
    /// begin anew.
    pub(super) fn again(mut self, candidates: VecDeque<Candidate>, promise: Promise) -> Self {
        self.promise = promise;
        self.lanes.change(|board| {
            let done = board.receipts.iter().map(|copy| &copy.server);
            let begun: Vec<_> = board.running.iter().chain(done).cloned().collect();
            board.next =
                candidates.into_iter().filter(|next| !begun.contains(&next.server)).collect();
            board.failed = Vec::new();
            board.tried_again = false;
            board.permit = None;
        });
        self.fill_slots();
        self
    }

    fn fill_slots(&self) {
        let at_it = {
            let board = self.lanes.board();
            board.receipts.len() + board.slots
        };
        for _ in at_it..self.promise.wanted {
            self.lanes.start_slot();
        }
    }

    /// The payload that the lanes send.
    pub(super) fn feed(&self) -> &Arc<Feed> {
        &self.lanes.feed
    }

    /// Waits while the client, from whom `missing` bytes are still to come, is too far ahead of the
    /// lanes that are needed; at most `SLOWED`.
    pub(super) async fn keeps_up(&self, missing: u64) {
        if missing <= IN_SOCKETS {
            return;
        }
        let behind = self.lanes.until(|board| {
            let mut taken: Vec<u64> = board.sending.values().copied().collect();
            taken.sort_unstable_by(|one, other| other.cmp(one));
            let last = taken.get(self.promise.needed.saturating_sub(1));
            let ahead = last.map_or(0, |taken| self.lanes.feed.arrived().saturating_sub(*taken));
            (ahead <= AHEAD).then_some(())
        });
        // Late or not, the client goes on.
        drop(timeout(SLOWED, behind).await);
    }

    /// Waits until as many servers as are needed have given their receipts.
    pub(super) async fn enough(&self, until: Instant) -> Result<(), TooFew> {
        let needed = self.promise.needed;
        let look = |board: &Board| match board.receipts.len() {
            there if there >= needed => Some(Ok(())),
            there if there + board.slots < needed => Some(Err(TooFew)),
            _ => None,
        };
        timeout_at(until, self.lanes.until(look)).await.unwrap_or(Err(TooFew))
    }

    /// Waits until no lane runs any more, but no longer than `grace`.
    pub(super) async fn settled(&self, grace: Duration) {
        let all = self.lanes.until(|board| (board.slots == 0).then_some(()));
        // Late or not, the commit takes what is there.
        drop(timeout(grace, all).await);
    }

    /// What there is now to commit.
    pub(super) fn copies(&self) -> Copies {
        let board = self.lanes.board();
        let open = self.promise.wanted.saturating_sub(board.receipts.len());
        let next = board.next.iter().map(|candidate| &candidate.server);
        let wanted = board.running.iter().chain(next).chain(&board.failed).take(open).cloned();
        Copies { receipts: board.receipts.clone(), wanted: wanted.collect() }
    }

    /// A sweep came between this server's receipt and the commit: asks it for a fresh one, and for
    /// another's copy where it gives none.
    pub(super) async fn vouch_again(&self, server: &ServerName, digest: Digest) {
        let Some(stale) = self.lanes.withdraw(server) else { return };
        let size = self.lanes.feed.size();
        match self.lanes.courier.vouch_again(digest, size, &stale).await {
            Some(fresh) => self.lanes.change(|board| board.receipts.push(fresh)),
            None => self.lanes.replace(stale.server),
        }
    }

    /// This server's receipt is of an earlier life of it: another's copy is asked for.
    pub(super) fn withdraw(&self, server: &ServerName) {
        if let Some(receipt) = self.lanes.withdraw(server) {
            self.lanes.replace(receipt.server);
        }
    }

    /// The deposit is refused, its payload kept here whole: what the lanes have brought so far is
    /// kept too, and they go on, if so many may, for as long as the upload can be tried again.
    pub(super) fn linger(self, depot: &Depot, key: &UploadKey) {
        let slots = self.lanes.board().slots;
        let permits = u32::try_from(slots).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&depot.stragglers).try_acquire_many_owned(permits) else {
            tracing::debug!("too many lanes go on after their deposits: these are let go");
            return;
        };
        self.lanes.change(|board| board.permit = (board.slots > 0).then_some(permit));
        depot.lingering.keep(key.part(), self, depot.settings.part_lifetime, &depot.tasks);
    }

    /// The record stands, and lists `listed`. What comes from now on is added to it.
    pub(super) fn committed(self, file: File, version: Version, listed: &[Receipt]) {
        let lanes = &self.lanes;
        let mut late = Vec::new();
        lanes.change(|board| {
            late = board.receipts.iter().filter(|copy| !listed.contains(copy)).cloned().collect();
            board.committed = Some((file.clone(), version));
            let slots = u32::try_from(board.slots).unwrap_or(u32::MAX);
            board.permit = Arc::clone(&lanes.stragglers).try_acquire_many_owned(slots).ok();
        });
        if lanes.board().permit.is_none() {
            tracing::debug!("too many lanes go on after their deposits: these are let go");
            lanes.feed.give_up();
        }
        for receipt in late {
            let (courier, file) = (lanes.courier.clone(), file.clone());
            lanes.tasks.spawn(async move { add_copy(&courier, &file, version, receipt).await });
        }
    }
}

/// Not committed: the peers keep nothing.
impl Drop for Fanout {
    fn drop(&mut self) {
        if self.lanes.board().committed.is_none() {
            self.lanes.feed.give_up();
        }
    }
}

impl Lanes {
    /// Starts a task that sees to one copy.
    fn start_slot(self: &Arc<Self>) {
        self.change(|board| board.slots += 1);
        let slot = Slot(Arc::clone(self));
        self.tasks.spawn(async move {
            let lanes = Arc::clone(&slot.0);
            tokio::select! {
                () = lanes.run_slot() => {}
                () = lanes.tasks.stopped().cancelled() => {}
                () = lanes.out_of_time() => {}
            }
            drop(slot);
        });
    }

    /// One candidate after another, until one has given a receipt.
    async fn run_slot(self: &Arc<Self>) {
        while let Some(candidate) = self.take_candidate().await {
            let server = &candidate.server;
            match self.lane(&candidate).await {
                Ok(receipt) => return self.settle(receipt).await,
                Err(LaneError::GivenUp) => return,
                Err(error) => {
                    // That a server is down is told once, where its link is.
                    match self.courier.transfer.is_up(server) {
                        true => tracing::warn!(%server, %error, "a copy is not made there"),
                        false => tracing::debug!(%server, %error, "a copy is not made there"),
                    }
                    self.change(|board| {
                        board.running.retain(|running| running != server);
                        board.failed.push(server.clone());
                    });
                }
            }
        }
    }

    /// Ends what goes on after the payload was given up, or, with its commit done, when the server
    /// is about to stop: the rest is for a wanted server to fetch.
    async fn out_of_time(&self) {
        let stopping = async {
            self.tasks.stopping().cancelled().await;
            self.until(|board| board.committed.is_some().then_some(())).await;
        };
        tokio::select! {
            () = self.feed.given_up() => sleep(ABORT_WITHIN).await,
            () = stopping => {}
        }
    }

    async fn take_candidate(&self) -> Option<Candidate> {
        if let Some(candidate) = self.next_candidate() {
            return Some(candidate);
        }
        // All were tried. While the upload runs, one of them may come back.
        self.feed.whole().await?;
        self.change(|board| {
            if !std::mem::replace(&mut board.tried_again, true) {
                let failed = std::mem::take(&mut board.failed);
                let (up, down) =
                    failed.into_iter().partition(|server| self.courier.transfer.is_up(server));
                let again = |server| Candidate { server, by: By::Pushing };
                board.failed = down;
                board.next = Vec::into_iter(up).map(again).collect();
            }
        });
        self.next_candidate()
    }

    /// Behind the commit too: the record comes to list the new copy, and the server that was wanted
    /// leaves it when it comes back and finds that there are enough.
    fn next_candidate(&self) -> Option<Candidate> {
        let mut board = self.board();
        let candidate = board.next.pop_front()?;
        board.running.push(candidate.server.clone());
        Some(candidate)
    }

    /// A server has a copy: it is for the commit, or, after that, for the record.
    async fn settle(&self, receipt: Receipt) {
        let mut committed = None;
        self.change(|board| {
            board.running.retain(|running| *running != receipt.server);
            match &board.committed {
                Some(record) => committed = Some(record.clone()),
                None => board.receipts.push(receipt.clone()),
            }
        });
        if let Some((file, version)) = committed {
            add_copy(&self.courier, &file, version, receipt).await;
        }
    }

    fn withdraw(&self, server: &ServerName) -> Option<Receipt> {
        let mut board = self.board();
        let at = board.receipts.iter().position(|receipt| receipt.server == *server)?;
        Some(board.receipts.remove(at))
    }

    /// A server's receipt was good for nothing: the next candidate's turn.
    fn replace(self: &Arc<Self>, server: ServerName) {
        self.change(|board| board.failed.push(server));
        self.start_slot();
    }

    async fn until<T>(&self, look: impl Fn(&Board) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(found) = look(&self.board()) {
                return found;
            }
            drop(changed.changed().await); // the sender is here
        }
    }

    fn change(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.board());
        self.changed.send_replace(());
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that may yet bring a receipt; however it ends, it counts no more.
struct Slot(Arc<Lanes>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.change(|board| {
            board.slots -= 1;
            if board.slots == 0 {
                board.permit = None;
            }
        });
    }
}

async fn add_copy(courier: &Courier, file: &File, version: Version, receipt: Receipt) {
    let server = receipt.server.clone();
    match courier.add_copy(file, version, receipt).await {
        Ok(added) => tracing::debug!(%server, ?added, "a copy was made after its deposit's answer"),
        // It stays wanted, and that server looks for it again.
        Err(error) => tracing::warn!(%server, %error, "cannot list a copy"),
    }
}
