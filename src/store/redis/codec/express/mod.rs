//! Records of express-session, as connect-redis 7 to 9 keeps them: a JSON object with the session's
//! fields, and `cookie` among them.

mod cookie;

use std::time::{Duration, SystemTime};

use serde::{Serialize, de::DeserializeOwned};

pub use self::cookie::SameSite;
use self::cookie::{COOKIE, RecordCookie};
use super::{
    Codec, Touch,
    error::{not_encodable, position, unreadable, utf8},
    field::{FieldPath, FieldPathError, find, replaced},
    merge,
};
use crate::{id::SessionId, store::StoreError};

/// Lifetime of a session without `cookie.originalMaxAge`: connect-redis' own default.
const DEFAULT_TTL: Duration = Duration::from_hours(24);

/// Lengthens a life as connect-redis does, in whole seconds: by the record's own `originalMaxAge`. A
/// record that is no JSON gets the store's ttl, and a key without expiry stays so. A touch that gains less
/// than the third argument is left out, or less than a tenth of the record's lifetime if that is shorter:
/// the argument is derived from the lifetime that the bridge knows.
const TOUCH: &str = "
    local stored = redis.call('GET', KEYS[1])
    if not stored then return -2 end
    local left = redis.call('PTTL', KEYS[1])
    if left < 0 then return -1 end
    local ttl = tonumber(ARGV[1])
    local read, record = pcall(cjson.decode, stored)
    local cookie = read and type(record) == 'table' and record.cookie
    local max_age = type(cookie) == 'table' and cookie.originalMaxAge
    if type(max_age) == 'number' then ttl = math.ceil(max_age / 1000) * 1000 end
    ttl = math.min(ttl, tonumber(ARGV[2]))
    if left > ttl - math.min(tonumber(ARGV[3]), ttl / 10) then return left end
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
    return ttl";

/// The sessions of an Express app, in [express-session]'s format, as [connect-redis] keeps it.
///
/// - A session's data is the whole record, or what stands at the path of [`field`](Self::field).
/// - An update keeps every field that the type does not know, and sets `cookie.expires` to now plus
///   `cookie.originalMaxAge`, as Express does when it saves.
/// - A new record gets a `cookie` as Express writes it; the methods here are the app's own
///   [cookie options]. Give them the same values.
///
/// [express-session]: https://github.com/expressjs/session
/// [connect-redis]: https://github.com/tj/connect-redis
/// [cookie options]: https://github.com/expressjs/session#cookie
///
/// ```no_run
/// use std::time::Duration;
/// use socketioxide_session::{RedisStore, interop::express::ExpressRecords};
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct User {
///     id: u64,
/// }
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// // As in `session({ cookie: { maxAge: 86_400_000 } })`, with Passport's user.
/// let records = ExpressRecords::new().field("passport.user")?.max_age(Duration::from_hours(24));
/// let store: RedisStore<User> =
///     RedisStore::<User>::builder("redis://127.0.0.1")?.records(records).connect().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ExpressRecords {
    field: FieldPath,
    cookie: RecordCookie,
    ttl: Duration,
}

impl Default for ExpressRecords {
    fn default() -> Self {
        Self::new()
    }
}

impl ExpressRecords {
    /// Whole records, with a session cookie that has the defaults of express-session.
    pub fn new() -> Self {
        Self {
            field: FieldPath::default(),
            cookie: RecordCookie::default(),
            ttl: DEFAULT_TTL,
        }
    }

    /// The path of the data in the record, with dots between its names: `passport.user`. A record with
    /// nothing there, or null, is one of a client that is not signed in.
    ///
    /// ```
    /// use socketioxide_session::interop::express::ExpressRecords;
    ///
    /// let records = ExpressRecords::new().field("passport.user")?;
    /// # drop(records);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When a name is empty, there are more than 16, or the path leads into `cookie`.
    pub fn field(mut self, path: &str) -> Result<Self, ExpressRecordsError> {
        self.field = FieldPath::dotted(path)?;
        if self
            .field
            .names()
            .first()
            .is_some_and(|name| name == COOKIE)
        {
            return Err(ExpressRecordsError::Cookie);
        }
        Ok(self)
    }

