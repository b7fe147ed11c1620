//! The integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::match_bool, reason = "both sides of a choice, side by side")]

mod bridge;
mod cases;
mod extractor;
mod http;
mod imports;
mod interop;
mod links;
mod live;
mod log_lines;
mod socketio;
mod store;
mod support;
mod testing;
mod transport;
