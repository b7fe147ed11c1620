//! Guides that belong to no single type.

#[doc = include_str!("clients.md")]
pub mod clients {}
