//! Sessions by user, in memory.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use super::IndexedSession;
use crate::id::SessionId;

/// The sessions of each user, with the time of their creation.
#[derive(Default)]
pub(super) struct UserIndex(HashMap<Arc<str>, HashMap<SessionId, SystemTime>>);

impl UserIndex {
    pub(super) fn insert(&mut self, user: &Arc<str>, id: &SessionId, created: SystemTime) {
        let sessions = self.0.entry(user.clone()).or_default();
        sessions.insert(id.clone(), created);
    }

    pub(super) fn remove(&mut self, user: &Arc<str>, id: &SessionId) {
        if let Some(sessions) = self.0.get_mut(user) {
            sessions.remove(id);
            if sessions.is_empty() {
                self.0.remove(user);
            }
        }
    }

    pub(super) fn sessions(&self, user: &str) -> Vec<IndexedSession> {
        let sessions = self.0.get(user).into_iter().flatten();
        sessions
            .map(|(id, created)| IndexedSession::new(id.clone(), *created))
            .collect()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
