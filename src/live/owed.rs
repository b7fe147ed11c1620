//! Deletions that the store has not confirmed.
//!
//! ```text
//!             insert            due             failed
//!   (none) ───────────► waiting ────► running ──────────► waiting
//!                          │             │
//!                          └─────────────┴── confirmed ──► (none), or guarded for a minute where
//!                                                          other programs write the records
//! ```
//!
//! Only an answer of the store leads out, however long that takes. While an id is here, its entry is
//! held and answers for it, so that the id is refused.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    entry::Entry,
    timers::{Deadlines, Timer},
};
use crate::{id::SessionId, lock::Mutex, observe::Gauge};

/// Delay before the first retry of a deletion.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Maximum number of owed deletions. Beyond it a failed deletion is logged and not retried.
const CAPACITY: usize = 100_000;
/// Time for which a confirmed deletion is guarded: a request of another program that was under way
/// may write the record again.
const GUARD: Duration = Duration::from_mins(1);

/// The deletions that this node owes, one per id.
pub(super) struct OwedDeletions<T>(Mutex<Owed<T>>);

struct Owed<T> {
    by_id: HashMap<SessionId, Deletion<T>>,
    timers: Deadlines<SessionId>,
    number: Gauge,
}

struct Deletion<T> {
    entry: Arc<Entry<T>>,
    /// `None`: an attempt is running.
    timer: Option<Timer>,
    delay: Duration,
    /// The store has confirmed it; it is repeated when the record reappears.
    guarded: bool,
    /// The session was known here, was deleted, or an attempt failed that may have deleted it. An id for
    /// which none of it is so may have been made up by a client, and needs no guard.
    may_have_existed: bool,
}

