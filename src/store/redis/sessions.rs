//! The sessions, each of them one key.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    codec::{Codec, Records, Touch},
    commands::{self, MAX_TTL},
    connections::Connections,
    driver::SetIf,
    error::{failed, too_large},
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

    fn key(&self, id: &SessionId) -> String {
        [&*self.prefix, id.expose()].concat()
    }

    /// Whether the key exists.
    pub(super) async fn exists(&self, id: &SessionId) -> Result<bool, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let exists = commands::exists(&**driver, &self.key(id)).await;
        exists.map_err(failed)
    }

    /// The remaining life of a session (`Some(None)`: no end); `None` when it does not exist.
    pub(super) async fn left(
        &self,
        id: &SessionId,
    ) -> Result<Option<Option<Duration>>, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let left = commands::left(&**driver, &self.key(id)).await;
        left.map_err(failed)
    }

    pub(super) async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        driver.delete(&self.key(id)).await.map_err(failed)
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
        let value = bounded(self.codec().create(id, data, ttl)?)?;
        let (driver, _permit) = self.connections.next()?;
        let ttl = Some(ttl.min(MAX_TTL));
        let created = driver
            .set(&self.key(id), value.clone(), ttl, SetIf::Missing)
            .await;
        Ok(if created.map_err(failed)? {
            Created::Created(value.into())
        } else {
            Created::Taken
        })
    }

    pub(super) async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let found = commands::load(&**driver, &self.key(id)).await;
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
        // A revision of another store is none of this one's: nothing equals it.
        let expected = Bytes::copy_from_slice(expected.as_bytes().unwrap_or_default());
        let value = if expected.is_empty() {
            Bytes::new()
        } else {
            bounded(self.codec().update(&expected, data)?)?
        };
        let (driver, _permit) = self.connections.next()?;
        let fenced = driver.is_clustered() || self.codec().contains_id();
        let saved = commands::save(&**driver, &self.key(id), expected, value.clone(), fenced).await;
        Ok(match saved.map_err(failed)? {
            commands::Swap::Done => Saved::Saved(value.into()),
            commands::Swap::Differs => Saved::Conflict,
            commands::Swap::Missing => Saved::Gone,
        })
    }

    pub(super) async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let key = self.key(id);
        let touched = match self.codec().touch() {
            Touch::Given => commands::touch(&**driver, &key, ttl).await,
            Touch::Script { source, ttl } => commands::touch_by(&**driver, source, &key, ttl)
                .await
                .map(|left| left.is_some()),
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
        let (driver, _permit) = self.connections.next()?;
        let key = self.key(id);
        let left = match self.codec().touch() {
            Touch::Given => commands::keep_alive(&**driver, &key, ttl, interval).await,
            Touch::Script { source, ttl } => commands::touch_by(&**driver, source, &key, ttl).await,
        };
        left.map_err(failed)
    }

    pub(super) async fn rename(
        &self,
        old: &SessionId,
        new: &SessionId,
    ) -> Result<bool, StoreError> {
        let (driver, _permit) = self.connections.next()?;
        let record = self.renamed_record(new);
        let (old, new) = (self.key(old), self.key(new));
        if driver.is_clustered() {
            return rename::rename(driver, old, new, record).await;
        }
        match record {
            Some(renamed) => rename::rename_record(&**driver, &old, &new, &renamed).await,
            None => commands::rename(&**driver, &old, &new).await,
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
        let (driver, _permit) = self.connections.next()?;
        let taken = commands::take(&**driver, &self.key(id)).await;
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
