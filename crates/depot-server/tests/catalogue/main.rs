//! The catalogue: of a depot of one, on real and on failing disks, and of many servers (`many`).

#![expect(clippy::unwrap_used, reason = "a test that goes wrong shall end")]

mod coordinators;
mod damage;
mod disk;
mod faults;
mod many;
mod model;
mod stories;
mod world;
mod yesterday;
