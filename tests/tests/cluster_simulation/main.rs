//! A whole cluster, its clients and its operator in one simulated process: simulated time, network
//! and disks, and one seed that decides everything. Servers crash in the middle of a disk's
//! operation, the power fails for all at once, the network parts or keeps what is sent, disks are full, one
//! is lost for good or rots; in the end everything that was acknowledged is there, through every server,
//! with its copies.
//!
//! `DEPOT_SEED` runs that one seed, `DEPOT_SIM_SEEDS` that many instead of the usual ones.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod client;
mod operator;
mod storms;
mod weather;
mod world;