impl<T> OwedDeletions<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Owed {
            by_id: HashMap::new(),
            timers: Deadlines::new(),
            number: Gauge::pending_deletions(),
        }))
    }

    /// Whether this entry answers for its id because its deletion is owed.
    pub(super) fn holds(&self, entry: &Entry<T>) -> bool {
        let owed = self.0.lock();
        let deletion = owed.by_id.get(entry.id());
        deletion.is_some_and(|deletion| std::ptr::eq(Arc::as_ptr(&deletion.entry), entry))
    }

    pub(super) fn contains(&self, id: &SessionId) -> bool {
        self.0.lock().by_id.contains_key(id)
    }

    pub(super) fn ids(&self) -> Vec<SessionId> {
        let owed = self.0.lock();
        let unconfirmed = owed.by_id.iter().filter(|(_, deletion)| !deletion.guarded);
        unconfirmed.map(|(id, _)| id.clone()).collect()
    }

    /// Number of deletions that the store has not confirmed.
    pub(super) fn len(&self) -> usize {
        self.0.lock().number.get()
    }

    /// Owes the deletion of this session, whose first attempt takes until `answered` at most. `known`:
    /// it was loaded here. `false` when too many are owed.
    pub(super) fn insert(&self, entry: &Arc<Entry<T>>, answered: Instant, known: bool) -> bool {
        // Dropped after the lock.
        let old;
        let mut owed = self.0.lock();
        if owed.by_id.len() >= CAPACITY && !owed.by_id.contains_key(&entry.id) {
            return false;
        }
        let first = answered + FIRST_DELAY;
        let timer = owed.timers.insert(first, entry.id.clone());
        let replaced = owed.by_id.get(&entry.id);
        let deletion = Deletion {
            entry: entry.clone(),
            timer: Some(timer),
            delay: FIRST_DELAY,
            guarded: false,
            may_have_existed: known || replaced.is_some_and(|old| old.may_have_existed),
        };
        old = owed.by_id.insert(entry.id.clone(), deletion);
        let was_pending = old.as_ref().is_some_and(|old: &Deletion<T>| !old.guarded);
        owed.number.add(usize::from(!was_pending));
        if let Some(timer) = old.as_ref().and_then(|old: &Deletion<T>| old.timer) {
            owed.timers.remove(timer);
        }
        true
    }

    /// The store has answered the deletion, after which the id is guarded or forgotten.
    pub(super) fn confirmed(&self, id: &SessionId, answer: Answer) -> Confirmed<T> {
        let mut owed = self.0.lock();
        let Some(deletion) = owed.by_id.get_mut(id) else {
            return Confirmed::forgotten(None);
        };
        deletion.may_have_existed |= answer == Answer::Existed;
        let guard = answer != Answer::Final && deletion.may_have_existed;
        let was_pending = !std::mem::replace(&mut deletion.guarded, guard);
        owed.number.sub(usize::from(was_pending));
        if guard {
            owed.reschedule(id, Instant::now() + GUARD);
            return Confirmed {
                guarded: true,
                _entry: None,
            };
        }
        let deletion = owed.by_id.remove(id);
        if let Some(timer) = deletion.as_ref().and_then(|deletion| deletion.timer) {
            owed.timers.remove(timer);
        }
        Confirmed::forgotten(deletion)
    }

    /// A deletion failed: its retry comes after the next delay from now.
    pub(super) fn failed(&self, id: &SessionId) {
        let mut owed = self.0.lock();
        if let Some(deletion) = owed.by_id.get_mut(id) {
            let delay = deletion.delay;
            deletion.may_have_existed = true;
            deletion.delay = (delay * 2).min(MAX_DELAY);
            owed.reschedule(id, Instant::now() + delay);
        }
    }

    /// The store reports this id: a guarded deletion is to be repeated at once.
    pub(super) fn reported(&self, id: &SessionId) -> bool {
        let mut owed = self.0.lock();
        let Some(deletion) = owed.by_id.get_mut(id).filter(|deletion| deletion.guarded) else {
            return false;
        };
        deletion.guarded = false;
        deletion.delay = FIRST_DELAY;
        owed.number.add(1);
        owed.reschedule(id, Instant::now());
        true
    }

    /// Reports may be missing: all guarded deletions are to be repeated at once.
    pub(super) fn repeat_guarded(&self) {
        let guarded: Vec<SessionId> = {
            let owed = self.0.lock();
            let guarded = owed.by_id.iter().filter(|(_, deletion)| deletion.guarded);
            guarded.map(|(id, _)| id.clone()).collect()
        };
        for id in guarded {
            self.reported(&id);
        }
    }

    /// A deletion to be made now, which is running from now on. A guard that is over is removed.
    pub(super) fn take_due(&self, now: Instant) -> Due<T> {
        let mut owed = self.0.lock();
        let Some((_, id)) = owed.timers.take_due(now) else {
            return Due::Nothing;
        };
        match owed.by_id.get_mut(&id) {
            Some(deletion) if !deletion.guarded => {
                deletion.timer = None;
                Due::Delete(id)
            }
            _ => Due::Over(owed.by_id.remove(&id).map(|deletion| deletion.entry)),
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.lock().timers.first().map(|first| first.at)
    }

    /// Attempts that were running died with their worker.
    pub(super) fn restart(&self) {
        let mut owed = self.0.lock();
        let running = owed
            .by_id
            .iter()
            .filter(|(_, deletion)| deletion.timer.is_none());
        let running: Vec<SessionId> = running.map(|(id, _)| id.clone()).collect();
        for id in running {
            owed.reschedule(&id, Instant::now());
        }
    }
}

/// Answer of the store to a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The session existed, and other programs write the records.
    Existed,
    /// There was no such session, and other programs write the records.
    Missing,
    /// Only this crate writes the records, or the store does not delete: a guard is of no use.
    Final,
}

/// Outcome of [`OwedDeletions::confirmed`].
pub(super) struct Confirmed<T> {
    pub(super) guarded: bool,
    /// Dropped without a lock.
    _entry: Option<Arc<Entry<T>>>,
}

impl<T> Confirmed<T> {
    fn forgotten(deletion: Option<Deletion<T>>) -> Self {
        Self {
            guarded: false,
            _entry: deletion.map(|deletion| deletion.entry),
        }
    }
}

/// Outcome of [`OwedDeletions::take_due`].
pub(super) enum Due<T> {
    Nothing,
    Delete(SessionId),
    /// A guard is over. Its entry is to be dropped without a lock.
    Over(Option<Arc<Entry<T>>>),
}

impl<T> Owed<T> {
    fn reschedule(&mut self, id: &SessionId, at: Instant) {
        let timer = self.timers.insert(at, id.clone());
        let old = match self.by_id.get_mut(id) {
            Some(deletion) => deletion.timer.replace(timer),
            None => Some(timer),
        };
        if let Some(old) = old {
            self.timers.remove(old);
        }
    }
}
