//! One live session on this node: the state machine that everything else drives.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{
    EndReason, LoadError,
    end::EndFlag,
    socket::LiveSocket,
    state::{Due, EXPIRY_GRACE, Mark, Snapshot, State, deadline},
};
use crate::{
    id::SessionId,
    store::{Record, Revision},
};

pub(super) type LoadFuture<T> = BoxFuture<'static, Result<Loaded<T>, LoadError>>;

/// What is known after a load, and the mark at which the load began. When that is no longer the
/// entry's, there is something newer by now.
pub(super) struct Loaded<T> {
    pub(super) snapshot: Arc<Snapshot<T>>,
    pub(super) mark: Mark,
}

impl<T> Clone for Loaded<T> {
    fn clone(&self) -> Self {
        Self {
            snapshot: self.snapshot.clone(),
            mark: self.mark,
        }
    }
}

/// What came of [`Entry::install`].
pub(super) enum Installed<T> {
    /// The session is there.
    Good(Loaded<T>),
    /// The feed broke or came back since it began: load again.
    Unsteady,
    /// There is no such session; if it was known here, it has just ended for this reason.
    Missing(Option<EndReason>),
}

/// A session that has sockets here, or that somebody waits for, or that a call is under way for.
///
/// It lives as long as somebody holds it; the registry only knows it.
pub(super) struct Entry<T> {
    pub(super) id: SessionId,
    pub(super) end: Arc<EndFlag<T>>,
    /// Rings when the data has changed or the session has ended.
    pub(super) bell: Notify,
    /// Updates of one session queue here.
    pub(super) updates: tokio::sync::Mutex<()>,
    state: Mutex<State<T>>,
}

