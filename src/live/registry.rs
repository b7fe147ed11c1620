//! The live sessions of this node, by their ids.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::entry::Entry;
use crate::id::SessionId;

/// Knows every entry, and keeps none alive.
pub(super) struct Registry<T> {
    entries: Mutex<HashMap<SessionId, Weak<Entry<T>>>>,
}

impl<T> Registry<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            entries: Mutex::new(HashMap::new()),
        })
    }

    /// The entry of this session, made if there is none.
    pub(super) fn entry(self: &Arc<Self>, id: &SessionId) -> Arc<Entry<T>> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(id).and_then(Weak::upgrade) {
            return entry;
        }
        let entry = Arc::new(Entry::new(id.clone(), Arc::downgrade(self)));
        entries.insert(id.clone(), Arc::downgrade(&entry));
        entry
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<Arc<Entry<T>>> {
        self.entries.lock().get(id).and_then(Weak::upgrade)
    }

    // Never `Arc`s under the lock: dropping the last one of an entry takes the lock again.
    pub(super) fn all(&self) -> Vec<Weak<Entry<T>>> {
        self.entries.lock().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Called by an entry that is dropped. Another one may have taken its place since.
    pub(super) fn forget(&self, id: &SessionId) {
        let mut entries = self.entries.lock();
        if entries
            .get(id)
            .is_some_and(|entry| entry.strong_count() == 0)
        {
            entries.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn entries_come_and_go_on_many_threads_and_none_is_lost_or_left() {
        let registry = Registry::<()>::new();
        let ids: Vec<SessionId> = (0..4).map(|n| format!("id-{n}").parse().unwrap()).collect();
        thread::scope(|scope| {
            for seed in 0..8 {
                let (registry, ids) = (&registry, &ids);
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let id = &ids[(seed + round) % ids.len()];
                        let entry = registry.entry(id);
                        // While one is held, everybody gets the same one.
                        let again = registry.find(id).expect("it is held");
                        assert!(Arc::ptr_eq(&entry, &again));
                    }
                });
            }
        });
        assert_eq!(registry.len(), 0);
    }
}
