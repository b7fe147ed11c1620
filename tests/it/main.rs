//! The integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::match_bool, reason = "both sides of a choice, side by side")]

mod activity;
mod auth_payload;
mod between;
mod binding;
mod cases;
mod conformance;
mod cookie;
mod express_cookie;
#[cfg(feature = "redis")]
mod express_records;
mod extractors;
mod http;
mod imports;
#[cfg(feature = "tower-sessions-0-14")]
mod interop_tower_sessions;
mod live;
mod log_lines;
mod logged_in_socket;
mod mounting;
mod operation;
mod origin;
mod push;
mod read_only;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_activity;
#[cfg(feature = "redis")]
mod redis_deployments;
#[cfg(all(feature = "redis", feature = "tower-sessions-0-14"))]
mod redis_guesses;
#[cfg(feature = "redis")]
mod redis_nodes;
#[cfg(feature = "redis")]
mod redis_refusals;
#[cfg(all(feature = "redis", feature = "tower-sessions-0-14"))]
mod redis_tower_sessions;
#[cfg(feature = "redis")]
mod redis_user_faults;
#[cfg(feature = "redis")]
mod redis_users;
mod refresh_cookie;
mod soak;
mod store_faults;
mod support;
mod token;
mod transport;
mod users;
