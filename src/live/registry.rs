//! The entries of this node by session id. It keeps none of them alive.

use std::{
    collections::hash_map::Entry,
    sync::{Arc, Weak},
};

use foldhash::{HashMap, HashMapExt as _};

use crate::{id::SessionId, lock::Mutex};

/// A map from ids to entries, which an entry leaves when it is dropped.
///
/// Invariants:
/// 1. At most one entry of an id answers for it (`answers` below), because a new one is made only
///    under the lock, and only when the present one no longer answers.
/// 2. An entry that is dropped removes only its own slot.
/// 3. No `Arc` of an entry is dropped under the lock, because the drop takes it again.
pub(super) struct Registry<E> {
    slots: Mutex<HashMap<SessionId, Weak<E>>>,
}

impl<E> Registry<E> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            slots: Mutex::new(HashMap::new()),
        })
    }

    /// The entry that answers for this id, made by `make` if there is none.
    pub(super) fn get_or_insert(
        &self,
        id: &SessionId,
        answers: impl Fn(&E) -> bool,
        make: impl FnOnce() -> Arc<E>,
    ) -> Arc<E> {
        // Declared before the guard, so that it is dropped after it.
        let _ended;
        let mut slots = self.slots.lock();
        match slots.entry(id.clone()) {
            Entry::Vacant(slot) => {
                let entry = make();
                slot.insert(Arc::downgrade(&entry));
                entry
            }
            Entry::Occupied(mut slot) => match slot.get().upgrade() {
                Some(entry) if answers(&entry) => entry,
                other => {
                    _ended = other;
                    let entry = make();
                    slot.insert(Arc::downgrade(&entry));
                    entry
                }
            },
        }
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<Arc<E>> {
        self.slots.lock().get(id).and_then(Weak::upgrade)
    }

    pub(super) fn all(&self) -> Vec<Weak<E>> {
        self.slots.lock().values().cloned().collect()
    }

    /// Called by an entry that is dropped. The slot stays when another entry took it meanwhile.
    pub(super) fn forget(&self, id: &SessionId) {
        let mut slots = self.slots.lock();
        if let Entry::Occupied(slot) = slots.entry(id.clone())
            && slot.get().strong_count() == 0
        {
            slot.remove();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    struct Counted {
        id: SessionId,
        registry: Arc<Registry<Self>>,
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.registry.forget(&self.id);
        }
    }

    fn entry(registry: &Arc<Registry<Counted>>, id: &SessionId, answers: bool) -> Arc<Counted> {
        let make = || {
            Arc::new(Counted {
                id: id.clone(),
                registry: registry.clone(),
            })
        };
        registry.get_or_insert(id, |_| answers, make)
    }

    #[test]
    fn entries_come_and_go_on_many_threads_and_none_is_lost_or_left() {
        let registry = Registry::<Counted>::new();
        let ids: Vec<SessionId> = (0..4).map(|n| format!("id-{n}").parse().unwrap()).collect();
        thread::scope(|scope| {
            for seed in 0..8 {
                let (registry, ids) = (&registry, &ids);
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let id = &ids[(seed + round) % ids.len()];
                        let held = entry(registry, id, true);
                        // While one is held, every caller gets the same one.
                        let again = registry.find(id).expect("it is held");
                        assert!(Arc::ptr_eq(&held, &again));
                        assert!(Arc::ptr_eq(&held, &entry(registry, id, true)));
                    }
                });
            }
        });
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn an_entry_that_no_longer_answers_is_replaced_and_its_drop_harms_no_other() {
        let registry = Registry::<Counted>::new();
        let id: SessionId = "an-id".parse().unwrap();
        let old = entry(&registry, &id, true);
        let new = entry(&registry, &id, false);
        assert!(!Arc::ptr_eq(&old, &new));
        drop(old);
        let found = registry.find(&id).expect("the new one is held");
        assert!(Arc::ptr_eq(&found, &new));
        drop((found, new));
        assert_eq!(registry.len(), 0);
    }
}
