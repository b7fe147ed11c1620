//! Records of tower-sessions, as tower-sessions-redis-store keeps them: `MessagePack`, with the id and
//! the time of expiry inside, under a key that is the id alone.

use std::{sync::Arc, time::Duration};

use cookie::time::OffsetDateTime;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Codec, error::not_encodable, merge};
use crate::{
    id::SessionId,
    store::{
        StoreError, StoreErrorKind,
        tower_sessions::{
            field,
            messagepack::{self, NoRecord, RecordBytes},
            raw_id,
        },
    },
};

/// The records of tower-sessions in Redis, for [`RedisStoreBuilder::records`].
///
/// [`RedisStoreBuilder::records`]: crate::store::RedisStoreBuilder::records
///
/// The format is that of tower-sessions-redis-store 0.16: `rmp_serde::to_vec` of the `Record` of
/// tower-sessions-core 0.14, which that of 0.15 equals.
///
/// - A session's data is the whole data of the record, or what is at a path of it, as
///   `session.insert(path, value)` stores it.
/// - An update keeps every byte that it does not change. The time of expiry inside of the record is left
///   to tower-sessions, which reads that of the key alone.
/// - A rename changes the id inside, because tower-sessions saves and deletes by it.
/// - The ids are those of tower-sessions: 16 bytes as 22 characters of base64url, which
///   [`SessionId::generate`] makes, too.
/// - The key is the id alone, without a prefix, so that the sessions should have a database of their own. A
///   text that is no such id is no session, so no other key is read, written or deleted.
/// - A client may guess ids where the cookie is plain. An id that is not live here is looked up by
///   `GETEX`, which the server does not track, so guesses leave nothing in its tracking table. (An id that
///   was presented before its session existed is refused for up to a second.)
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socketioxide_session::{
///     RedisStore, SessionBridge,
///     interop::tower_sessions::{PlainCookie, TowerSessionsRecords},
/// };
///
/// // The application inserts it: `session.insert("user", user)`.
/// #[derive(Clone, Serialize, Deserialize)]
/// struct User {
///     name: String,
/// }
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let store: RedisStore<User> = RedisStore::<User>::builder("redis://127.0.0.1")?
///     .records(TowerSessionsRecords::field("user"))
///     .connect()
///     .await?;
/// let sessions = SessionBridge::builder(PlainCookie::new("id")?, store).build()?;
/// # drop(sessions);
/// # Ok(()) }
/// ```
///
/// # Deployment caveats
///
/// - **tower-sessions overwrites.** Its `save` writes the whole record of its request, so an update made
///   here while such a request runs may be lost, and a session that ended meanwhile may exist again.
/// - **`cycle_id` looks like a logout.** tower-sessions deletes the old session before it creates the new one,
///   and nothing in Redis connects the two. The sockets are disconnected at once, and the page connects
///   again when it has the new cookie.
/// - tower-sessions' own expiry is that of the key. A touch here extends it; the time inside of the
///   record stays what tower-sessions wrote.
#[derive(Debug, Clone, Default)]
pub struct TowerSessionsRecords {
    path: Option<Arc<str>>,
}

impl TowerSessionsRecords {
    /// Records whose whole data is one `T`, which must be an object.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socketioxide_session::{RedisStore, interop::tower_sessions::TowerSessionsRecords};
    ///
    /// /// All keys that the application inserts.
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Data {
    ///     user: Option<String>,
    ///     #[serde(default)]
    ///     visits: u32,
    /// }
    ///
    /// let records = TowerSessionsRecords::whole_data();
    /// let builder = RedisStore::<Data>::builder("redis://127.0.0.1").unwrap().records(records);
    /// # drop(builder);
    /// ```
    #[must_use]
    pub fn whole_data() -> Self {
        Self::default()
    }

    /// Records with a `T` at this path of the data. A dot leads into an object, unless the key with
    /// the dot exists. Nothing there, or null, is a session without a login.
    ///
    /// ```
    /// use socketioxide_session::interop::tower_sessions::TowerSessionsRecords;
    ///
    /// // The login of axum-login, for `AxumLogin`.
    /// let records = TowerSessionsRecords::field("axum-login.data");
    /// # drop(records);
    /// ```
    #[must_use]
    pub fn field(path: impl Into<Arc<str>>) -> Self {
        Self {
            path: Some(path.into()),
        }
    }

    /// The part of a record that the type stands for.
    fn value(&self, record: &RecordBytes<'_>) -> Result<Option<Value>, StoreError> {
        match &self.path {
            Some(path) => Ok(record.field(path)),
            None => Ok(Some(Value::Object(record.data().map_err(no_record)?))),
        }
    }

    /// The record with another value there, which must not read as a session without a login.
    fn with_value(&self, record: &RecordBytes<'_>, value: Value) -> Result<Vec<u8>, StoreError> {
        let changed = match &self.path {
            Some(path) => record.with_field(path, &not_null(value)?),
            None => record.with_data(&object(value)?),
        };
        changed.ok_or_else(not_written)
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for TowerSessionsRecords {
    fn decode(&self, stored: &[u8]) -> Result<Option<T>, StoreError> {
        match self.value(&parsed(stored)?)? {
            Some(value) => field::read(&value, self.path.as_deref()),
            None => Ok(None),
        }
    }

    fn create(&self, id: &SessionId, data: &T, ttl: Duration) -> Result<Vec<u8>, StoreError> {
        let value = json(&merge::written(data)?)?;
        let data = match &self.path {
            Some(path) => Map::from_iter([(path.to_string(), not_null(value)?)]),
            None => object(value)?,
        };
        let ttl = ttl.try_into().unwrap_or(cookie::time::Duration::MAX);
        let expires = OffsetDateTime::now_utc().saturating_add(ttl);
        messagepack::written(raw(id)?, &data, expires).ok_or_else(not_written)
    }

    fn update(&self, stored: &[u8], data: &T) -> Result<Vec<u8>, StoreError> {
        let record = parsed(stored)?;
        let old = self.value(&record)?.unwrap_or_default();
        let Some(merged) = merge::merged(&old.to_string(), data)? else {
            let unread = field::read::<T>(&old, self.path.as_deref());
            return Err(unread.err().unwrap_or_else(|| no_record(NoRecord)));
        };
        self.with_value(&record, json(&merged)?)
    }

    fn contains_id(&self) -> bool {
        true
    }

    fn renamed(&self, stored: &[u8], new: &SessionId) -> Result<Vec<u8>, StoreError> {
        Ok(parsed(stored)?.with_id(raw(new)?))
    }

    fn foreign_records(&self) -> bool {
        true
    }
}

fn parsed(stored: &[u8]) -> Result<RecordBytes<'_>, StoreError> {
    RecordBytes::parse(stored).map_err(no_record)
}

fn no_record(error: NoRecord) -> StoreError {
    StoreError::new(StoreErrorKind::Decode, error)
}

fn raw(id: &SessionId) -> Result<i128, StoreError> {
    raw_id::of(id).ok_or_else(|| not_encodable("the id is none of tower-sessions"))
}

fn json(text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|_| not_written())
}

fn not_null(value: Value) -> Result<Value, StoreError> {
    match value {
        Value::Null => Err(not_encodable("the data is null, which is not signed in")),
        value => Ok(value),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, StoreError> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(not_encodable(
            "the whole data of a record must be an object",
        )),
    }
}

fn not_written() -> StoreError {
    not_encodable("the data can't be written as a record of tower-sessions")
}

#[cfg(test)]
#[path = "tower_sessions_tests.rs"]
mod tests;
