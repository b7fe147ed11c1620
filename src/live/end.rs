//! That a session has ended, and why.

use std::{
    fmt,
    sync::atomic::{AtomicU8, Ordering},
};

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
    /// [`max_stale`](crate::SessionBridgeBuilder::max_stale), so nobody knows. The session may go on.
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
#[derive(Default)]
pub(crate) struct EndFlag(AtomicU8);

const REASONS: [EndReason; 4] = [
    EndReason::Deleted,
    EndReason::Expired,
    EndReason::Rotated,
    EndReason::StoreUnreachable,
];

impl EndFlag {
    pub(crate) fn reason(&self) -> Option<EndReason> {
        let raised = self.0.load(Ordering::SeqCst);
        REASONS.get(usize::from(raised).checked_sub(1)?).copied()
    }

    /// Raises the flag; `false` when it was raised before, whose reason then stays.
    pub(crate) fn raise(&self, reason: EndReason) -> bool {
        let raised = match reason {
            EndReason::Deleted => 1,
            EndReason::Expired => 2,
            EndReason::Rotated => 3,
            EndReason::StoreUnreachable => 4,
        };
        self.0
            .compare_exchange(0, raised, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        for reason in REASONS {
            let flag = EndFlag::default();
            assert_eq!(flag.reason(), None);
            assert!(flag.raise(reason));
            assert!(!flag.raise(EndReason::Deleted));
            assert_eq!(flag.reason(), Some(reason));
        }
    }
}
