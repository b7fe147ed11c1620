//! The formats of tower-sessions: its ids, its records as `MessagePack`, and the part of a record
//! that a type stands for.

pub(crate) mod field;
#[cfg(feature = "redis")]
pub(crate) mod messagepack;
pub(crate) mod raw_id;
