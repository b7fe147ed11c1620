//! The sessions, each of them one key.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    codec::{Codec, Records, Touch},
    commands::{self, MAX_TTL, Stored},
    connections::Connections,
    driver::{DriverError, SetIf},
    error::{failed, not_an_id, too_large},
    own_keys::replaced_mark,
    rename::{self, RenamedRecord},
};
use crate::{
    id::SessionId,
    store::{Created, Record, Revision, Saved, StoreError},
};

/// Maximum length of a session as JSON.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Reads and writes sessions, without the index of users.
pub(super) struct Sessions<T> {
    pub(super) connections: Arc<Connections>,
    pub(super) prefix: Arc<str>,
    pub(super) records: Arc<Records>,
    data: PhantomData<fn() -> T>,
}

impl<T> Sessions<T> {
    pub(super) fn new(
        connections: Arc<Connections>,
        prefix: Arc<str>,
        records: Arc<Records>,
    ) -> Self {
        Self {
            connections,
            prefix,
            records,
            data: PhantomData,
        }
    }

    /// The key of a session; `None` when no record can have this id.
    fn key(&self, id: &SessionId) -> Option<String> {
        let is_possible = self.records.ids().is_none_or(|has| has(id));
        is_possible.then(|| [&*self.prefix, id.expose()].concat())
    }

    /// Whether the key exists.
    pub(super) async fn exists(&self, id: &SessionId) -> Result<bool, StoreError> {
        let Some(key) = self.key(id) else {
            return Ok(false);
        };
        let (driver, _permit) = self.connections.next()?;
        let exists = commands::exists(&**driver, &key).await;
        exists.map_err(failed)
    }

    /// The remaining life of a session (`Some(None)`: no end); `None` when it does not exist.
    pub(super) async fn left(
        &self,
        id: &SessionId,
    ) -> Result<Option<Option<Duration>>, StoreError> {
        let Some(key) = self.key(id) else {
            return Ok(None);
        };
        let (driver, _permit) = self.connections.next()?;
        let left = commands::left(&**driver, &key).await;
        left.map_err(failed)
    }

    pub(super) async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let Some(key) = self.key(id) else {
            return Ok(false);
        };
        let (driver, _permit) = self.connections.next()?;
        driver.delete(&key).await.map_err(failed)
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Sessions<T> {
    pub(super) fn codec(&self) -> &dyn Codec<T> {
        self.records.codec()
    }

    pub(super) async fn create(
        &self,
        id: &SessionId,
        data: &T,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let key = self.key(id).ok_or_else(not_an_id)?;
        let value = bounded(self.codec().create(id, data, ttl)?)?;
        let (driver, _permit) = self.connections.next()?;
        let ttl = Some(ttl.min(MAX_TTL));
        let created = driver.set(&key, value.clone(), ttl, SetIf::Missing).await;
        Ok(if created.map_err(failed)? {
            Created::Created(value.into())
        } else {
            Created::Taken
        })
    }

    pub(super) async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let Some(key) = self.key(id) else {
            return Ok(None);
        };
        let (driver, _permit) = self.connections.next()?;
        self.decoded(commands::load(&**driver, key).await)
    }

    /// Loads a session by an id that may be a guess.
    pub(super) async fn look_up(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        if !self.records.have_guessable_ids() {
            return self.load(id).await;
        }
        let Some(key) = self.key(id) else {
            return Ok(None);
        };
        let (driver, _permit) = self.connections.next()?;
        self.decoded(commands::look_up(&**driver, &key).await)
    }

    fn decoded(
        &self,
        found: Result<Option<Stored>, DriverError>,
    ) -> Result<Option<Record<T>>, StoreError> {
        let Some((value, ttl)) = found.map_err(failed)? else {
            return Ok(None);
        };
        let data = self.codec().decode(&value)?;
        Ok(data.map(|data| Record::new(data, ttl, value.into())))
    }

