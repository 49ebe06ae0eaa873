//! The scrub: reads copies again, and finds those that have rotted before a client does.
//!
//! * **Rounds**: every copy on the disk once in `[volume] scrub`, shard by shard, evenly spread.
//! * **New copies**: every `scrub_fresh`, those of records that are younger than the last time.
//! * **At once**: everything, after a disk fault (when it has read all of it and found it good the
//!   volume takes payloads again) and when an operator says so.
//!
//! A copy that is bad goes to [`Custody::condemn_at`]; what records list and is nowhere is for
//! `reconcile`, which a pass over everything ends with. The first two leave the disk to others for
//! four fifths of the time, and count this server's running time; where they are is kept in the data
//! folder.

mod position;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use depot_protocol::{Digest, FileName};
use tokio::sync::Notify;

use super::kept::Keeper;
use super::reading::{Pace, read};
use super::reconcile;
use crate::catalogue::{Incarnation, Namespace, Version, View};
use crate::config::VolumeSettings;
use crate::custody::{Custody, CustodyError};
use crate::operator::{BadCopy, ScrubStatus};
use crate::seams::{Disk, Seams, blocking};
use crate::tasks::Tasks;
use crate::telemetry;
use crate::volume::{MANY, Verdict};
use position::{NewCopies, Position};

/// How long after a pass that did not end well the next one begins.
const AGAIN: Duration = Duration::from_secs(600);
/// So many records are looked through in one go.
const PAGE: usize = 1024;
/// Lanes of a deposit that was answered may bring their copies for this long: it passes between
/// the moment up to which records are taken for new, and reading what they list.
const LANES: Duration = Duration::from_secs(600);
/// Of so many copies one may be unreadable; where more are, it is the disk.
const SHARE: usize = 4;
/// So many of the bad copies that were found are shown.
const SHOWN: usize = 8;

/// A file of somebody.
type Key = (Namespace, FileName);

/// What reads this server's copies again.
pub struct Scrubber {
    custody: Arc<Custody>,
    seams: Seams,
    keeper: Keeper<Position>,
    /// How long a round takes, in seconds.
    round: u64,
    /// The time between two looks at new copies, in seconds.
    fresh: u64,
    state: Mutex<State>,
    /// Wakes the pass over everything.
    commanded: Notify,
}

struct State {
    position: Position,
    /// The shard that a pass over everything is at.
    pass: Option<u8>,
    /// How many copies were read since the start.
    read: u64,
    /// The bad ones that were found since then, and when; the last of them.
    found: VecDeque<(Digest, u64)>,
}

impl Scrubber {
    /// Goes on from where it was. Blocks.
    pub fn load(
        custody: Arc<Custody>,
        seams: Seams,
        disk: Arc<dyn Disk>,
        settings: &VolumeSettings,
    ) -> Arc<Self> {
        let (keeper, saved) = Keeper::load(disk, &seams);
        let position = saved.unwrap_or_else(|| Position::begin(custody.now()));
        let state = State { position, pass: None, read: 0, found: VecDeque::new() };
        Arc::new(Scrubber {
            custody,
            seams,
            keeper,
            round: settings.scrub.as_secs(),
            fresh: settings.scrub_fresh.as_secs(),
            state: Mutex::new(state),
            commanded: Notify::new(),
        })
    }

    /// Everything is to be read now; a pass that is under way does not do, as it is past some of it.
    pub fn command(&self) {
        self.commanded.notify_one();
    }

