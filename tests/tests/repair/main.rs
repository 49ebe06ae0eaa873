//! Copies over time: servers that go and come back, copies that go bad, numbers that change. Whole
//! servers, in one process, whose time leaps; `copias` is held against the servers' disks throughout.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod cluster;
mod copies;
mod servers;