impl<T> Entry<T> {
    pub(super) fn new(id: SessionId, end: Arc<EndFlag<T>>) -> Self {
        Self {
            id,
            end,
            bell: Notify::new(),
            updates: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::new()),
        }
    }

    /// Registers a socket; `None` when the session has ended.
    pub(super) fn attach(&self, socket: Arc<dyn LiveSocket>) -> Option<u64> {
        let mut state = self.state.lock();
        // Under the lock: whoever ends the session takes the sockets under it too.
        if self.end.reason().is_some() {
            return None;
        }
        let key = state.next_key;
        state.next_key += 1;
        state.watchers += 1;
        state.sockets.insert(key, socket);
        Some(key)
    }

    pub(super) fn detach(&self, key: u64) {
        let mut state = self.state.lock();
        state.watchers -= 1;
        let socket = state.sockets.remove(&key);
        drop(state);
        drop(socket);
    }

    /// `true` when nobody else watches, so that nothing has the store asked by itself.
    pub(super) fn watch(&self) -> bool {
        let mut state = self.state.lock();
        state.watchers += 1;
        state.watchers == 1
    }

    pub(super) fn unwatch(&self) {
        self.state.lock().watchers -= 1;
    }

    pub(super) fn known(&self) -> Option<Arc<Snapshot<T>>> {
        self.state.lock().known.clone()
    }

    pub(super) fn sockets(&self) -> Vec<(u64, Arc<dyn LiveSocket>)> {
        let state = self.state.lock();
        state
            .sockets
            .iter()
            .map(|(key, socket)| (*key, socket.clone()))
            .collect()
    }

    /// Lets go of a socket that is gone; its attachment may still be somewhere.
    pub(super) fn forget_socket(&self, key: u64) {
        let mut state = self.state.lock();
        let socket = state.sockets.remove(&key);
        drop(state);
        drop(socket);
    }

    /// Why a session is missing that was here.
    pub(super) fn end_of_missing(&self) -> EndReason {
        self.state.lock().end_of_missing()
    }

    pub(super) fn socket_count(&self) -> usize {
        self.state.lock().sockets.len()
    }

    /// What is known, if every change since it was loaded would have been reported here.
    pub(super) fn trusted(&self, feed: Option<u64>) -> Option<Arc<Snapshot<T>>> {
        let state = self.state.lock();
        (feed.is_some() && state.trusted == feed)
            .then(|| state.known.clone())
            .flatten()
    }

    pub(super) fn mark(&self, epoch: u64) -> Mark {
        let state = self.state.lock();
        Mark {
            reports: state.reports,
            epoch,
            saves: state.saves,
            loads: state.loads,
        }
    }

    /// Nothing was reported since `mark`, and the session has not ended.
    pub(super) fn still(&self, mark: Mark, epoch: u64) -> bool {
        let state = self.state.lock();
        state.reports == mark.reports && epoch == mark.epoch && self.end.reason().is_none()
    }

    /// The load that is under way; if there is none, the one that `begin` makes.
    pub(super) fn join_load(
        &self,
        begin: impl FnOnce() -> Shared<LoadFuture<T>>,
    ) -> Shared<LoadFuture<T>> {
        let mut state = self.state.lock();
        if let Some(load) = state.load.as_ref().and_then(WeakShared::upgrade)
            && load.peek().is_none()
        {
            return load;
        }
        let load = begin();
        // Weak: the load holds this entry.
        state.load = load.downgrade();
        load
    }

    /// Takes in what the store answered to a load that began at `before` and `began`.
    ///
    /// `epoch` is the feed's now, and `up` says whether it reports: only then is what was loaded to be
    /// trusted until a report comes. When one has come already, it has queued a check that finds what
    /// is newer.
    pub(super) fn install(
        &self,
        record: Option<Record<T>>,
        before: Mark,
        began: Instant,
        (epoch, up): (u64, bool),
        recheck: Instant,
    ) -> Installed<T> {
        let mut state = self.state.lock();
        if self.end.reason().is_some() {
            return Installed::Missing(None);
        }
        if epoch != before.epoch {
            return Installed::Unsteady;
        }
        let Some(record) = record else {
            let reason = state.known.is_some().then(|| state.end_of_missing());
            return Installed::Missing(reason);
        };
        let reported = state.reports != before.reports;
        if reported
            && state.loads != before.loads
            && let Some(known) = &state.known
        {
            // Another load has been faster, and which of the two read what is newer, nobody knows.
            let (snapshot, mark) = (known.clone(), before);
            return Installed::Good(Loaded { snapshot, mark });
        }
        let deadline = record.ttl.and_then(|ttl| deadline(began, ttl));
        let overtaken = state.saves != before.saves;
        let changed = state.take_in(record, deadline, began, overtaken);
        state.trusted = (up && !overtaken && !reported).then_some(epoch);
        state.recheck = recheck;
        state.expiring = false;
        state.loads += 1;
        let snapshot = state.known.clone().expect("it was taken in above");
        drop(state);
        if changed {
            self.bell.notify_waiters();
        }
        Installed::Good(Loaded {
            snapshot,
            mark: before,
        })
    }

    /// Takes in what was saved here by a call that began at `before`: the next handler sees it at
    /// once. `None` when the session has ended meanwhile, else whether somebody else may have saved
    /// after it, so that the store must be asked.
    pub(super) fn install_saved(
        &self,
        data: Arc<T>,
        revision: Revision,
        base: &Snapshot<T>,
        before: Mark,
    ) -> Option<bool> {
        let mut state = self.state.lock();
        if self.end.reason().is_some() {
            return None;
        }
        state.saves += 1;
        let overtaken = state.reports != before.reports || state.loads != before.loads;
        if overtaken {
            state.trusted = None;
        }
        let (deadline, checked) = state
            .known
            .as_ref()
            .map_or((base.deadline, base.checked), |known| {
                (known.deadline, known.checked)
            });
        state.known = Some(Arc::new(Snapshot {
            data,
            revision: Some(revision),
            deadline,
            checked,
        }));
        drop(state);
        self.bell.notify_waiters();
        Some(overtaken)
    }

    /// Begins with what a handle knows, where nothing is known yet.
    pub(super) fn seed(&self, snapshot: &Arc<Snapshot<T>>) {
        let mut state = self.state.lock();
        if state.known.is_none() {
            state.known = Some(snapshot.clone());
        }
    }

    /// The session lives until `deadline` at least.
    pub(super) fn extend(&self, deadline: Option<Instant>) {
        let mut state = self.state.lock();
        if let Some(known) = &state.known
            && known
                .deadline
                .is_some_and(|old| deadline.is_none_or(|new| new > old))
        {
            state.known = Some(Arc::new(known.with_deadline(deadline)));
            state.expiring = false;
        }
    }

    /// Something about the session changed elsewhere. `true` when a check is to be queued.
    pub(super) fn reported(&self) -> bool {
        let mut state = self.state.lock();
        state.reports += 1;
        state.trusted = None;
        !std::mem::replace(&mut state.queued, true)
    }

    /// A check is wanted. `true` when none is queued yet.
    pub(super) fn queue_check(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().queued, true)
    }

    pub(super) fn check_begins(&self) {
        self.state.lock().queued = false;
    }

    /// The store could not be asked; it is asked again at `recheck`. Says why the session ends, if
    /// it can't be left alive any longer.
    pub(super) fn check_failed(&self, recheck: Instant, max_stale: Duration) -> Option<EndReason> {
        let mut state = self.state.lock();
        state.recheck = recheck;
        let now = Instant::now();
        let known = state.known.as_ref()?;
        if known.deadline.is_some_and(|deadline| deadline <= now) {
            return Some(EndReason::Expired);
        }
        let too_old = now.saturating_duration_since(known.checked) >= max_stale;
        too_old.then_some(EndReason::StoreUnreachable)
    }

    /// Says when the agenda is to look at this entry, if that is earlier than it would.
    pub(super) fn schedule(&self, max_stale: Duration) -> Option<Instant> {
        let mut state = self.state.lock();
        if state.watchers == 0 || self.end.reason().is_some() {
            return None;
        }
        let next = state.next_look(max_stale);
        if state.scheduled.is_some_and(|scheduled| scheduled <= next) {
            return None;
        }
        state.scheduled = Some(next);
        Some(next)
    }

    /// The agenda looks at the entry, as it was told to at `when`. `store_down`: what was asked last
    /// was not answered.
    pub(super) fn due(&self, when: Instant, max_stale: Duration, store_down: bool) -> Due {
        let mut state = self.state.lock();
        // An earlier time was asked for since, or nobody watches any more.
        if state.scheduled != Some(when) {
            return Due::default();
        }
        state.scheduled = None;
        if state.watchers == 0 || self.end.reason().is_some() {
            return Due::default();
        }
        let now = Instant::now();
        let end = state.overdue(now, max_stale, store_down);
        if end.is_some() {
            return Due {
                end,
                ..Due::default()
            };
        }
        let expires = state.deadline().is_some_and(|deadline| deadline <= now);
        let first = expires && !std::mem::replace(&mut state.expiring, true);
        let wanted = first || state.recheck <= now;
        if wanted {
            // Should the check get no answer, the entry is looked at again all the same.
            state.recheck = now + EXPIRY_GRACE.max(max_stale / 4);
        }
        let check = wanted && !std::mem::replace(&mut state.queued, true);
        let next = state
            .next_look(max_stale)
            .max(now + Duration::from_millis(1));
        state.scheduled = Some(next);
        Due {
            end: None,
            check,
            next: Some(next),
        }
    }

    /// While the guard lives, a session that is found missing has been rotated.
    pub(super) fn rotating(self: &Arc<Self>) -> Rotating<T> {
        self.state.lock().rotations += 1;
        Rotating(self.clone())
    }

    /// Ends the session. `None` when it had ended before; else its sockets, which are no longer
    /// attached.
    pub(super) fn finish(&self, reason: EndReason) -> Option<Vec<Arc<dyn LiveSocket>>> {
        let mut state = self.state.lock();
        if !self.end.raise(reason) {
            return None;
        }
        state.trusted = None;
        let sockets = std::mem::take(&mut state.sockets);
        drop(state);
        self.bell.notify_waiters();
        Some(sockets.into_values().collect())
    }
}

/// See [`Entry::rotating`].
pub(super) struct Rotating<T>(Arc<Entry<T>>);

impl<T> Drop for Rotating<T> {
    fn drop(&mut self) {
        self.0.state.lock().rotations -= 1;
    }
}
