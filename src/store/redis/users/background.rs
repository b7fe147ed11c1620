//! The index, and the writes to it that no call waits for.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{
    super::{driver::DriverError, error::failed, own_keys::user_hash, sessions::Sessions},
    coverage::Coverage,
    hash::{Entry, Listed, Put, UserHash, Written},
};
use crate::{
    id::SessionId,
    observe::target,
    store::{StoreError, StoreErrorKind},
};

/// Maximum number of concurrent writes in the background.
pub(super) const MAX_CONCURRENT: usize = 64;
/// Maximum number of writes that run or wait, while the server hangs for example.
pub(super) const MAX_WAITING: usize = 4096;
/// Time in milliseconds after which an entry without a session is removed.
const GRACE: u64 = 60_000;
/// Number of entries that are pruned at the same time.
const BATCH: usize = 100;

/// The index of one store. A failure of a write in the background is made up for: by a listing, which
/// removes entries, or by the next load, which adds them.
pub(super) struct Background<T> {
    pub(super) sessions: Sessions<T>,
    coverage: Coverage,
    permits: Semaphore,
    /// One for each write that runs or waits.
    pub(super) room: Arc<Semaphore>,
    /// A write has ended.
    ended: Arc<Notify>,
}

/// The place of a write in the room. Its drop, also by a panic, wakes a flush.
struct Place {
    permit: Option<OwnedSemaphorePermit>,
    ended: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit = None;
        self.ended.notify_waiters();
    }
}

impl<T> Background<T> {
    pub(super) fn new(sessions: Sessions<T>) -> Self {
        Self {
            sessions,
            coverage: Coverage::default(),
            permits: Semaphore::new(MAX_CONCURRENT),
            room: Arc::new(Semaphore::new(MAX_WAITING)),
            ended: Arc::default(),
        }
    }

    /// Waits until no write runs or waits.
    pub(super) async fn flush(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.room.available_permits() == MAX_WAITING {
                return;
            }
            ended.await;
        }
    }

    fn hash(&self, user: &str) -> Result<UserHash<'_>, StoreError> {
        let (driver, permit) = self.sessions.connections.next()?;
        let key = user_hash(user, &self.sessions.prefix);
        Ok(UserHash::new(driver, permit, key))
    }

    pub(super) async fn put(
        &self,
        user: &str,
        id: &SessionId,
        put: Put<'_>,
    ) -> Result<Written, StoreError> {
        let written = self.hash(user)?.put(id, put).await.map_err(index_failed)?;
        self.coverage.written(user, id, written.hash_ttl);
        Ok(written)
    }

    /// The value of the entry of a session.
    pub(super) async fn get(
        &self,
        user: &str,
        id: &SessionId,
    ) -> Result<Option<Bytes>, StoreError> {
        self.hash(user)?.get(id).await.map_err(index_failed)
    }

    pub(super) async fn list(&self, user: &str) -> Result<Listed, StoreError> {
        let listed = self.hash(user)?.list().await.map_err(index_failed)?;
        self.coverage.counted(user, listed.entries.len());
        for entry in &listed.entries {
            self.coverage.written(user, &entry.id, listed.hash_ttl);
        }
        Ok(listed)
    }
}

impl<T: Send + Sync + 'static> Background<T> {
    /// Runs a write that no call waits for. Beyond [`MAX_WAITING`] it is dropped, as if it had failed.
    pub(super) fn spawn(
        self: &Arc<Self>,
        write: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            tracing::debug!(
                target: target::STORE,
                "too many writes to the index of users wait, so one was dropped"
            );
            return;
        };
        let index = self.clone();
        let place = Place {
            permit: Some(room),
            ended: self.ended.clone(),
        };
        tokio::spawn(async move {
            let _place = place;
            let _permit = index.permits.acquire().await;
            if let Err(error) = write.await {
                tracing::debug!(
                    target: target::STORE,
                    error = &error as &dyn std::error::Error,
                    "a write to the index of users failed, which a later call makes up for"
                );
            }
        });
    }

    /// Writes the entry of a session, unless it is known to exist, and extends the life of the hash.
    pub(super) fn renew(self: &Arc<Self>, user: String, id: &SessionId, left: Option<Duration>) {
        if !self.coverage.is_due(&user, id, left) {
            return;
        }
        if self.room.available_permits() == 0 {
            self.coverage.failed(&user, id);
            return;
        }
        let (index, id) = (self.clone(), id.clone());
        self.spawn(async move {
            let put = Put {
                left,
                keep_young: true,
                ..Put::default()
            };
            let written = index.put(&user, &id, put).await;
            match written {
                Ok(written) => index.added(&user, &written),
                Err(error) => {
                    index.coverage.failed(&user, &id);
                    return Err(error);
                }
            }
            Ok(())
        });
    }

    /// An entry was written. Prunes the index if many were new, because an application may never list it.
    pub(super) fn added(self: &Arc<Self>, user: &str, written: &Written) {
        if !written.is_new || !self.coverage.is_crowded(user) {
            return;
        }
        let (index, user) = (self.clone(), user.to_owned());
        self.spawn(async move {
            let listed = index.list(&user).await?;
            index.prune(&user, listed);
            Ok(())
        });
    }

    /// Removes an entry that has this value still.
    pub(super) fn remove(self: &Arc<Self>, user: String, id: &SessionId, value: Bytes) {
        let (index, id) = (self.clone(), id.clone());
        self.spawn(async move {
            let removed = index.hash(&user)?.remove_unchanged([(&id, &value)]).await;
            removed.map_err(index_failed)
        });
    }

    /// Removes an entry that was written before this time.
    pub(super) fn remove_older(self: &Arc<Self>, user: String, id: &SessionId, than: i64) {
        let (index, id) = (self.clone(), id.clone());
        self.spawn(async move {
            let removed = index.hash(&user)?.remove_older(&id, than).await;
            removed.map_err(index_failed)
        });
    }

    /// Removes the entries without a session that were written more than a minute ago. At most once a
    /// minute for each user.
    pub(super) fn prune(self: &Arc<Self>, user: &str, listed: Listed) {
        let mut old = listed.entries;
        old.retain(|entry| entry.times.written.saturating_add(GRACE) < listed.now);
        if old.is_empty() || !self.coverage.is_pruning_due(user) {
            return;
        }
        let (index, user) = (self.clone(), user.to_owned());
        self.spawn(async move {
            for batch in old.chunks(BATCH) {
                index.prune_batch(&user, batch).await?;
            }
            Ok(())
        });
    }

    async fn prune_batch(&self, user: &str, batch: &[Entry]) -> Result<(), StoreError> {
        let exists = batch.iter().map(|entry| self.sessions.exists(&entry.id));
        let exists = join_all(exists).await;
        let pairs: Vec<_> = batch
            .iter()
            .zip(exists)
            .filter(|(_, exists)| matches!(exists, Ok(false)))
            .map(|(entry, _)| (&entry.id, &entry.value))
            .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let removed = self.hash(user)?.remove_unchanged(pairs).await;
        removed.map_err(index_failed)
    }
}

/// A hash of another type is not a session that can't be decoded.
fn index_failed(error: DriverError) -> StoreError {
    let error = failed(error);
    match error.kind() {
        StoreErrorKind::Decode => StoreError::new(StoreErrorKind::Other, error),
        _ => error,
    }
}
