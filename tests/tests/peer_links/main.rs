//! The links between servers, over whole networks in this process.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod asking;
mod fencing;
mod over_tcp;
mod proxy;
mod simulated;
mod site;
mod taking;
mod up_and_down;
