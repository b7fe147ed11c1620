//! Deletions that the store has not confirmed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::entry::Entry;
use crate::id::SessionId;

/// Delay before the first retry of a deletion.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Maximum number of owed deletions. Beyond it a failed deletion is logged and not retried.
const CAPACITY: usize = 100_000;

/// The deletions that this node owes, one per id. Each holds its entry, so that the id stays refused
/// here. Only an answer of the store removes one, however long that takes.
pub(super) struct OwedDeletions<T>(Mutex<Owed<T>>);

struct Owed<T> {
    by_id: HashMap<SessionId, Deletion<T>>,
    /// The retries by their time; the number tells those of the same time apart.
    retries: BTreeMap<(Instant, u64), SessionId>,
    last: u64,
}

struct Deletion<T> {
    entry: Arc<Entry<T>>,
    retry: (Instant, u64),
    delay: Duration,
}

impl<T> OwedDeletions<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Owed {
            by_id: HashMap::new(),
            retries: BTreeMap::new(),
            last: 0,
        }))
    }

    pub(super) fn contains(&self, id: &SessionId) -> bool {
        self.0.lock().by_id.contains_key(id)
    }

    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.0.lock().by_id.keys().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().by_id.len()
    }

    /// Owes the deletion of this session, whose first attempt takes until `answered` at most. `false`
    /// when too many are owed.
    pub(super) fn insert(&self, entry: &Arc<Entry<T>>, answered: Instant) -> bool {
        let mut owed = self.0.lock();
        if owed.by_id.contains_key(&entry.id) {
            return true;
        }
        if owed.by_id.len() >= CAPACITY {
            return false;
        }
        let retry = owed.schedule(&entry.id, answered + FIRST_DELAY);
        let deletion = Deletion {
            entry: entry.clone(),
            retry,
            delay: FIRST_DELAY,
        };
        owed.by_id.insert(entry.id.clone(), deletion);
        true
    }

    /// The store has answered the deletion. Returns the entry, which the caller drops.
    pub(super) fn remove(&self, id: &SessionId) -> Option<Arc<Entry<T>>> {
        let mut owed = self.0.lock();
        let deletion = owed.by_id.remove(id)?;
        owed.retries.remove(&deletion.retry);
        Some(deletion.entry)
    }

    /// A deletion failed: its retry comes after the next delay from now.
    pub(super) fn failed(&self, id: &SessionId) {
        let mut owed = self.0.lock();
        let Some(delay) = owed.by_id.get(id).map(|deletion| deletion.delay) else {
            return;
        };
        owed.reschedule(id, Instant::now() + delay, (delay * 2).min(MAX_DELAY));
    }

    /// A deletion whose retry is due. Its next retry is scheduled at once, `attempt` after now, so
    /// that it is made also when this attempt never ends.
    pub(super) fn take_due(&self, now: Instant, attempt: Duration) -> Option<SessionId> {
        let mut owed = self.0.lock();
        let (retry, id) = owed.retries.first_key_value()?;
        if retry.0 > now {
            return None;
        }
        let id = id.clone();
        let delay = owed
            .by_id
            .get(&id)
            .map_or(FIRST_DELAY, |deletion| deletion.delay);
        owed.reschedule(&id, now + attempt + delay, delay);
        Some(id)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let owed = self.0.lock();
        owed.retries.first_key_value().map(|(retry, _)| retry.0)
    }
}

impl<T> Owed<T> {
    fn schedule(&mut self, id: &SessionId, at: Instant) -> (Instant, u64) {
        self.last += 1;
        let retry = (at, self.last);
        self.retries.insert(retry, id.clone());
        retry
    }

    fn reschedule(&mut self, id: &SessionId, at: Instant, delay: Duration) {
        let retry = self.schedule(id, at);
        if let Some(deletion) = self.by_id.get_mut(id) {
            deletion.delay = delay;
            let old = std::mem::replace(&mut deletion.retry, retry);
            self.retries.remove(&old);
        } else {
            self.retries.remove(&retry);
        }
    }
}
