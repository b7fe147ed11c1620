//! The hash of one user, and the scripts on it.
//!
//! ```text
//! [socketioxide-session]user:{user} {prefix}  ──▶  id ─▶ created,written
//! ```
//!
//! Both are times in milliseconds since 1970, by the clock of the server, so that the clocks of the nodes
//! don't matter. `written` grows with every write of the entry. Therefore an entry that is unchanged was
//! not written meanwhile.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::sync::SemaphorePermit;

use super::super::{
    commands::MAX_TTL,
    driver::{Driver, DriverError, Reply},
};
use crate::id::SessionId;

/// The time of the server, in milliseconds.
macro_rules! with_now {
    ($script:literal) => {
        concat!(
            "local time = redis.call('TIME')
             local now = time[1] * 1000 + math.floor(time[2] / 1000)",
            $script
        )
    };
}

/// Writes an entry, and extends the life of the hash to `ARGV[3]` if it is below `ARGV[2]`. The session's
/// time of creation is that of its entry, else of the entry of `ARGV[4]`, else `ARGV[5]`, else now. An
/// entry that was written within the last `ARGV[6]` milliseconds is left as it is.
/// Returns the life of the hash, the entry, the replaced one, and the one of `ARGV[4]`.
const PUT: &str = with_now!(
    "
    local old = redis.call('HGET', KEYS[1], ARGV[1]) or ''
    local like = ARGV[4] ~= '' and redis.call('HGET', KEYS[1], ARGV[4]) or ''
    local created = string.match(old, '^(%d+),') or string.match(like, '^(%d+),')
        or string.match(ARGV[5], '^%d+$') or string.format('%.0f', now)
    local last = tonumber(string.match(old, ',(%d+)$'))
    local entry = old
    if not last or now - last >= tonumber(ARGV[6]) then
        if last and last >= now then now = last + 1 end
        entry = created .. ',' .. string.format('%.0f', now)
        redis.call('HSET', KEYS[1], ARGV[1], entry)
    end
    local left = redis.call('PTTL', KEYS[1])
    if left < tonumber(ARGV[2]) then
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        left = tonumber(ARGV[3])
    end
    return {left, entry, old, like}"
);

/// Returns the time, the life of the hash, and all fields with their values.
const LIST: &str = with_now!(
    "
    return {now, redis.call('PTTL', KEYS[1]), redis.call('HGETALL', KEYS[1])}"
);

const GET: &str = "return redis.call('HGET', KEYS[1], ARGV[1])";

/// Removes those of the entries `id, value, id, value, …` that are unchanged.
const REMOVE_UNCHANGED: &str = "
    for nth = 1, #ARGV, 2 do
        if redis.call('HGET', KEYS[1], ARGV[nth]) == ARGV[nth + 1] then
            redis.call('HDEL', KEYS[1], ARGV[nth])
        end
    end";

/// Removes an entry that was written before a time.
const REMOVE_OLDER: &str = "
    local entry = redis.call('HGET', KEYS[1], ARGV[1]) or ''
    local written = tonumber(string.match(entry, ',(%d+)$'))
    if not written or written < tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], ARGV[1]) end";

/// Age in milliseconds below which an entry can be left as it is: half of that at which it can be pruned.
const YOUNG: &[u8] = b"30000";
/// Writes an entry of any age, also one that is ahead of the clock.
const ALWAYS: &[u8] = b"-1e15";

/// The hash of a user at its server, for one script.
pub(super) struct UserHash<'a> {
    driver: &'a dyn Driver,
    key: String,
    _permit: SemaphorePermit<'a>,
}

/// Content of a write by [`UserHash::put`].
#[derive(Default)]
pub(super) struct Put<'a> {
    /// The remaining life of the session; `None`: no end.
    pub(super) left: Option<Duration>,
    /// The session that this one continues.
    pub(super) like: Option<&'a SessionId>,
    /// When the session was created, in milliseconds.
    pub(super) created: Option<u64>,
    /// Leave an entry that was written a short time ago, so that its removal, which may be under way, still
    /// finds it unchanged.
    pub(super) keep_young: bool,
}

/// The result of [`UserHash::put`].
pub(super) struct Written {
    /// The remaining life of the hash.
    pub(super) hash_ttl: Duration,
    /// The value of the entry.
    pub(super) entry: Bytes,
    /// The entry did not exist.
    pub(super) is_new: bool,
    /// The value of the entry that this one continues; empty when there is none.
    pub(super) like: Bytes,
}

/// The entries of a user.
pub(super) struct Listed {
    /// The time of the server, in milliseconds.
    pub(super) now: u64,
    /// The remaining life of the hash.
    pub(super) hash_ttl: Duration,
    pub(super) entries: Vec<Entry>,
}

/// The entry of a session.
pub(super) struct Entry {
    pub(super) id: SessionId,
    pub(super) value: Bytes,
    pub(super) times: Times,
}

/// The value of an entry, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) created: u64,
    pub(super) written: u64,
}

