//! A write of a session at the store, which holds the session's turn.

use std::sync::Arc;

use tokio::sync::MutexGuard;

use super::{core::Core, entry::Entry};

/// A write under way. Unless its outcome becomes known, its drop makes the session stale: after an
/// error, a timeout, or when the caller is gone, the write may have taken effect or may do so yet.
pub(super) struct Write<'a, T> {
    core: &'a Core<T>,
    entry: &'a Arc<Entry<T>>,
    known: bool,
    _turn: MutexGuard<'a, ()>,
}

impl<'a, T> Write<'a, T> {
    pub(super) async fn begin(core: &'a Core<T>, entry: &'a Arc<Entry<T>>) -> Self {
        let turn = entry.turn.lock().await;
        Self {
            core,
            entry,
            known: false,
            _turn: turn,
        }
    }

    /// The store has answered.
    pub(super) fn answered(mut self) {
        self.known = true;
    }
}

impl<T> Drop for Write<'_, T> {
    fn drop(&mut self) {
        if !self.known {
            self.core.invalidate(self.entry);
        }
    }
}
