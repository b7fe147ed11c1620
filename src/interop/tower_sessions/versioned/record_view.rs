//! The records of tower-sessions as a store of the bridge. Compiled once for each version of
//! tower-sessions-core, which is `super::core` here.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use cookie::time::OffsetDateTime;
use serde::de::DeserializeOwned;

use super::{
    super::axum_login::{AxumLogin, DATA_KEY},
    core::{
        session::{self, Id},
        session_store::{self, SessionStore as TowerSessionStore},
    },
    reporting_store::ReportingStore,
};
use crate::{
    id::SessionId,
    store::{
        Capabilities, Changes, Created, Record, Revision, Saved, SessionStore, StoreError,
        StoreErrorKind,
        tower_sessions::{field, raw_id},
    },
};

/// The sessions of a [`ReportingStore`] as the bridge loads them: with a `T` out of each record.
///
/// It loads and deletes, and [touches](ReportingStore::sole_writer) if it may. It never creates, saves
/// or renames, because tower-sessions' `save` overwrites whatever another request saved meanwhile:
/// those calls are [`Unsupported`](StoreErrorKind::Unsupported), and
/// [`capabilities`](SessionStore::capabilities) says which.
///
/// A record whose data does not fit `T` is an error of the kind [`Decode`](StoreErrorKind::Decode).
/// Its source names the place, and never quotes a value.
///
/// ```
/// # #[cfg(feature = "tower-sessions-0-14")] {
/// # use tower_sessions_0_14::MemoryStore;
/// use socketioxide_session::SessionStore as _;
/// # use socketioxide_session::interop::tower_sessions::v0_14::ReportingStore;
///
/// let store = ReportingStore::new(MemoryStore::default());
/// let view = store.field::<u64>("visits").user_id(|visits| Some(visits.to_string()));
/// assert!(view.capabilities().delete && !view.capabilities().save);
/// # }
/// ```
pub struct RecordView<S, T> {
    store: ReportingStore<S>,
    path: Option<Arc<str>>,
    user_id: Option<UserId<T>>,
    data: PhantomData<fn() -> T>,
}

type UserId<T> = Arc<dyn Fn(&T) -> Option<String> + Send + Sync>;

/// The views of a store.
impl<S: TowerSessionStore> ReportingStore<S> {
    /// The session store of the bridge, for sessions that [axum-login] logs in: sessions that are not
    /// logged in do not exist there, and sessions of other users end, see
    /// [`user_id`](RecordView::user_id). `UserId` is `AuthUser::Id` of your user.
    ///
    /// axum-login compares the authentication hash only in a request of that very session. Add
    /// `.verify(…)` to the bridge, or a stolen cookie still opens sockets after a change of the
    /// password.
    ///
    /// [axum-login]: https://docs.rs/axum-login
    #[must_use]
    pub fn axum_login<UserId>(&self) -> RecordView<S, AxumLogin<UserId>>
    where
        UserId: DeserializeOwned + fmt::Display + Send + Sync + 'static,
    {
        self.field(DATA_KEY)
            .user_id(|login: &AxumLogin<UserId>| Some(login.user_id().to_string()))
    }

    /// The session store of the bridge, for sessions that have a `T` at this path of their data: what
    /// was stored with `session.insert(path, value)`. Sessions with nothing there, or with null, do not
    /// exist in it.
    ///
    /// A dot leads into an object, unless the key with the dot exists.
    ///
    /// ```
    /// # #[cfg(feature = "tower-sessions-0-14")] {
    /// # use tower_sessions_0_14::MemoryStore;
    /// use serde::Deserialize;
    /// # use socketioxide_session::interop::tower_sessions::v0_14::ReportingStore;
    ///
    /// #[derive(Deserialize)]
    /// struct Cart {
    ///     items: Vec<u64>,
    /// }
    ///
    /// let store = ReportingStore::new(MemoryStore::default());
    /// let carts = store.field::<Cart>("shop.cart");
    /// # }
    /// ```
    #[must_use]
    pub fn field<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
        path: impl Into<Arc<str>>,
    ) -> RecordView<S, T> {
        RecordView::new(self.clone(), Some(path.into()))
    }

    /// The session store of the bridge, with all data of a session as one `T`: a struct with a field
    /// for each key that the program inserts.
    ///
    /// ```
    /// # #[cfg(feature = "tower-sessions-0-14")] {
    /// # use tower_sessions_0_14::MemoryStore;
    /// use serde::Deserialize;
    /// # use socketioxide_session::interop::tower_sessions::v0_14::ReportingStore;
    ///
    /// #[derive(Deserialize)]
    /// struct Data {
    ///     name: String,    // session.insert("name", …)
    ///     theme: Option<String>, // session.insert("theme", …)
    /// }
    ///
    /// let store = ReportingStore::new(MemoryStore::default());
    /// let sessions = store.whole_data::<Data>();
    /// # }
    /// ```
    #[must_use]
    pub fn whole_data<T: DeserializeOwned + Send + Sync + 'static>(&self) -> RecordView<S, T> {
        RecordView::new(self.clone(), None)
    }
}

impl<S, T> RecordView<S, T> {
    pub(super) fn new(store: ReportingStore<S>, path: Option<Arc<str>>) -> Self {
        Self {
            store,
            path,
            user_id: None,
            data: PhantomData,
        }
    }