impl<'a> UserHash<'a> {
    pub(super) fn new(
        driver: &'a Arc<dyn Driver>,
        permit: SemaphorePermit<'a>,
        key: String,
    ) -> Self {
        Self {
            driver: &**driver,
            key,
            _permit: permit,
        }
    }

    /// Writes the entry of a session, and lets the hash live as long as the session at least.
    pub(super) async fn put(&self, id: &SessionId, put: Put<'_>) -> Result<Written, DriverError> {
        let left = put.left.unwrap_or(MAX_TTL).min(MAX_TTL);
        // Half as much again, so that sessions that are touched seldom extend it.
        let extended = left + left / 2;
        let millis = |ttl: Duration| Bytes::from(ttl.as_millis().max(1).to_string());
        let args = vec![
            field(id),
            millis(left),
            millis(extended),
            put.like.map(field).unwrap_or_default(),
            put.created
                .map(|at| at.to_string())
                .unwrap_or_default()
                .into(),
            Bytes::from_static(if put.keep_young { YOUNG } else { ALWAYS }),
        ];
        let Reply::List(reply) = self.eval(PUT, args).await? else {
            return Err(DriverError::reply("the index of users returned no list"));
        };
        let mut reply = reply.into_iter();
        let hash_ttl = life(reply.next());
        let mut bytes = || reply.next().and_then(Reply::into_bytes).unwrap_or_default();
        let (entry, old, like) = (bytes(), bytes(), bytes());
        Ok(Written {
            hash_ttl,
            entry,
            is_new: old.is_empty(),
            like,
        })
    }

    /// The value of the entry of a session.
    pub(super) async fn get(&self, id: &SessionId) -> Result<Option<Bytes>, DriverError> {
        Ok(self.eval(GET, vec![field(id)]).await?.into_bytes())
    }

    /// All entries. Fields that are no entries are left out.
    pub(super) async fn list(&self) -> Result<Listed, DriverError> {
        let reply = match self.eval(LIST, Vec::new()).await? {
            Reply::List(reply) => reply,
            _ => Vec::new(),
        };
        let mut reply = reply.into_iter();
        let now = reply.next().map_or(0, |now| now.integer());
        let hash_ttl = life(reply.next());
        let fields = match reply.next() {
            Some(Reply::List(fields)) => fields,
            _ => Vec::new(),
        };
        Ok(Listed {
            now: now.unsigned_abs(),
            hash_ttl,
            entries: fields.chunks_exact(2).filter_map(entry).collect(),
        })
    }

    /// Removes those of these entries that have these values still.
    pub(super) async fn remove_unchanged(
        &self,
        entries: impl IntoIterator<Item = (&SessionId, &Bytes)>,
    ) -> Result<(), DriverError> {
        let pairs = entries.into_iter();
        let args = pairs.flat_map(|(id, value)| [field(id), value.clone()]);
        self.eval(REMOVE_UNCHANGED, args.collect()).await.map(drop)
    }

    /// Removes the entry of a session if it was written before this time in milliseconds.
    pub(super) async fn remove_older(&self, id: &SessionId, than: i64) -> Result<(), DriverError> {
        let args = vec![field(id), than.to_string().into()];
        self.eval(REMOVE_OLDER, args).await.map(drop)
    }

    async fn eval(&self, script: &'static str, args: Vec<Bytes>) -> Result<Reply, DriverError> {
        self.driver.eval(script, &[&self.key], args).await
    }
}

fn field(id: &SessionId) -> Bytes {
    Bytes::copy_from_slice(id.expose().as_bytes())
}

fn life(reply: Option<Reply>) -> Duration {
    let left = reply.map_or(0, |left| left.integer());
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

fn entry(pair: &[Reply]) -> Option<Entry> {
    let [Reply::Bytes(id), Reply::Bytes(value)] = pair else {
        return None;
    };
    Some(Entry {
        id: std::str::from_utf8(id).ok()?.parse().ok()?,
        value: value.clone(),
        times: Times::parse(value)?,
    })
}

impl Times {
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (created, written) = std::str::from_utf8(value).ok()?.split_once(',')?;
        Some(Self {
            created: created.parse().ok()?,
            written: written.parse().ok()?,
        })
    }

    pub(super) fn created(self) -> SystemTime {
        let created = Duration::from_millis(self.created);
        // A value that no clock of this program can show is no time of creation.
        SystemTime::UNIX_EPOCH
            .checked_add(created)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_two_times_and_anything_else_is_none() {
        let times = Times::parse(b"1700000000000,1700000000001").unwrap();
        assert_eq!(times.written - times.created, 1);
        let since = times.created().duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.unwrap(), Duration::from_secs(1_700_000_000));
        for bad in ["", "1", "1,", ",1", "1,2,3", "-1,2", "1;2", "x,2"] {
            assert_eq!(Times::parse(bad.as_bytes()), None, "{bad}");
        }
        let far = Times::parse(format!("{},1", u64::MAX).as_bytes()).unwrap();
        let _ = far.created();
    }
}
