//! Whether a session goes on, and its successor when it does not.
//!
//! ```text
//!   ended ──┐
//!   ended ──┼──► Last ──► the entry under the last id
//!   ended ──┘      ▲╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┘ weakly: no circle
//! ```
//!
//! Invariant: all entries of one session that rotations ended on this node share one [`Last`], so they form
//! no chain: what a handle from before many rotations keeps alive is its own entry and the last one.

use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::reason::EndReason;
use crate::lock::Mutex;

/// The entry of a session under the last id that rotations on this node gave it, or were giving it. Held by
/// those under the earlier ids.
pub(super) struct Last<E>(Mutex<Arc<E>>);

impl<E> Last<E> {
    fn entry(&self) -> Arc<E> {
        self.0.lock().clone()
    }

    pub(super) fn leads_to(&self, entry: &Arc<E>) -> bool {
        Arc::ptr_eq(&self.0.lock(), entry)
    }
}

/// Whether a session goes on.
pub(super) enum Life<E> {
    Alive {
        /// The deadline has come, and a load decides; without an answer it ends at this time.
        last_check: Option<Instant>,
        /// A rotation to the id of this entry is under way.
        rotating_to: Option<Arc<E>>,
        /// Leads here from the earlier ids, while a handle of one of them is held.
        last: Weak<Last<E>>,
    },
    Ended {
        reason: EndReason,
        /// Leads to the session under the id that rotations on this node gave it.
        last: Option<Arc<Last<E>>>,
        /// The rotation has not returned yet, so no client knows the new id.
        rotating: bool,
    },
}

impl<E> Life<E> {
    pub(super) fn new() -> Self {
        Self::Alive {
            last_check: None,
            rotating_to: None,
            last: Weak::new(),
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
        let Self::Alive {
            rotating_to, last, ..
        } = self
        else {
            return false;
        };
        let last = rotating_to.take().map(|next| match last.upgrade() {
            Some(last) => {
                // This very entry is replaced there, which the caller holds.
                *last.0.lock() = next;
                last
            }
            None => Arc::new(Last(Mutex::new(next))),
        });
        *self = Self::Ended {
            reason,
            rotating: last.is_some(),
            last,
        };
        true
    }

    /// A rotation led here from the entry that holds `last`, which leads here.
    pub(super) fn follow(&mut self, last: &Arc<Last<E>>) {
        if let Self::Alive {
            last: leads_here, ..
        } = self
        {
            *leads_here = Arc::downgrade(last);
        }
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

    /// The session under the last id that rotations on this node gave it, or were giving it.
    pub(super) fn successor(&self) -> Option<Arc<E>> {
        self.last().map(|last| last.entry())
    }

    /// As [`successor`](Self::successor), or the session under the id that a rotation is giving it.
    pub(super) fn next(&self) -> Option<Arc<E>> {
        match self {
            Self::Alive { rotating_to, .. } => rotating_to.clone(),
            Self::Ended { .. } => self.successor(),
        }
    }

    pub(super) fn last(&self) -> Option<&Arc<Last<E>>> {
        match self {
            Self::Ended { last, .. } => last.as_ref(),
            Self::Alive { .. } => None,
        }
    }

    /// An ended session takes over what an earlier entry of its id led to.
    pub(super) fn inherit(&mut self, from: Arc<Last<E>>) {
        if let Self::Ended { last, .. } = self
            && last.is_none()
        {
            *last = Some(from);
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
