//! The commands of the store, beside those that are one command of Redis.

use std::time::Duration;

use bytes::Bytes;

use super::{
    driver::{Driver, DriverError, Reply, SetIf},
    error::{failed, taken},
    own_keys::rename_fence,
};
use crate::store::{REPLACED_MARK_TTL, StoreError};

/// The reply of `PTTL` for a missing key.
const NO_KEY: i64 = -2;

/// Delay before a save is tried again while the session is being renamed.
const FENCED_RETRY: Duration = Duration::from_millis(2);

/// Replaces the value if it is the expected one, unless the session is being renamed. Keeps the expiry.
const SAVE: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return 0 end
    if stored ~= ARGV[1] then return 1 end
    if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then return 3 end
    redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
    return 2";

/// Extends the expiry, and never shortens it. (`PEXPIRE … GT` does not tell a missing key.)
const TOUCH: &str = "
    local left = redis.call('PTTL', KEYS[1])
    if left == -2 then return 0 end
    if left >= 0 and left < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
    return 1";

/// Reads a value by `GETEX`, which counts as a write, so that the server does not track it. The `PTTL` of
/// an existing key arms tracking. A server that refuses writes for now is read by `GET`.
const LOOK_UP: &str = "
    local stored = redis.pcall('GETEX', KEYS[1])
    if type(stored) == 'table' and (stored.err:find('MISCONF') or stored.err:find('NOREPLICAS')) then
        stored = redis.pcall('GET', KEYS[1])
    end
    if type(stored) ~= 'string' then return stored end
    return {stored, redis.call('PTTL', KEYS[1])}";

const EXISTS: &str = "return redis.call('EXISTS', KEYS[1])";

const LEFT: &str = "return redis.call('PTTL', KEYS[1])";

/// Deletes a key of any type. Returns whether it existed, the time in milliseconds, and the value.
const TAKE: &str = "
    local stored = redis.pcall('GET', KEYS[1])
    local time = redis.call('TIME')
    local existed = redis.call('DEL', KEYS[1])
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    return {existed, now, type(stored) == 'string' and stored}";

/// The reply of [`SAVE`] while the session is being renamed.
const FENCED: i64 = 3;
/// As [`TOUCH`], unless more is left than the second argument. Replies with the lifetime that is left
/// (-1: it never expires, -2: it does not exist).
const KEEP_ALIVE: &str = "
    local left = redis.call('PTTL', KEYS[1])
    if left < 0 or left > tonumber(ARGV[2]) then return left end
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return tonumber(ARGV[1])";

/// Renames, and marks the old key's session as replaced.
const RENAME: &str = "
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    if redis.call('RENAMENX', KEYS[1], KEYS[2]) == 0 then return 1 end
    redis.call('SET', KEYS[3], '1', 'PX', ARGV[1])
    return 2";

/// The result of a compare-and-swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swap {
    Missing,
    Differs,
    Done,
}

impl Swap {
    pub(super) fn of(reply: &Reply) -> Self {
        match reply.integer() {
            0 => Self::Missing,
            1 => Self::Differs,
            _ => Self::Done,
        }
    }
}

/// A stored value and its remaining life; `None`: it never expires.
pub(super) type Stored = (Bytes, Option<Duration>);

pub(super) async fn load(driver: &dyn Driver, key: String) -> Result<Option<Stored>, DriverError> {
    let (value, left) = driver.get_and_ttl(&key.into()).await?;
    let value = value.filter(|_| left != NO_KEY);
    Ok(value.map(|value| (value, life(left))))
}

/// As [`load`], but of a missing key nothing is left in the server's tracking table.
pub(super) async fn look_up(driver: &dyn Driver, key: &str) -> Result<Option<Stored>, DriverError> {
    let Reply::List(found) = driver.eval(LOOK_UP, &[key], Vec::new()).await? else {
        return Ok(None);
    };
    let left = found.get(1).map_or(NO_KEY, Reply::integer);
    let value = found.into_iter().next().and_then(Reply::into_bytes);
    Ok(value.map(|value| (value, life(left))))
}

/// The remaining life that `PTTL` returned; `None`: no end.
pub(super) fn life(left: i64) -> Option<Duration> {
    u64::try_from(left).ok().map(Duration::from_millis)
}