    /// Runs until the server stops.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        let work = async {
            let kept = self.keeper.run(|| self.state().position.clone());
            tokio::join!(self.rounds(), self.new_copies(), self.passes(), kept);
        };
        tokio::select! {
            () = work => {}
            () = tasks.stopping().cancelled() => {}
        }
        let position = self.state().position.clone();
        self.keeper.save(position).await;
    }

    /// Where it is and what it found.
    pub fn status(&self) -> ScrubStatus {
        let now = self.custody.now();
        let state = self.state();
        let bad = |(digest, at): &(Digest, u64)| BadCopy {
            digest: digest.to_string(),
            ago: now.saturating_sub(*at),
        };
        ScrubStatus {
            rounds: state.position.rounds,
            shard: state.position.shard,
            began: now.saturating_sub(state.position.began),
            fresh: now.saturating_sub(state.position.fresh),
            pass: state.pass,
            read: state.read,
            bad: state.position.bad,
            found: state.found.iter().map(bad).collect(),
        }
    }

    /// One shard after the other, each when it is due. What can't be read now comes again in the
    /// next round.
    async fn rounds(&self) {
        loop {
            let (shard, after, due) = {
                let position = &self.state().position;
                (position.shard, position.after, position.due(self.round))
            };
            let wait = due.saturating_sub(self.custody.now());
            if wait > 0 {
                tokio::time::sleep(Duration::from_secs(wait)).await;
                continue; // the two clocks may differ by a little
            }
            let mut pace = Pace::gentle();
            self.shard(shard, after, &mut pace, |digest, _| {
                self.state().position.after = Some(digest);
            })
            .await;
            self.state().position.advance(self.round, self.custody.now());
        }
    }

    /// What was deposited since the last time, each time that it is due.
    async fn new_copies(&self) {
        loop {
            let due = self.state().position.fresh.saturating_add(self.fresh);
            let wait = due.saturating_sub(self.custody.now());
            if wait > 0 {
                tokio::time::sleep(Duration::from_secs(wait)).await;
                continue;
            }
            if let Err(error) = self.new_copies_once().await {
                tracing::warn!(%error, "cannot look for new copies to read again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn new_copies_once(&self) -> Result<(), CustodyError> {
        let begun = self.state().position.new.clone();
        let NewCopies { began, mark, after } = match begun {
            Some(begun) => begun,
            None => self.begin_new_copies().await?,
        };
        let since = Version(self.state().position.mark);
        self.listed(since, after, &mut Pace::gentle()).await?;
        let position = &mut self.state().position;
        (position.mark, position.fresh, position.new) = (mark, began, None);
        Ok(())
    }

    async fn begin_new_copies(&self) -> Result<NewCopies, CustodyError> {
        let began = self.custody.now();
        let mark = self.custody.ask(|view: &View, _: &Custody| view.applied()).await?;
        tokio::time::sleep(LANES).await;
        let begun = NewCopies { began, mark, after: None };
        self.state().position.new = Some(begun.clone());
        Ok(begun)
    }

    /// Reads the copies that the records behind `after` list here, of those that are younger than
    /// `since`.
    async fn listed(
        &self,
        since: Version,
        mut after: Option<Key>,
        pace: &mut Pace,
    ) -> Result<(), CustodyError> {
        loop {
            let look = move |view: &View, custody: &Custody| {
                let identity = custody.home.identity();
                let me = (&identity.server, Incarnation(identity.incarnation));
                let page = view.page(after.as_ref(), PAGE)?;
                let new = page.files.into_iter().filter(|(_, _, record)| record.version > since);
                let mine = new.filter(|(_, _, file)| file.confirmed().any(|holder| holder == me));
                // Of a content that many list, the first says it for all of the page.
                let mut known = HashSet::new();
                let once = mine.filter(|(_, _, record)| known.insert(record.digest));
                let copies = once.map(|(namespace, name, file)| ((namespace, name), file.digest));
                Ok((copies.collect::<Vec<_>>(), page.last))
            };
            let (copies, last) = self.custody.ask(look).await?;
            for (key, digest) in copies {
                if let Some(Verdict::Absent) = self.read(digest, pace).await {
                    self.custody.condemn(digest);
                }
                self.new_copies_are_at(key);
            }
            let Some(last) = last else { return Ok(()) };
            self.new_copies_are_at(last.clone());
            after = Some(last);
        }
    }

    fn new_copies_are_at(&self, key: Key) {
        if let Some(new) = &mut self.state().position.new {
            new.after = Some(key);
        }
    }

    /// Everything, after a disk fault until it was read and found good, or on command.
    async fn passes(&self) {
        let suspect = || self.custody.volume.check_writable().is_err();
        loop {
            tokio::select! {
                () = self.custody.volume.became_suspect.notified() => {}
                () = self.commanded.notified() => {}
            }
            loop {
                let passed = self.pass().await;
                self.state().pass = None;
                if passed || !suspect() {
                    break;
                }
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => {}
                    () = self.commanded.notified() => {}
                }
            }
        }
    }

    /// One pass over everything; whether all of it could be read and was good.
    async fn pass(&self) -> bool {
        let faults = self.custody.volume.faults();
        tracing::info!("reading every copy again");
        let (mut failed, mut read, mut unreadable) = (0, 0, Vec::new());
        for shard in 0..=u8::MAX {
            self.state().pass = Some(shard);
            let note = |digest, verdict| {
                read += 1;
                if verdict == Some(Verdict::Unreadable) {
                    unreadable.push(digest);
                }
            };
            failed += self.shard(shard, None, &mut Pace::Full, note).await;
        }
        self.judge_unreadable(read, unreadable).await;
        reconcile::once(&self.custody, &self.seams).await;
        if failed > 0 {
            tracing::error!(failed, "not every copy is good and can be read");
            return false;
        }
        tracing::info!("every copy was read and is good");
        faults == 0 || self.absolve(faults).await
    }

    /// Copies that can't be read go into quarantine, so that the next pass can be a good one; but not
    /// where they are so many that it is the disk. Those stay, and are not counted.
    async fn judge_unreadable(&self, read: usize, unreadable: Vec<Digest>) {
        let many = unreadable.len();
        if many > MANY && many * SHARE > read {
            tracing::error!(
                many,
                read,
                "the disk does not give these copies: nothing is set aside"
            );
            return;
        }
        for digest in unreadable {
            let custody = Arc::clone(&self.custody);
            let aside = move || custody.set_aside(digest);
            match blocking::run(&self.seams.blocking, aside).await {
                Ok(Ok(verdict)) => self.note(digest, verdict),
                Ok(Err(error)) => {
                    tracing::error!(blob = %digest, %error, "cannot set aside a copy")
                }
                Err(_lost) => return,
            }
        }
    }

    /// The disk has shown that it works: the volume takes payloads again.
    async fn absolve(&self, faults: u64) -> bool {
        let volume = Arc::clone(&self.custody.volume);
        match blocking::run(&self.seams.blocking, move || volume.absolve(faults)).await {
            Ok(Ok(true)) => {
                tracing::info!("the volume takes payloads again");
                true
            }
            Ok(Ok(false)) => {
                tracing::error!("the disk failed again while the scrub ran");
                false
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the scrub has passed, but the volume cannot be written");
                false
            }
            Err(_lost) => false,
        }
    }

    /// Reads the copies of a shard that come after `after`, and tells `done` of each; how many are
    /// bad or can't be read.
    async fn shard(
        &self,
        shard: u8,
        after: Option<Digest>,
        pace: &mut Pace,
        mut done: impl FnMut(Digest, Option<Verdict>),
    ) -> usize {
        let volume = Arc::clone(&self.custody.volume);
        let list = blocking::run(&self.seams.blocking, move || volume.shard(shard)).await;
        let mut digests = match list {
            Ok(Ok(digests)) => digests,
            Ok(Err(error)) => {
                tracing::error!(shard, %error, "the scrub cannot list copies");
                return 1;
            }
            Err(_lost) => return 1,
        };
        digests.retain(|digest| Some(*digest) > after);
        digests.sort_unstable();
        let mut failed = 0;
        for digest in digests {
            let verdict = self.read(digest, pace).await;
            failed += usize::from(!matches!(verdict, Some(Verdict::Good | Verdict::Absent)));
            done(digest, verdict);
        }
        failed
    }

    /// Reads one copy; `None` where that can't be done now.
    async fn read(&self, digest: Digest, pace: &mut Pace) -> Option<Verdict> {
        match read(&self.custody, &self.seams, digest, pace).await {
            Ok(verdict) => {
                self.state().read += u64::from(verdict != Verdict::Absent);
                self.note(digest, verdict);
                Some(verdict)
            }
            Err(error) => {
                let error = telemetry::chain(&error);
                tracing::error!(blob = %digest, error, "the scrub cannot read a copy");
                None
            }
        }
    }

    fn note(&self, digest: Digest, verdict: Verdict) {
        if verdict == Verdict::Bad {
            self.state().note(digest, self.custody.now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A bad copy was found.
    fn note(&mut self, digest: Digest, now: u64) {
        self.position.bad += 1;
        if self.found.len() == SHOWN {
            self.found.pop_front();
        }
        self.found.push_back((digest, now));
    }
}
