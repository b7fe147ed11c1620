//! Stores of sessions.

mod capabilities;
mod change;
mod changes;
mod created;
mod error;
mod guarded;
mod indexed_session;
mod memory;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod replaced_marks;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
mod request_scope;
#[cfg(not(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15")))]
#[path = "no_request_scope.rs"]
mod request_scope;
mod revision;
mod saved;
mod shared;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
pub(crate) mod tower_sessions;
mod user_index;
mod user_key;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

pub use capabilities::Capabilities;
pub use change::Change;
pub use changes::Changes;
pub use created::Created;
pub use error::{StoreError, StoreErrorKind};
pub(crate) use guarded::GuardedStore;
pub use indexed_session::IndexedSession;
pub use memory::MemoryStore;
pub use record::Record;
#[cfg(all(
    feature = "redis",
    any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15")
))]
#[doc(hidden)]
pub use redis::TowerSessionsRecords;
#[cfg(feature = "redis")]
#[doc(hidden)]
pub use redis::{ExpressRecords, ExpressRecordsError, FieldPathError, SameSite};
#[cfg(feature = "redis")]
pub use redis::{Records, RedisConfigError, RedisStore, RedisStoreBuilder};
pub use replaced_marks::REPLACED_MARK_TTL;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
pub(crate) use request_scope::CurrentRequest;
pub(crate) use request_scope::RequestScope;
pub use revision::Revision;
pub use saved::Saved;
pub(crate) use user_key::{MAX_USER_ID, user_key};

use crate::id::SessionId;

