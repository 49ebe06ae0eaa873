//! Hostile connections: RELIABILITY.md, section 3 C, as far as one machine and loopback show it,
//! each key of `[limits]` with a shortened value, and where a client's id must never stand.

mod crowd;
mod limits;
mod room;
mod secrets;
