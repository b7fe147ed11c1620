//! The state that all live sessions of a bridge share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{
    config::Config,
    entry::{Entry, EntryState},
    failed::FailedLookups,
    feed::Feed,
    inert::InertIds,
    owed::OwedDeletions,
    queue::{Job, Lane, Queue},
    reason::EndReason,
    registry::Registry,
    retire::Retiring,
    snapshot::Snapshot,
    socket::LiveSocket,
    state::{Known, Queued},
    throttle::Throttle,
    timers::Timers,
};
use crate::{id::SessionId, lock::Mutex, observe::Gauge, recent::Recent, store::GuardedStore};

/// Maximum number of concurrent loads of sessions that are not live here. Further ones wait, and
/// that counts against their deadline.
pub(super) const MAX_COLD_LOADS: usize = 256;
/// Time for which no session is created under the id of one that a caller has ended.
pub(super) const ENDED_TTL: Duration = Duration::from_mins(1);
/// Maximum number of ended ids that are remembered.
const MAX_ENDED: usize = 10_000;

/// State that all live sessions of a bridge share.
pub(super) struct Core<T> {
    pub(super) store: GuardedStore<T>,
    pub(super) config: Config<T>,
    pub(super) feed: Feed,
    pub(super) failed: FailedLookups,
    pub(super) owed: OwedDeletions<T>,
    /// The ids of sessions that a caller on this node has ended or rotated.
    pub(super) ended: Mutex<Recent<SessionId, ()>>,
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
    /// The store refused a touch as unsupported.
    pub(super) never_touches: AtomicBool,
    /// No new admissions.
    pub(super) shut_down: AtomicBool,
    pub(super) registry: Arc<Registry<Entry<T>>>,
    live_sessions: Gauge,
    live_sockets: Gauge,
}

