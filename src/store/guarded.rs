//! A store whose calls all end: with a deadline each, and no panics.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{
    Capabilities, Changes, Created, IndexedSession, MAX_USER_ID, Record, Revision, Saved,
    SessionStore, StoreError, StoreErrorKind,
};
use crate::{
    deadline::within,
    id::SessionId,
    observe::{self, StoreCall, target},
};

/// Calls a user's store so that each call ends within the timeout, and a panic is an error.
pub(crate) struct GuardedStore<T> {
    store: Arc<dyn SessionStore<Data = T>>,
    timeout: Duration,
}

impl<T> GuardedStore<T> {
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The store itself. (The methods of the `Arc`, which is a store, too, would box every future twice.)
    fn store(&self) -> &dyn SessionStore<Data = T> {
        &*self.store
    }
}

impl<T: Send + Sync + 'static> GuardedStore<T> {
    /// The user of a session with this data. A panic of the application's closure counts as none; where the
    /// data is written, it is an error.
    pub(crate) fn user_id(&self, data: &T) -> Option<String> {
        let user = std::panic::catch_unwind(AssertUnwindSafe(|| self.store().user_id(data)));
        if user.is_err() {
            tracing::error!(target: target::CALLBACK, callback = "`user_id`", "a callback panicked");
        }
        user.unwrap_or_default().filter(|user| !user.is_empty())
    }

    /// Whether a session with this data can be indexed.
    fn check_user(&self, data: &T) -> Result<(), StoreError> {
        let user = std::panic::catch_unwind(AssertUnwindSafe(|| self.store.user_id(data)));
        match user.map_err(|_| StoreError::panicked("`user_id`"))? {
            Some(user) if user.len() > MAX_USER_ID => {
                let why = format!("the user id has more than {MAX_USER_ID} bytes");
                Err(StoreError::new(StoreErrorKind::Encode, why))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn new(store: Arc<dyn SessionStore<Data = T>>, timeout: Duration) -> Self {
        Self { store, timeout }
    }

    pub(crate) async fn create(
        &self,
        id: &SessionId,
        data: &T,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.check_user(data)?;
        self.guard("create", async { self.store().create(id, data, ttl).await })
            .await
    }

    pub(crate) async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let call = async { self.store().load(id).await };
        self.guard("load", call).await.map(unexpired)
    }

    pub(crate) async fn look_up(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let call = async { self.store().look_up(id).await };
        self.guard("load", call).await.map(unexpired)
    }

    pub(crate) async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        self.check_user(data)?;
        let call = async { self.store().save(id, data, expected).await };
        let saved = self.guard("save", call).await?;
        if saved == Saved::Conflict {
            observe::conflict();
        }
        Ok(saved)
    }

    pub(crate) async fn touch(
        &self,
        id: &SessionId,
        data: &T,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.guard("touch", async { self.store().touch(id, data, ttl).await })
            .await
    }

    pub(crate) async fn keep_alive(
        &self,
        id: &SessionId,
        data: &T,
        ttl: Duration,
        interval: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        let call = async { self.store().keep_alive(id, data, ttl, interval).await };
        self.guard("touch", call).await
    }

    pub(crate) async fn rename(
        &self,
        old: &SessionId,
        new: &SessionId,
    ) -> Result<bool, StoreError> {
        self.guard("rename", async { self.store().rename(old, new).await })
            .await
    }

    pub(crate) async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.guard("delete", async { self.store().delete(id).await })
            .await
    }

    pub(crate) async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        self.guard("mark_replaced", async {
            self.store().mark_replaced(id).await
        })
        .await
    }

    pub(crate) async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.guard("was_replaced", async {
            self.store().was_replaced(id).await
        })
        .await
    }

    pub(crate) async fn sessions_of_user(
        &self,
        user: &str,
    ) -> Result<Vec<IndexedSession>, StoreError> {
        self.guard("sessions_of_user", async {
            self.store().sessions_of_user(user).await
        })
        .await
    }

    /// Waits for the writes in the background, without a timeout.
    pub(crate) async fn flush(&self) {
        let flush = AssertUnwindSafe(async { self.store().flush().await });
        if flush.catch_unwind().await.is_err() {
            tracing::error!(target: target::STORE, "the session store panicked in `flush`");
        }
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.store().capabilities()
    }

    /// `None` too when the store panics: then it is one that reports nothing.
    pub(crate) fn changes(&self) -> Option<Changes> {
        let changes = std::panic::catch_unwind(AssertUnwindSafe(|| self.store().changes()));
        changes.unwrap_or_else(|_| {
            tracing::error!(target: target::STORE, "the session store panicked in `changes`");
            None
        })
    }

    async fn guard<R>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        let observed = StoreCall::begin(name);
        let caught = AssertUnwindSafe(call).catch_unwind();
        let result = match within(Instant::now() + self.timeout, caught).await {
            Some(Ok(result)) => result,
            Some(Err(_panic)) => Err(StoreError::panicked("the session store")),
            None => Err(StoreErrorKind::Timeout.into()),
        };
        observed.end(match &result {
            Ok(_) => "ok",
            Err(error) => error.kind().as_str(),
        });
        result
    }
}

/// A record that is still there when its time has come is no session.
fn unexpired<T>(record: Option<Record<T>>) -> Option<Record<T>> {
    record.filter(|record| record.ttl != Some(Duration::ZERO))
}
