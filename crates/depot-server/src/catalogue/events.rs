//! What the server wants to hear of as the catalogue changes: which copies it may let go of, and
//! which it shall make. Told on every server by what is applied there, whoever proposed it.

use std::cmp::Ordering;

use depot_protocol::{Digest, FileName, ServerName};
use tokio::sync::mpsc;

use super::machine::Changes;
use super::record::{Namespace, Record};

/// So many wait to be heard.
const QUEUE: usize = 4096;

/// Something in the catalogue concerns this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A record stopped listing this content on this server; perhaps none lists it there any more.
    Released(Digest),
    /// A record lists this server as one that shall have a copy.
    Wanted {
        /// Whose file.
        namespace: Namespace,
        /// Which.
        name: FileName,
        /// The content.
        digest: Digest,
        /// What made it so.
        cause: Cause,
    },
    /// A record counts fewer proven copies than it wishes for: some may be on their way, and some of
    /// those may not come. Told on every server.
    Lacking {
        /// Whose file.
        namespace: Namespace,
        /// Which.
        name: FileName,
    },
    /// A record lists this server, and more servers than it wishes for have proven a copy.
    Surplus {
        /// Whose file.
        namespace: Namespace,
        /// Which.
        name: FileName,
    },
    /// A server went away, came back or began another life: other copies count than before.
    Servers,
    /// Events were dropped, or a snapshot came in the place of many commands: look at everything.
    LookAtAll,
}

/// Why a record wants a copy of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was deposited, or more replicas are wished for, and this one was not brought yet.
    Deposit,
    /// Too few copies of others count.
    Lacking,
    /// The copy that the server had is bad or gone.
    Lost,
}

impl Cause {
    /// Holders change without the record's version; whoever is listed for a copy and wanted again
    /// has lost it, itself or with an earlier life.
    fn of(server: &ServerName, before: Option<&Record>, after: &Record) -> Self {
        match before.filter(|before| before.digest == after.digest) {
            Some(before) if before.lists(server) => Cause::Lost,
            Some(before) if before.version == after.version => Cause::Lacking,
            _ => Cause::Deposit,
        }
    }
}

/// Where events are told.
#[derive(Debug)]
pub(super) struct Events(mpsc::Sender<Event>);

impl Events {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (tell, hear) = mpsc::channel(QUEUE);
        (Events(tell), hear)
    }

    /// Tells what these changes mean to this server.
    pub(super) fn tell(&self, server: &ServerName, changes: &Changes) {
        if changes.servers {
            self.put(Event::Servers);
        }
        for change in &changes.files {
            let (before, after) = (change.before.as_ref(), change.after.as_ref());
            if let Some(before) = before.filter(|before| before.lists(server))
                && !after.is_some_and(|after| after.digest == before.digest && after.lists(server))
            {
                self.put(Event::Released(before.digest));
            }
            if let Some(after) = after.filter(|after| after.wants(server))
                && !before
                    .is_some_and(|before| before.digest == after.digest && before.wants(server))
            {
                let (namespace, name) = (change.namespace, change.name.clone());
                let (digest, cause) = (after.digest, Cause::of(server, before, after));
                self.put(Event::Wanted { namespace, name, digest, cause });
            }
            let Some(after) = after else { continue };
            let (namespace, name) = (change.namespace, change.name.clone());
            match after.confirmed().count().cmp(&(usize::from(after.replicas.get()) + 1)) {
                Ordering::Less => self.put(Event::Lacking { namespace, name }),
                Ordering::Greater if after.lists(server) => {
                    self.put(Event::Surplus { namespace, name });
                }
                Ordering::Equal | Ordering::Greater => {}
            }
        }
    }

    /// Tells to look at everything.
    pub(super) fn tell_all(&self) {
        self.put(Event::LookAtAll);
    }

    /// The last free place is taken by `LookAtAll`. So whenever an event is dropped, one that
    /// stands for it waits in the queue, and is heard after the drop.
    fn put(&self, event: Event) {
        let event = if self.0.capacity() <= 1 { Event::LookAtAll } else { event };
        // Full: the last one in it says to look at all. Closed: nobody wants to hear.
        drop(self.0.try_send(event));
    }
}

#[cfg(test)]
mod tests;
