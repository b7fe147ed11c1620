//! A store behind an `Arc`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    Capabilities, Changes, Created, IndexedSession, Record, Revision, Saved, SessionStore,
    StoreError,
};
use crate::id::SessionId;

/// A store that is shared, or chosen at run time: `Arc<dyn SessionStore<Data = T>>`.
#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    type Data = S::Data;

    async fn create(
        &self,
        id: &SessionId,
        data: &Self::Data,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        (**self).create(id, data, ttl).await
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<Self::Data>>, StoreError> {
        (**self).load(id).await
    }

    async fn look_up(&self, id: &SessionId) -> Result<Option<Record<Self::Data>>, StoreError> {
        (**self).look_up(id).await
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &Self::Data,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        (**self).save(id, data, expected).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        data: &Self::Data,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        (**self).touch(id, data, ttl).await
    }

    async fn keep_alive(
        &self,
        id: &SessionId,
        data: &Self::Data,
        ttl: Duration,
        interval: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        (**self).keep_alive(id, data, ttl, interval).await
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        (**self).rename(old, new).await
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        (**self).delete(id).await
    }

    fn changes(&self) -> Option<Changes> {
        (**self).changes()
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        (**self).mark_replaced(id).await
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        (**self).was_replaced(id).await
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn user_id(&self, data: &Self::Data) -> Option<String> {
        (**self).user_id(data)
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        (**self).sessions_of_user(user).await
    }

    async fn flush(&self) {
        (**self).flush().await;
    }
}
