//! The store on Redis, against real servers.

mod activity;
mod deployments;
#[cfg(feature = "tower-sessions-0-14")]
mod guesses;
mod nodes;
mod refusals;
mod store;
#[cfg(feature = "tower-sessions-0-14")]
mod tower_sessions;
mod user_faults;
mod users;
