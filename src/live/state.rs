//! The state of an entry, and its legal transitions. Everything here is synchronous, and called under
//! the entry's lock.
//!
//! Two enums, independent of each other, say what is so:
//!
//! ```text
//! Known: what this node knows of the session
//!
//!             a load found it                    a load found it, nothing was
//!   Nothing ──────────────────┐                  invalidated since it began,
//!                             ▼                  and the feed reports changes
//!                           Stale ─────────────────────────────► Fresh(epoch)
//!                             ▲                                       │
//!                             └───────────────────────────────────────┘
//!                               invalidated: a report, a write whose outcome is
//!                               unknown; or the feed is in another epoch by now
//!
//! Life: whether it goes on
//!
//!   Alive ──► Alive(last check) ──► Ended(reason)          Ended is final.
//!     ▲  at the deadline │  no answer, or it is gone
//!     └──────────────────┘
//!       it lives longer than was known
//! ```
//!
//! A load that fails changes neither. It sets `failing`, which a good load clears: the reason for which the
//! session ends once the last good load is `max_stale` ago.
//!
//! Invariants:
//! 1. `Fresh` is relied on only in its own epoch and before the deadline of its snapshot.
//! 2. What is known never goes back in time: all store calls of a session that return an answer hold
//!    its turn, so their answers come in the order in which they took effect.
//! 3. Whatever invalidates increments `invalidations`; a load that sees another number at its end
//!    than at its beginning does not make the entry fresh.
//! 4. A watched entry that is not fresh is queued for a check while the feed reports changes, because
//!    a store may report only what was loaded since its last report; or its timer is set to the moment
//!    that the [`Pace`] allows.
//! 5. A session that is ended by this node has a deletion owed (`owed`) from the moment of its end,
//!    under the same lock, until the store answered a delete.
//! 6. An ended entry leads to the last of its successors, and no entry to itself (`life`).

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    feed::Epoch, life::Life, load_error::LoadError, pace::Pace, reason::EndReason,
    snapshot::Snapshot, socket::LiveSocket, timers::Timer,
};
use crate::observe::Stopwatch;

/// Knowledge of this node about a session.
pub(super) enum Known<T> {
    Nothing,
    Stale(Arc<Snapshot<T>>),
    Fresh(Arc<Snapshot<T>>, Epoch),
}

/// A check that waits in the worker's queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Queued {
    /// A periodic one.
    Routine,
    /// After a report or at a deadline.
    Urgent,
}

/// Tells at the end of a load whether something changed since its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) invalidations: u64,
    pub(super) epoch: Epoch,
}

/// The loads of an entry, by number. Only one runs at a time; one that was dropped never ends.
#[derive(Default)]
pub(super) struct Loads {
    pub(super) begun: u64,
    pub(super) ended: u64,
    /// The error of load number `ended`, if it failed.
    pub(super) failure: Option<LoadError>,
    /// The epoch of load number `ended`. After it a session is known only by another load.
    pub(super) epoch: Epoch,
    /// The number of invalidations when load number `begun` began.
    pub(super) began_at: u64,
}

pub(super) struct Sockets {
    pub(super) list: Vec<(u64, Arc<dyn LiveSocket>)>,
    next_key: u64,
}

/// The state of an entry. `E` is the entry itself.
pub(super) struct State<T, E> {
    pub(super) known: Known<T>,
    pub(super) life: Life<E>,
    /// Number of times that what was known became uncertain.
    pub(super) invalidations: u64,
    pub(super) loads: Loads,
    pub(super) sockets: Sockets,
    /// Attached sockets, and callers that wait for the end or a change.
    pub(super) watchers: u32,
    pub(super) queued: Option<Queued>,
    /// The worker's timer for this entry; only while it is watched.
    pub(super) timer: Option<Timer>,
    /// When the next check that is not queued is due; `None` until the session is known and watched.
    pub(super) recheck: Option<Instant>,
    /// The last load failed: how the session ends if that goes on for too long.
    pub(super) failing: Option<EndReason>,
    /// No touch because of activity before this time.
    pub(super) next_touch: Option<Instant>,
    /// When being connected touches the session; only where that counts as activity.
    pub(super) connected_touch: Option<Instant>,
    pub(super) pace: Pace,
    /// Since the first report that no load has answered yet.
    pub(super) reported: Stopwatch,
}

impl<T, E> State<T, E> {
    pub(super) fn new(known: Known<T>) -> Self {
        Self {
            known,
            life: Life::new(),
            invalidations: 0,
            loads: Loads::default(),
            sockets: Sockets {
                list: Vec::new(),
                next_key: 0,
            },
            watchers: 0,
            queued: None,
            timer: None,
            recheck: None,
            failing: None,
            next_touch: None,
            connected_touch: None,
            pace: Pace::default(),
            reported: Stopwatch::default(),
        }
    }