    pub(super) async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        let Some(key) = self.key(id) else {
            return Ok(Saved::Gone);
        };
        // A revision of another store is none of this one's: nothing equals it.
        let expected = Bytes::copy_from_slice(expected.as_bytes().unwrap_or_default());
        let value = if expected.is_empty() {
            Bytes::new()
        } else {
            bounded(self.codec().update(&expected, data)?)?
        };
        let (driver, _permit) = self.connections.next()?;
        let fenced = driver.is_clustered() || self.codec().contains_id();
        let saved = commands::save(&**driver, &key, expected, value.clone(), fenced).await;
        Ok(match saved.map_err(failed)? {
            commands::Swap::Done => Saved::Saved(value.into()),
            commands::Swap::Differs => Saved::Conflict,
            commands::Swap::Missing => Saved::Gone,
        })
    }

    pub(super) async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, StoreError> {
        let Some(key) = self.key(id) else {
            return Ok(false);
        };
        let (driver, _permit) = self.connections.next()?;
        let touched = match self.codec().touch() {
            Touch::Given => commands::touch(&**driver, &key, ttl).await,
            Touch::Script { source, ttl } => {
                let left = commands::touch_by(&**driver, source, &key, ttl, Duration::ZERO);
                left.await.map(|left| left.is_some())
            }
        };
        touched.map_err(failed)
    }

    /// The life that is left; `None` when there is no such session.
    pub(super) async fn keep_alive(
        &self,
        id: &SessionId,
        ttl: Duration,
        interval: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        let Some(key) = self.key(id) else {
            return Ok(None);
        };
        let (driver, _permit) = self.connections.next()?;
        let left = match self.codec().touch() {
            Touch::Given => commands::keep_alive(&**driver, &key, ttl, interval).await,
            Touch::Script { source, ttl } => {
                commands::touch_by(&**driver, source, &key, ttl, interval).await
            }
        };
        left.map_err(failed)
    }

    pub(super) async fn rename(
        &self,
        old: &SessionId,
        new: &SessionId,
    ) -> Result<bool, StoreError> {
        let mark = replaced_mark(old);
        let Some(old) = self.key(old) else {
            return Ok(false);
        };
        let record = self.renamed_record(new);
        let new = self.key(new).ok_or_else(not_an_id)?;
        let (driver, _permit) = self.connections.next()?;
        if driver.is_clustered() {
            return rename::rename(driver, old, new, mark, record).await;
        }
        match record {
            Some(renamed) => rename::rename_record(&**driver, &old, &new, &mark, &renamed).await,
            None => commands::rename(&**driver, &old, &new, &mark).await,
        }
    }

    fn renamed_record(&self, new: &SessionId) -> RenamedRecord {
        if !self.codec().contains_id() {
            return None;
        }
        let (records, new) = (self.records.clone(), new.clone());
        Some(Box::new(move |stored| {
            let renamed = records.codec::<T>().renamed(stored, &new)?;
            Ok(renamed.into())
        }))
    }

    /// Deletes a session, and returns its data, if it can be decoded.
    pub(super) async fn take(&self, id: &SessionId) -> Result<Taken<T>, StoreError> {
        let Some(key) = self.key(id) else {
            return Ok(Taken::nothing());
        };
        let (driver, _permit) = self.connections.next()?;
        let taken = commands::take(&**driver, &key).await;
        let (existed, at, stored) = taken.map_err(failed)?;
        let data = stored.and_then(|stored| self.codec().decode(&stored).ok().flatten());
        Ok(Taken { existed, at, data })
    }
}

/// A deleted session.
pub(super) struct Taken<T> {
    pub(super) existed: bool,
    /// When it was deleted, by the clock of the server, in milliseconds.
    pub(super) at: i64,
    pub(super) data: Option<T>,
}

impl<T> Taken<T> {
    fn nothing() -> Self {
        Self {
            existed: false,
            at: 0,
            data: None,
        }
    }
}

impl<T> Clone for Sessions<T> {
    fn clone(&self) -> Self {
        let (prefix, records) = (self.prefix.clone(), self.records.clone());
        Self::new(self.connections.clone(), prefix, records)
    }
}

fn bounded(value: Vec<u8>) -> Result<Bytes, StoreError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(too_large(value.len()));
    }
    Ok(value.into())
}
