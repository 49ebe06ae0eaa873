//! A [`Part`] as the network's side sees it: each step on a thread for blocking work.

use std::io;

use bytes::Bytes;

use crate::blocking::blocking;
use crate::recover::Head;
use crate::recover::part::Part;
use crate::recover::place::{Place, sync_names};
use crate::recover::pump::Sink;
use crate::{Error, Existing};

/// A file that is being recovered.
pub(crate) struct Target {
    place: Place,
    held: u64,
    /// On loan during a step, and gone where a step was dropped.
    part: Option<Part>,
}

impl Target {
    /// Looks whether it may be made, and takes up what is held of it.
    pub(crate) async fn open(place: Place, existing: Existing) -> Result<Target, Error> {
        let part = blocking(move || Part::open(place, existing)).await?;
        Ok(Target { place: part.place().clone(), held: part.held(), part: Some(part) })
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    async fn step(
        &mut self,
        step: impl FnOnce(&mut Part) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let Some(mut part) = self.part.take() else {
            return Err(Error::io(&self.place.path(), io::Error::other("given up before")));
        };
        let (stepped, part) = blocking(move || (step(&mut part), part)).await;
        self.held = part.held();
        self.part = Some(part);
        stepped
    }

    /// Makes ready for the bytes behind those held.
    pub(crate) async fn begin(&mut self, head: Head) -> Result<(), Error> {
        self.step(move |part| part.begin(head)).await
    }

    /// Checks, syncs and names it.
    pub(crate) async fn publish(&mut self) -> Result<(), Error> {
        self.step(Part::publish).await
    }

    /// Makes its name durable, and those of the folders on its way.
    pub(crate) async fn sync_name(&self) -> Result<(), Error> {
        let place = self.place.clone();
        blocking(move || sync_names(&[&place]).into_iter().collect()).await
    }

    /// Drops what is held.
    pub(crate) async fn discard(&mut self) -> Result<(), Error> {
        self.step(Part::discard).await
    }

    /// Leaves what can be gone on from, and nothing else.
    pub(crate) async fn leave(&mut self) {
        let left = self.step(|part| {
            part.leave();
            Ok(())
        });
        // It is an error only where there is nothing to leave.
        let _ = left.await;
    }
}

impl Sink for Target {
    async fn take(&mut self, chunks: Vec<Bytes>) -> Result<(), Error> {
        self.step(move |part| part.take(&chunks)).await
    }
}
