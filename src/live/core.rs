//! What all live sessions of a bridge share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{
    config::Config,
    entry::Entry,
    failed::FailedLookups,
    feed::Feed,
    inert::InertIds,
    owed::OwedDeletions,
    queue::{Job, Lane, Queue},
    registry::Registry,
    retire::Retiring,
    snapshot::Snapshot,
    socket::LiveSocket,
    state::{Known, Life, Queued, State},
    throttle::Throttle,
    timers::Timers,
};
use crate::{id::SessionId, store::GuardedStore};

/// Maximum number of concurrent loads of sessions that are not live here. Further ones wait, and
/// that counts against their deadline.
const MAX_COLD_LOADS: usize = 256;

/// What all live sessions of a bridge share.
pub(super) struct Core<T> {
    pub(super) store: GuardedStore<T>,
    pub(super) config: Config<T>,
    pub(super) feed: Feed,
    pub(super) failed: FailedLookups,
    pub(super) owed: OwedDeletions<T>,
    pub(super) queue: Queue<T>,
    pub(super) timers: Timers<Entry<T>>,
    pub(super) retiring: Retiring,
    pub(super) inert: InertIds,
    pub(super) cold_loads: Semaphore,
    /// The sessions whose undecodable record was logged.
    pub(super) unreadable: Throttle,
    /// Wakes the worker.
    pub(super) wake: Arc<Notify>,
    pub(super) worker_runs: AtomicBool,
    /// Number of touches and retried deletions that the worker is making.
    pub(super) writes: AtomicUsize,
    /// No new admissions.
    pub(super) shut_down: AtomicBool,
    registry: Arc<Registry<Entry<T>>>,
    live_sessions: AtomicUsize,
    live_sockets: AtomicUsize,
}

impl<T> Core<T> {
    pub(super) fn new(store: GuardedStore<T>, config: Config<T>) -> Self {
        let wake = Arc::new(Notify::new());
        Self {
            store,
            config,
            feed: Feed::default(),
            failed: FailedLookups::default(),
            owed: OwedDeletions::new(),
            queue: Queue::new(),
            timers: Timers::new(wake.clone()),
            retiring: Retiring::new(),
            inert: InertIds::default(),
            cold_loads: Semaphore::new(MAX_COLD_LOADS),
            unreadable: Throttle::default(),
            wake,
            worker_runs: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            shut_down: AtomicBool::new(false),
            registry: Registry::new(),
            live_sessions: AtomicUsize::new(0),
            live_sockets: AtomicUsize::new(0),
        }
    }

    // --- Entries ----------------------------------------------------------------------------------

    /// The entry that answers for this id. An ended one answers only while its deletion is owed.
    pub(super) fn entry(&self, id: &SessionId) -> Arc<Entry<T>> {
        self.entry_with(id, || Known::Nothing)
    }

