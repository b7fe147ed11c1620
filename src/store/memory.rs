//! Sessions in the memory of this process.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};

use super::{
    Change, Changes, Created, Record, Revision, Saved, SessionStore, StoreError, StoreErrorKind,
};
use crate::id::SessionId;

/// How many expired sessions one call removes at most, so that no call pays for all of them. A call
/// adds at most one session, so they can't pile up.
const EXPIRED_PER_CALL: usize = 4;
/// How many changes a slow reader may lag behind before it is told that it did.
const FEED_CAPACITY: usize = 1024;

/// Keeps sessions in the memory of this process: they are gone when it ends, and no other node has
/// them. The embedded default.
///
/// Every change is reported, so logout, updates and expiry reach the sockets at once. Time is
/// [`tokio::time::Instant`], which a test can pause. Clones share their sessions.
pub struct MemoryStore<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    sessions: Mutex<Sessions<T>>,
    feed: broadcast::Sender<Change>,
}

struct Sessions<T> {
    by_id: HashMap<SessionId, Stored<T>>,
    /// Every session that expires, the first to do so first.
    expiries: BTreeSet<(Instant, SessionId)>,
    /// Counts over all sessions, so that one that is made anew never has an old one's revision.
    last_revision: u64,
}

struct Stored<T> {
    data: Arc<T>,
    /// `None`: so far away that the clock can't express it.
    expires: Option<Instant>,
    revision: u64,
}

impl<T> MemoryStore<T> {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let sessions = Sessions {
            by_id: HashMap::new(),
            expiries: BTreeSet::new(),
            last_revision: 0,
        };
        Self {
            shared: Arc::new(Shared {
                sessions: Mutex::new(sessions),
                feed: broadcast::Sender::new(FEED_CAPACITY),
            }),
        }
    }

    /// How many sessions are stored, those included that have expired and are not removed yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.sessions.lock().by_id.len()
    }

    /// No session is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `change` on what has not expired, and reports `id` if it says so.
    fn change<R>(
        &self,
        id: &SessionId,
        change: impl FnOnce(&mut Sessions<T>, Instant) -> (R, bool),
    ) -> R {
        let mut sessions = self.shared.sessions.lock();
        let now = Instant::now();
        sessions.remove_expired(now);
        let (result, changed) = change(&mut sessions, now);
        // Under the lock, so that reports come in the order of the changes.
        if changed {
            self.report(id);
        }
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
        let data = Arc::new(data.clone());
        Ok(self.change(id, |sessions, now| {
            let revision = sessions.next_revision();
            let Some(stored) = sessions.live(id, now) else {
                return (Saved::Gone, false);
            };
            if expected.as_u64() != Some(stored.revision) {
                return (Saved::Conflict, false);
            }
            stored.data = data;
            stored.revision = revision;
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
            if let Some(stored) = sessions.remove(old) {
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

impl<T> Sessions<T> {
    fn live(&mut self, id: &SessionId, now: Instant) -> Option<&mut Stored<T>> {
        self.by_id
            .get_mut(id)
            .filter(|stored| stored.expires.is_none_or(|expires| expires > now))
    }

    fn next_revision(&mut self) -> u64 {
        self.last_revision += 1;
        self.last_revision
    }

    fn insert(&mut self, id: SessionId, stored: Stored<T>) {
        let old = self.by_id.get(&id).and_then(|old| old.expires);
        self.reschedule(&id, old, stored.expires);
        self.by_id.insert(id, stored);
    }

    fn remove(&mut self, id: &SessionId) -> Option<Stored<T>> {
        let stored = self.by_id.remove(id)?;
        self.reschedule(id, stored.expires, None);
        Some(stored)
    }

    fn reschedule(&mut self, id: &SessionId, old: Option<Instant>, new: Option<Instant>) {
        if let Some(old) = old {
            self.expiries.remove(&(old, id.clone()));
        }
        if let Some(new) = new {
            self.expiries.insert((new, id.clone()));
        }
    }

    fn remove_expired(&mut self, now: Instant) {
        for _ in 0..EXPIRED_PER_CALL {
            if self.expiries.first().is_none_or(|(when, _)| *when > now) {
                return;
            }
            if let Some((_, id)) = self.expiries.pop_first()
                && let Entry::Occupied(entry) = self.by_id.entry(id)
            {
                entry.remove();
            }
        }
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