    // --- Known ------------------------------------------------------------------------------------

    pub(super) fn snapshot(&self) -> Option<&Arc<Snapshot<T>>> {
        match &self.known {
            Known::Nothing => None,
            Known::Stale(snapshot) | Known::Fresh(snapshot, _) => Some(snapshot),
        }
    }

    /// Snapshot of the session, if it can be relied on without a load.
    pub(super) fn fresh(&self, epoch: Epoch) -> Option<&Arc<Snapshot<T>>> {
        match &self.known {
            Known::Fresh(snapshot, fresh) if *fresh == epoch => {
                let endless = snapshot.deadline.is_none();
                (endless || !snapshot.is_over(Instant::now())).then_some(snapshot)
            }
            _ => None,
        }
    }

    pub(super) fn mark(&self, epoch: Epoch) -> Mark {
        Mark {
            invalidations: self.invalidations,
            epoch,
        }
    }

    /// Marks the snapshot as stale.
    pub(super) fn invalidate(&mut self) {
        self.invalidations += 1;
        if let Known::Fresh(snapshot, _) = &self.known {
            self.known = Known::Stale(snapshot.clone());
            self.pace.reported();
        }
    }

    /// Takes in an answer of the store to a call that began at `before`. Returns what was known, to
    /// be dropped without the lock.
    pub(super) fn learn(
        &mut self,
        snapshot: Arc<Snapshot<T>>,
        before: Mark,
        now: Epoch,
    ) -> Known<T> {
        match &self.known {
            Known::Nothing => {}
            Known::Stale(old) => self.pace.found(old, &snapshot, now.reports()),
            Known::Fresh(old, _) => self.pace.found(old, &snapshot, false),
        }
        let certain = self.mark(now) == before && now.reports();
        let known = if certain {
            Known::Fresh(snapshot, now)
        } else {
            Known::Stale(snapshot)
        };
        std::mem::replace(&mut self.known, known)
    }

    /// Replaces the snapshot after a write of this node, and leaves its certainty as it is.
    pub(super) fn amend(&mut self, snapshot: Arc<Snapshot<T>>) {
        self.pace.reset();
        self.known = match &self.known {
            Known::Fresh(_, epoch) => Known::Fresh(snapshot, *epoch),
            Known::Nothing | Known::Stale(_) => Known::Stale(snapshot),
        };
    }

    // --- Life -------------------------------------------------------------------------------------

    pub(super) fn end_reason(&self) -> Option<EndReason> {
        self.life.end_reason()
    }

    /// The number of the last load whose outcome is too old for a caller that begins to wait now: the
    /// load under way is good enough, unless something was invalidated since it began.
    pub(super) fn load_to_outwait(&self) -> u64 {
        let loads = &self.loads;
        let joins = loads.begun > loads.ended && loads.began_at == self.invalidations;
        loads.begun - u64::from(joins)
    }

    /// Ends the session, and returns its sockets; `None` when it had ended before.
    pub(super) fn end(&mut self, reason: EndReason) -> Option<Vec<Arc<dyn LiveSocket>>> {
        if !self.life.end(reason) {
            return None;
        }
        self.invalidate();
        let sockets = std::mem::take(&mut self.sockets.list);
        self.watchers -= u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        Some(sockets.into_iter().map(|(_, socket)| socket).collect())
    }

    // --- Watchers ---------------------------------------------------------------------------------

    pub(super) fn attach(&mut self, socket: Arc<dyn LiveSocket>) -> u64 {
        self.watchers += 1;
        let key = self.sockets.next_key;
        self.sockets.next_key += 1;
        if self.sockets.list.is_empty() {
            // Most sessions have one socket.
            self.sockets.list.reserve_exact(1);
        }
        self.sockets.list.push((key, socket));
        key
    }

    /// Removes a socket from the list, if it is there still. A socket watches as long as it is there.
    pub(super) fn detach(&mut self, key: u64) -> Option<Arc<dyn LiveSocket>> {
        let list = &mut self.sockets.list;
        let at = list.iter().position(|(other, _)| *other == key)?;
        self.watchers -= 1;
        Some(list.swap_remove(at).1)
    }

    /// Queues a check, unless one of this urgency is queued already.
    pub(super) fn queue(&mut self, urgency: Queued) -> bool {
        let queue = Some(urgency) > self.queued;
        if queue {
            self.queued = Some(urgency);
        }
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays() {
        let mut state = State::<(), ()>::new(Known::Nothing);
        assert!(state.end(EndReason::Rotated).is_some());
        assert!(state.end(EndReason::Deleted).is_none());
        assert_eq!(state.end_reason(), Some(EndReason::Rotated));
    }
}
