//! The stored sessions, with what finds them by their expiry and their user.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use foldhash::HashMap;
use tokio::time::Instant;

use crate::{id::SessionId, store::user_index::UserIndex};

/// Maximum number of expired sessions that one call removes, so that no call pays for all of them. A call
/// adds at most one session, so they can't pile up.
const EXPIRED_PER_CALL: usize = 4;

pub(super) struct Sessions<T> {
    pub(super) by_id: HashMap<SessionId, Stored<T>>,
    /// Every session that expires, the first to do so first.
    pub(super) expiries: BTreeSet<(Instant, SessionId)>,
    pub(super) users: UserIndex,
    /// Counts over all sessions, so that one that is made anew never has an old one's revision.
    pub(super) last_revision: u64,
    /// The data that was removed by the call under way, to be dropped without the lock.
    pub(super) removed: Vec<Arc<T>>,
}

pub(super) struct Stored<T> {
    pub(super) data: Arc<T>,
    pub(super) user: Option<Arc<str>>,
    pub(super) created: SystemTime,
    /// `None`: so far away that the clock can't express it.
    pub(super) expires: Option<Instant>,
    pub(super) revision: u64,
}

impl<T> Sessions<T> {
    pub(super) fn live(&mut self, id: &SessionId, now: Instant) -> Option<&mut Stored<T>> {
        self.by_id
            .get_mut(id)
            .filter(|stored| stored.expires.is_none_or(|expires| expires > now))
    }

    pub(super) fn next_revision(&mut self) -> u64 {
        self.last_revision += 1;
        self.last_revision
    }

    pub(super) fn insert(&mut self, id: SessionId, stored: Stored<T>) {
        // One that has expired may still be there.
        self.remove(&id);
        self.reschedule(&id, None, stored.expires);
        if let Some(user) = &stored.user {
            self.users.insert(user, &id, stored.created);
        }
        self.by_id.insert(id, stored);
    }

    pub(super) fn set_user(&mut self, id: &SessionId, user: Option<Arc<str>>) {
        let Some(stored) = self.by_id.get_mut(id).filter(|stored| stored.user != user) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut stored.user, user) {
            self.users.remove(&old, id);
        }
        if let Some(new) = &stored.user {
            self.users.insert(new, id, stored.created);
        }
    }

    pub(super) fn remove(&mut self, id: &SessionId) {
        let stored = self.take(id);
        self.removed.extend(stored.map(|stored| stored.data));
    }

    pub(super) fn take(&mut self, id: &SessionId) -> Option<Stored<T>> {
        let stored = self.by_id.remove(id)?;
        self.reschedule(id, stored.expires, None);
        if let Some(user) = &stored.user {
            self.users.remove(user, id);
        }
        Some(stored)
    }

    pub(super) fn reschedule(
        &mut self,
        id: &SessionId,
        old: Option<Instant>,
        new: Option<Instant>,
    ) {
        if let Some(old) = old {
            self.expiries.remove(&(old, id.clone()));
        }
        if let Some(new) = new {
            self.expiries.insert((new, id.clone()));
        }
    }

    pub(super) fn remove_expired(&mut self, now: Instant) {
        for _ in 0..EXPIRED_PER_CALL {
            if self.expiries.first().is_none_or(|(when, _)| *when > now) {
                return;
            }
            if let Some((_, id)) = self.expiries.pop_first() {
                self.remove(&id);
            }
        }
    }
}
