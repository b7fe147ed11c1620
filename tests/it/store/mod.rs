//! The stores.

mod conformance;
mod faults;
mod push;
#[cfg(feature = "redis")]
mod redis;
