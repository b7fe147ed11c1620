//! Redis beside other crates that use it: socketioxide's adapter, and a certificate authority. They are a
//! package of their own because only these tests need those crates.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::match_bool, reason = "both sides of a choice, side by side")]

mod adapter;
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the integration tests"
)]
#[path = "../it/support/mod.rs"]
mod support;
mod tls;
