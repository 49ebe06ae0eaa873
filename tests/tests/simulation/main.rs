//! A whole server, its catalogue and its clients in simulated time and on a simulated network.
//!
//! `DEPOT_SEED` runs that one seed instead of those that are tried by default.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod connections;
mod crashes;
mod time;
mod world;
