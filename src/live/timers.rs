//! When the worker has to look at an entry.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tokio::{sync::Notify, time::Instant};

use crate::lock::Mutex;

/// A timer of an entry; the number tells timers of the same time apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Instant,
    nth: u64,
}

/// The timers of all watched entries, at most one each: an entry removes its timer when it is no
/// longer watched, so that what comes and goes leaves nothing behind.
pub(super) struct Timers<E> {
    queue: Mutex<Queue<E>>,
    worker: Arc<Notify>,
}

struct Queue<E> {
    due: BTreeMap<Timer, Weak<E>>,
    last: u64,
}

impl<E> Timers<E> {
    /// Timers that notify `worker` when the first of them changes.
    pub(super) fn new(worker: Arc<Notify>) -> Self {
        let queue = Queue {
            due: BTreeMap::new(),
            last: 0,
        };
        Self {
            queue: Mutex::new(queue),
            worker,
        }
    }

    pub(super) fn insert(&self, at: Instant, entry: Weak<E>) -> Timer {
        let mut queue = self.queue.lock();
        queue.last += 1;
        let timer = Timer {
            at,
            nth: queue.last,
        };
        let first = queue
            .due
            .first_key_value()
            .is_none_or(|(first, _)| timer < *first);
        queue.due.insert(timer, entry);
        drop(queue);
        if first {
            self.worker.notify_one();
        }
        timer
    }

    pub(super) fn remove(&self, timer: Timer) {
        let removed = self.queue.lock().due.remove(&timer);
        drop(removed);
    }

    pub(super) fn take_due(&self, now: Instant) -> Option<(Timer, Weak<E>)> {
        let mut queue = self.queue.lock();
        let first = queue.due.first_entry()?;
        (first.key().at <= now).then(|| first.remove_entry())
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let queue = self.queue.lock();
        queue.due.first_key_value().map(|(first, _)| first.at)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.lock().due.len()
    }
}
