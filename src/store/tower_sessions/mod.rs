//! The formats of tower-sessions: its ids, its records as `MessagePack`, and the part of a record
//! that a type stands for.

pub(crate) mod field;
#[allow(dead_code, reason = "the codec of `RedisStore` calls these")]
pub(crate) mod messagepack;
pub(crate) mod raw_id;
