//! The power fails at every write and every sync of a server's life, its founding included, and no
//! acknowledged deposit is lost, nor anything half done seen, nor anything left over.
//!
//! By default the work is cut at every operation, before and after it, the founding and the coming
//! back at some of theirs; `DEPOT_CRASH_EVERY=1` cuts everywhere, and looks at each cut in more
//! ways. `DEPOT_SEED` decides what of the unsynced bytes survives.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod large;
mod packs;
mod shared;
mod sweep;
mod teeth;
