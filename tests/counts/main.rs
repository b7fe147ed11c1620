//! Allocations and Redis commands of what happens most often. Counts are exact and repeat, so they are
//! limits here; times are for the benchmarks.
//!
//! A binary of its own, because its allocator counts for all threads of the process.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod allocations;
#[cfg(feature = "redis")]
mod commands;
mod counter;
#[cfg(feature = "redis")]
#[path = "../it/support/ports.rs"]
mod ports;
mod user;
