//! What is known: the store of sessions.

mod error;
mod guarded;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod replaced_marks;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
mod request_scope;
#[cfg(not(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15")))]
#[path = "no_request_scope.rs"]
mod request_scope;
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
pub(crate) mod tower_sessions;
mod user_index;
mod user_key;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

pub use error::{StoreError, StoreErrorKind};
pub(crate) use guarded::GuardedStore;
pub use memory::MemoryStore;
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
#[cfg(any(feature = "tower-sessions-0-14", feature = "tower-sessions-0-15"))]
pub(crate) use request_scope::CurrentRequest;
pub(crate) use request_scope::RequestScope;
pub(crate) use user_key::{MAX_USER_ID, user_key};

use crate::id::SessionId;

/// Where sessions are kept.
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
    /// What a session holds.
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
    /// that were loaded when they did not exist; every report is followed by a load here. What it
    /// reports must be visible to a load that begins after the report.
    ///
    /// When the store may have missed a change, it reports [`Change::Disconnected`], and once it is
    /// complete again, [`Change::Resync`]. A feed that takes a while to begin does so, too. The end of
    /// the stream counts as `Disconnected`.
    fn changes(&self) -> Option<Changes> {
        None
    }

    /// Records for [`REPLACED_MARK_TTL`] that this id is being replaced by another one, because of a
    /// rotation or a sign-in. Called before the id is renamed or deleted. The mark must not contain
    /// the new id. It is a hint that chooses how sockets of the old id are disconnected, so a store
    /// may lose it.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn mark_replaced(&self, _id: &SessionId) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether [`mark_replaced`](Self::mark_replaced) was called for this id, on any node, within
    /// [`REPLACED_MARK_TTL`]. Called when a session that is live on this node was not found.
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
    /// them and compares.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](StoreErrorKind::Unsupported) when the store has no index; else when it fails.
    async fn sessions_of_user(&self, _user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        Err(StoreErrorKind::Unsupported.into())
    }
}

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
}

/// The operations that a store supports besides [`load`](SessionStore::load).
///
/// ```
/// use socketioxide_session::store::Capabilities;
///
/// let read_only = Capabilities { create: false, save: false, touch: false, rename: false, ..Capabilities::default() };
/// assert!(read_only.delete);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each operation is supported or not, by itself"
)]
pub struct Capabilities {
    /// [`create`](SessionStore::create).
    pub create: bool,
    /// [`save`](SessionStore::save).
    pub save: bool,
    /// [`touch`](SessionStore::touch).
    pub touch: bool,
    /// [`rename`](SessionStore::rename).
    pub rename: bool,
    /// [`delete`](SessionStore::delete).
    pub delete: bool,
    /// [`sessions_of_user`](SessionStore::sessions_of_user).
    pub user_index: bool,
    /// Other programs write the records. One that stops decoding then ends its sockets at once,
    /// while the record of a rolling deployment keeps its last value until
    /// [`max_stale`](crate::bridge::SessionBridgeBuilder::max_stale).
    pub foreign_records: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            create: true,
            save: true,
            touch: true,
            rename: true,
            delete: true,
            user_index: false,
            foreign_records: false,
        }
    }
}

/// A session in a user's index; see [`SessionStore::sessions_of_user`].
///
/// ```
/// use std::time::SystemTime;
/// use socketioxide_session::{SessionId, store::IndexedSession};
///
/// let indexed = IndexedSession::new(SessionId::generate()?, SystemTime::now());
/// # drop(indexed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexedSession {
    /// Its id.
    pub id: SessionId,
    /// When it was created; a rename keeps this.
    pub created: SystemTime,
}

impl IndexedSession {
    /// A session in an index.
    #[must_use]
    pub fn new(id: SessionId, created: SystemTime) -> Self {
        Self { id, created }
    }
}

/// Lifetime of a [mark](SessionStore::mark_replaced).
pub const REPLACED_MARK_TTL: Duration = Duration::from_secs(10);

/// A session as it was loaded.
///
/// ```
/// use std::time::Duration;
/// use socketioxide_session::store::{Record, Revision};
///
/// // What `load` of a store returns.
/// let record: Record<String> = Record::new("data".to_owned(), Some(Duration::from_hours(1)), Revision::from(7));
/// assert_eq!(*record.data, "data");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Record<T> {
    /// What the session holds.
    pub data: Arc<T>,
    /// Remaining lifetime from now; `None`: it does not expire.
    pub ttl: Option<Duration>,
    /// Which revision of the data this is.
    pub revision: Revision,
}

