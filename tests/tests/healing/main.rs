//! Copies that rot, or are tampered with, on the disks of a cluster's servers: never served, put
//! aside, and made anew from a good copy without anybody's help.

mod command;
mod harm;
mod stories;