    /// Sets how the user of a session is found in its data. A session whose user changes, as in a
    /// login over a session that is logged in, ends its sockets. There is no index: the sessions of a
    /// user can't be listed.
    ///
    /// ```
    /// # #[cfg(feature = "tower-sessions-0-14")] {
    /// # use tower_sessions_0_14::MemoryStore;
    /// # use socketioxide_session::interop::tower_sessions::v0_14::ReportingStore;
    /// let store = ReportingStore::new(MemoryStore::default());
    /// let names = store.field::<String>("name").user_id(|name| Some(name.clone()));
    /// # drop(names);
    /// # }
    /// ```
    #[must_use]
    pub fn user_id(
        mut self,
        user_id: impl Fn(&T) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.user_id = Some(Arc::new(user_id));
        self
    }
}

#[async_trait]
impl<S, T> SessionStore for RecordView<S, T>
where
    S: TowerSessionStore,
    T: DeserializeOwned + Send + Sync + 'static,
{
    type Data = T;

    async fn create(&self, _: &SessionId, _: &T, _: Duration) -> Result<Created, StoreError> {
        Err(StoreErrorKind::Unsupported.into())
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let Some((record, ttl)) = self.live_record(id).await? else {
            return Ok(None);
        };
        let decoded = field::decode(record.data, self.path.as_deref())?;
        Ok(decoded.map(|(data, revision): (T, _)| Record::new(data, Some(ttl), revision)))
    }

    async fn save(&self, _: &SessionId, _: &T, _: &Revision) -> Result<Saved, StoreError> {
        Err(StoreErrorKind::Unsupported.into())
    }

    async fn touch(&self, id: &SessionId, _: &T, ttl: Duration) -> Result<bool, StoreError> {
        if !self.store.is_sole_writer() {
            return Err(StoreErrorKind::Unsupported.into());
        }
        let Some(raw) = raw_id::of(id) else {
            return Ok(false);
        };
        let call = self.extend(id, ttl);
        self.store.reports().locks.exclusively(raw, call).await
    }

    async fn rename(&self, _: &SessionId, _: &SessionId) -> Result<bool, StoreError> {
        Err(StoreErrorKind::Unsupported.into())
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let Some(raw) = raw_id::of(id) else {
            return Ok(false);
        };
        // A record that can't be loaded is deleted all the same.
        let existed = !matches!(self.live_record(id).await, Ok(None));
        let deleted = self.store.delete_for_good(Id(raw)).await;
        deleted.map_err(store_error).map(|()| existed)
    }

    fn changes(&self) -> Option<Changes> {
        Some(self.store.reports().changes())
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        if let Some(raw) = raw_id::of(id) {
            self.store.reports().mark_replaced(raw);
        }
        Ok(())
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(raw_id::of(id).is_some_and(|raw| self.store.reports().was_replaced(raw)))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create: false,
            save: false,
            touch: self.store.is_sole_writer(),
            rename: false,
            delete: true,
            user_index: false,
            foreign_records: true,
        }
    }

    fn user_id(&self, data: &T) -> Option<String> {
        self.user_id.as_ref().and_then(|user_id| user_id(data))
    }
}

impl<S: TowerSessionStore, T> RecordView<S, T> {
    /// The record of a session, and how long from now it lives.
    async fn live_record(
        &self,
        id: &SessionId,
    ) -> Result<Option<(session::Record, Duration)>, StoreError> {
        // A text that is no id of tower-sessions is no session.
        let Some(raw) = raw_id::of(id) else {
            return Ok(None);
        };
        let loaded = self.store.inner().load(&Id(raw)).await;
        let record = loaded.map_err(store_error)?;
        Ok(record.and_then(|record| {
            let ttl = Duration::try_from(record.expiry_date - OffsetDateTime::now_utc()).ok()?;
            (!ttl.is_zero()).then_some((record, ttl))
        }))
    }

    /// Moves the time of expiry to `ttl` from now, unless it is later. Called under the lock.
    async fn extend(&self, id: &SessionId, ttl: Duration) -> Result<bool, StoreError> {
        let Some((mut record, left)) = self.live_record(id).await? else {
            return Ok(false);
        };
        if left >= ttl {
            return Ok(true);
        }
        let ttl = ttl.try_into().unwrap_or(cookie::time::Duration::MAX);
        record.expiry_date = OffsetDateTime::now_utc().saturating_add(ttl);
        let saved = self.store.save_if_not_deleted(&record).await;
        saved.map_err(store_error).map(|()| true)
    }
}

/// The text of a decoding error is left out, because it may quote the record.
fn store_error(error: session_store::Error) -> StoreError {
    match error {
        session_store::Error::Decode(_) => StoreError::new(
            StoreErrorKind::Decode,
            "the record is not one of tower-sessions",
        ),
        session_store::Error::Encode(_) => StoreErrorKind::Encode.into(),
        error @ session_store::Error::Backend(_) => StoreError::new(StoreErrorKind::Other, error),
    }
}

impl<S, T> Clone for RecordView<S, T> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            path: self.path.clone(),
            user_id: self.user_id.clone(),
            data: PhantomData,
        }
    }
}

impl<S, T> fmt::Debug for RecordView<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordView")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
