//! The catalogue of several servers: who leads, what is certain, what a reader sees, and how a
//! server that was away or lost its disk comes back. In one process, over a network that loses what
//! it is told to, in a time that does not wait.

mod cluster;
mod membership;
mod net;
mod partitions;
mod stories;
mod storms;
