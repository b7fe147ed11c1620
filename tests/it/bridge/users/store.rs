//! A store of user names in memory, with what can go wrong between two of its calls.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use socketioxide_session::{
    MemoryStore, SessionId, SessionStore, StoreError,
    store::{
        Capabilities, Changes, Created, IndexedSession, Record, Revision, Saved, StoreErrorKind,
    },
};

pub(super) const HOUR: Duration = Duration::from_hours(1);

/// Clones share everything.
#[derive(Clone)]
pub(super) struct OddStore {
    pub(super) memory: MemoryStore<String>,
    /// The deletions of these fail.
    pub(super) undeletable: Arc<Mutex<HashSet<SessionId>>>,
    /// Actions right after each of the next listings of a user, before its caller gets it.
    pub(super) after_listings: Arc<Mutex<Vec<AfterListing>>>,
    pub(super) listings: Arc<Mutex<usize>>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum AfterListing {
    Nothing,
    /// Other tasks of the node run.
    Wait,
    /// Another node renames all sessions of the user.
    Rename,
    /// Another node creates a session of the user.
    Create,
}

impl OddStore {
    pub(super) fn new() -> Self {
        Self {
            memory: MemoryStore::new().user_id(|name: &String| Some(name.clone())),
            undeletable: Arc::default(),
            after_listings: Arc::default(),
            listings: Arc::default(),
        }
    }

    /// The first of these happens after the next listing.
    pub(super) fn after_listings(&self, mut happens: Vec<AfterListing>) {
        happens.reverse();
        *self.after_listings.lock() = happens;
    }

    async fn happens(&self, what: AfterListing, user: &str) -> Result<(), StoreError> {
        match what {
            AfterListing::Nothing => {}
            AfterListing::Wait => tokio::time::sleep(Duration::from_millis(1)).await,
            AfterListing::Rename => {
                for session in self.memory.sessions_of_user(user).await? {
                    self.memory.rename(&session.id, &new_id()).await?;
                }
            }
            AfterListing::Create => {
                let (id, user) = (new_id(), user.to_owned());
                let created = self.memory.create(&id, &user, HOUR);
                assert!(matches!(created.await?, Created::Created(_)));
            }
        }
        Ok(())
    }
}

fn new_id() -> SessionId {
    SessionId::generate().unwrap()
}

#[async_trait]
impl SessionStore for OddStore {
    type Data = String;

    async fn create(
        &self,
        id: &SessionId,
        data: &String,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.memory.create(id, data, ttl).await
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<String>>, StoreError> {
        self.memory.load(id).await
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &String,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        self.memory.save(id, data, expected).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        data: &String,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.memory.touch(id, data, ttl).await
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        let renamed = self.memory.rename(old, new).await;
        // Other tasks run before the caller gets the answer.
        tokio::time::sleep(Duration::from_millis(1)).await;
        renamed
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        if self.undeletable.lock().contains(id) {
            return Err(StoreErrorKind::Unavailable.into());
        }
        self.memory.delete(id).await
    }

    fn changes(&self) -> Option<Changes> {
        self.memory.changes()
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    fn user_id(&self, data: &String) -> Option<String> {
        SessionStore::user_id(&self.memory, data)
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        *self.listings.lock() += 1;
        let listed = self.memory.sessions_of_user(user).await?;
        let happens = self.after_listings.lock().pop();
        if let Some(what) = happens {
            self.happens(what, user).await?;
        }
        Ok(listed)
    }
}
