//! Whether a session goes on, and its successor when it does not.

use std::sync::Arc;

use tokio::time::Instant;

use super::reason::EndReason;

/// Whether a session goes on.
pub(super) enum Life<E> {
    Alive {
        /// The deadline has come, and a load decides; without an answer it ends at this time.
        last_check: Option<Instant>,
        /// A rotation to the id of this entry is under way.
        rotating_to: Option<Arc<E>>,
    },
    Ended {
        reason: EndReason,
        /// The session under the id that a rotation on this node gave it, or was giving it.
        successor: Option<Arc<E>>,
        /// The rotation has not returned yet, so no client knows the new id.
        rotating: bool,
    },
}

impl<E> Life<E> {
    pub(super) fn new() -> Self {
        Self::Alive {
            last_check: None,
            rotating_to: None,
        }
    }

    pub(super) fn end_reason(&self) -> Option<EndReason> {
        match self {
            Self::Alive { .. } => None,
            Self::Ended { reason, .. } => Some(*reason),
        }
    }

    /// `false` when it had ended before.
    pub(super) fn end(&mut self, reason: EndReason) -> bool {
        let Self::Alive { rotating_to, .. } = self else {
            return false;
        };
        let successor = rotating_to.take();
        *self = Self::Ended {
            reason,
            rotating: successor.is_some(),
            successor,
        };
        true
    }

    /// Whether a rotation of this session is under way.
    pub(super) fn is_rotating(&self) -> bool {
        match self {
            Self::Alive { rotating_to, .. } => rotating_to.is_some(),
            Self::Ended { rotating, .. } => *rotating,
        }
    }

    /// Sets the entry that a rotation under way leads to, and returns the one before, to be dropped
    /// without the lock.
    pub(super) fn set_rotating_to(&mut self, next: Option<Arc<E>>) -> Option<Arc<E>> {
        match self {
            Self::Alive { rotating_to, .. } => std::mem::replace(rotating_to, next),
            Self::Ended { rotating, .. } => {
                *rotating = next.is_some();
                None
            }
        }
    }

    pub(super) fn successor(&self) -> Option<&Arc<E>> {
        match self {
            Self::Ended { successor, .. } => successor.as_ref(),
            Self::Alive { .. } => None,
        }
    }

    /// An ended session takes over the successor of an earlier entry of its id.
    pub(super) fn inherit(&mut self, entry: Arc<E>) {
        if let Self::Ended { successor, .. } = self
            && successor.is_none()
        {
            *successor = Some(entry);
        }
    }

    /// Takes the successor out of a state that is dropped.
    pub(super) fn take_successor(&mut self) -> Option<Arc<E>> {
        match self {
            Self::Alive {
                rotating_to: next, ..
            }
            | Self::Ended {
                successor: next, ..
            } => next.take(),
        }
    }

    pub(super) fn last_check(&self) -> Option<Instant> {
        match self {
            Self::Alive { last_check, .. } => *last_check,
            Self::Ended { .. } => None,
        }
    }

    pub(super) fn set_last_check(&mut self, at: Option<Instant>) {
        if let Self::Alive { last_check, .. } = self {
            *last_check = at;
        }
    }
}
