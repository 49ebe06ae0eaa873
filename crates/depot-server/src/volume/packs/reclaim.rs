//! Room in packs that nobody needs any more: what is still wanted of a pack is copied on, and the pack
//! goes.
//!
//! **A pack goes only when nothing lies in it**: every record that is copied has its hash and is synced in
//! its new place; the index that says so is durable; and a walk through all of it finds no entry that
//! names the pack. What is bad in a pack keeps it, until somebody has judged the copy.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::{layout, lock};
use super::format::{self, Scan};
use super::{Packs, numbers};

/// When it is looked what can be reclaimed: by how much was forgotten since the last look, which goes
/// through the whole index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// Where it is half a pack.
    IfMuch,
    /// Where it is anything.
    IfAny,
    /// In any case.
    Always,
}

impl Packs {
    /// Reclaims what can be, of packs of which at least half is not needed; how many went.
    pub(in crate::volume) fn reclaim(self: &Arc<Self>, reclaim: Reclaim) -> io::Result<usize> {
        let _alone = lock(&self.reclaiming);
        let least = match reclaim {
            Reclaim::IfMuch => (self.full / 2).max(1),
            Reclaim::IfAny => 1,
            Reclaim::Always => 0,
        };
        if self.forgotten.load(Ordering::Acquire) < least {
            return Ok(0);
        }
        let forgotten = self.forgotten.swap(0, Ordering::AcqRel);
        let gone = self.reclaim_packs();
        if gone.is_err() {
            self.forgotten.fetch_add(forgotten, Ordering::AcqRel);
        }
        gone
    }

    fn reclaim_packs(self: &Arc<Self>) -> io::Result<usize> {
        // Those that are written from here on have higher numbers.
        let full = {
            let state = self.state();
            state.active.as_ref().map_or(state.next, |active| active.pack)
        };
        let needed = self.needed()?;
        let mut emptied = BTreeSet::new();
        for pack in numbers(&*self.disk)?.into_iter().filter(|pack| *pack < full) {
            let size = self.file(pack)?.size()?;
            let needed = needed.get(&pack).copied().unwrap_or_default();
            if needed * 2 <= size.max(self.full) && (needed == 0 || self.copy_on(pack)?) {
                emptied.insert(pack);
            }
        }
        if emptied.is_empty() {
            return Ok(0);
        }
        self.index.flush()?;
        let still = self.needed()?;
        emptied.retain(|pack| !still.contains_key(pack));
        for pack in &emptied {
            self.disk.remove_file(&layout::pack(*pack))?;
            lock(&self.open).remove(pack);
        }
        tracing::info!(packs = emptied.len(), "packs of which little was needed are gone");
        Ok(emptied.len())
    }

    /// How many bytes of each pack are needed.
    fn needed(&self) -> io::Result<BTreeMap<u32, u64>> {
        let mut needed = BTreeMap::new();
        for entry in self.index.walk(0..=u8::MAX) {
            let (_, place) = entry?;
            *needed.entry(place.pack).or_default() += format::length(place.size);
        }
        Ok(needed)
    }

    /// Copies on what is needed of a pack; whether there was room for it.
    fn copy_on(self: &Arc<Self>, pack: u32) -> io::Result<bool> {
        let file = self.file(pack)?;
        let mut scan = Scan::new(&*file, pack, 0)?;
        loop {
            let batch = scan.batch(|digest, place| Ok(self.index.get(digest)? == Some(*place)))?;
            if batch.is_empty() {
                return Ok(true);
            }
            // Forgotten meanwhile, one comes back by this, and is swept again.
            if !self.append(batch)? {
                return Ok(false);
            }
        }
    }
}
