//! The index: which sessions a user has.
//!
//! 1. The entry of a session is written before the session. So a session that is stored is listed, except
//!    one that another program wrote, until its next load here.
//! 2. An entry may be of a session that was never stored, that has ended, or that belongs to another user
//!    by now. The caller of a listing loads each session and compares its user.
//! 3. An entry is removed in two cases only, and only if it was not written meanwhile: after its session
//!    has left (a deletion, a rename, another user), and when a listing finds no session more than a
//!    minute after the entry was written. Until then its session may be about to be stored. A node that has
//!    added many entries of a user lists by itself, so that what has expired does not pile up.
//! 4. What a load or a touch finds missing is written in the background: the entry of a session that
//!    another program created, and the life of a hash that ends before the session.
//!
//! The index and a session are on two servers in a cluster, so no script writes both.
//!
//! ```text
//! users ──▶ background ──▶ hash ──▶ driver
//!   └─▶ coverage
//! ```

mod background;
#[cfg(test)]
mod background_tests;
mod coverage;
mod hash;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use self::{
    background::Background,
    hash::{Put, Times, Written},
};
use super::sessions::Sessions;
use crate::{
    id::SessionId,
    store::{Created, IndexedSession, Revision, Saved, StoreError, StoreErrorKind},
};

/// The user that a session with this data belongs to.
pub(super) type UserId<T> = dyn Fn(&T) -> Option<String> + Send + Sync;

/// The sessions with their index. Its writes are those of [`Sessions`], and the ones to the index.
pub(super) struct Users<T> {
    user_id: Arc<UserId<T>>,
    index: Arc<Background<T>>,
}

impl<T> Users<T> {
    pub(super) fn new(sessions: Sessions<T>, user_id: Arc<UserId<T>>) -> Self {
        let index = Arc::new(Background::new(sessions));
        Self { user_id, index }
    }

    pub(super) fn user_id(&self) -> &Arc<UserId<T>> {
        &self.user_id
    }

    /// The user of a session with this data. An empty id is none, and so is a panic of the closure.
    pub(super) fn user_of(&self, data: &T) -> Option<String> {
        let user = catch_unwind(AssertUnwindSafe(|| (self.user_id)(data)));
        user.unwrap_or_default().filter(|user| !user.is_empty())
    }

    /// Waits for the writes to the index that no call waits for.
    pub(super) async fn flush(&self) {
        self.index.flush().await;
    }

    fn sessions(&self) -> &Sessions<T> {
        &self.index.sessions
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Users<T> {
    /// The entries of a user. Those without a session are removed in the background.
    pub(super) async fn list(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        let listed = self.index.list(user).await?;
        let entries = listed.entries.iter();
        let sessions = entries
            .map(|entry| IndexedSession::new(entry.id.clone(), entry.times.created()))
            .collect();
        self.index.prune(user, listed);
        Ok(sessions)
    }

    pub(super) async fn create(
        &self,
        id: &SessionId,
        data: &T,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let Some(user) = self.user_of(data) else {
            return self.sessions().create(id, data, ttl).await;
        };
        let put = Put {
            left: Some(ttl),
            ..Put::default()
        };
        let written = self.index.put(&user, id, put).await?;
        self.index.added(&user, &written);
        let created = self.sessions().create(id, data, ttl).await?;
        if created == Created::Taken {
            self.undo(&user, id, written);
        }
        Ok(created)
    }

    /// A session was loaded or touched, and lives for `left` from now.
    pub(super) fn seen(&self, id: &SessionId, data: &T, left: Option<Duration>) {
        if let Some(user) = self.user_of(data) {
            self.index.renew(user, id, left);
        }
    }

    pub(super) async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        let stored = expected.as_bytes().unwrap_or_default();
        let old = self.sessions().codec().decode(stored).ok().flatten();
        let old = old.and_then(|old| self.user_of(&old));
        let new = self.user_of(data);
        if old == new {
            return self.sessions().save(id, data, expected).await;
        }
        let entry = match &old {
            Some(old) => self.index.get(old, id).await?,
            None => None,
        };
        let written = match &new {
            Some(new) => self.put_moved(new, id, entry.as_ref()).await?,
            None => None,
        };
        let saved = self.sessions().save(id, data, expected).await?;
        match (&saved, old, entry, new, written) {
            (Saved::Saved(_), Some(old), Some(entry), ..) => self.index.remove(old, id, entry),
            (Saved::Conflict | Saved::Gone, _, _, Some(new), Some(written)) => {
                self.undo(&new, id, written);
            }
            _ => {}
        }
        Ok(saved)
    }

    /// Writes the entry of a session whose former user has this entry of it. `None` when there is no
    /// session.
    async fn put_moved(
        &self,
        user: &str,
        id: &SessionId,
        former: Option<&Bytes>,
    ) -> Result<Option<Written>, StoreError> {
        let Some(left) = self.sessions().left(id).await? else {
            return Ok(None);
        };
        let created = former.and_then(|entry| Times::parse(entry));
        let put = Put {
            left,
            created: created.map(|times| times.created),
            ..Put::default()
        };
        self.index.put(user, id, put).await.map(Some)
    }

    pub(super) async fn rename(
        &self,
        old: &SessionId,
        new: &SessionId,
    ) -> Result<bool, StoreError> {
        let record = match self.sessions().load(old).await {
            Ok(record) => record,
            Err(error) if error.kind() == StoreErrorKind::Decode => None,
            Err(error) => return Err(error),
        };
        let known = record.and_then(|record| Some((self.user_of(&record.data)?, record.ttl)));
        let Some((user, left)) = known else {
            return self.sessions().rename(old, new).await;
        };
        let put = Put {
            left,
            like: Some(old),
            ..Put::default()
        };
        let written = self.index.put(&user, new, put).await?;
        let renamed = self.sessions().rename(old, new).await?;
        if renamed {
            self.after_rename(user, old, new, written.like);
        } else {
            self.undo(&user, new, written);
        }
        Ok(renamed)
    }

    /// Removes the entry of the old id. A save that came between the load and the rename may have given the
    /// session another user, whose index has the old id then.
    fn after_rename(&self, user: String, old: &SessionId, new: &SessionId, entry: Bytes) {
        let (index, user_id, new) = (self.index.clone(), self.user_id.clone(), new.clone());
        self.index.remove(user.clone(), old, entry);
        self.index.spawn(async move {
            let users = Self { user_id, index };
            if let Some(record) = users.sessions().load(&new).await? {
                let now = users.user_of(&record.data);
                if let Some(now) = now.filter(|now| *now != user) {
                    users.index.renew(now, &new, record.ttl);
                }
            }
            Ok(())
        });
    }

    pub(super) async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        let taken = self.sessions().take(id).await?;
        if let Some(user) = taken.data.and_then(|data| self.user_of(&data)) {
            self.index.remove_older(user, id, taken.at);
        }
        Ok(taken.existed)
    }

    /// Removes an entry that was written for nothing, in the background.
    fn undo(&self, user: &str, id: &SessionId, written: Written) {
        if written.is_new {
            self.index.remove(user.to_owned(), id, written.entry);
        }
    }
}
