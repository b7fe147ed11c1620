//! A fence that lets saves of a session wait while it is renamed, and the common part of both renames.

use std::time::Duration;

use bytes::Bytes;

use super::super::{
    commands::{Stored, Swap, life},
    driver::Reply,
};
use crate::store::{StoreError, StoreErrorKind};

/// Maximum number of attempts when other programs write the session at the same time.
pub(super) const ATTEMPTS: usize = 20;

/// Makes the record for the new id; `None` when records don't contain their id.
pub(in crate::store::redis) type RenamedRecord =
    Option<Box<dyn Fn(&[u8]) -> Result<Bytes, StoreError> + Send + Sync>>;

/// Sets the fence, and returns the value and its remaining life.
pub(super) const FENCE: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return {0, -2} end
    redis.call('SET', KEYS[2], '', 'PX', 2000)
    return {1, redis.call('PTTL', KEYS[1]), stored}";

/// The result of [`FENCE`], and of a deletion.
pub(super) enum Outcome {
    Missing,
    /// The value is this one, and was left as it is.
    Stored(Stored),
    /// It was deleted, with this remaining life.
    Deleted(Option<Duration>),
}

pub(super) fn outcome(reply: &Reply) -> Outcome {
    let Reply::List(reply) = reply else {
        return Outcome::Missing;
    };
    let left = life(reply.get(1).map_or(-1, Reply::integer));
    match (reply.first().map(Swap::of), reply.get(2)) {
        (Some(Swap::Done), _) => Outcome::Deleted(left),
        (Some(Swap::Differs), Some(Reply::Bytes(value))) => Outcome::Stored((value.clone(), left)),
        _ => Outcome::Missing,
    }
}

pub(super) fn written_all_the_time() -> StoreError {
    let why = "another program wrote the session all the time while it was renamed";
    StoreError::new(StoreErrorKind::Unavailable, why)
}
