//! A tower-sessions store that reports what is done through it. Compiled once for each version of
//! tower-sessions-core, which is `super::core` here.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{
    super::reports::Reports,
    core::{
        ExpiredDeletion, SessionStore,
        session::{Id, Record},
        session_store::Result,
    },
};
use crate::observe::target;

/// Wraps any store of tower-sessions, and reports the sessions that are saved and deleted through
/// it, so that their sockets learn of it at once.
///
/// Give it to tower-sessions in place of the store, and a [view](Self::axum_login) of it to the
/// bridge. Clones share everything.
///
/// 1. **Reports.** An id is reported after every create, save and delete of it, also when the call
///    failed or was dropped midway. A report of a session that is not live costs a look-up, and
///    nothing is stored per session. Expiry needs no report: each load returns when the session
///    expires.
/// 2. **Rotation.** A session that is deleted and followed by a new one within one request, as
///    `Session::cycle_id` and a login do, counts as replaced. Whether the new one comes is only known
///    when the answer passes tower-sessions' layer, so every deletion within a request counts as
///    replaced until that request ends; if no session was created by then (a logout, a 5xx answer, a
///    client that left), the id is reported again and no longer counts as replaced. Requests are
///    seen by [`SessionBridge::layer`](crate::SessionBridge::layer), which must be outside of
///    tower-sessions' layer. Without it each deletion is a logout at once.
/// 3. **Late saves.** tower-sessions loads at the beginning of a request and may save at its end,
///    and the `save` of most stores brings back a session that was deleted in between. So a save of a
///    session that was deleted through this store within the last five minutes, and does not exist,
///    is dropped. (At most 65,536 deletions are remembered.) A create under the id of a deleted
///    session gets a new id, as a store may give it; that is a session which was flushed and filled
///    again within one request.
/// 4. **Order.** Writing calls of one session run one after the other.
///
/// # Deployment caveats
///
/// Only what goes through a clone of this store is reported. What other processes do is noticed
/// within the bridge's
/// [`revalidate_every`](crate::bridge::SessionBridgeBuilder::revalidate_every) × 1.2, unless they call
/// [`report`](Self::report) here.
///
/// With a `CachingSessionStore`, wrap the store inside:
/// `CachingSessionStore::new(cache, reporting_store)`. Else sockets would be admitted on what the
/// cache of one process still has.
///
/// ```
/// # #[cfg(feature = "tower-sessions-0-14")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use tower_sessions_0_14 as tower_sessions;
/// use socketioxide_session::{
///     SessionBridge,
///     interop::tower_sessions::{PlainCookie, v0_14::ReportingStore},
/// };
/// use tower_sessions::{MemoryStore, SessionManagerLayer};
///
/// let store = ReportingStore::new(MemoryStore::default());
/// let sessions = SessionBridge::builder(PlainCookie::new("id")?, store.axum_login::<i64>()).build()?;
/// let session_layer = SessionManagerLayer::new(store);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "tower-sessions-0-14"))]
/// # fn main() {}
/// ```
pub struct ReportingStore<S> {
    inner: Arc<S>,
    reports: Arc<Reports>,
    sole_writer: bool,
}

impl<S: SessionStore> ReportingStore<S> {
    /// Wraps a store. Wrap it once, and clone the result: two wrappers share nothing.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            inner: Arc::new(store),
            reports: Arc::new(Reports::new()),
            sole_writer: false,
        }
    }

    /// Declares that no other process and no other wrapper writes these sessions, so that sockets may
    /// keep a session alive: [`touch`](crate::SessionStore::touch) loads the record and saves it with
    /// a later time of expiry, while no other call writes it. Call it before cloning.
    ///
    /// Do not call it where several processes share the sessions: a touch in one of them would undo
    /// what another one saves at that moment, a logout included. The lifetime of the browser's cookie
    /// does not change.
    ///
    /// ```
    /// # #[cfg(feature = "tower-sessions-0-14")] {
    /// # use tower_sessions_0_14::MemoryStore;
    /// use socketioxide_session::SessionStore as _;
    /// # use socketioxide_session::interop::tower_sessions::v0_14::ReportingStore;
    ///
    /// let store = ReportingStore::new(MemoryStore::default()).sole_writer();
    /// assert!(store.axum_login::<i64>().capabilities().touch);
    /// # }
    /// ```
    #[must_use]
    pub fn sole_writer(mut self) -> Self {
        self.sole_writer = true;
        self
    }

    /// Reports that another process has saved or deleted this session.
    pub fn report(&self, id: &Id) {
        self.reports.report(id.0);
    }

    /// Reports that changes of other processes may have been missed: all live sessions are loaded
    /// again.
    pub fn report_all(&self) {
        self.reports.report_all();
    }

    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    pub(super) fn reports(&self) -> &Arc<Reports> {
        &self.reports
    }

    pub(super) fn is_sole_writer(&self) -> bool {
        self.sole_writer
    }

    /// Deletes a session, so that no late save brings it back.
    pub(super) async fn delete_for_good(&self, id: Id) -> Result<()> {
        let report = self.reports.on_end_of_call(id.0);
        self.reports.deleting(id.0);
        let call = self.inner.delete(&id);
        let deleted = self.reports.locks.exclusively(id.0, call).await;
        report.completed(id.0);
        deleted
    }

    /// Saves a record, unless that would bring a deleted session back. Called under the lock.
    pub(super) async fn save_if_not_deleted(&self, record: &Record) -> Result<()> {
        let id = record.id;
        if self.reports.was_deleted(id.0) && self.inner.load(&id).await?.is_none() {
            tracing::debug!(target: target::STORE, "a late save of a deleted session was dropped");
            return Ok(());
        }
        let report = self.reports.on_end_of_call(id.0);
        let saved = self.inner.save(record).await;
        report.completed(id.0);
        saved
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for ReportingStore<S> {
    async fn create(&self, record: &mut Record) -> Result<()> {
        if self.reports.was_deleted(record.id.0) {
            record.id = Id::default();
        }
        let report = self.reports.on_end_of_call(record.id.0);
        // No lock: a new id is known to no other call.
        let created = self.inner.create(record).await;
        if created.is_ok() {
            self.reports.created_in_request();
        }
        report.completed(record.id.0);
        created
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let call = self.save_if_not_deleted(record);
        self.reports.locks.exclusively(record.id.0, call).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.inner.load(id).await
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.reports.deleting_in_request(id.0);
        self.delete_for_good(*id).await
    }
}

/// An expired record was no session before, so nothing is reported.
#[async_trait]
impl<S: ExpiredDeletion> ExpiredDeletion for ReportingStore<S> {
    async fn delete_expired(&self) -> Result<()> {
        self.inner.delete_expired().await
    }
}

impl<S> Clone for ReportingStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            reports: self.reports.clone(),
            sole_writer: self.sole_writer,
        }
    }
}

// The records of a store in memory, and so their ids, are in its `Debug` output.
impl<S> fmt::Debug for ReportingStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportingStore")
            .field("sole_writer", &self.sole_writer)
            .finish_non_exhaustive()
    }
}
