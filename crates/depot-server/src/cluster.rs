//! The other servers: who they are ([`members`]), and which come next for a copy ([`placement`]).

pub mod members;
pub mod placement;
