//! Guides that belong to no single type.

#[doc = include_str!("clients.md")]
pub mod clients {}

#[doc = include_str!("deployment.md")]
pub mod deployment {}

#[cfg(feature = "redis")]
#[doc = include_str!("express.md")]
pub mod express {}

#[doc = include_str!("extending.md")]
pub mod extending {}

#[doc = include_str!("lifetimes.md")]
pub mod lifetimes {}

#[doc = include_str!("nodes.md")]
pub mod nodes {}

#[doc = include_str!("operation.md")]
pub mod operation {}

#[doc = include_str!("sockets.md")]
pub mod sockets {}

#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("users.md")]
pub mod users {}
