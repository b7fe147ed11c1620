//! What is said to the server.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use fred::{
    clients::{Client, WithOptions},
    error::Error,
    interfaces::{ClientLike, KeysInterface as _},
    types::{
        ClusterHash, CustomCommand, Expiration, FromValue, SetOptions, Value, config::Options,
    },
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
const SAVE: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return 0 end
    if stored ~= ARGV[1] then return 1 end
    redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
    return 2";

/// Lengthens a life, and never shortens one. (`PEXPIRE … GT` does not tell a missing key.)
const TOUCH: &str = "
    local left = redis.call('PTTL', KEYS[1])
    if left == -2 then return 0 end
    if left >= 0 and left < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
    return 1";

const RENAME: &str = "
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    if redis.call('RENAMENX', KEYS[1], KEYS[2]) == 0 then return 1 end
    return 2";

/// Deletes a key if its value is the expected one, and says how long it would have lived.
const DELETE_IF: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return {0, -2} end
    if stored ~= ARGV[1] then return {1, -2} end
    local left = redis.call('PTTL', KEYS[1])
    redis.call('DEL', KEYS[1])
    return {2, left}";

/// Takes a session away: gives its value and how long it lives.
const TAKE: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return {false, -2} end
    local left = redis.call('PTTL', KEYS[1])
    redis.call('DEL', KEYS[1])
    return {stored, left}";

/// What became of a compare-and-swap.
pub(super) enum Swap {
    Missing,
    Differs,
    Done,
}

/// Commands fail at once while there is no connection, and are not sent again when it breaks before
/// their answer has come: they may have been carried out.
static OPTIONS: LazyLock<Options> = LazyLock::new(|| Options {
    fail_fast: true,
    ..Options::default()
});

fn fail_fast<C: ClientLike>(client: &C) -> WithOptions<C> {
    client.with_options(&OPTIONS)
}

/// Runs a script whose keys are all in one slot. It is sent whole each time, as it is short: fred
/// loads one into all nodes of a cluster at once, and waits for those that hang.
async fn run<R: FromValue>(
    script: &str,
    client: &Client,
    keys: &[&str],
    args: Vec<Value>,
) -> Result<R, Error> {
    let mut words: Vec<Value> = vec![script.into(), keys.len().to_string().into()];
    words.extend(keys.iter().map(|key| Value::from(*key)));
    words.extend(args);
    // The third word is the first key.
    let eval = CustomCommand::new_static("EVAL", ClusterHash::Offset(2), false);
    fail_fast(client).custom(eval, words).await
}

async fn swap(
    script: &str,
    client: &Client,
    keys: &[&str],
    args: Vec<Bytes>,
) -> Result<Swap, Error> {
    let args = args.into_iter().map(Value::Bytes).collect();
    Ok(Swap::of(run(script, client, keys, args).await?))
}

impl Swap {
    fn of(answer: i64) -> Self {
        match answer {
            0 => Self::Missing,
            1 => Self::Differs,
            _ => Self::Done,
        }
    }
}

/// Deletes a key if its value is this one; then also says how long it would have lived.
async fn delete_if(
    client: &Client,
    key: &str,
    value: &Bytes,
) -> Result<(Swap, Option<Duration>), Error> {
    let args = vec![Value::Bytes(value.clone())];
    let (answer, left): (i64, i64) = run(DELETE_IF, client, &[key], args).await?;
    Ok((Swap::of(answer), life(left)))
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
    let set: Option<String> = fail_fast(client)
        .set(key, value, expires, only_new, false)
        .await?;
    Ok(set.is_some())
}

/// The value, and how long it lives (`None`: for ever). It is a plain `GET` that tracking is told of.
pub(super) async fn load(
    client: &Client,
    key: &str,
) -> Result<Option<(Bytes, Option<Duration>)>, Error> {
    let pipeline = client.pipeline();
    let queue = fail_fast(&pipeline);
    let () = queue.get(key).await?;
    let () = queue.pttl(key).await?;
    let (value, left): (Option<Bytes>, i64) = pipeline.all().await?;
    Ok(with_life(value, left))
}

/// A value and what `PTTL` says of it.
fn with_life(value: Option<Bytes>, left: i64) -> Option<(Bytes, Option<Duration>)> {
    let value = value.filter(|_| left != NO_KEY)?;
    Some((value, life(left)))
}

/// `None`: for ever.
fn life(left: i64) -> Option<Duration> {
    u64::try_from(left).ok().map(Duration::from_millis)
}

pub(super) async fn save(
    client: &Client,
    key: &str,
    expected: Bytes,
    value: Bytes,
) -> Result<Swap, Error> {
    swap(SAVE, client, &[key], vec![expected, value]).await
}

pub(super) async fn touch(client: &Client, key: &str, ttl: Duration) -> Result<bool, Error> {
    run(TOUCH, client, &[key], vec![millis(ttl).into()]).await
}

pub(super) async fn delete(client: &Client, key: &str) -> Result<bool, Error> {
    fail_fast(client).del(key).await
}

pub(super) async fn rename(client: &Client, old: String, new: String) -> Result<bool, StoreError> {
    let renamed = swap(RENAME, client, &[&old, &new], Vec::new()).await;
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
        match set_new(client, new, value.clone(), ttl).await {
            Ok(true) => {}
            Ok(false) => return Err(taken()),
            Err(error) => {
                // It may be there all the same.
                let _ = delete_if(client, new, &value).await;
                return Err(unavailable(error));
            }
        }
        let deleted = delete_if(client, old, &value).await;
        if let Ok((Swap::Done, left)) = deleted {
            // Somebody may have touched it since it was copied.
            if let (Some(left), Some(ttl)) = (left, ttl)
                && left > ttl
            {
                touch(client, new, left).await.map_err(unavailable)?;
            }
            return Ok(true);
        }
        // It was changed or deleted meanwhile, or nobody knows: the copy is not the session.
        delete_if(client, new, &value).await.map_err(unavailable)?;
        if let (Swap::Missing, _) = deleted.map_err(unavailable)? {
            return Ok(false);
        }
    }
    take_then_create(client, old, new).await
}

/// Somebody saves all the time. For a moment the session is nowhere then, which at worst logs
/// somebody out; a save finds it gone, and none is lost.
async fn take_then_create(client: &Client, old: &str, new: &str) -> Result<bool, StoreError> {
    let taken_away = run(TAKE, client, &[old], Vec::new()).await;
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
