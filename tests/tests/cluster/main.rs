//! Clusters of real servers: founded from one file, and then whatever happens to servers, disks and
//! the network between them, as clients see it: what was acknowledged is there, and right.
//!
//! `DEPOT_CLUSTER_KILLS` kills more often, `DEPOT_LANE_MIB=1024` deposits more while a server stands
//! still, `DEPOT_LIVE_MIB=1024` changes the replicas of a larger file, `DEPOT_ORDER_SECONDS=600` has
//! a villain at work for longer; `DEPOT_SEED` repeats a random test's choices.

mod background;
mod client;
mod concurrent;
mod copies;
mod disks;
mod dying;
mod fan_out;
mod fencing;
mod folders;
mod founding;
mod kill9;
mod latest;
mod library;
mod live;
mod order;
mod partition;
mod peer_port;
mod slow;
mod witness;
mod zones;
