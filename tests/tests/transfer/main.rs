//! Copies between servers, over whole networks in this process: pushed, vouched for, pulled,
//! fetched; deposits that fan out and recovers that come from elsewhere; peers that die, stall, lie.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod bench;
mod depositing;
mod fetching;
mod healing;
mod peer;
mod pushing;
mod recovering;
mod slow;
mod stand_ins;