    /// As [`entry`](Self::entry); a new one begins with what `known` returns.
    pub(super) fn entry_with(
        &self,
        id: &SessionId,
        known: impl FnOnce() -> Known<T>,
    ) -> Arc<Entry<T>> {
        let answers = |entry: &Entry<T>| match entry.state().life {
            Life::Alive { .. } => true,
            Life::Ended { owed, .. } => owed,
        };
        let make = || Entry::new(id.clone(), self.registry.clone(), known());
        self.registry.get_or_insert(id, answers, make)
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<Arc<Entry<T>>> {
        self.registry.find(id)
    }

    /// All entries that are watched.
    pub(super) fn watched(&self) -> Vec<Arc<Entry<T>>> {
        let all = self.registry.all();
        let entries = all.iter().filter_map(std::sync::Weak::upgrade);
        entries.filter(|entry| entry.state().watchers > 0).collect()
    }

    pub(super) fn live_sessions(&self) -> usize {
        self.live_sessions.load(Ordering::Relaxed)
    }

    pub(super) fn live_sockets(&self) -> usize {
        self.live_sockets.load(Ordering::Relaxed)
    }

    // --- Watching ---------------------------------------------------------------------------------

    /// Attaches a socket; `None` when the session has ended.
    pub(super) fn attach(
        &self,
        entry: &Arc<Entry<T>>,
        socket: &Arc<dyn LiveSocket>,
    ) -> Option<u64> {
        let mut state = entry.state();
        if state.end_reason().is_some() {
            return None;
        }
        let key = state.attach(socket.clone());
        self.live_sockets.fetch_add(1, Ordering::Relaxed);
        // The admission loads the session, if it is not fresh.
        self.now_watched(entry, &mut state);
        Some(key)
    }

    pub(super) fn detach(&self, entry: &Arc<Entry<T>>, key: u64) {
        let removed = self.forget_socket(entry, key);
        drop(removed);
        self.unwatch(entry);
    }

    /// Removes a socket that is gone, while its attachment may still exist.
    pub(super) fn forget_socket(&self, entry: &Entry<T>, key: u64) -> Option<Arc<dyn LiveSocket>> {
        let removed = entry.state().detach(key);
        if removed.is_some() {
            self.live_sockets.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    /// A caller waits for the end or a change.
    pub(super) fn watch(&self, entry: &Arc<Entry<T>>) {
        let mut state = entry.state();
        state.watchers += 1;
        self.now_watched(entry, &mut state);
        let alive = state.end_reason().is_none();
        // What is known may have become stale while the entry was not watched.
        if alive && state.watchers == 1 && state.fresh(self.feed.epoch()).is_none() {
            self.queue_check(entry, &mut state, Queued::Urgent);
        }
    }

    pub(super) fn unwatch(&self, entry: &Entry<T>) {
        let mut state = entry.state();
        state.watchers -= 1;
        if state.watchers > 0 {
            return;
        }
        if state.end_reason().is_none() {
            self.live_sessions.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(timer) = state.timer.take() {
            self.timers.remove(timer);
        }
    }

    fn now_watched(&self, entry: &Arc<Entry<T>>, state: &mut State<T>) {
        if state.watchers == 1 && state.end_reason().is_none() {
            self.live_sessions.fetch_add(1, Ordering::Relaxed);
            state.recheck = Instant::now() + self.config.recheck_delay();
            self.schedule(entry, state);
        }
    }

    // --- Checks and timers ------------------------------------------------------------------------

    /// What is known of the session became uncertain.
    pub(super) fn invalidate(&self, entry: &Arc<Entry<T>>) {
        let mut state = entry.state();
        state.invalidate();
        self.failed.remove(&entry.id);
        if state.watchers > 0 && state.end_reason().is_none() {
            self.queue_check(entry, &mut state, Queued::Urgent);
        }
    }

    /// Has the worker load the session again, unless that is queued already.
    pub(super) fn queue_check(&self, entry: &Arc<Entry<T>>, state: &mut State<T>, urgency: Queued) {
        if !state.queue(urgency) {
            return;
        }
        let lane = match urgency {
            Queued::Urgent => Lane::Urgent,
            Queued::Routine | Queued::No => Lane::Routine,
        };
        self.queue.push(lane, Job::Check(entry.clone()));
        self.wake.notify_one();
    }

    /// Sets the worker's timer for a watched entry, if it is to look earlier than it would.
    pub(super) fn schedule(&self, entry: &Arc<Entry<T>>, state: &mut State<T>) {
        let Some(next) = self.next_look(state) else {
            return;
        };
        if let Some(timer) = state.timer {
            if timer.at <= next {
                return;
            }
            self.timers.remove(timer);
        }
        state.timer = Some(self.timers.insert(next, Arc::downgrade(entry)));
    }

    fn next_look(&self, state: &State<T>) -> Option<Instant> {
        if state.watchers == 0 || state.end_reason().is_some() {
            return None;
        }
        let snapshot = state.snapshot()?;
        let mut next = state.recheck;
        if let Some(end) = state.last_check().or(snapshot.deadline) {
            next = next.min(end);
        }
        if state.failing.is_some() {
            next = next.min(self.too_stale_at(snapshot));
        }
        Some(next)
    }

    /// When a session whose checks fail ends.
    pub(super) fn too_stale_at(&self, snapshot: &Snapshot<T>) -> Instant {
        snapshot.checked + self.config.max_stale
    }

    /// Called under the lock when a session has just ended: it is no longer live.
    pub(super) fn no_longer_live(&self, state: &mut State<T>, sockets: usize) {
        self.live_sockets.fetch_sub(sockets, Ordering::Relaxed);
        if state.watchers > 0 {
            self.live_sessions.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(timer) = state.timer.take() {
            self.timers.remove(timer);
        }
    }

    /// The time from which on a call that begins now has failed.
    pub(super) fn call_deadline(&self) -> Instant {
        Instant::now() + self.store.timeout()
    }

    pub(super) fn store_timeout(&self) -> Duration {
        self.store.timeout()
    }
}
