//! The entries of this node by session id. It keeps none of them alive.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use crate::id::SessionId;

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
        match slots.get(id).and_then(Weak::upgrade) {
            Some(entry) if answers(&entry) => return entry,
            other => _ended = other,
        }
        let entry = make();
        slots.insert(id.clone(), Arc::downgrade(&entry));
        entry
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
        if slots.get(id).is_some_and(|slot| slot.strong_count() == 0) {
            slots.remove(id);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.lock().len()
    }
}
