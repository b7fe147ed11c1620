//! What is to be done, and when.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashSet, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{closing::Closing, entry::Entry};
use crate::id::SessionId;

/// What time brings.
pub(super) enum Task<T> {
    /// An entry wants to be looked at.
    Look(Weak<Entry<T>>),
    /// A check of an entry that was spread over time.
    Check(Weak<Entry<T>>),
    /// A socket is still to be closed.
    Close(Closing),
    /// A deletion that failed is tried again.
    Delete(Deletion<T>),
    /// The touches that came together are written.
    Touch,
    /// The feed of changes is asked for again.
    Subscribe,
}

/// What the keeper is to ask of the store.
pub(super) enum Job<T> {
    Check(Arc<Entry<T>>),
    Delete(Deletion<T>),
    Touch(SessionId),
}

/// A deletion that did not succeed yet. It keeps the entry, so that the id stays refused here.
pub(super) struct Deletion<T> {
    pub(super) entry: Arc<Entry<T>>,
    /// By then the session has expired anyway.
    pub(super) until: Instant,
    pub(super) delay: Duration,
}

pub(super) struct Agenda<T> {
    timed: BinaryHeap<Reverse<Timed<T>>>,
    ready: VecDeque<Job<T>>,
    touches: HashSet<SessionId>,
    counter: u64,
}

struct Timed<T> {
    when: Instant,
    /// Keeps the order of what is due at the same time.
    nth: u64,
    task: Task<T>,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self {
            timed: BinaryHeap::new(),
            ready: VecDeque::new(),
            touches: HashSet::new(),
            counter: 0,
        }
    }

    pub(super) fn at(&mut self, when: Instant, task: Task<T>) {
        let nth = self.counter;
        self.counter += 1;
        self.timed.push(Reverse(Timed { when, nth, task }));
    }

    pub(super) fn now(&mut self, job: Job<T>) {
        self.ready.push_back(job);
    }

    /// Before all others: somebody's time has come.
    pub(super) fn first(&mut self, job: Job<T>) {
        self.ready.push_front(job);
    }

    /// Collects a touch; all that came until `when` are written together.
    pub(super) fn touch(&mut self, id: SessionId, when: Instant) {
        if self.touches.is_empty() {
            self.at(when, Task::Touch);
        }
        self.touches.insert(id);
    }

    pub(super) fn write_touches(&mut self) {
        let touches = std::mem::take(&mut self.touches);
        self.ready.extend(touches.into_iter().map(Job::Touch));
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Instant, Task<T>)> {
        let Reverse(first) = self.timed.peek()?;
        if first.when > now {
            return None;
        }
        let Reverse(due) = self.timed.pop()?;
        Some((due.when, due.task))
    }

    pub(super) fn take_ready(&mut self) -> Option<Job<T>> {
        self.ready.pop_front()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.timed.peek().map(|Reverse(first)| first.when)
    }
}

impl<T> Timed<T> {
    fn key(&self) -> (Instant, u64) {
        (self.when, self.nth)
    }
}

impl<T> PartialEq for Timed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Timed<T> {}

impl<T> PartialOrd for Timed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Timed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
