//! Sessions in the memory of this process.

mod sessions;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use foldhash::{HashMap, HashMapExt as _};
use futures_util::stream;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};

use self::sessions::{Sessions, Stored};
use super::{
    Capabilities, Change, Changes, Created, IndexedSession, Record, Revision, Saved, SessionStore,
    StoreError, StoreErrorKind, replaced_marks::ReplacedMarks, user_index::UserIndex,
};
use crate::{id::SessionId, lock::Mutex};

/// Maximum number of changes that a slow reader may lag behind.
const FEED_CAPACITY: usize = 1024;

/// Keeps sessions in the memory of this process: they are gone when it ends, and no other node has
/// them. The embedded default.
///
/// Every change is reported, so logout, updates and expiry reach the sockets at once. Time is
/// [`tokio::time::Instant`], which a test can pause. Clones share their sessions.
///
/// ```
/// use socketioxide_session::MemoryStore;
///
/// #[derive(Clone)]
/// struct User {
///     id: u64,
/// }
///
/// let store = MemoryStore::<User>::new().user_id(|user| Some(user.id.to_string()));
/// assert!(store.is_empty());
/// ```
pub struct MemoryStore<T> {
    shared: Arc<Shared<T>>,
    user_id: Option<Arc<UserId<T>>>,
}

/// The user that a session with this data belongs to.
type UserId<T> = dyn Fn(&T) -> Option<String> + Send + Sync;

struct Shared<T> {
    sessions: Mutex<Sessions<T>>,
    replaced: Mutex<ReplacedMarks>,
    feed: broadcast::Sender<Change>,
}

impl<T> MemoryStore<T> {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let sessions = Sessions {
            by_id: HashMap::new(),
            expiries: BTreeSet::new(),
            users: UserIndex::default(),
            last_revision: 0,
            removed: Vec::new(),
        };
        Self {
            shared: Arc::new(Shared {
                sessions: Mutex::new(sessions),
                replaced: Mutex::new(ReplacedMarks::new()),
                feed: broadcast::Sender::new(FEED_CAPACITY),
            }),
            user_id: None,
        }
    }

    /// Indexes the sessions by the user that they belong to; `None` or an empty text: to none. Needed
    /// for [`sessions_of_user`](crate::SessionBridge::sessions_of_user) and its like.
    ///
    /// Call it before the store is cloned or used. An id of more than 1 KiB, and a panic of the closure, are
    /// errors where the bridge creates or saves a session.
    ///
    /// ```
    /// use socketioxide_session::MemoryStore;
    ///
    /// let store = MemoryStore::<(u64, String)>::new().user_id(|(id, _name)| Some(id.to_string()));
    /// # drop(store);
    /// ```
    #[must_use]
    pub fn user_id(
        mut self,
        user_id: impl Fn(&T) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.user_id = Some(Arc::new(user_id));
        self
    }

    fn user_of(&self, data: &T) -> Option<Arc<str>> {
        let user = self.user_id.as_ref().and_then(|user_id| user_id(data));
        user.filter(|user| !user.is_empty()).map(Arc::from)
    }

    /// Number of stored sessions, those included that have expired and are not removed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.sessions.lock().by_id.len()
    }

    /// No session is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `change` on what has not expired, and reports `id` if it returns that.
    fn change<R>(
        &self,
        id: &SessionId,
        change: impl FnOnce(&mut Sessions<T>, Instant) -> (R, bool),
    ) -> R {
        // Dropped after the lock, because the drop of the application's data may use the store.
        let _removed;
        let mut sessions = self.shared.sessions.lock();
        let now = Instant::now();
        sessions.remove_expired(now);
        let (result, changed) = change(&mut sessions, now);
        // Under the lock, so that reports come in the order of the changes.
        if changed {
            self.report(id);
        }
        _removed = std::mem::take(&mut sessions.removed);
        result
    }

    fn report(&self, id: &SessionId) {
        if self.shared.feed.receiver_count() > 0 {
            // Fails only when the last reader has just gone.
            let _ = self.shared.feed.send(Change::Session(id.clone()));
        }
    }
}