/// Saves. Waits while the session is being renamed, if renames are `fenced`.
pub(super) async fn save(
    driver: &dyn Driver,
    key: &str,
    expected: Bytes,
    value: Bytes,
    fenced: bool,
) -> Result<Swap, DriverError> {
    let args = vec![expected, value];
    if !fenced {
        return Ok(Swap::of(&driver.eval(SAVE, &[key], args).await?));
    }
    let fence = rename_fence(key);
    loop {
        let saved = driver.eval(SAVE, &[key, &fence], args.clone()).await?;
        if saved.integer() != FENCED {
            return Ok(Swap::of(&saved));
        }
        // The fence expires by itself.
        tokio::time::sleep(FENCED_RETRY).await;
    }
}

pub(super) async fn touch(
    driver: &dyn Driver,
    key: &str,
    ttl: Duration,
) -> Result<bool, DriverError> {
    let millis = ttl.min(MAX_TTL).as_millis().max(1).to_string();
    let touched = driver.eval(TOUCH, &[key], vec![millis.into()]).await?;
    Ok(touched.integer() == 1)
}

/// Touches with a script of the record's format. Returns the life that is left; `None` when there is no
/// such key.
pub(super) async fn touch_by(
    driver: &dyn Driver,
    script: &'static str,
    key: &str,
    ttl: Duration,
    tolerance: Duration,
) -> Result<Option<Duration>, DriverError> {
    let millis = |time: Duration| time.min(MAX_TTL).as_millis().to_string().into();
    let shortest = Duration::from_millis(1);
    let args = vec![
        millis(ttl.max(shortest)),
        millis(MAX_TTL),
        millis(tolerance),
    ];
    let left = driver.eval(script, &[key], args).await?.integer();
    Ok((left != NO_KEY).then(|| life(left).unwrap_or(Duration::MAX)))
}

/// The life that is left; `None` when there is no such key.
pub(super) async fn keep_alive(
    driver: &dyn Driver,
    key: &str,
    ttl: Duration,
    interval: Duration,
) -> Result<Option<Duration>, DriverError> {
    let millis = |ttl: Duration| ttl.min(MAX_TTL).as_millis().max(1).to_string().into();
    let args = vec![millis(ttl), millis(ttl.saturating_sub(interval))];
    let left = driver.eval(KEEP_ALIVE, &[key], args).await?.integer();
    Ok((left != NO_KEY).then(|| life(left).unwrap_or(Duration::MAX)))
}

/// Renames on one server, and sets the `mark` of what was renamed.
pub(super) async fn rename(
    driver: &dyn Driver,
    old: &str,
    new: &str,
    mark: &str,
) -> Result<bool, StoreError> {
    let keys = [old, new, mark];
    let renamed = driver.eval(RENAME, &keys, vec![mark_ttl()]).await;
    match Swap::of(&renamed.map_err(failed)?) {
        Swap::Missing => Ok(false),
        Swap::Differs => Err(taken()),
        Swap::Done => Ok(true),
    }
}

/// The lifetime of a mark of a replaced session, as an argument of a script.
pub(super) fn mark_ttl() -> Bytes {
    REPLACED_MARK_TTL.as_millis().to_string().into()
}

/// Marks a session as replaced.
pub(super) async fn mark(driver: &dyn Driver, mark: &str) -> Result<(), DriverError> {
    let (value, ttl) = (Bytes::from_static(b"1"), Some(REPLACED_MARK_TTL));
    let marked = driver.set(mark, value, ttl, SetIf::Always).await;
    marked.map(|_| ())
}

pub(super) async fn exists(driver: &dyn Driver, key: &str) -> Result<bool, DriverError> {
    let exists = driver.eval(EXISTS, &[key], Vec::new()).await?;
    Ok(exists.integer() == 1)
}

/// The remaining life of a key (`Some(None)`: no end); `None` when it does not exist.
pub(super) async fn left(
    driver: &dyn Driver,
    key: &str,
) -> Result<Option<Option<Duration>>, DriverError> {
    let left = driver.eval(LEFT, &[key], Vec::new()).await?.integer();
    Ok((left != NO_KEY).then(|| life(left)))
}

/// Deletes a session. Returns whether it existed, the time of the server in milliseconds, and its value.
pub(super) async fn take(
    driver: &dyn Driver,
    key: &str,
) -> Result<(bool, i64, Option<Bytes>), DriverError> {
    let Reply::List(reply) = driver.eval(TAKE, &[key], Vec::new()).await? else {
        return Ok((false, 0, None));
    };
    let integer = |nth| reply.get(nth).map_or(0, Reply::integer);
    let value = match reply.get(2) {
        Some(Reply::Bytes(value)) => Some(value.clone()),
        _ => None,
    };
    Ok((integer(0) == 1, integer(1), value))
}

/// Maximum life. Redis refuses one that overflows its clock.
pub(super) const MAX_TTL: Duration = Duration::from_hours(100 * 365 * 24);
