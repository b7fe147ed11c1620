//! Lookups that failed a moment ago.

use std::time::Duration;

use super::load_error::LoadError;
use crate::{id::SessionId, lock::Mutex, recent::Recent};

/// Time for which a failed lookup is answered without another load.
const TTL: Duration = Duration::from_secs(1);
/// Maximum number of remembered lookups; the oldest is dropped for a new one.
const CAPACITY: usize = 10_000;

/// The lookups of the last second that found no session, by id. They bound how often clients with
/// a dead credential, or during an outage, cause loads.
///
/// Invariant: only a finished load inserts here, under its entry's lock, and only if the entry was
/// not invalidated since the load began. A report, a creation and a new epoch remove.
pub(super) struct FailedLookups(Mutex<Recent<SessionId, LoadError>>);

impl FailedLookups {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY)))
    }

    pub(super) fn get(&self, id: &SessionId) -> Option<LoadError> {
        self.0.lock().get(id).cloned()
    }

    pub(super) fn insert(&self, id: &SessionId, error: LoadError) {
        let before = self.0.lock().insert(id, error, TTL);
        drop(before);
    }

    pub(super) fn remove(&self, id: &SessionId) {
        self.0.lock().remove(id);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lookup_is_remembered_for_a_second() {
        let (failed, id): (_, SessionId) = (FailedLookups::new(), "an-id".parse().unwrap());
        failed.insert(&id, LoadError::NotFound);
        assert!(matches!(failed.get(&id), Some(LoadError::NotFound)));
        tokio::time::advance(TTL).await;
        assert!(failed.get(&id).is_none());
    }
}