#[async_trait]
impl<T: Clone + Send + Sync + 'static> SessionStore for MemoryStore<T> {
    type Data = T;

    async fn create(&self, id: &SessionId, data: &T, ttl: Duration) -> Result<Created, StoreError> {
        let user = self.user_of(data);
        let data = Arc::new(data.clone());
        Ok(self.change(id, |sessions, now| {
            if sessions.live(id, now).is_some() {
                return (Created::Taken, false);
            }
            let revision = sessions.next_revision();
            sessions.insert(
                id.clone(),
                Stored {
                    data,
                    user,
                    created: SystemTime::now(),
                    expires: now.checked_add(ttl),
                    revision,
                },
            );
            (Created::Created(revision.into()), true)
        }))
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        let mut sessions = self.shared.sessions.lock();
        let now = Instant::now();
        Ok(sessions.live(id, now).map(|stored| {
            let ttl = stored.expires.map(|expires| expires - now);
            Record::new(stored.data.clone(), ttl, stored.revision.into())
        }))
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        let user = self.user_of(data);
        let data = Arc::new(data.clone());
        Ok(self.change(id, |sessions, now| {
            let revision = sessions.next_revision();
            let Some(stored) = sessions.live(id, now) else {
                return (Saved::Gone, false);
            };
            if expected.as_u64() != Some(stored.revision) {
                return (Saved::Conflict, false);
            }
            let old = std::mem::replace(&mut stored.data, data);
            stored.revision = revision;
            sessions.removed.push(old);
            sessions.set_user(id, user);
            (Saved::Saved(revision.into()), true)
        }))
    }

    async fn touch(&self, id: &SessionId, _: &T, ttl: Duration) -> Result<bool, StoreError> {
        Ok(self.change(id, |sessions, now| {
            let Some(stored) = sessions.live(id, now) else {
                return (false, false);
            };
            let (old, new) = (stored.expires, now.checked_add(ttl));
            let later = old.is_some_and(|old| new.is_none_or(|new| new > old));
            if later {
                stored.expires = new;
                sessions.reschedule(id, old, new);
            }
            (true, later)
        }))
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        self.change(old, |sessions, now| {
            if sessions.live(old, now).is_none() {
                return (Ok(false), false);
            }
            if sessions.live(new, now).is_some() {
                let taken = StoreError::new(StoreErrorKind::Other, "the new id is taken");
                return (Err(taken), false);
            }
            if let Some(stored) = sessions.take(old) {
                self.shared.replaced.lock().add(old);
                sessions.insert(new.clone(), stored);
                self.report(new);
            }
            (Ok(true), true)
        })
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.change(id, |sessions, now| {
            let existed = sessions.live(id, now).is_some();
            sessions.remove(id);
            (existed, existed)
        }))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            user_index: self.user_id.is_some(),
            ..Capabilities::default()
        }
    }

    fn user_id(&self, data: &T) -> Option<String> {
        self.user_id.as_ref().and_then(|user_id| user_id(data))
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        if self.user_id.is_none() {
            return Err(StoreErrorKind::Unsupported.into());
        }
        Ok(self.shared.sessions.lock().users.sessions(user))
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        self.shared.replaced.lock().add(id);
        Ok(())
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.shared.replaced.lock().contains(id))
    }

    fn changes(&self) -> Option<Changes> {
        let receiver = self.shared.feed.subscribe();
        Some(Changes::new(stream::unfold(
            receiver,
            async |mut receiver| match receiver.recv().await {
                Ok(change) => Some((change, receiver)),
                Err(RecvError::Lagged(_)) => Some((Change::Resync, receiver)),
                Err(RecvError::Closed) => None,
            },
        )))
    }
}

impl<T> Default for MemoryStore<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for MemoryStore<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            user_id: self.user_id.clone(),
        }
    }
}

impl<T> fmt::Debug for MemoryStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.len())
            .finish_non_exhaustive()
    }
}
