//! What is said to the server.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use fred::{
    clients::Client,
    error::Error,
    interfaces::KeysInterface as _,
    types::{Expiration, SetOptions, scripts::Script},
};

use super::error::unavailable;
use crate::store::{StoreError, StoreErrorKind};

/// What `PTTL` says of a key that is not there, and of one that never expires.
const NO_KEY: i64 = -2;
/// A renaming in a cluster starts over so often when the session keeps changing; then it takes the
/// session away first.
const RENAME_ATTEMPTS: usize = 20;
/// Longer lives are this long: Redis refuses what overflows its clock.
const LONGEST_TTL: Duration = Duration::from_hours(100 * 365 * 24);

/// Replaces the value if it is the expected one; keeps the expiry.
static SAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        "local stored = redis.call('GET', KEYS[1])
         if not stored then return 0 end
         if stored ~= ARGV[1] then return 1 end
         redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
         return 2",
    )
});

/// Lengthens a life, and never shortens one. (`PEXPIRE … GT` does not tell a missing key.)
static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        "local left = redis.call('PTTL', KEYS[1])
         if left == -2 then return 0 end
         if left >= 0 and left < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
         return 1",
    )
});

static RENAME: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
         if redis.call('RENAMENX', KEYS[1], KEYS[2]) == 0 then return 1 end
         return 2",
    )
});

/// Deletes a key if its value is the expected one.
static DELETE_IF: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        "local stored = redis.call('GET', KEYS[1])
         if not stored then return 0 end
         if stored ~= ARGV[1] then return 1 end
         redis.call('DEL', KEYS[1])
         return 2",
    )
});

/// Takes a session away: gives its value and how long it lives.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::from_lua(
        "local stored = redis.call('GET', KEYS[1])
         if not stored then return {false, -2} end
         local left = redis.call('PTTL', KEYS[1])
         redis.call('DEL', KEYS[1])
         return {stored, left}",
    )
});

/// What became of a compare-and-swap.
pub(super) enum Swap {
    Missing,
    Differs,
    Done,
}

async fn swap(
    script: &Script,
    client: &Client,
    keys: Vec<String>,
    args: Vec<Bytes>,
) -> Result<Swap, Error> {
    let answer: i64 = script.evalsha_with_reload(client, keys, args).await?;
    Ok(match answer {
        0 => Swap::Missing,
        1 => Swap::Differs,
        _ => Swap::Done,
    })
}

fn millis(ttl: Duration) -> i64 {
    let millis = ttl.min(LONGEST_TTL).as_millis().max(1);
    i64::try_from(millis).unwrap_or(i64::MAX)
}

pub(super) async fn create(
    client: &Client,
    key: &str,
    value: Bytes,
    ttl: Duration,
) -> Result<bool, Error> {
    set_new(client, key, value, Some(ttl)).await
}

/// Sets a key that is not there yet; `None`: it never expires.
async fn set_new(
    client: &Client,
    key: &str,
    value: Bytes,
    ttl: Option<Duration>,
) -> Result<bool, Error> {
    let expires = ttl.map(|ttl| Expiration::PX(millis(ttl)));
    let only_new = Some(SetOptions::NX);
    let set: Option<String> = client.set(key, value, expires, only_new, false).await?;
    Ok(set.is_some())
}

/// The value, and how long it lives (`None`: for ever). It is a plain `GET` that tracking is told of.
pub(super) async fn load(
    client: &Client,
    key: &str,
) -> Result<Option<(Bytes, Option<Duration>)>, Error> {
    let pipeline = client.pipeline();
    let () = pipeline.get(key).await?;
    let () = pipeline.pttl(key).await?;
    let (value, left): (Option<Bytes>, i64) = pipeline.all().await?;
    Ok(with_life(value, left))
}

/// A value and what `PTTL` says of it.
fn with_life(value: Option<Bytes>, left: i64) -> Option<(Bytes, Option<Duration>)> {
    let value = value.filter(|_| left != NO_KEY)?;
    Some((value, u64::try_from(left).ok().map(Duration::from_millis)))
}

pub(super) async fn save(
    client: &Client,
    key: &str,
    expected: Bytes,
    value: Bytes,
) -> Result<Swap, Error> {
    swap(&SAVE, client, vec![key.to_owned()], vec![expected, value]).await
}

pub(super) async fn touch(client: &Client, key: &str, ttl: Duration) -> Result<bool, Error> {
    TOUCH.evalsha_with_reload(client, key, millis(ttl)).await
}

pub(super) async fn delete(client: &Client, key: &str) -> Result<bool, Error> {
    client.del(key).await
}

pub(super) async fn rename(client: &Client, old: String, new: String) -> Result<bool, StoreError> {
    let renamed = swap(&RENAME, client, vec![old, new], Vec::new()).await;
    match renamed.map_err(unavailable)? {
        Swap::Missing => Ok(false),
        Swap::Differs => Err(taken()),
        Swap::Done => Ok(true),
    }
}

/// The two keys are on two servers. It goes on to its end, also when nobody waits for it any more:
/// half of it would leave the session under both ids.
pub(super) async fn rename_across_slots(
    client: &Client,
    old: String,
    new: String,
) -> Result<bool, StoreError> {
    let client = client.clone();
    let renaming = tokio::spawn(async move { copy_then_delete(&client, &old, &new).await });
    renaming
        .await
        .unwrap_or_else(|error| Err(StoreError::new(StoreErrorKind::Other, error)))
}

async fn copy_then_delete(client: &Client, old: &str, new: &str) -> Result<bool, StoreError> {
    for _ in 0..RENAME_ATTEMPTS {
        let Some((value, ttl)) = load(client, old).await.map_err(unavailable)? else {
            return Ok(false);
        };
        let copied = set_new(client, new, value.clone(), ttl).await;
        if !copied.map_err(unavailable)? {
            return Err(taken());
        }
        let args = vec![value.clone()];
        let deleted = swap(&DELETE_IF, client, vec![old.to_owned()], args).await;
        if let Ok(Swap::Done) = deleted {
            return Ok(true);
        }
        // It was changed or deleted meanwhile, or nobody knows: the copy is not the session.
        let copy = vec![value];
        let undone = swap(&DELETE_IF, client, vec![new.to_owned()], copy).await;
        undone.map_err(unavailable)?;
        if let Swap::Missing = deleted.map_err(unavailable)? {
            return Ok(false);
        }
    }
    take_then_create(client, old, new).await
}

/// Somebody saves all the time. For a moment the session is nowhere then, which at worst logs
/// somebody out; a save finds it gone, and none is lost.
async fn take_then_create(client: &Client, old: &str, new: &str) -> Result<bool, StoreError> {
    let no_args: Vec<Bytes> = Vec::new();
    let taken_away = TAKE.evalsha_with_reload(client, old, no_args).await;
    let (value, left): (Option<Bytes>, i64) = taken_away.map_err(unavailable)?;
    let Some((value, ttl)) = with_life(value, left) else {
        return Ok(false);
    };
    let error = match set_new(client, new, value.clone(), ttl).await {
        Ok(true) => return Ok(true),
        Ok(false) => taken(),
        Err(error) => unavailable(error),
    };
    // Back to where it was, if nothing else is there.
    let _ = set_new(client, old, value, ttl).await;
    Err(error)
}

fn taken() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the new id is taken")
}
