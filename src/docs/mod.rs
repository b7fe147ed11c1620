//! Guides that belong to no single type.

// Their examples need more crates than this one. `tests/guides/` compiles and runs them.

#[cfg_attr(not(doctest), doc = include_str!("clients.md"))]
pub mod clients {}

#[cfg_attr(not(doctest), doc = include_str!("deployment.md"))]
pub mod deployment {}

#[cfg(feature = "redis")]
#[cfg_attr(not(doctest), doc = include_str!("express.md"))]
pub mod express {}

#[cfg_attr(not(doctest), doc = include_str!("extending.md"))]
pub mod extending {}

#[cfg_attr(not(doctest), doc = include_str!("lifetimes.md"))]
pub mod lifetimes {}

#[cfg_attr(not(doctest), doc = include_str!("nodes.md"))]
pub mod nodes {}

#[cfg_attr(not(doctest), doc = include_str!("operation.md"))]
pub mod operation {}

#[cfg_attr(not(doctest), doc = include_str!("sockets.md"))]
pub mod sockets {}

#[cfg_attr(not(doctest), doc = include_str!("troubleshooting.md"))]
pub mod troubleshooting {}

#[cfg_attr(not(doctest), doc = include_str!("users.md"))]
pub mod users {}
