//! Where each packed payload lies: what is new in memory, the rest in a few sorted files
//! ([`Run`]s), the newer ones before the older ones. (A log-structured merge tree: O'Neil et al.,
//! Acta Informatica 33, 1996.)
//!
//! What is in memory can be had from the packs again, so nothing here is synced for a deposit. It goes
//! into a run of its own when it is much, and two runs become one where the newer is at least half
//! as large as the older; so there are few, and each entry is rewritten a few times in all.
//!
//! **Something forgotten may come back** after a crash, with a record of a pack that is read anew: nothing
//! is lost by that, and the sweep forgets it again.

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use depot_protocol::Digest;

use super::super::{layout, lock, own_files, report_unknown};
use super::Place;
use super::run::{self, Covered, Entry, Merged, Run};
use crate::seams::Disk;

/// The index of one volume's packs.
pub(super) struct Index {
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    /// Held by whoever writes runs.
    writing: Mutex<()>,
}

struct State {
    recent: HashMap<Digest, Option<Place>>,
    /// What is being written into a run.
    leaving: Arc<HashMap<Digest, Option<Place>>>,
    covered: Covered,
    /// The newest last.
    runs: Arc<Vec<(Name, Arc<Run>)>>,
}

/// Which of the index's states, counted from 1, a run holds; its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    first: u64,
    last: u64,
}

impl Name {
    fn path(&self) -> PathBuf {
        layout::index().join(format!("{:016x}-{:016x}", self.first, self.last))
    }

    fn parse(name: &str) -> Option<Self> {
        let (first, last) = name.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let parsed = Name { first: number(first)?, last: number(last)? };
        (parsed.path() == layout::index().join(name)).then_some(parsed)
    }
}

