//! Lookups that failed a moment ago.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::load_error::LoadError;
use crate::{id::SessionId, lock::Mutex};

/// Time for which a failed lookup is answered without another load.
const TTL: Duration = Duration::from_secs(1);
/// Maximum number of remembered lookups; the oldest is dropped for a new one.
const CAPACITY: usize = 10_000;

/// The lookups of the last second that found no session, by id. They bound how often clients with
/// a dead credential, or during an outage, cause loads.
///
/// Invariant: only a finished load inserts here, under its entry's lock, and only if the entry was
/// not invalidated since the load began. A report, a creation and a new epoch remove.
#[derive(Default)]
pub(super) struct FailedLookups(Mutex<Lookups>);

#[derive(Default)]
struct Lookups {
    by_id: HashMap<SessionId, (Instant, LoadError)>,
    /// In the order of their expiry. It may name lookups that were removed or replaced since.
    oldest: VecDeque<(Instant, SessionId)>,
}

impl FailedLookups {
    pub(super) fn get(&self, id: &SessionId) -> Option<LoadError> {
        let lookups = self.0.lock();
        let (expires, error) = lookups.by_id.get(id)?;
        (*expires > Instant::now()).then(|| error.clone())
    }

    pub(super) fn insert(&self, id: &SessionId, error: LoadError) {
        let now = Instant::now();
        let expires = now + TTL;
        let mut lookups = self.0.lock();
        while let Some((oldest, _)) = lookups.oldest.front()
            && (*oldest <= now || lookups.oldest.len() >= CAPACITY)
        {
            lookups.drop_oldest();
        }
        lookups.oldest.push_back((expires, id.clone()));
        lookups.by_id.insert(id.clone(), (expires, error));
    }

    pub(super) fn remove(&self, id: &SessionId) {
        let mut lookups = self.0.lock();
        if !lookups.by_id.is_empty() {
            lookups.by_id.remove(id);
        }
    }

    pub(super) fn clear(&self) {
        let mut lookups = self.0.lock();
        *lookups = Lookups::default();
    }
}

impl Lookups {
    fn drop_oldest(&mut self) {
        if let Some((expires, id)) = self.oldest.pop_front()
            && self
                .by_id
                .get(&id)
                .is_some_and(|(other, _)| *other == expires)
        {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> SessionId {
        format!("id-{n}").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_is_remembered_for_a_second() {
        let failed = FailedLookups::default();
        failed.insert(&id(1), LoadError::NotFound);
        assert!(matches!(failed.get(&id(1)), Some(LoadError::NotFound)));
        assert!(failed.get(&id(2)).is_none());
        tokio::time::advance(TTL).await;
        assert!(failed.get(&id(1)).is_none());
        failed.insert(&id(2), LoadError::NotFound);
        assert_eq!(failed.0.lock().by_id.len(), 1, "the expired one is dropped");
        failed.remove(&id(2));
        assert!(failed.get(&id(2)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_is_bounded_also_when_ids_repeat() {
        let failed = FailedLookups::default();
        for n in 0..3 * CAPACITY {
            failed.insert(&id(n % (CAPACITY + 1)), LoadError::NotFound);
        }
        let lookups = failed.0.lock();
        assert!(lookups.by_id.len() <= CAPACITY && lookups.oldest.len() <= CAPACITY);
    }
}