impl<T> Record<T> {
    /// A record of a session that lives for `ttl` from now (`None`: it does not expire).
    pub fn new(data: impl Into<Arc<T>>, ttl: Option<Duration>, revision: Revision) -> Self {
        Self {
            data: data.into(),
            ttl,
            revision,
        }
    }
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self {
            data: self.data.clone(),
            ttl: self.ttl,
            revision: self.revision.clone(),
        }
    }
}

/// Which revision of a session's data this is: opaque to all code but the store that made it.
/// Revisions of one session are equal if and only if the data did not change in between. A session
/// that is made anew under an old id, with other data, has no revision that the old one had.
///
/// A store makes it from a counter, or from bytes (a hash, a version, or the stored value itself).
///
/// ```
/// use socketioxide_session::store::Revision;
///
/// let counted = Revision::from(7);
/// assert_eq!(counted.as_u64(), Some(7));
/// let hashed = Revision::from(b"a hash".to_vec());
/// assert_ne!(counted, hashed);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Revision(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Number(u64),
    Bytes(Bytes),
    Unknown,
}

impl Revision {
    /// A revision that no store has given, and that equals none.
    pub(crate) fn unknown() -> Self {
        Self(Repr::Unknown)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.0, Repr::Unknown)
    }

    /// The number that it was made from, if it was.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::Number(number) => Some(number),
            Repr::Bytes(_) | Repr::Unknown => None,
        }
    }

    /// The bytes that it was made from, if it was.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Bytes(bytes) => Some(bytes),
            Repr::Number(_) | Repr::Unknown => None,
        }
    }
}

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Self(Repr::Number(number))
    }
}

impl From<Vec<u8>> for Revision {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Bytes(bytes.into()))
    }
}

impl From<Bytes> for Revision {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Bytes(bytes))
    }
}

// The bytes may be the session's data.
impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revision").finish_non_exhaustive()
    }
}

/// Result of [`SessionStore::create`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use socketioxide_session::{MemoryStore, SessionId, SessionStore, store::Created};
///
/// let (store, id) = (MemoryStore::<u32>::new(), SessionId::generate()?);
/// assert!(matches!(store.create(&id, &1, Duration::from_secs(60)).await?, Created::Created(_)));
/// assert_eq!(store.create(&id, &2, Duration::from_secs(60)).await?, Created::Taken);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Created {
    /// The session was created, and its data has this revision.
    Created(Revision),
    /// A session of this id exists, and was left as it is.
    Taken,
}

/// Result of [`SessionStore::save`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use socketioxide_session::{MemoryStore, SessionId, SessionStore, store::{Created, Saved}};
///
/// let (store, id) = (MemoryStore::<u32>::new(), SessionId::generate()?);
/// let Created::Created(revision) = store.create(&id, &1, Duration::from_secs(60)).await? else { unreachable!() };
/// assert!(matches!(store.save(&id, &2, &revision).await?, Saved::Saved(_)));
/// assert_eq!(store.save(&id, &3, &revision).await?, Saved::Conflict);
/// store.delete(&id).await?;
/// assert_eq!(store.save(&id, &4, &revision).await?, Saved::Gone);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// The data was replaced, and has this revision now.
    Saved(Revision),
    /// The data has another revision than the expected one, and was left as it is.
    Conflict,
    /// The session does not exist.
    Gone,
}

/// What a store reports of its sessions.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use socketioxide_session::{MemoryStore, SessionId, SessionStore, store::Change};
///
/// let (store, id) = (MemoryStore::<u32>::new(), SessionId::generate()?);
/// let mut changes = store.changes().ok_or("it reports its changes")?;
/// let _created = store.create(&id, &1, Duration::from_secs(60)).await?;
/// assert_eq!(changes.next().await, Some(Change::Session(id)));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Something about this session changed: load it again.
    Session(SessionId),
    /// The feed broke: nothing that is known is certain until it was loaded again.
    Disconnected,
    /// The feed is back, or has skipped some: load all sessions again.
    Resync,
}

/// A stream of [`Change`]s, made from any stream of them.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use futures_util::stream;
/// use socketioxide_session::store::{Change, Changes};
///
/// // What `changes` of a store returns.
/// let mut changes = Changes::new(stream::iter([Change::Session("some-id".parse()?)]));
/// assert!(changes.next().await.is_some());
/// assert!(changes.next().await.is_none());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Changes(Pin<Box<dyn Stream<Item = Change> + Send>>);

impl Changes {
    /// Takes a stream of changes.
    pub fn new(stream: impl Stream<Item = Change> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }

    /// The next change; `None` when the feed has ended.
    pub async fn next(&mut self) -> Option<Change> {
        self.0.next().await
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
