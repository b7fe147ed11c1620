//! The live sessions of this node, by their ids.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{end::EndFlag, entry::Entry};
use crate::id::SessionId;

/// Knows every entry and every handle's flag, and keeps none alive.
pub(super) struct Registry<T> {
    slots: Mutex<HashMap<SessionId, Slot<T>>>,
}

/// There is one as long as somebody holds the flag, and an entry does.
struct Slot<T> {
    entry: Weak<Entry<T>>,
    end: Weak<EndFlag<T>>,
}

type Flag<T> = Arc<EndFlag<T>>;

impl<T> Registry<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            slots: Mutex::new(HashMap::new()),
        })
    }

    /// The entry of this session, made if there is none.
    pub(super) fn entry(self: &Arc<Self>, id: &SessionId) -> Arc<Entry<T>> {
        // Declared before the lock, so that it is dropped after it.
        let _raised;
        let mut slots = self.slots.lock();
        if let Some(entry) = slots.get(id).and_then(|slot| slot.entry.upgrade()) {
            return entry;
        }
        let end;
        (end, _raised) = self.flag(&mut slots, id);
        let entry = Arc::new(Entry::new(id.clone(), end));
        if let Some(slot) = slots.get_mut(id) {
            slot.entry = Arc::downgrade(&entry);
        }
        entry
    }

    /// The flag for a handle on a session that was not asked for yet.
    pub(super) fn end_flag(self: &Arc<Self>, id: &SessionId) -> Flag<T> {
        let _raised;
        let mut slots = self.slots.lock();
        let end;
        (end, _raised) = self.flag(&mut slots, id);
        end
    }

    /// The flag that others have of this session, unless it was raised: who comes now knows that the
    /// session is there again. A raised one is given back too: should it be the last of its kind, its
    /// drop takes the lock.
    fn flag(
        self: &Arc<Self>,
        slots: &mut HashMap<SessionId, Slot<T>>,
        id: &SessionId,
    ) -> (Flag<T>, Option<Flag<T>>) {
        let raised = match slots.get(id).and_then(|slot| slot.end.upgrade()) {
            Some(end) if end.reason().is_none() => return (end, None),
            raised => raised,
        };
        let end = Arc::new(EndFlag::new(id.clone(), Arc::downgrade(self)));
        let slot = Slot {
            entry: Weak::new(),
            end: Arc::downgrade(&end),
        };
        slots.insert(id.clone(), slot);
        (end, raised)
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<Arc<Entry<T>>> {
        let slots = self.slots.lock();
        slots.get(id).and_then(|slot| slot.entry.upgrade())
    }

    // Never `Arc`s under the lock: dropping the last one of a flag takes the lock again.
    pub(super) fn all(&self) -> Vec<Weak<Entry<T>>> {
        let slots = self.slots.lock();
        slots.values().map(|slot| slot.entry.clone()).collect()
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        let slots = self.slots.lock();
        let alive = slots.values().filter(|slot| slot.entry.strong_count() > 0);
        alive.count()
    }

    /// Called by a flag that is dropped. Another one may have taken its place since.
    pub(super) fn forget(&self, id: &SessionId) {
        let mut slots = self.slots.lock();
        if slots
            .get(id)
            .is_some_and(|slot| slot.end.strong_count() == 0)
        {
            slots.remove(id);
        }
    }

    #[cfg(test)]
    pub(super) fn slot_count(&self) -> usize {
        self.slots.lock().len()
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
        assert_eq!((registry.len(), registry.slot_count()), (0, 0));
    }
}
