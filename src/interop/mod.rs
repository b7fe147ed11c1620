//! The sessions of other programs: read where they are, and ended when those programs end them.
//!
//! Nothing else in this crate depends on this module.

pub mod express;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
pub mod tower_sessions;
