//! The session as a handle sees it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{entry::Entry, reason::EndReason, snapshot::Snapshot};
use crate::id::SessionId;

/// Time after a deadline from which on a session counts as over even though the worker has not ended it.
const OVERDUE: Duration = Duration::from_secs(1);

/// Content of a handle: its entry, and the snapshot at the time when the handle was made.
pub(crate) struct View<T> {
    pub(crate) entry: Arc<Entry<T>>,
    pub(crate) snapshot: Arc<Snapshot<T>>,
}

impl<T> View<T> {
    /// Why the session has ended, as far as this node knows.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        let state = self.entry.state();
        if let Some(reason) = state.end_reason() {
            return Some(reason);
        }
        // The worker ends it at its deadline; this is for a worker that is late.
        let deadline = state.snapshot().unwrap_or(&self.snapshot).deadline?;
        let overdue = Instant::now().saturating_duration_since(deadline) > OVERDUE;
        overdue.then_some(EndReason::Expired)
    }

    /// The ids of the session: that of the handle, the last that rotations on this node gave it, and the one
    /// that a rotation under way is giving it.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        let mut ids = Vec::new();
        let mut next = Some(self.entry.clone());
        while let Some(entry) = next {
            ids.push(entry.id.clone());
            next = entry.state().life.next();
        }
        ids
    }

    /// Current snapshot of the session on this node; never older than the view itself.
    pub(crate) fn latest(&self) -> Self {
        Self {
            entry: self.entry.clone(),
            snapshot: self
                .entry
                .snapshot()
                .unwrap_or_else(|| self.snapshot.clone()),
        }
    }
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry.clone(),
            snapshot: self.snapshot.clone(),
        }
    }
}
