//! Whole servers, tested by stories: what the integration tests in `tests/` are written with.
//!
//! [`Setup`] starts a real `depot-server` process and [`Cluster`] several, [`Raw`] speaks to it byte by byte, [`headers`]
//! has the text of the requests, [`answer`] reads the answers, [`Folder`] looks into the data
//! folder and [`content`] makes bytes; [`twins`] are the seams that fail, and [`in_process`] runs a
//! whole server on them. The client's half is written from PROTOCOL.md alone and
//! shares no code with `depot-protocol`: a mistake there cannot hide behind the same mistake here.
//!
//! | variable | what it does |
//! | --- | --- |
//! | `DEPOT_SERVER_BIN` | the server to test; without it `depot-server` is built first |
//! | `DEPOT_SEED` | the seed of the random tests, as a failed one printed it |
//! | `DEPOT_KILLS` | how often `kill9` kills (20) |
//! | `DEPOT_CUT_MIB` | how large the file of `client_resume`'s twenty cuts is (64) |
//! | `DEPOT_FOLDER_FILES` | how many files `client_folder` has (2000) |
//! | `DEPOT_LARGE_MIB` | how large `large`'s file is (512) |
//! | `DEPOT_CRASH_EVERY` | `crash` cuts the power at every so many operations (1: all, and looks closer) |
//! | `DEPOT_SIM_SEEDS` | how many seeds each storm of `cluster_simulation` runs (24, 6, 14) |
//! | `DEPOT_CLUSTER_KILLS` | how often `cluster` kills a server under load (6) |
//! | `DEPOT_LANE_MIB` | how large the deposit is in which a server of `cluster` stands still (256) |
//! | `DEPOT_ORDER_SECONDS` | how long a villain harms the servers of `cluster` whose clients share files (20) |
//! | `DEPOT_LIVE_MIB` | how large the file of `cluster` is whose replicas change while it is read (64) |
//! | `DEPOT_FAULT_EVERY` | `faults` fails every so many operations of a kind (1: all) |

// Real time is what these tests are about: they stand outside the server and its clock.
#![allow(clippy::disallowed_methods)]

pub mod answer;
mod checks;
pub mod cluster;
pub mod content;
mod folder;
pub mod headers;
pub mod history;
pub mod hostile_server;
pub mod in_process;
pub mod linear;
mod mount;
mod raw;
mod server;
pub mod twins;
mod wait;

pub use cluster::{Cluster, free_address};
pub use folder::Folder;
pub use mount::Mount;
pub use raw::{Raw, Recovered, Seen};
pub use server::{Refusal, Server, Setup};
pub use wait::{eventually, eventually_within, next_second, timed, within};