/// Storage of sessions.
///
/// # Contract
///
/// A session is its id, its data, the time when it expires, and a [`Revision`] that is another one
/// after every change of the data.
///
/// - **Expired is gone.** A session whose time has come does not exist to any call, also while its
///   record is still stored.
/// - **Atomic.** Each call happens at one moment, as seen by every other call of every node, or not
///   at all. A call that fails may have happened (a timeout); a call that is dropped midway has
///   happened or not, and leaves nothing half done.
/// - **Only `create` creates.** [`save`](Self::save) and [`touch`](Self::touch) of a session that
///   does not exist do nothing: else a save that comes late brings back a session that was ended.
/// - **Every call ends.** Each call gets a deadline from the bridge
///   ([`store_timeout`](crate::bridge::SessionBridgeBuilder::store_timeout)), at which its future is
///   dropped; a panic is caught. But a call that blocks its thread can't be stopped.
/// - Ids are secrets: they don't belong in errors or logs. They are visible ASCII without quotes,
///   braces, brackets and wildcards, at most 128 bytes.
///
/// The [conformance suite](crate::docs::extending#a-store) of the feature `testing` tests a store against all of it.
///
/// ```
/// use std::sync::Arc;
/// use socketioxide_session::{MemoryStore, SessionStore};
///
/// /// A store that is chosen at run time.
/// fn store(in_memory: bool) -> Option<Arc<dyn SessionStore<Data = String>>> {
///     in_memory.then(|| Arc::new(MemoryStore::new()) as Arc<dyn SessionStore<Data = String>>)
/// }
/// # assert!(store(true).is_some());
/// ```
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// The data of a session.
    type Data: Send + Sync + 'static;

    /// Makes a session that expires after `ttl`, unless one of this id exists.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn create(
        &self,
        id: &SessionId,
        data: &Self::Data,
        ttl: Duration,
    ) -> Result<Created, StoreError>;

    /// Reads a session; `None` when it does not exist.
    ///
    /// # Errors
    ///
    /// When the store fails, or holds something for this id that can't be decoded.
    async fn load(&self, id: &SessionId) -> Result<Option<Record<Self::Data>>, StoreError>;

    /// Reads a session that this node does not know, by an id that a client may have guessed. It is
    /// [`load`](Self::load), but a missing session leaves nothing at the store: that it is created
    /// later need not be reported.
    ///
    /// By default, it loads. Override it where a store remembers each id that was loaded, and in a store
    /// that wraps another one.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    // As `async_trait` writes it, but for a second box around the future of `load`.
    fn look_up<'a, 'id, 'call>(
        &'a self,
        id: &'id SessionId,
    ) -> BoxFuture<'call, Result<Option<Record<Self::Data>>, StoreError>>
    where
        'a: 'call,
        'id: 'call,
        Self: 'call,
    {
        self.load(id)
    }

    /// Replaces the data of a session, if its revision is still the expected one
    /// (compare-and-swap). When it expires does not change.
    ///
    /// # Errors
    ///
    /// When the store fails. The save may have happened all the same.
    async fn save(
        &self,
        id: &SessionId,
        data: &Self::Data,
        expected: &Revision,
    ) -> Result<Saved, StoreError>;

    /// Lets a session expire after `ttl` from now, unless it expires later already (or never):
    /// a lifetime is never shortened. `true` when the session exists. `data` is what the caller last
    /// loaded, for stores that keep an index.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn touch(
        &self,
        id: &SessionId,
        data: &Self::Data,
        ttl: Duration,
    ) -> Result<bool, StoreError>;

    /// Lets a session expire after `ttl` from now, as [`touch`](Self::touch) does, unless it lives for
    /// longer than `ttl` less `interval` already: then another node has touched it within the
    /// interval. So a session that is used on many nodes is touched once per interval. Returns the
    /// lifetime that is left, at least; `None` when the session does not exist.
    ///
    /// By default, it touches in any case. Override it where several nodes share the store.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn keep_alive(
        &self,
        id: &SessionId,
        data: &Self::Data,
        ttl: Duration,
        _interval: Duration,
    ) -> Result<Option<Duration>, StoreError> {
        let exists = self.touch(id, data, ttl).await?;
        Ok(exists.then_some(ttl))
    }

    /// Gives a session another id, with its data and its time of expiry. At every moment the
    /// session is to be found under one of the two at least, and in the end under the new one alone; a
    /// concurrent save is either in what was renamed, or finds the session [`Gone`](Saved::Gone). `false` when there is no session `old`.
    ///
    /// A store that keeps [marks](Self::mark_replaced) leaves one of `old` in the same step, so that there is
    /// one whenever another node misses `old`, and none after a failure, after which `old` may be deleted.
    ///
    /// # Errors
    ///
    /// When the store fails, or a session `new` exists, which is left as it is.
    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError>;

    /// Deletes a session. `true` when it existed.
    ///
    /// # Errors
    ///
    /// When the store fails. The deletion may have happened all the same.
    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError>;

    /// The changes of sessions from now on, by this program or another, if the store can report them.
    ///
    /// A change of data, of the time of expiry, a deletion, and a renaming (of both ids) are
    /// reported, one's own too. That a session expired may be reported. A store may report a change
    /// of only those sessions that were [loaded](Self::load) since it last reported them, also those
    /// that were loaded when they did not exist, and those that were [found](Self::look_up); every
    /// report is followed by a load here. What it reports must be visible to a load that begins after
    /// the report.
    ///
    /// When the store may have missed a change, it reports [`Change::Disconnected`], and once it is
    /// complete again, [`Change::Resync`]. A feed that takes a while to begin does so, too. The end of
    /// the stream counts as `Disconnected`.
    fn changes(&self) -> Option<Changes> {
        None
    }

    /// Records for [`REPLACED_MARK_TTL`] that this id is being replaced by another one, because of a
    /// sign-in. Called before the id is deleted; a [rename](Self::rename) leaves the same mark. It must not
    /// contain the new id. It is a hint that chooses how sockets of the old id are disconnected, so a
    /// store may lose it.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn mark_replaced(&self, _id: &SessionId) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether [`mark_replaced`](Self::mark_replaced) was called for this id, or it was renamed, on any
    /// node, within [`REPLACED_MARK_TTL`]. Called when a session that is live on this node was not found.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn was_replaced(&self, _id: &SessionId) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The operations that this store supports. All but [`user_index`](Capabilities::user_index), if
    /// not overridden. What is missing here returns [`Unsupported`](StoreErrorKind::Unsupported).
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// The user that a session with this data belongs to, by which the store indexes it; `None` when
    /// it belongs to no user, or the store has no index.
    fn user_id(&self, _data: &Self::Data) -> Option<String> {
        None
    }

    /// The sessions that are indexed under this [`user_id`](Self::user_id). The index may name
    /// sessions that have ended or that belong to another user by now, so the caller loads each of
    /// them and compares. But each session of the user that a load finds is named: a store that can't write a
    /// session and its index at once writes the index first.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](StoreErrorKind::Unsupported) when the store has no index; else when it fails.
    async fn sessions_of_user(&self, _user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        Err(StoreErrorKind::Unsupported.into())
    }

    /// Waits for the writes that this store makes in the background, if it makes any. Called when the
    /// process [shuts down](crate::SessionBridge::shutdown), which may drop the future.
    async fn flush(&self) {}
}
