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
/// // What the application inserts: `session.insert("user", user)`.
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
mod tests {
    use std::collections::HashMap;

    use proptest::{
        collection::{hash_map, vec},
        prelude::*,
    };
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct User {
        user_id: u64,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        role: Option<String>,
    }

    fn record(data: Value) -> Vec<u8> {
        let expires = OffsetDateTime::now_utc();
        messagepack::written(7, data.as_object().unwrap(), expires).unwrap()
    }

    fn data(record: &[u8]) -> Value {
        Value::Object(RecordBytes::parse(record).unwrap().data().unwrap())
    }

    #[test]
    fn an_update_keeps_what_the_type_does_not_know() {
        let codec = TowerSessionsRecords::field("axum-login.data");
        let stored = record(json!({
            "axum-login.data": {"user_id": 7, "auth_hash": [1, 2, 255]},
            "cart": [1.5, "x"],
        }));
        let mut user: User = codec.decode(&stored).unwrap().unwrap();
        user.role = Some("admin".into());
        let updated = codec.update(&stored, &user).unwrap();
        let expected = json!({
            "axum-login.data": {"user_id": 7, "auth_hash": [1, 2, 255], "role": "admin"},
            "cart": [1.5, "x"],
        });
        assert_eq!(data(&updated), expected);
        assert_eq!(codec.decode(&updated).unwrap(), Some(user));
    }

    /// What another part of the program keeps beside the user.
    fn any_data() -> impl Strategy<Value = HashMap<String, Value>> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300f64..1e300).prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            vec(any::<i16>(), 0..6).prop_map(Value::from),
            hash_map(".{0,6}", any::<i32>(), 0..6).prop_map(|map| json!(map)),
        ];
        hash_map("[a-e.]{0,4}", value, 0..20)
    }

    fn any_user() -> impl Strategy<Value = User> {
        let role = proptest::option::of(".{0,10}");
        (any::<u64>(), role).prop_map(|(user_id, role)| User { user_id, role })
    }

    /// The property, with the record of one version of tower-sessions.
    macro_rules! update_keeps_all_else {
        ($version:ident, $core:ident) => {
            mod $version {
                use $core::session::{Id, Record};

                use super::*;

                proptest! {
                    #[test]
                    fn tower_sessions_reads_everything_it_had_after_an_update(
                        data in any_data(), of_user in any_data(), old in any_user(), new in any_user(),
                    ) {
                        let with_user = |user: &User| {
                            let mut fields = json!(of_user);
                            fields["user_id"] = json!(user.user_id);
                            fields["role"] = json!(user.role);
                            let mut data = data.clone();
                            data.insert("app".into(), json!({"user": fields, "other": of_user}));
                            data
                        };
                        let mut record = Record {
                            id: Id(7),
                            data: with_user(&old),
                            expiry_date: OffsetDateTime::now_utc(),
                        };
                        let stored = rmp_serde::to_vec(&record).unwrap();
                        let codec = TowerSessionsRecords::field("app.user");
                        prop_assert_eq!(codec.decode(&stored).unwrap(), Some(old.clone()));

                        let updated = codec.update(&stored, &new).unwrap();
                        prop_assert_eq!(codec.decode(&updated).unwrap(), Some(new.clone()));
                        let mut read: Record = rmp_serde::from_slice(&updated).unwrap();
                        record.data = with_user(&new);
                        // A role that is not serialized is removed, or null as it was.
                        for data in [&mut read.data, &mut record.data] {
                            let user = data.get_mut("app").and_then(|app| app["user"].as_object_mut());
                            user.unwrap().retain(|name, value| name != "role" || !value.is_null());
                        }
                        prop_assert_eq!(read, record);
                    }
                }
            }
        };
    }

    #[cfg(feature = "tower-sessions-0-14")]
    update_keeps_all_else!(v0_14, tower_sessions_core_0_14);
    #[cfg(feature = "tower-sessions-0-15")]
    update_keeps_all_else!(v0_15, tower_sessions_core_0_15);

    #[test]
    fn a_new_record_reads_back() {
        let id = SessionId::generate().unwrap();
        let user = User {
            user_id: 7,
            role: None,
        };
        for codec in [
            TowerSessionsRecords::field("app.user"),
            TowerSessionsRecords::whole_data(),
        ] {
            let written = codec.create(&id, &user, Duration::from_mins(1)).unwrap();
            assert_eq!(codec.decode(&written).unwrap(), Some(user.clone()));
            assert_eq!(
                RecordBytes::parse(&written).unwrap().id(),
                raw_id::of(&id).unwrap()
            );
            let new = SessionId::generate().unwrap();
            let renamed = Codec::<User>::renamed(&codec, &written, &new).unwrap();
            assert_eq!(
                RecordBytes::parse(&renamed).unwrap().id(),
                raw_id::of(&new).unwrap()
            );
            assert_eq!(data(&renamed), data(&written));
        }
        let other: SessionId = "no-id-of-tower-sessions".parse().unwrap();
        let codec = TowerSessionsRecords::whole_data();
        let error = codec.create(&other, &user, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Encode);
    }

    #[test]
    fn what_is_no_login_and_what_does_not_fit() {
        let codec = TowerSessionsRecords::field("app.user");
        for anonymous in [json!({}), json!({"app": {}}), json!({"app.user": null})] {
            assert_eq!(
                Codec::<User>::decode(&codec, &record(anonymous)).unwrap(),
                None
            );
        }
        let wrong = record(json!({"app": {"user": {"user_id": "secret"}}}));
        let user = User {
            user_id: 7,
            role: None,
        };
        let errors = [
            Codec::<User>::decode(&codec, &wrong).unwrap_err(),
            codec.update(&wrong, &user).unwrap_err(),
            Codec::<User>::decode(&codec, b"{\"json\":1}").unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), StoreErrorKind::Decode);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        let null = codec.update(&record(json!({"app.user": 1})), &Value::Null);
        assert_eq!(null.unwrap_err().kind(), StoreErrorKind::Encode);
    }
}
