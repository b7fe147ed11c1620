//! The sessions of other libraries.

#[cfg(feature = "redis")]
mod express_records;
#[cfg(feature = "tower-sessions-0-14")]
mod tower_sessions;
