//! That a session has ended, and why.

use std::{
    fmt,
    sync::{
        Weak,
        atomic::{AtomicU8, Ordering},
    },
};

use parking_lot::Mutex;

use super::registry::Registry;
use crate::id::SessionId;

/// Why a session ended, as this node saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// It was ended: a logout, or a deletion in the store by anybody. A rotation that another node
    /// made looks like this too.
    Deleted,
    /// Its time had come.
    Expired,
    /// It was given a new id on this node.
    Rotated,
    /// The store could not be asked for longer than
    /// [`max_stale`](crate::bridge::SessionBridgeBuilder::max_stale), so nobody knows. The session may go on.
    StoreUnreachable,
}

impl EndReason {
    /// The reason as a word for clients: `deleted`, `expired`, `rotated` or `store-unreachable`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Rotated => "rotated",
            Self::StoreUnreachable => "store-unreachable",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a session has ended: shared by its entry and all handles, and outlives the entry.
pub(crate) struct EndFlag<T> {
    /// 0, or a reason's place in [`REASONS`] and one.
    raised: AtomicU8,
    id: SessionId,
    /// The id that a rotation on this node gives it.
    successor: Mutex<Option<SessionId>>,
    registry: Weak<Registry<T>>,
}

const REASONS: [EndReason; 4] = [
    EndReason::Deleted,
    EndReason::Expired,
    EndReason::Rotated,
    EndReason::StoreUnreachable,
];

impl<T> EndFlag<T> {
    pub(super) fn new(id: SessionId, registry: Weak<Registry<T>>) -> Self {
        Self {
            raised: AtomicU8::new(0),
            id,
            successor: Mutex::new(None),
            registry,
        }
    }

    /// The flag of a session that no registry knows.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> Self {
        Self::new("nobody".parse().expect("it is an id"), Weak::new())
    }

    pub(crate) fn reason(&self) -> Option<EndReason> {
        let raised = self.raised.load(Ordering::SeqCst);
        REASONS.get(usize::from(raised).checked_sub(1)?).copied()
    }

    /// The session is about to be rotated.
    pub(crate) fn set_successor(&self, id: &SessionId) {
        *self.successor.lock() = Some(id.clone());
    }

    /// The session's new id, if it was rotated on this node.
    pub(crate) fn successor(&self) -> Option<SessionId> {
        let rotated = self.reason() == Some(EndReason::Rotated);
        rotated.then(|| self.successor.lock().clone()).flatten()
    }

    /// Raises the flag; `false` when it was raised before, whose reason then stays.
    pub(crate) fn raise(&self, reason: EndReason) -> bool {
        let raised = match reason {
            EndReason::Deleted => 1,
            EndReason::Expired => 2,
            EndReason::Rotated => 3,
            EndReason::StoreUnreachable => 4,
        };
        self.raised
            .compare_exchange(0, raised, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

impl<T> Drop for EndFlag<T> {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.forget(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        for reason in REASONS {
            let id = "an-id".parse().unwrap();
            let flag = EndFlag::<()>::new(id, Weak::new());
            assert_eq!(flag.reason(), None);
            assert!(flag.raise(reason));
            assert!(!flag.raise(EndReason::Deleted));
            assert_eq!(flag.reason(), Some(reason));
        }
    }
}