impl Index {
    /// Opens it. One that is not whole is dropped, and empty: all packs are to be read again.
    ///
    /// # Errors
    /// The disk failed.
    pub(super) fn open(disk: &Arc<dyn Disk>) -> io::Result<Self> {
        // What a killed process renamed must stay.
        disk.sync_dir(&layout::index())?;
        let mut names = Vec::new();
        for name in own_files(&**disk, &layout::index())? {
            match Name::parse(&name) {
                Some(name) => names.push(name),
                None if layout::index().join(&name) == unfinished() => {
                    disk.remove_file(&unfinished())?;
                }
                None => report_unknown(&layout::index(), &name),
            }
        }
        let runs = match open_runs(&**disk, &mut names) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(%error, "all packs are read again");
                names.iter().try_for_each(|name| disk.remove_file(&name.path()))?;
                Vec::new()
            }
            other => other?,
        };
        let covered = runs.last().map(|(_, run)| run.covered).unwrap_or_default();
        let state = State {
            recent: HashMap::new(),
            leaving: Arc::default(),
            covered,
            runs: Arc::new(runs),
        };
        Ok(Index { disk: Arc::clone(disk), state: Mutex::new(state), writing: Mutex::default() })
    }

    /// Up to where packs need not be read again.
    pub(super) fn covered(&self) -> Covered {
        self.state().covered
    }

    /// Where a payload lies.
    pub(super) fn get(&self, digest: &Digest) -> io::Result<Option<Place>> {
        let runs = {
            let state = self.state();
            if let Some(place) = state.recent.get(digest).or_else(|| state.leaving.get(digest)) {
                return Ok(*place);
            }
            Arc::clone(&state.runs)
        };
        for (_, run) in runs.iter().rev() {
            if let Some(place) = run.get(digest).inspect_err(|error| self.doubt(error))? {
                return Ok(place);
            }
        }
        Ok(None)
    }

    /// Payloads lie there now, and with them all of the packs up to here are known. How much is in
    /// memory then.
    pub(super) fn put(
        &self,
        entries: impl IntoIterator<Item = (Digest, Place)>,
        covered: Covered,
    ) -> usize {
        let mut state = self.state();
        let entries = entries.into_iter().map(|(digest, place)| (digest, Some(place)));
        state.recent.extend(entries);
        state.covered = covered;
        state.recent.len()
    }

    /// A payload is no longer wanted where it lies.
    pub(super) fn forget(&self, digest: &Digest) {
        self.state().recent.insert(*digest, None);
    }

    /// How much is in memory.
    pub(super) fn recent(&self) -> usize {
        self.state().recent.len()
    }

    /// All that is here of hashes that begin with these bytes, in their order.
    pub(super) fn walk(
        &self,
        first: RangeInclusive<u8>,
    ) -> impl Iterator<Item = io::Result<(Digest, Place)>> {
        let (recent, leaving, runs) = {
            let state = self.state();
            (sorted(&state.recent, &first), Arc::clone(&state.leaving), Arc::clone(&state.runs))
        };
        let mut sources = vec![boxed(recent.into_iter().map(Ok))];
        sources.push(boxed(sorted(&leaving, &first).into_iter().map(Ok)));
        sources.extend(runs.iter().rev().map(|(_, run)| boxed(run.iter(*first.start()))));
        let last = *first.end();
        let within = move |entry: &io::Result<Entry>| match entry {
            Ok((digest, _)) => digest.as_bytes()[0] <= last,
            Err(_) => true,
        };
        Merged::new(sources).take_while(within).filter_map(|entry| match entry {
            Ok((digest, place)) => Some(Ok((digest, place?))),
            Err(error) => {
                self.doubt(&error);
                Some(Err(error))
            }
        })
    }

    /// Makes all of it durable that was there when this was called.
    pub(super) fn flush(&self) -> io::Result<()> {
        let _alone = lock(&self.writing);
        let (leaving, covered, last) = {
            let mut state = self.state();
            if state.recent.is_empty() {
                return Ok(());
            }
            state.leaving = Arc::new(std::mem::take(&mut state.recent));
            let last = state.runs.last().map_or(0, |(name, _)| name.last);
            (Arc::clone(&state.leaving), state.covered, last)
        };
        let name = Name { first: last + 1, last: last + 1 };
        let entries = sorted(&leaving, &(0..=u8::MAX)).into_iter().map(Ok);
        let written = self.write(name, covered, entries);
        let mut state = self.state();
        state.leaving = Arc::default();
        match written {
            Ok(run) => {
                let mut runs = state.runs.to_vec();
                runs.push((name, run));
                state.runs = Arc::new(runs);
                drop(state);
                self.merge()
            }
            Err(error) => {
                for (digest, place) in &*leaving {
                    state.recent.entry(*digest).or_insert(*place);
                }
                Err(error)
            }
        }
    }

    /// Makes one of the newest two runs as long as the newer is not much smaller.
    fn merge(&self) -> io::Result<()> {
        loop {
            let runs = Arc::clone(&self.state().runs);
            let [before @ .., (older, old), (newer, new)] = &runs[..] else { return Ok(()) };
            if new.count * 2 < old.count {
                return Ok(());
            }
            let name = Name { first: older.first, last: newer.last };
            let sources = [new, old].map(|run| boxed(run.iter(0)));
            // Beneath the lowest one there is nothing to be forgotten.
            let lowest = before.is_empty();
            let entries =
                Merged::new(sources).filter(|entry| !(lowest && matches!(entry, Ok((_, None)))));
            let run = self.write(name, new.covered, entries);
            let run = run.inspect_err(|error| self.doubt(error))?;
            let mut merged = before.to_vec();
            merged.push((name, run));
            self.state().runs = Arc::new(merged);
            self.disk.remove_file(&older.path())?;
            self.disk.remove_file(&newer.path())?;
        }
    }

    fn write(
        &self,
        name: Name,
        covered: Covered,
        entries: impl Iterator<Item = io::Result<Entry>>,
    ) -> io::Result<Arc<Run>> {
        match self.disk.remove_file(&unfinished()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?, // of a try that failed
        }
        run::write(&*self.disk, &unfinished(), covered, entries)?;
        self.disk.rename(&unfinished(), &name.path())?;
        self.disk.sync_dir(&layout::index())?;
        Run::open(&*self.disk, &name.path()).map(Arc::new)
    }

    /// Where a run is not as it was written, the next start makes the index anew.
    fn doubt(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::InvalidData {
            return;
        }
        tracing::error!(%error, "restart this server: the next start reads all packs again");
        if let Some((lowest, _)) = self.state().runs.first() {
            // Without it the others are not believed.
            drop(self.disk.remove_file(&lowest.path()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn unfinished() -> PathBuf {
    layout::index().join("new")
}

fn sorted(entries: &HashMap<Digest, Option<Place>>, first: &RangeInclusive<u8>) -> Vec<Entry> {
    let within = entries.iter().filter(|(digest, _)| first.contains(&digest.as_bytes()[0]));
    let mut sorted: Vec<_> = within.map(|(digest, place)| (*digest, *place)).collect();
    sorted.sort_unstable_by_key(|(digest, _)| *digest);
    sorted
}

fn boxed<'m>(
    entries: impl Iterator<Item = io::Result<Entry>> + 'm,
) -> Box<dyn Iterator<Item = io::Result<Entry>> + 'm> {
    Box::new(entries)
}

/// The runs that are needed, the oldest first; those that others have become go.
fn open_runs(disk: &dyn Disk, names: &mut Vec<Name>) -> io::Result<Vec<(Name, Arc<Run>)>> {
    names.sort_by_key(|name| (name.first, std::cmp::Reverse(name.last)));
    let (mut runs, mut last) = (Vec::new(), 0);
    let mut gone = Vec::new();
    for name in &*names {
        if name.last <= last {
            gone.push(*name);
            continue;
        }
        if name.first != last + 1 {
            let missing = format!("the index of packs is damaged: state {} is missing", last + 1);
            return Err(io::Error::new(io::ErrorKind::InvalidData, missing));
        }
        runs.push((*name, Arc::new(Run::open(disk, &name.path())?)));
        last = name.last;
    }
    for name in gone {
        disk.remove_file(&name.path())?;
        names.retain(|other| *other != name);
    }
    Ok(runs)
}

#[cfg(test)]
mod tests;