impl<T> Core<T> {
    pub(super) fn new(store: GuardedStore<T>, config: Config<T>) -> Self {
        let wake = Arc::new(Notify::new());
        Self {
            store,
            config,
            feed: Feed::default(),
            failed: FailedLookups::new(),
            owed: OwedDeletions::new(),
            ended: Mutex::new(Recent::new(MAX_ENDED)),
            queue: Queue::new(),
            timers: Timers::new(wake.clone()),
            retiring: Retiring::new(),
            inert: InertIds::default(),
            cold_loads: Semaphore::new(MAX_COLD_LOADS),
            unreadable: Throttle::default(),
            wake,
            worker_runs: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            never_touches: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
            registry: Registry::new(),
            live_sessions: Gauge::live_sessions(),
            live_sockets: Gauge::live_sockets(),
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
        let answers = |entry: &Entry<T>| entry.end_reason().is_none() || self.owed.holds(entry);
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
        self.live_sessions.get()
    }

    pub(super) fn live_sockets(&self) -> usize {
        self.live_sockets.get()
    }

    #[cfg(test)]
    pub(super) fn leftovers(&self) -> Leftovers {
        Leftovers {
            entries: self.registry.len(),
            timers: self.timers.len(),
            retiring: self.retiring.len(),
            owed: self.owed.len(),
            jobs: self.queue.len(),
        }
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
        self.live_sockets.add(1);
        // The admission loads the session, if it is not fresh.
        self.now_watched(entry, &mut state);
        Some(key)
    }

    /// Detaches a socket, unless it is no longer attached: the session has ended, or it was seen to be
    /// gone.
    pub(super) fn detach(&self, entry: &Entry<T>, key: u64) {
        let mut state = entry.state();
        let removed = state.detach(key);
        if removed.is_some() {
            self.live_sockets.sub(1);
            self.less_watched(&mut state);
        }
        drop(state);
        drop(removed);
    }

    /// A caller waits for the end or a change.
    pub(super) fn watch(&self, entry: &Arc<Entry<T>>) {
        let mut state = entry.state();
        state.watchers += 1;
        self.now_watched(entry, &mut state);
        if state.watchers == 1 && state.fresh(self.feed.epoch()).is_none() {
            self.queue_check(entry, &mut state, Queued::Urgent);
        }
        self.ensure_checked(entry, &mut state);
    }

    pub(super) fn unwatch(&self, entry: &Entry<T>) {
        let mut state = entry.state();
        state.watchers -= 1;
        self.less_watched(&mut state);
    }

    /// Connections that a client has left again cost nothing afterwards.
    fn less_watched(&self, state: &mut EntryState<T>) {
        if state.watchers > 0 {
            return;
        }
        if state.end_reason().is_none() {
            self.live_sessions.sub(1);
        }
        // The worker judges a session by checks that were made while it was watched.
        state.failing = None;
        state.life.set_last_check(None);
        state.pace.reset();
        if let Some(timer) = state.timer.take() {
            self.timers.remove(timer);
        }
    }

    fn now_watched(&self, entry: &Arc<Entry<T>>, state: &mut EntryState<T>) {
        if state.watchers == 1 && state.end_reason().is_none() {
            self.live_sessions.add(1);
            // One that is not known is scheduled by its load.
            if state.snapshot().is_some() {
                state.recheck = Some(Instant::now() + self.config.recheck_delay());
                self.schedule(entry, state);
            }
        }
    }

    // --- Checks and timers ------------------------------------------------------------------------

    /// Marks the snapshot of a session as stale.
    pub(super) fn invalidate(&self, entry: &Arc<Entry<T>>) {
        let mut state = entry.state();
        state.invalidate();
        self.failed.remove(&entry.id);
        if state.watchers > 0 && state.end_reason().is_none() {
            self.check_stale(entry, &mut state);
        }
    }

    /// Has a stale entry loaded again: at once, or at its pace.
    fn check_stale(&self, entry: &Arc<Entry<T>>, state: &mut EntryState<T>) {
        let at = state.pace.next_check();
        match at.filter(|at| *at > Instant::now()) {
            None => self.queue_check(entry, state, Queued::Urgent),
            Some(at) => {
                state.recheck = Some(state.recheck.map_or(at, |recheck| recheck.min(at)));
                self.schedule(entry, state);
            }
        }
    }

    /// Queues a check of a watched entry that is not fresh although the feed reports changes. No load
    /// that could make it fresh is under way, if it was invalidated since that began.
    pub(super) fn ensure_checked(&self, entry: &Arc<Entry<T>>, state: &mut EntryState<T>) {
        let epoch = self.feed.epoch();
        let outdated = epoch.reports() && state.fresh(epoch).is_none();
        let loading = state.load_to_outwait() < state.loads.begun;
        if outdated && !loading && state.watchers > 0 && state.end_reason().is_none() {
            self.check_stale(entry, state);
        }
    }

    /// Has the worker load the session again, unless that is queued already.
    pub(super) fn queue_check(
        &self,
        entry: &Arc<Entry<T>>,
        state: &mut EntryState<T>,
        urgency: Queued,
    ) {
        if !state.queue(urgency) {
            return;
        }
        let lane = match urgency {
            Queued::Urgent => Lane::Urgent,
            Queued::Routine => Lane::Routine,
        };
        self.queue.push(lane, Job::Check(entry.clone()));
        self.wake.notify_one();
    }

    /// Sets the worker's timer for a watched entry, if it is to look earlier than it would.
    pub(super) fn schedule(&self, entry: &Arc<Entry<T>>, state: &mut EntryState<T>) {
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

    fn next_look(&self, state: &EntryState<T>) -> Option<Instant> {
        if state.watchers == 0 || state.end_reason().is_some() {
            return None;
        }
        let snapshot = state.snapshot()?;
        let end = state.life.last_check().or(snapshot.deadline);
        let too_stale = state.failing.map(|_| self.too_stale_at(snapshot));
        let all = [state.recheck, end, state.connected_touch, too_stale];
        all.into_iter().flatten().min()
    }

    /// When a session whose checks fail ends.
    pub(super) fn too_stale_at(&self, snapshot: &Snapshot<T>) -> Instant {
        snapshot.checked + self.config.max_stale
    }

    /// Ends a session under its lock, and returns its sockets; `None` when it had ended before.
    pub(super) fn end(
        &self,
        state: &mut EntryState<T>,
        reason: EndReason,
    ) -> Option<Vec<Arc<dyn LiveSocket>>> {
        let was_live = state.watchers > 0;
        let sockets = state.end(reason)?;
        self.live_sockets.sub(sockets.len());
        if was_live {
            self.live_sessions.sub(1);
        }
        if let Some(timer) = state.timer.take() {
            self.timers.remove(timer);
        }
        Some(sockets)
    }

    /// The time from which on a call that begins now has failed.
    pub(super) fn call_deadline(&self) -> Instant {
        Instant::now() + self.store.timeout()
    }
}

impl<T> Drop for Core<T> {
    fn drop(&mut self) {
        // The worker finds it gone, and ends.
        self.wake.notify_one();
    }
}

/// Things that a bridge still keeps; nothing when all clients and handles are gone.
#[cfg(test)]
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Leftovers {
    entries: usize,
    pub(super) timers: usize,
    retiring: usize,
    owed: usize,
    jobs: usize,
}