    /// Lifetime of sessions whose cookie has no `maxAge`: connect-redis' `ttl`. 24 h, if not set.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketioxide_session::interop::express::ExpressRecords;
    ///
    /// let records = ExpressRecords::new().ttl(Duration::from_hours(1));
    /// # drop(records);
    /// ```
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The cookie's `maxAge`, with which it outlives the browser. Not set by default.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketioxide_session::interop::express::ExpressRecords;
    ///
    /// let records = ExpressRecords::new().max_age(Duration::from_hours(24));
    /// # drop(records);
    /// ```
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.cookie.max_age = Some(max_age);
        self
    }

    /// The cookie's `secure`. Not set by default, which Express takes for `false`.
    ///
    /// ```
    /// use socketioxide_session::interop::express::ExpressRecords;
    ///
    /// let records = ExpressRecords::new().secure(true);
    /// # drop(records);
    /// ```
    pub fn secure(mut self, secure: bool) -> Self {
        self.cookie.secure = Some(secure);
        self
    }

    /// The cookie's `httpOnly`; `true`, if not set.
    ///
    /// ```
    /// use socketioxide_session::interop::express::ExpressRecords;
    ///
    /// let records = ExpressRecords::new().http_only(false);
    /// # drop(records);
    /// ```
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.cookie.http_only = http_only;
        self
    }

    /// The cookie's `path`; `/`, if not set.
    ///
    /// ```
    /// use socketioxide_session::interop::express::ExpressRecords;
    ///
    /// let records = ExpressRecords::new().path("/app");
    /// # drop(records);
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.cookie.path = path.into();
        self
    }

    /// The cookie's `domain`. Not set by default.
    ///
    /// ```
    /// use socketioxide_session::interop::express::ExpressRecords;
    ///
    /// let records = ExpressRecords::new().domain("example.com");
    /// # drop(records);
    /// ```
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.domain = Some(domain.into());
        self
    }

    /// The cookie's `sameSite`. Not set by default.
    ///
    /// ```
    /// use socketioxide_session::interop::express::{ExpressRecords, SameSite};
    ///
    /// let records = ExpressRecords::new().same_site(SameSite::Strict);
    /// # drop(records);
    /// ```
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.cookie.same_site = Some(same_site);
        self
    }

    fn read<T: DeserializeOwned>(&self, text: &str) -> Result<Option<T>, StoreError> {
        use serde::de::DeserializeSeed as _;

        let mut json = serde_json::Deserializer::from_str(text);
        let read = self.field.read::<T>().deserialize(&mut json);
        read.and_then(|read| json.end().map(|()| read))
            .map_err(|_| self.why::<T>(text))
    }

    fn why<T: DeserializeOwned>(&self, text: &str) -> StoreError {
        let mut json = serde_json::Deserializer::from_str(text);
        unreadable(
            self.field.names(),
            self.field.read::<T>(),
            &mut json,
            position,
        )
    }

    fn created<T>(&self, data: &T, now: SystemTime) -> Result<String, StoreError>
    where
        T: Serialize + DeserializeOwned,
    {
        let written = merge::written(data)?;
        let cookie = self.cookie.json(now);
        let text = replaced(
            &format!(r#"{{"{COOKIE}":{cookie}}}"#),
            self.field.names(),
            &written,
        );
        // A type that is the whole record may have its own `cookie`, which then lacks what it leaves out.
        let text = if self.field.names().is_empty() {
            cookie::completed(&text, &cookie).ok_or_else(no_object)?
        } else {
            text
        };
        self.checked::<T>(text)
    }

    fn updated<T>(&self, stored: &str, data: &T, now: SystemTime) -> Result<String, StoreError>
    where
        T: Serialize + DeserializeOwned,
    {
        let path = self.field.names();
        let value = match find(stored, path).filter(|value| *value != "null") {
            Some(value) => merge::merged(value, data)?.ok_or_else(|| self.why::<T>(stored))?,
            None => merge::written(data)?,
        };
        let merged = replaced(stored, path, &value);
        let had_cookie = find(stored, &[COOKIE]).is_some_and(|cookie| cookie.starts_with('{'));
        if had_cookie && !find(&merged, &[COOKIE]).is_some_and(|cookie| cookie.starts_with('{')) {
            return Err(not_encodable("a record of Express must keep its cookie"));
        }
        let merged = cookie::renewed(&merged, now).unwrap_or(merged);
        self.checked::<T>(merged)
    }

    /// Refuses what would read as not signed in.
    fn checked<T: DeserializeOwned>(&self, text: String) -> Result<String, StoreError> {
        match self.read::<T>(&text) {
            Ok(Some(_)) => Ok(text),
            Ok(None) => Err(not_encodable("the data is null, which is not signed in")),
            Err(_) => Err(not_encodable("the record would not be readable")),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for ExpressRecords {
    fn decode(&self, stored: &[u8]) -> Result<Option<T>, StoreError> {
        self.read(utf8(stored)?)
    }

    fn create(&self, _: &SessionId, data: &T, _: Duration) -> Result<Vec<u8>, StoreError> {
        Ok(self.created(data, SystemTime::now())?.into_bytes())
    }

    fn update(&self, stored: &[u8], data: &T) -> Result<Vec<u8>, StoreError> {
        let stored = utf8(stored)?;
        // Text that is no JSON is left as it is.
        self.read::<serde::de::IgnoredAny>(stored)?;
        let updated = self.updated(stored.trim_ascii(), data, SystemTime::now())?;
        Ok(updated.into_bytes())
    }

    fn touch(&self) -> Touch {
        Touch::Script {
            source: TOUCH,
            ttl: self.ttl,
        }
    }

    fn foreign_records(&self) -> bool {
        true
    }
}

fn no_object() -> StoreError {
    not_encodable("a record of Express is an object")
}

/// An error in the settings of [`ExpressRecords`].
///
/// ```
/// use socketioxide_session::interop::express::{ExpressRecords, ExpressRecordsError};
///
/// let refused = ExpressRecords::new().field("cookie.path");
/// assert!(matches!(refused, Err(ExpressRecordsError::Cookie)));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressRecordsError {
    /// The path of the field is not valid.
    #[error(transparent)]
    Field(#[from] FieldPathError),
    /// The path leads into the record's cookie, which express-session owns.
    #[error("the field can't be in express-session's own `cookie`")]
    Cookie,
}

#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod tests;
