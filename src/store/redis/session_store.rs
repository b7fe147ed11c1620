//! The calls of the store.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

use super::{commands, error::failed, feed, own_keys::replaced_mark, store::RedisStore};
use crate::{
    id::SessionId,
    store::{
        Capabilities, Changes, Created, IndexedSession, Record, Revision, Saved, SessionStore,
        StoreError, StoreErrorKind,
    },
};

#[async_trait]
impl<T> SessionStore for RedisStore<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Data = T;

    async fn create(&self, id: &SessionId, data: &T, ttl: Duration) -> Result<Created, StoreError> {
        match &self.users {
            Some(users) => users.create(id, data, ttl).await,
            None => self.sessions.create(id, data, ttl).await,
        }
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let record = self.sessions.load(id).await?;
        self.seen(id, record.as_ref());
        Ok(record)
    }

    async fn look_up(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let record = self.sessions.look_up(id).await?;
        self.seen(id, record.as_ref());
        Ok(record)
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        match &self.users {
            Some(users) => users.save(id, data, expected).await,
            None => self.sessions.save(id, data, expected).await,
        }
    }

    async fn touch(&self, id: &SessionId, data: &T, ttl: Duration) -> Result<bool, StoreError> {
        let touched = self.sessions.touch(id, ttl).await?;
        if let (Some(users), true) = (&self.users, touched) {
            users.seen(id, data, Some(ttl));
        }
        Ok(touched)
    }

    async fn keep_alive(
        &self,
        id: &SessionId,
        data: &T,
        ttl: Duration,
        interval: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        let left = self.sessions.keep_alive(id, ttl, interval).await?;
        if let (Some(users), Some(left)) = (&self.users, left) {
            // The greatest is that of a session that never expires.
            users.seen(id, data, Some(left).filter(|left| *left < Duration::MAX));
        }
        Ok(left)
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        match &self.users {
            Some(users) => users.rename(old, new).await,
            None => self.sessions.rename(old, new).await,
        }
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        match &self.users {
            Some(users) => users.delete(id).await,
            None => self.sessions.delete(id).await,
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            foreign_records: self.sessions.codec().foreign_records(),
            user_index: self.users.is_some(),
            ..Capabilities::default()
        }
    }

    fn user_id(&self, data: &T) -> Option<String> {
        self.users.as_ref().and_then(|users| users.user_of(data))
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        match &self.users {
            Some(users) => users.list(user).await,
            None => Err(StoreErrorKind::Unsupported.into()),
        }
    }

    async fn flush(&self) {
        if let Some(users) = &self.users {
            users.flush().await;
        }
    }

    fn changes(&self) -> Option<Changes> {
        if !self.sessions.connections.can_report() {
            return None;
        }
        feed::changes(
            self.sessions.connections.all(),
            &self.sessions.prefix,
            self.heartbeat,
        )
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        let (driver, _permit) = self.sessions.connections.next()?;
        let marked = commands::mark(&**driver, &replaced_mark(id)).await;
        marked.map_err(failed)
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        let (driver, _permit) = self.sessions.connections.next()?;
        let mark = driver.get(&replaced_mark(id)).await;
        mark.map(|mark| mark.is_some()).map_err(failed)
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> RedisStore<T> {
    /// Lets the index know of a session that was read.
    fn seen(&self, id: &SessionId, record: Option<&Record<T>>) {
        if let (Some(users), Some(record)) = (&self.users, record) {
            users.seen(id, &record.data, record.ttl);
        }
    }
}
