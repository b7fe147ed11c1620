//! Renames on one server of records that contain their id, so that a rename changes them.

use bytes::Bytes;

use super::{
    super::{
        commands::mark_ttl,
        driver::{Driver, Reply},
        error::{failed, taken},
        own_keys::rename_fence,
    },
    fence::{ATTEMPTS, FENCE, Outcome, outcome, written_all_the_time},
};
use crate::store::StoreError;

/// Moves a session to another key with another value, marks the old one as replaced, and deletes the fence,
/// if its value is the expected one. Otherwise returns its value.
const MOVE: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return {0} end
    if stored ~= ARGV[1] then return {1, stored} end
    if redis.call('RENAMENX', KEYS[1], KEYS[2]) == 0 then return {3} end
    redis.call('SET', KEYS[2], ARGV[2], 'KEEPTTL')
    redis.call('SET', KEYS[4], '1', 'PX', ARGV[3])
    redis.call('DEL', KEYS[3])
    return {2}";

/// The reply of [`MOVE`] when the new key exists.
const TAKEN: i64 = 3;

/// Renames on one server a session whose record contains its id.
pub(in crate::store::redis) async fn rename_record(
    driver: &dyn Driver,
    old: &str,
    new: &str,
    mark: &str,
    renamed: &(dyn Fn(&[u8]) -> Result<Bytes, StoreError> + Send + Sync),
) -> Result<bool, StoreError> {
    let fence = rename_fence(old);
    let fenced = driver.eval(FENCE, &[old, &fence], Vec::new()).await;
    let mut stored = match outcome(&fenced.map_err(failed)?) {
        Outcome::Stored((value, _)) => Some(value),
        _ => None,
    };
    for _ in 0..ATTEMPTS {
        let Some(expected) = stored else {
            return Ok(false);
        };
        let value = renamed(&expected)?;
        let keys = [old, new, &fence, mark];
        let args = vec![expected, value, mark_ttl()];
        let moved = driver.eval(MOVE, &keys, args).await;
        let Reply::List(moved) = moved.map_err(failed)? else {
            return Ok(false);
        };
        match moved.first().map_or(0, Reply::integer) {
            2 => return Ok(true),
            TAKEN => return Err(taken()),
            _ => {}
        }
        // Another program wrote it meanwhile, or it ended.
        stored = moved.into_iter().nth(1).and_then(Reply::into_bytes);
    }
    Err(written_all_the_time())
}
