//! What keeps copies good and room free, in the background.

pub mod heal;
pub mod housekeeping;
pub mod scrub;
pub mod sweep;
