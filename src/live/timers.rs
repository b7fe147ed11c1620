//! When the worker has to do something.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tokio::{sync::Notify, time::Instant};

use crate::lock::Mutex;

/// A timer; the number tells timers of the same time apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Instant,
    nth: u64,
}

/// Values by the time at which they are due.
pub(super) struct Deadlines<V> {
    due: BTreeMap<Timer, V>,
    last: u64,
}

impl<V> Deadlines<V> {
    pub(super) fn new() -> Self {
        Self {
            due: BTreeMap::new(),
            last: 0,
        }
    }

    pub(super) fn insert(&mut self, at: Instant, value: V) -> Timer {
        self.last += 1;
        let nth = self.last;
        let timer = Timer { at, nth };
        self.due.insert(timer, value);
        timer
    }

    pub(super) fn remove(&mut self, timer: Timer) -> Option<V> {
        self.due.remove(&timer)
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Timer, V)> {
        let first = self.due.first_entry()?;
        (first.key().at <= now).then(|| first.remove_entry())
    }

    pub(super) fn first(&self) -> Option<Timer> {
        self.due.first_key_value().map(|(first, _)| *first)
    }
}

/// The timers of all watched entries, at most one each: an entry removes its timer when it is no
/// longer watched, so that what comes and goes leaves nothing behind.
pub(super) struct Timers<E> {
    entries: Mutex<Deadlines<Weak<E>>>,
    worker: Arc<Notify>,
}

impl<E> Timers<E> {
    /// Timers that notify `worker` when the first of them changes.
    pub(super) fn new(worker: Arc<Notify>) -> Self {
        Self {
            entries: Mutex::new(Deadlines::new()),
            worker,
        }
    }

    pub(super) fn insert(&self, at: Instant, entry: Weak<E>) -> Timer {
        let mut entries = self.entries.lock();
        let timer = entries.insert(at, entry);
        let is_first = entries.first() == Some(timer);
        drop(entries);
        if is_first {
            self.worker.notify_one();
        }
        timer
    }

    pub(super) fn remove(&self, timer: Timer) {
        let removed = self.entries.lock().remove(timer);
        drop(removed);
    }

    pub(super) fn take_due(&self, now: Instant) -> Option<(Timer, Weak<E>)> {
        self.entries.lock().take_due(now)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.lock().first().map(|first| first.at)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.lock().due.len()
    }
}
