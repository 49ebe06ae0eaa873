//! PROTOCOL.md, statement by statement, against a real server: each test is named for what it
//! shows, and says it with the bytes that a client written by hand would send.

mod connection;
mod deposits;
mod framing;
mod listing;
mod parts;
mod refusals;
mod requests;
mod resuming;
